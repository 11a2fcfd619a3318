//! What an answer does to a batch.

use std::time::Duration;

use tracecore::emit::{Refusal, Verdict};
use tracecore::error::ErrorKind;
use tracecore::otlp::response::{PartialSuccess, encode};
use tracecore::otlp::{Format, path};
use tracecore::signal::Signal;
use tracecore::testing::{TestService as Rig, metrics};
use tracecore::time::Instant;
use tracecore_tests::{HttpAnswer, HttpServer, by_number};

use super::{CALLS, DROPPED, accepted, last_error, sending};

/// What a service does with a batch that a server answers in this way, and in how many requests.
async fn delivered(answers: impl FnMut(usize) -> HttpAnswer + Send + 'static) -> (Rig, Verdict, usize) {
    let mut server = HttpServer::answering(by_number(answers)).await;
    let (rig, source) = sending(&server, "").await;
    let verdict = source.emit(metrics("one", 4)).await;
    let calls = server.more().len();
    (rig, verdict, calls)
}

/// As [`delivered`], where the first request is answered so, and the others are taken.
async fn first(answer: HttpAnswer) -> (Rig, Verdict, usize) {
    delivered(move |call| if call == 1 { answer.clone() } else { HttpAnswer::ok() }).await
}

/// A batch that is answered so is dropped after one attempt, with this kind of error and these words.
async fn is_permanent(answer: HttpAnswer, kind: ErrorKind, message: &str) {
    let (rig, verdict, calls) = first(answer).await;
    assert_eq!((verdict, calls), (Verdict::Refused(Refusal::Permanent), 1), "{message}");
    assert_eq!(rig.sample(DROPPED, &[("reason", "permanent")]), 4.0, "{message}");
    assert_eq!(last_error(&rig), (kind, message.to_owned()));
    rig.stop().await;
}

/// A batch that is answered so goes again, with this kind of error and these words.
async fn goes_again(answer: HttpAnswer, kind: ErrorKind, message: &str) {
    let (rig, verdict, calls) = first(answer).await;
    accepted(&verdict);
    assert_eq!((calls, rig.sample(DROPPED, &[])), (2, 0.0), "{message}");
    assert_eq!(last_error(&rig), (kind, message.to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn a_batch_goes_again_when_otlp_says_so_and_only_then() {
    let again = [429, 502, 503, 504];
    for status in [300, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 500, 501, 502, 503, 504, 505] {
        let (rig, verdict, calls) = first(HttpAnswer::of(status)).await;
        let retried = again.contains(&status);
        assert_eq!((verdict.is_accepted(), calls), (retried, if retried { 2 } else { 1 }), "{status}");
        let dropped = if retried { 0.0 } else { 4.0 };
        assert_eq!(rig.sample(DROPPED, &[("reason", "permanent")]), dropped, "{status}");
        assert_eq!(last_error(&rig).0, ErrorKind::Io, "{status}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn every_success_is_one_whatever_stands_in_it() {
    for answer in [
        HttpAnswer::of(202),
        HttpAnswer::of(204),
        HttpAnswer::ok().body("application/x-protobuf", vec![0xff; 100]),
        HttpAnswer::ok().body("application/json", "not JSON"),
        HttpAnswer::ok().body("text/html", "<html>fine</html>"),
    ] {
        let (rig, verdict, calls) = first(answer).await;
        accepted(&verdict);
        assert_eq!((calls, rig.sample(CALLS, &[("result", "success")])), (1, 1.0));
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_after_the_time_it_says() {
    let began = Instant::now();
    let answer = HttpAnswer::of(503).header("retry-after", "1").body("text/plain", "soon");
    goes_again(answer, ErrorKind::Io, "the backend answered 503 Service Unavailable: soon").await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_taken_in_part_is_delivered_and_the_rest_counted() {
    let partial = PartialSuccess { rejected: 3, message: "too old".to_owned() };
    for format in [Format::Protobuf, Format::Json] {
        let body = encode(Signal::Metrics, format, Some(&partial));
        let (rig, verdict, calls) = first(HttpAnswer::ok().body(format.content_type(), body)).await;
        accepted(&verdict);
        assert_eq!((calls, rig.sample(DROPPED, &[("reason", "rejected")])), (1, 3.0), "{format:?}");
        assert_eq!(rig.sample(CALLS, &[("result", "success")]), 1.0);
        rig.stop().await;
    }
}

#[tokio::test]
async fn what_is_taken_with_a_warning_is_delivered_whole() {
    let partial = PartialSuccess { rejected: 0, message: "an old client".to_owned() };
    let body = encode(Signal::Metrics, Format::Protobuf, Some(&partial));
    let (rig, verdict, _) = first(HttpAnswer::ok().body("application/x-protobuf", body)).await;
    accepted(&verdict);
    assert_eq!(rig.sample(DROPPED, &[]), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let mut elsewhere = HttpServer::start().await;
        let to = format!("http://{}{}", elsewhere.address(), path(Signal::Metrics));
        let (rig, verdict, calls) = first(HttpAnswer::of(status).header("location", &to)).await;
        assert_eq!((verdict, calls), (Verdict::Refused(Refusal::Permanent), 1), "{status}");
        let (kind, message) = last_error(&rig);
        let advice = format!("it redirects to {to}, and redirects are not followed: set the endpoint to where it is");
        assert!(kind == ErrorKind::Io && message.ends_with(&advice), "{message}");
        assert!(elsewhere.more().is_empty(), "what is secret in a request is for whom the settings name");
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_cut_and_not_asked_for_again() {
    let message = "the answer is larger than 4194304 bytes";
    is_permanent(HttpAnswer::Endless, ErrorKind::Parse, message).await;
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    is_permanent(HttpAnswer::Raw(announced), ErrorKind::Parse, message).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_cut_and_not_asked_for_again() {
    let message = "the head of the answer is larger than 65536 bytes, or breaks the rules of HTTP/2";
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    is_permanent(HttpAnswer::Raw(long.into()), ErrorKind::Parse, message).await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    is_permanent(HttpAnswer::Raw(many.into()), ErrorKind::Parse, message).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_none_is_asked_for_again() {
    let broke = "the connection broke before the end of the answer";
    for half in ["", "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let (rig, verdict, calls) = first(HttpAnswer::Raw(half.into())).await;
        accepted(&verdict);
        let (kind, message) = last_error(&rig);
        assert!(kind == ErrorKind::Io && message.starts_with(broke), "{message}");
        assert_eq!(calls, 2);
        rig.stop().await;
    }
    let (rig, verdict, _) = first(HttpAnswer::Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())).await;
    accepted(&verdict);
    let (kind, message) = last_error(&rig);
    assert!(kind == ErrorKind::Parse && message.starts_with("the answer is not HTTP"), "{message}");
    rig.stop().await;
}
