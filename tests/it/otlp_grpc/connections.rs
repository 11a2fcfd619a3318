//! The connection to a server: what it breaks, winds up or refuses is not lost, and not there twice.

use h2::Reason;
use tracecore::component::Role;
use tracecore::emit::{Refusal, Verdict};
use tracecore::error::ErrorKind;
use tracecore::testing::{TestService as Rig, metrics, name_of, within_ceiling};
use tracecore_tests::{GrpcAnswer, GrpcServer, by_number};

use super::{AT_ONCE, CALLS, DROPPED, accepted, beside, delivered, sending};

fn failures(rig: &Rig) -> f64 {
    rig.sample(CALLS, &[("result", "failure")])
}

/// What went wrong last in the exporter.
fn last_error(rig: &Rig) -> (ErrorKind, String) {
    let id = "otlp_grpc".parse().expect("an id");
    let status = rig.running.watch(Role::Exporter, &id).expect("it is there").borrow().clone();
    let error = status.last_error.expect("something went wrong");
    (error.kind, error.message.to_string())
}

#[tokio::test]
async fn a_refused_stream_goes_again_at_once_and_is_no_failure() {
    let refused = GrpcAnswer::Reset(Reason::REFUSED_STREAM);
    let (rig, verdict, calls) = delivered(move |call| if call == 1 { refused.clone() } else { GrpcAnswer::Ok }).await;
    accepted(&verdict);
    assert_eq!((calls, failures(&rig)), (2, 0.0));
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_every_stream_is_left_alone_for_a_while_and_nothing_is_lost() {
    let refused = GrpcAnswer::Reset(Reason::REFUSED_STREAM);
    let (rig, verdict, calls) = delivered(move |call| if call <= 4 { refused.clone() } else { GrpcAnswer::Ok }).await;
    accepted(&verdict);
    assert_eq!((calls, failures(&rig), rig.sample(DROPPED, &[])), (5, 2.0, 0.0));
    let (kind, message) = last_error(&rig);
    assert!(kind == ErrorKind::Io && message.starts_with("the server takes no request now"), "{message}");
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_winds_up_its_connections_under_load_gets_everything_once() {
    const BATCHES: usize = 200;
    let answers = by_number(|call| if call % 10 == 0 { GrpcAnswer::Last } else { GrpcAnswer::Ok });
    let mut server = GrpcServer::answering(answers).await;
    let (rig, source) = sending(&server, "").await;
    let waiting: Vec<_> = (0..BATCHES).map(|number| beside(&source, metrics(&number.to_string(), 1))).collect();
    for verdict in waiting {
        accepted(&within_ceiling(verdict).await.unwrap());
    }
    let calls = server.more();
    let connections = calls.iter().map(|call| call.connection).max();
    let mut came: Vec<usize> = calls.iter().map(|call| name_of(&call.batch).parse().unwrap()).collect();
    came.sort_unstable();
    assert_eq!(came, (0..BATCHES).collect::<Vec<_>>());
    assert!(connections.is_some_and(|last| last >= 5), "{connections:?}");
    assert_eq!(failures(&rig), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_gives_the_batch_back_to_be_sent_again() {
    for end in [GrpcAnswer::GoesAway, GrpcAnswer::Breaks] {
        let told = format!("{end:?}");
        let (rig, verdict, calls) = delivered(move |call| if call == 1 { end.clone() } else { GrpcAnswer::Ok }).await;
        accepted(&verdict);
        assert_eq!((calls, failures(&rig)), (2, 1.0), "{told}");
        let (kind, message) = last_error(&rig);
        assert_eq!(kind, ErrorKind::Io, "{told}: {message}");
        assert!(message.starts_with("the connection broke before the end of the answer"), "{told}: {message}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_call_that_is_reset_is_sent_again() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::PROTOCOL_ERROR] {
        let (rig, verdict, calls) =
            delivered(move |call| if call == 1 { GrpcAnswer::Reset(reason) } else { GrpcAnswer::Ok }).await;
        accepted(&verdict);
        assert_eq!((calls, failures(&rig), last_error(&rig).0), (2, 1.0, ErrorKind::Io), "{reason}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_cut_and_not_asked_for_again() {
    let cases = [
        (GrpcAnswer::Endless, "the answer is larger than 4194304 bytes"),
        (
            GrpcAnswer::Headers(1 << 20),
            "the head of the answer is larger than 65536 bytes, or breaks the rules of HTTP/2",
        ),
    ];
    for (answer, message) in cases {
        let (rig, verdict, calls) =
            delivered(move |call| if call == 1 { answer.clone() } else { GrpcAnswer::Ok }).await;
        assert_eq!((verdict, calls), (Verdict::Refused(Refusal::Permanent), 1), "{message}");
        assert_eq!(last_error(&rig), (ErrorKind::Parse, message.to_owned()));
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_time_of_the_settings() {
    let answers = by_number(|call| if call == 1 { GrpcAnswer::Never } else { GrpcAnswer::Ok });
    let mut server = GrpcServer::answering(answers).await;
    let (rig, source) = sending(&server, "timeout: 100ms").await;
    accepted(&source.emit(metrics("one", 1)).await);
    for _ in 0..2 {
        let call = server.call().await;
        assert_eq!((call.connection, &call.headers["grpc-timeout"]), (0, &"100000u".parse().unwrap()));
    }
    assert_eq!(failures(&rig), 1.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_that_does_not_answer_a_ping_is_given_up() {
    // It accepts, and says what every server says first, and then nothing any more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut mute = tokio::task::JoinSet::new();
    mute.spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        (stream, listener)
    });
    let source = tracecore::testing::ScriptedReceiver::new();
    let keepalive = "keepalive: {time: 50ms, timeout: 50ms}\ntimeout: 60s";
    let settings = format!("tls: {{insecure: true}}\n{AT_ONCE}\n{keepalive}");
    let rig = Rig::start(&super::yaml(&source, address, &settings)).await;
    let waiting = source.send(metrics("one", 1));
    let (stream, listener) = within_ceiling(mute.join_next()).await.unwrap().unwrap();
    rig.wait_metric(CALLS, &[("result", "failure")], |calls| calls == 1.0).await;
    let (kind, message) = last_error(&rig);
    assert!(kind == ErrorKind::Io && message.starts_with("the connection broke"), "{message}");
    let mut server = GrpcServer::serve(listener, None, |_| GrpcAnswer::Ok);
    accepted(&within_ceiling(waiting).await.unwrap());
    assert_eq!(name_of(&server.call().await.batch), "one");
    drop(stream);
    rig.stop().await;
}
