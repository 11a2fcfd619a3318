//! The end: what is in flight is answered, and clients are asked to go elsewhere.

use tracecore::signal::Signal;
use tracecore::testing::{Answer, RecordingExporter as Sink, event, logs, needs_events};

use super::client::{body_of, call, message, post, received};
use super::{Served, Settings};

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_asks_clients_to_leave() {
    let mut served = Served::with(Settings::default(), Sink::answering(Answer::Stall)).await;
    let body = body_of(&logs("in flight", 1));
    let (mut grpc, mut http) = (served.grpc().await, served.http().await);
    let (waiting, _) = grpc.begin(call(Signal::Logs), message(&body), true);
    http.send(post("/v1/logs", "content-type: application/x-protobuf\r\n", &body)).await;
    let mut idle = served.http().await;
    for _ in 0..2 {
        served.sink.called().await;
    }
    let Served { rig, sink, .. } = served;
    let clients = async {
        assert_eq!(idle.closed().await, b"", "nothing is in flight on it");
        // What a client that is asked to leave sends now goes to another connection.
        while grpc.client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        sink.release(2);
        let answer = received(waiting).await.unwrap();
        assert_eq!((answer.status, answer.grpc_status()), (200, Some(0)));
        grpc.closed().await.unwrap();
        let answer = http.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(http.closed().await, b"");
    };
    tokio::join!(rig.stop(), clients);
    assert_eq!(sink.items(), 2);
}

#[tokio::test]
async fn a_stop_refuses_for_now_what_waits_for_room() {
    needs_events!();
    let exporter = "sending_queue: {queue_size: 1, sizer: items, on_overflow: block}";
    let settings = Settings { exporter: Some(exporter), ..Settings::default() };
    let mut served = Served::with(settings, Sink::answering(Answer::Stall)).await;
    let body = body_of(&logs("one", 1));
    let mut client = served.grpc().await;
    assert_eq!(client.send(call(Signal::Logs), message(&body)).await.grpc_status(), Some(0));
    served.sink.called().await;
    let (waiting, _) = client.begin(call(Signal::Logs), message(&body), true);
    let mut http = served.http().await;
    http.send(post("/v1/logs", "content-type: application/x-protobuf\r\n", &body)).await;
    let Served { mut rig, sink, .. } = served;
    rig.wait_for_all(2, event!("resource.exhausted", resource = "queue")).await;
    let clients = async {
        let failure = received(waiting).await.unwrap().failure();
        assert!(failure.is_retryable() && failure.retry_after.is_some(), "{failure:?}");
        let answer = http.answer().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        sink.release(1);
    };
    tokio::join!(rig.stop(), clients);
    assert_eq!(sink.items(), 1);
}
