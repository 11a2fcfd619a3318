//! What a client may hold of the server, and for how long.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracecore::otlp::grpc::{Code, Prefix};
use tracecore::signal::Signal;
use tracecore::testing::{Answer, RecordingExporter as Sink, logs};

use super::client::{Grpc, Http, body_of, call, message, post, received};
use super::{GOOD, Served, Settings, abuse, bad};

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

/// The paused clock moves by whole timers; its granularity is a millisecond.
#[track_caller]
fn assert_took(since: Instant, seconds: u64) {
    let (took, expected) = (since.elapsed(), Duration::from_secs(seconds));
    assert!(took >= expected && took < expected + Duration::from_millis(50), "{took:?} and not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_to_the_end_of_its_headers_is_closed() {
    let mut served =
        Served::with(Settings { http: "read_header_timeout: 7s", ..Settings::default() }, Sink::new()).await;
    for sent in ["", "POST /v1/logs HTTP/1.1\r\n", "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"] {
        let start = Instant::now();
        let mut client = served.http().await;
        client.send(sent).await;
        assert_eq!(client.closed().await, b"", "{sent:?}");
        assert_took(start, 7);
    }
    for sent in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let start = Instant::now();
        let mut client = Http::connect(served.grpc).await;
        client.send(sent).await;
        client.closed().await;
        assert_took(start, 5);
    }
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_to_the_end_of_its_body_is_answered_503() {
    let settings = Settings { http: "read_timeout: 8s", grpc: "request_timeout: 9s", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let start = Instant::now();
    let mut client = served.http().await;
    let answer =
        client.ask("POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n".to_owned() + PROTOBUF + "\r\nabc");
    assert_eq!(answer.await.status, 503);
    client.closed().await;
    assert_took(start, 8);

    // The head of a message of the whole limit, in every stream that there may be: a neighbour is served meanwhile.
    let mut client = served.grpc().await;
    client.send(call(Signal::Logs), message(b"")).await;
    let start = Instant::now();
    let head = Bytes::from(Prefix { compressed: false, length: 4 << 20 }.encode().to_vec());
    let silent: Vec<_> = (0..99).map(|_| client.begin(call(Signal::Logs), head.clone(), false)).collect();
    let answer = client.send(call(Signal::Logs), message(&body_of(&logs("a neighbour", 1)))).await;
    assert_eq!(answer.grpc_status(), Some(0));
    served.taken += 1;
    for (answer, _stream) in silent {
        assert_eq!(received(answer).await.unwrap().status, 503);
    }
    assert_took(start, 9);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_buys_no_time() {
    let mut served = Served::with(Settings { http: "read_timeout: 8s", ..Settings::default() }, Sink::new()).await;
    let mut client = served.http().await;
    client.send("POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n".to_owned() + PROTOBUF + "\r\n").await;
    let start = Instant::now();
    for _ in 0..7 {
        client.send("x").await;
        let more = tokio::time::timeout(Duration::from_secs(1), client.read_more()).await;
        assert!(more.is_err(), "{:?}", client.received());
    }
    assert_eq!(client.answer().await.status, 503);
    assert_took(start, 8);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_in_buy_no_time() {
    let settings = Settings { http: "read_header_timeout: 7s", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let start = Instant::now();
    let mut client = served.http().await;
    client.send("POST /v1/logs HTTP/1.1\r\nx-long: ").await;
    for _ in 0..6 {
        let more = tokio::time::timeout(Duration::from_secs(1), client.read_more()).await;
        assert!(more.is_err(), "{:?}", client.received());
        client.send("x").await;
    }
    assert_eq!(client.closed().await, b"");
    assert_took(start, 7);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_say_is_closed() {
    let grpc = "keepalive: {server_parameters: {max_connection_idle: 12s}}";
    let mut served =
        Served::with(Settings { http: "idle_timeout: 11s", grpc, ..Settings::default() }, Sink::new()).await;
    let mut client = served.http().await;
    assert_eq!(client.ask(post("/v1/logs", PROTOBUF, b"")).await.status, 200);
    let start = Instant::now();
    assert_eq!(client.closed().await, b"");
    assert_took(start, 11);
    let mut client = served.grpc().await;
    client.send(call(Signal::Logs), message(b"")).await;
    let start = Instant::now();
    client.closed().await.unwrap();
    assert_took(start, 12);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_left() {
    let grpc = "keepalive: {server_parameters: {max_connection_age: 20s, max_connection_age_grace: 5s}}";
    let settings = Settings { grpc, ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let start = Instant::now();
    let mut client = served.grpc().await;
    client.send(call(Signal::Logs), message(b"")).await;
    client.closed().await.unwrap();
    assert_took(start, 20);
    // A request that is under way has the time of grace.
    let start = Instant::now();
    let mut client = served.grpc().await;
    let (_answer, _stream) = client.begin(call(Signal::Logs), message(b"").slice(..3), false);
    let _ = client.closed().await;
    assert_took(start, 25);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_that_it_is_there_is_closed() {
    let grpc = "keepalive: {server_parameters: {time: 10s, timeout: 3s}}";
    let mut served = Served::with(Settings { grpc, ..Settings::default() }, Sink::new()).await;
    let start = Instant::now();
    let mut client = abuse::raw(&served).await;
    client.closed().await;
    assert_took(start, 13);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn clients_above_the_limit_wait_for_a_place() {
    let settings = Settings { http: "max_connections: 1", grpc: "max_connections: 1", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let good = body_of(&logs("good", GOOD as usize));

    let mut first = served.http().await;
    assert_eq!(first.ask(post("/v1/logs", PROTOBUF, &good)).await.status, 200);
    let mut second = served.http().await;
    second.send(post("/v1/logs", PROTOBUF, &good)).await;
    assert_eq!(first.ask(post("/v1/logs", PROTOBUF, &good)).await.status, 200);
    served.taken += 2 * GOOD;
    served.holds();
    drop(first);
    assert_eq!(second.answer().await.status, 200);
    served.taken += GOOD;
    drop(second);

    let mut first = served.grpc().await;
    assert_eq!(first.send(call(Signal::Logs), message(&good)).await.grpc_status(), Some(0));
    let mut second = Grpc::connect(served.grpc).await;
    let (waiting, _) = second.begin(call(Signal::Logs), message(&good), true);
    assert_eq!(first.send(call(Signal::Logs), message(&good)).await.grpc_status(), Some(0));
    served.taken += 2 * GOOD;
    served.holds();
    drop(first);
    assert_eq!(received(waiting).await.unwrap().grpc_status(), Some(0));
    served.taken += GOOD;
    drop(second);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn an_exporter_that_hangs_takes_no_more_time_than_a_request_has() {
    let settings = Settings { http: "read_timeout: 50ms", grpc: "request_timeout: 50ms", ..Settings::default() };
    let served = Served::with(settings, Sink::answering(Answer::Stall)).await;
    let good = body_of(&logs("good", 1));
    let answer = served.http().await.ask(post("/v1/logs", PROTOBUF, &good)).await;
    assert_eq!(answer.status, 503);
    let answer = served.grpc().await.send(call(Signal::Logs), message(&good)).await;
    assert_eq!((answer.status, answer.grpc_status()), (503, None));
    served.answered("5xx", 2).await;
    // They were in the queue all the same: a sender that comes again sends them twice, and none is lost.
    served.sink.release(2);
    served.rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 2.0).await;
    assert_eq!(served.sink.items(), 2);
    served.rig.stop().await;
}

#[tokio::test]
async fn bodies_that_are_coming_share_the_memory_that_batches_have() {
    let settings = Settings { service: "memory_budget: 100KiB", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let body = bad::large(80_000);
    let (most, rest) = body.split_at(60_000);
    const HELD: &str = "tracecore_memory_held_bytes";
    assert_eq!(served.rig.sample(HELD, &[]), 0.0);

    let mut first = served.http().await;
    let request = post("/v1/traces", PROTOBUF, &body);
    first.send(&request[..request.len() - rest.len()]).await;
    served.rig.wait_metric(HELD, &[], |held| held >= most.len() as f64).await;

    // Others of that size are refused before they have come whole.
    let mut grpc = served.grpc().await;
    let message = message(&body);
    let (answer, mut stream) = grpc.begin(call(Signal::Traces), message.slice(..60_000), false);
    let failure = received(answer).await.unwrap().failure();
    assert_eq!((failure.code, failure.retry_after), (Code::Unavailable, Some(Duration::from_secs(1))));
    stream.send_reset(h2::Reason::CANCEL);
    let mut second = served.http().await;
    second.send(&request[..request.len() - rest.len()]).await;
    let answer = second.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    drop(second);
    // What fits is taken.
    served.still_serves().await;

    first.send(rest).await;
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(grpc.send(call(Signal::Traces), message).await.grpc_status(), Some(0));
    served.taken += 2;
    served.still_serves().await;
    served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
    // Whoever goes away holds nothing any more.
    first.send(&request[..request.len() - rest.len()]).await;
    served.rig.wait_metric(HELD, &[], |held| held >= most.len() as f64).await;
    drop(first);
    served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
    served.stop().await;
}
