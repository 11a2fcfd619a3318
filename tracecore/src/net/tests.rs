//! Each limit, seen by a client that speaks raw bytes. Time is paused: a timeout of 30 s takes no time.

mod component;
mod http2;
mod http2_ends;
mod requests;
mod unread;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, LengthLimitError};
use hyper::body::{Body, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tower::service_fn;

use super::testing::{Client, Event, Logs, Recorder, Scripted, open_sockets, sockets_of};
use super::*;
use crate::error::Report;
use crate::time::Instant;

/// More than what loopback buffers hold.
const LARGE: usize = 32 << 20;

/// What a test's handler is told from outside.
#[derive(Clone)]
struct Gate {
    /// Tells the test that a request arrived.
    arrived: mpsc::UnboundedSender<()>,
    /// Lets the requests go on.
    open: watch::Receiver<bool>,
}

async fn handle(request: Request<RequestBody>, gate: Gate) -> Result<Response<TestBody>, Infallible> {
    let text = |text: &'static str| Response::new(Either::Left(Full::from(text)));
    Ok(match request.uri().path() {
        "/panic" => panic!("boom"),
        "/body-panic" => Response::new(Either::Right(Panics)),
        "/large" => Response::new(Either::Left(Full::from(vec![b'x'; LARGE]))),
        "/never" => pending().await,
        "/gate" => {
            let mut gate = gate;
            gate.arrived.send(()).unwrap();
            gate.open.wait_for(|open| *open).await.unwrap();
            text("through")
        }
        "/upload" => match request.into_body().collect().await {
            Ok(body) => Response::new(Either::Left(Full::from(body.to_bytes().len().to_string()))),
            Err(error) => {
                assert!(error.is::<LengthLimitError>());
                let mut response = text("too long");
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                response
            }
        },
        _ => text("hello"),
    })
}

type TestBody = Either<Full<Bytes>, Panics>;

struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("boom in the body")
    }
}

struct Fixture {
    server: Server,
    seen: Arc<Recorder>,
    arrived: mpsc::UnboundedReceiver<()>,
    gate: watch::Sender<bool>,
}

impl Fixture {
    async fn new() -> Self {
        Fixture::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Fixture::on(Bound::bind("127.0.0.1:0").await.unwrap(), limits)
    }

    fn on(listener: impl Accept, limits: Limits) -> Self {
        let seen = Arc::new(Recorder::new());
        let (arrived_tx, arrived) = mpsc::unbounded_channel();
        let (gate_tx, gate_rx) = watch::channel(false);
        let gate = Gate { arrived: arrived_tx, open: gate_rx };
        let service = service_fn(move |request| handle(request, gate.clone()));
        let server = Server::start(listener, service, limits, seen.clone());
        Fixture { server, seen, arrived, gate: gate_tx }
    }

    async fn client(&self) -> Client {
        Client::connect(self.server.local_addr()).await
    }

    /// A client with a request that waits in its handler.
    async fn client_in_flight(&mut self) -> Client {
        let mut client = self.client().await;
        client.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
        self.arrived.recv().await.unwrap();
        client
    }
}

fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// The paused clock moves by whole timers; its granularity is a millisecond.
#[track_caller]
fn assert_took(since: Instant, expected: Duration) {
    let took = since.elapsed();
    assert!(took >= expected && took < expected + Duration::from_millis(10), "took {took:?} and not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_header_then_silence_is_closed_at_the_header_timeout() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\n").await;
    client.until_closed().await;
    assert_took(start, HEADER_READ_TIMEOUT);
    fixture.seen.wait_for(Event::Closed(Closed::HeaderTimeout), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_byte_is_closed_at_the_header_timeout() {
    let fixture = Fixture::new().await;
    let start = Instant::now();
    assert_eq!(fixture.client().await.until_closed().await, b"");
    assert_took(start, HEADER_READ_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_in_buy_no_time() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    assert_eq!(client.get("/").await.status, 200);
    let start = Instant::now();
    for byte in b"GET" {
        client.send([*byte]).await;
        client.hears_nothing_for(Duration::from_millis(1500)).await;
    }
    client.until_closed().await;
    assert_took(start, HEADER_READ_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_between_two_scrapes_and_then_closed() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    assert_eq!(client.get("/").await.body, "hello");
    client.hears_nothing_for(Duration::from_secs(30)).await;
    assert_eq!(client.get("/").await.body, "hello");
    let start = Instant::now();
    client.until_closed().await;
    assert_took(start, IDLE_TIMEOUT);
    fixture.seen.wait_for(Event::Closed(Closed::IdleTimeout), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_answered_503() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    assert_eq!(client.get("/never").await.status, 503);
    assert_took(start, REQUEST_TIMEOUT);
    client.until_closed().await;
    fixture.seen.wait_for(Event::Closed(Closed::RequestTimeout), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_answered_503() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(client.answer(true).await.status, 503);
    assert_took(start, REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_at_the_write_timeout() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    fixture.seen.wait_for(Event::Closed(Closed::WriteTimeout), 1).await;
    assert_took(start, WRITE_STALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_gets_a_large_answer_whole() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client().await.request("GET", "/large", "connection: close\r\n").await.body.len(), LARGE);
}

#[tokio::test(start_paused = true)]
async fn headers_above_the_limit_are_answered_431() {
    let fixture = Fixture::new().await;
    let padding = |length| format!("x-padding: {}\r\n", "x".repeat(length));
    assert_eq!(fixture.client().await.request("GET", "/", &padding(7_000)).await.status, 200);
    assert_eq!(fixture.client().await.request("GET", "/", &padding(9_000)).await.status, 431);
    fixture.seen.wait_for(Event::Closed(Closed::Refused), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_limit_is_refused() {
    let fixture = Fixture::with(Limits { body_bytes: 10, ..Limits::default() }).await;
    let upload = |headers: &str, body: &str| format!("POST /upload HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n{body}");

    let mut client = fixture.client().await;
    client.send(upload("content-length: 10", "0123456789")).await;
    assert_eq!(client.answer(true).await.body, "10");

    client.send(upload("content-length: 11", "")).await;
    assert_eq!(client.answer(true).await.status, 413);

    let mut client = fixture.client().await;
    client.send(upload("transfer-encoding: chunked", "b\r\n01234567890\r\n0\r\n\r\n")).await;
    assert_eq!(client.answer(true).await.body, "too long");
}

#[tokio::test(start_paused = true)]
async fn http_2_is_refused() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.until_closed().await, b"");
    fixture.seen.wait_for(Event::Closed(Closed::Refused), 1).await;
}

#[tokio::test(start_paused = true)]
async fn connect_never_reaches_a_handler() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client().await.request("CONNECT", "metrics:80", "").await.status, 501);
}

#[tokio::test(start_paused = true)]
async fn answers_do_not_say_what_serves_them() {
    let fixture = Fixture::new().await;
    for path in ["/", "/panic"] {
        assert_eq!(fixture.client().await.get(path).await.header("server"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_panic_is_500_and_the_server_lives() {
    let (logs, _guard) = Logs::capture();
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client().await.get("/panic").await.status, 500);
    assert_eq!(fixture.seen.count(Event::HandlerPanicked), 1);
    assert!(logs.text().contains("request handler panicked panic=\"boom\""), "{}", logs.text());
    assert_eq!(fixture.client().await.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_ends_its_connection_only() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    client.send("GET /body-panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until_closed().await;
    fixture.seen.wait_for(Event::HandlerPanicked, 1).await;
    assert_eq!(fixture.seen.count(Event::Closed(Closed::Cut)), 1);
    assert_eq!(fixture.client().await.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_connection_limit_a_client_waits_until_one_closes() {
    let limits = Limits { connections: NonZeroUsize::new(2).unwrap(), ..Limits::default() };
    let mut fixture = Fixture::with(limits).await;
    let _first = fixture.client_in_flight().await;
    let second = fixture.client_in_flight().await;
    fixture.seen.wait_for(Event::Full, 1).await;

    let mut third = fixture.client().await;
    third.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    third.hears_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(fixture.seen.count(Event::Opened), 2);

    drop(second);
    assert_eq!(third.answer(true).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_accept_loop_survives_running_out_of_descriptors() {
    const EMFILE: i32 = 24;
    let errors = (0..10).map(|_| io::Error::from_raw_os_error(EMFILE));
    let (listener, connect) = Scripted::new(errors);
    let (mut client, io) = tokio::io::duplex(1024);
    connect.send(io).unwrap();
    let (logs, _guard) = Logs::capture();
    let start = Instant::now();
    let fixture = Fixture::on(listener, Limits::default());

    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(fixture.seen.count(Event::AcceptFailed), 10);
    // 10 + 20 + … + 640 ms, then a second each.
    assert_took(start, Duration::from_millis(1270 + 3000));
    assert_eq!(logs.text().matches("cannot accept connections").count(), 1, "one message an episode");
    assert!(logs.text().contains("accepting connections again"));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_cannot_accept_again_ends_the_server_with_a_reason() {
    let (logs, _guard) = Logs::capture();
    let (listener, _connect) = Scripted::new([io::Error::from(io::ErrorKind::InvalidInput)]);
    let mut fixture = Fixture::on(listener, Limits::default());
    assert_eq!(fixture.server.exited().await, Exit::ListenerError);
    assert_eq!(fixture.seen.count(Event::Exited(Exit::ListenerError)), 1);
    assert!(logs.text().contains("serve exited with error"), "{}", logs.text());
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::ListenerError);
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_idle_connections_at_once() {
    let mut fixture = Fixture::new().await;
    let mut idle = fixture.client().await;
    idle.get("/").await;
    let mut unused = fixture.client().await;
    fixture.seen.wait_for(Event::Opened, 2).await;
    let start = Instant::now();
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Shutdown);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(idle.until_closed().await, b"");
    assert_eq!(unused.until_closed().await, b"");
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_a_request_in_flight_finish() {
    let mut fixture = Fixture::new().await;
    let addr = fixture.server.local_addr();
    let mut client = fixture.client_in_flight().await;
    let gate = fixture.gate.clone();
    let finish = async {
        // The listener is gone by the time that the request is let through.
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
        gate.send(true).unwrap();
        client.answer(true).await
    };
    let (exit, answer) = tokio::join!(fixture.server.shutdown(in_ms(800)), finish);
    assert_eq!((exit, answer.body.as_str()), (Exit::Shutdown, "through"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test(start_paused = true)]
async fn shutdown_cuts_what_is_open_at_the_deadline() {
    let mut fixture = Fixture::new().await;
    let mut client = fixture.client_in_flight().await;
    let start = Instant::now();
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Aborted);
    assert_took(start, Duration::from_millis(800));
    assert_eq!(client.until_closed().await, b"");
    assert_eq!(fixture.seen.count(Event::Closed(Closed::Cut)), 1);
    assert_eq!(fixture.seen.count(Event::Exited(Exit::Aborted)), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_with_an_expired_deadline_cuts_at_once() {
    let mut fixture = Fixture::new().await;
    let mut client = fixture.client_in_flight().await;
    let start = Instant::now();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.server.shutdown(start).await, Exit::Aborted);
    assert_took(start, Duration::from_secs(1));
    assert_eq!(client.until_closed().await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_says_the_same_and_does_nothing() {
    let mut fixture = Fixture::new().await;
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Shutdown);
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Shutdown);
    assert_eq!(fixture.seen.count(Event::Exited(Exit::Shutdown)), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_wait_for_a_handler_that_blocks_its_thread() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let (arrived_tx, mut arrived) = mpsc::unbounded_channel();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    let service = service_fn(move |_: Request<RequestBody>| {
        let (blocked, arrived) = (Arc::clone(&blocked), arrived_tx.clone());
        async move {
            arrived.send(()).unwrap();
            let _ = blocked.lock().unwrap().recv();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let bound = Bound::bind("127.0.0.1:0").await.unwrap();
    let mut server = Server::start(bound, service, Limits::default(), Arc::new(()));
    let mut client = Client::connect(server.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    arrived.recv().await.unwrap();
    assert_eq!(server.shutdown(Instant::now()).await, Exit::Aborted);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_server_cuts_everything_and_says_so() {
    let mut fixture = Fixture::new().await;
    let mut client = fixture.client_in_flight().await;
    drop(fixture.server);
    fixture.seen.wait_for(Event::Exited(Exit::Aborted), 1).await;
    assert_eq!(client.until_closed().await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_shared_listener_outlives_its_server() {
    let listener = Arc::new(Bound::bind("127.0.0.1:0").await.unwrap());
    for _ in 0..2 {
        let mut fixture = Fixture::on(Arc::clone(&listener), Limits::default());
        assert_eq!(fixture.client().await.get("/").await.status, 200);
        fixture.server.shutdown(in_ms(800)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_starts_and_stops_leave_no_task_and_no_descriptor() {
    let metrics = tokio::runtime::Handle::current().metrics();
    for cycle in 0..10 {
        let mut fixture = Fixture::new().await;
        let port = fixture.server.local_addr().port();
        let mut idle = fixture.client().await;
        idle.get("/").await;
        let in_flight = fixture.client_in_flight().await;
        let sockets = sockets_of(port);
        assert_eq!(sockets.len(), 5, "a listener and two ends of two connections");
        let deadline = if cycle % 2 == 0 { in_ms(800) } else { Instant::now() };
        fixture.server.shutdown(deadline).await;
        drop((idle, in_flight));
        assert!(sockets.is_disjoint(&open_sockets()));
        assert_eq!(metrics.num_alive_tasks(), 0);
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_address_and_the_setting() {
    let taken = Bound::bind("localhost:0").await.unwrap();
    assert!(taken.local_addr().is_ipv4(), "IPv4 comes first");
    let address = format!("localhost:{}", taken.local_addr().port());
    let error = Bound::bind(&address).await.unwrap_err().for_setting("telemetry.listen");
    assert!(error.is_in_use());
    let expected = format!("cannot listen on {address} (telemetry.listen): address already in use");
    assert_eq!(Report(&error).to_string(), expected);
}

#[tokio::test]
async fn what_is_no_address_is_said_to_be_none() {
    for address in ["", "localhost", "localhost:", "localhost:99999", "::1:80", "[::1:80", "[x]:80"] {
        let error = Bound::bind(address).await.unwrap_err();
        let expected =
            format!("cannot listen on {address}: an address is host:port, such as localhost:8888 or 0.0.0.0:8888");
        assert_eq!(Report(&error).to_string(), expected);
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error() {
    let error = Bound::bind("192.0.2.1:8888").await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "cannot listen on 192.0.2.1:8888: not an address of this machine");
}

#[tokio::test]
async fn a_wildcard_address_is_warned_about() {
    let (logs, _guard) = Logs::capture();
    assert!(!Bound::bind("127.0.0.1:0").await.unwrap().is_wildcard());
    assert_eq!(logs.text(), "");
    for every_interface in ["0.0.0.0:0", ":0"] {
        assert!(Bound::bind(every_interface).await.unwrap().is_wildcard(), "{every_interface}");
    }
    assert!(logs.text().contains("listening on every interface without TLS"), "{}", logs.text());
}

#[test]
fn labels_are_a_closed_set() {
    assert_eq!(Exit::ALL.map(Exit::as_str), ["shutdown", "aborted", "listener_error"]);
    let mut closed = Closed::ALL.map(Closed::as_str).to_vec();
    closed.dedup();
    assert_eq!(closed.len(), Closed::ALL.len());
}
