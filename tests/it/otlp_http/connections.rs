//! The connections to a server: kept, given up, and made anew without a loss.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tracecore::emit::Verdict;
use tracecore::error::ErrorKind;
use tracecore::net::POOL_IDLE_TIMEOUT;
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{
    Command, ScriptedReceiver as Source, TestService as Rig, event, events_enabled, metrics, name_of,
};
use tracecore::time::Instant;
use tracecore_tests::{HttpAnswer, HttpCall, HttpServer, by_number};

use super::{CALLS, accepted, last_error, sending, with};

fn name(call: &HttpCall) -> String {
    name_of(&call.batch(Signal::Metrics))
}

/// Emits a batch while others are under way.
fn beside(source: &Source, batch: Batch) -> oneshot::Receiver<Verdict> {
    let (reply, verdict) = oneshot::channel();
    source.tell(Command::EmitBeside(batch, reply));
    verdict
}

fn failures(rig: &Rig) -> f64 {
    rig.sample(CALLS, &[("result", "failure")])
}

#[tokio::test]
async fn a_server_that_closes_between_two_requests_costs_no_batch_and_no_attempt() {
    for said in [true, false] {
        let mut server = HttpServer::answering(move |_| {
            let answer = if said { HttpAnswer::ok().header("connection", "close") } else { HttpAnswer::ok() };
            answer.closing()
        })
        .await;
        let (mut rig, source) = sending(&server, "").await;
        for number in 0..20 {
            accepted(&source.emit(metrics(&number.to_string(), 1)).await);
            let call = server.call().await;
            assert_eq!((name(&call), call.connection), (number.to_string(), number));
            assert_eq!(server.closed().await, number);
            if events_enabled() {
                // Heard of here too: else the next request may be written into what is closed, which is another story.
                rig.wait_for(event!("connection.closed")).await;
            }
        }
        assert!(server.more().is_empty(), "each came once");
        if events_enabled() {
            assert_eq!(failures(&rig), 0.0);
        }
        rig.stop().await;
    }
}

#[tokio::test]
async fn requests_side_by_side_have_a_connection_each_and_keep_them() {
    let mut server = HttpServer::start().await;
    let (rig, source) = sending(&server, "").await;
    for _ in 0..5 {
        let waiting: Vec<_> = (0..4).map(|_| beside(&source, metrics("one", 1))).collect();
        for verdict in waiting {
            accepted(&verdict.await.unwrap());
        }
    }
    let connections: Vec<usize> = server.more().iter().map(|call| call.connection).collect();
    assert_eq!(connections.len(), 20);
    assert!(connections.iter().all(|connection| *connection < 4), "{connections:?}");
    assert_eq!(failures(&rig), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_not_used_is_closed_after_the_time_of_the_settings() {
    let mut server = HttpServer::start().await;
    let (rig, source) = sending(&server, "idle_conn_timeout: 10ms").await;
    accepted(&source.emit(metrics("one", 1)).await);
    let began = Instant::now();
    assert_eq!(server.closed().await, 0);
    assert!(began.elapsed() < POOL_IDLE_TIMEOUT / 2, "{:?}", began.elapsed());
    accepted(&source.emit(metrics("two", 1)).await);
    assert_eq!([server.call().await, server.call().await].map(|call| call.connection), [0, 1]);
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_serves_one_request_where_the_settings_say_so() {
    let mut server = HttpServer::start().await;
    let (rig, source) = sending(&server, "disable_keep_alives: true\nidle_conn_timeout: 1h").await;
    for number in 0..3 {
        accepted(&source.emit(metrics("one", 1)).await);
        assert_eq!((server.call().await.connection, server.closed().await), (number, number));
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_breaks_off_gets_the_batch_again() {
    let answers = by_number(|call| if call % 3 == 1 { HttpAnswer::Breaks } else { HttpAnswer::ok() });
    let mut server = HttpServer::answering(answers).await;
    let (rig, source) = sending(&server, "").await;
    for number in 0..6 {
        accepted(&source.emit(metrics(&number.to_string(), 1)).await);
    }
    let mut came: Vec<String> = server.more().iter().map(name).collect();
    came.dedup();
    assert_eq!(came, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!((failures(&rig), last_error(&rig).0), (3.0, ErrorKind::Io));
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_time_of_the_settings() {
    let answers = by_number(|call| if call == 1 { HttpAnswer::Never } else { HttpAnswer::ok() });
    let mut server = HttpServer::answering(answers).await;
    let (rig, source) = sending(&server, "timeout: 100ms").await;
    accepted(&source.emit(metrics("one", 1)).await);
    assert_eq!([server.call().await, server.call().await].map(|call| call.connection), [0, 1]);
    assert_eq!(failures(&rig), 1.0);
    rig.stop().await;
}

/// An address at which the kernel answers nobody: its queue of connections is full.
async fn deaf() -> (TcpListener, TcpStream, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
    let listener = socket.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it listens");
    let waiting = TcpStream::connect(address).await.expect("there is room for one");
    (listener, waiting, address)
}

#[tokio::test]
async fn a_server_to_which_there_is_no_way_is_given_up_after_the_time_of_the_settings() {
    let (listener, _waiting, address) = deaf().await;
    let (rig, source) = with(&format!("endpoint: http://{address}\ntimeout: 100ms")).await;
    let waiting = source.send(metrics("one", 1));
    rig.wait_metric(CALLS, &[("result", "failure")], |calls| calls >= 2.0).await;
    drop((listener, waiting));
    drop(rig);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_of_connecting() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (rig, source) = with(&format!("endpoint: http://{free}")).await;
    let waiting = source.send(metrics("one", 1));
    rig.wait_metric(CALLS, &[("result", "failure")], |calls| calls >= 2.0).await;
    assert_eq!(last_error(&rig), (ErrorKind::Connect, "cannot connect: connection refused".to_owned()));
    let mut server = HttpServer::serve(TcpListener::bind(free).await.unwrap(), None, |_| HttpAnswer::ok());
    accepted(&waiting.await.unwrap());
    assert_eq!(name(&server.call().await), "one");
    rig.stop().await;
}
