//! The client against our own server, and against peers that misbehave on purpose.

mod http2;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use hyper_util::client::legacy::connect::dns::Name;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tower::service_fn;

use http_body_util::{BodyExt, Full};

use super::*;
use crate::error::{Classify, ErrorKind, Report, Retry};
use crate::net::{Bound, Limits, RequestBody, Server};
use crate::time::Instant;

/// What an observer of a pool was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Created,
    Opened,
    Failed(ConnectFailure),
    Closed,
    Acquired,
    Released,
    Health { active: usize, idle: usize },
}

use Told::{Acquired, Closed, Created, Failed, Health, Opened, Released};

/// Keeps all that it is told, for tests to wait for.
struct Recorder(watch::Sender<Vec<Told>>);

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::new(Recorder(watch::Sender::new(Vec::new())))
    }

    fn record(&self, told: Told) {
        self.0.send_modify(|all| all.push(told));
    }

    /// All but the health, in order.
    fn life(&self) -> Vec<Told> {
        self.0.borrow().iter().filter(|told| !matches!(told, Health { .. })).copied().collect()
    }

    async fn wait_for(&self, told: Told, times: usize) {
        let enough = |all: &Vec<Told>| all.iter().filter(|one| **one == told).count() >= times;
        self.0.subscribe().wait_for(enough).await.expect("the recorder lives");
    }
}

impl PoolObserver for Recorder {
    fn pool_created(&self) {
        self.record(Created);
    }

    fn connection_opened(&self, _: Duration) {
        self.record(Opened);
    }

    fn connection_failed(&self, why: ConnectFailure, _: Duration) {
        self.record(Failed(why));
    }

    fn connection_closed(&self, _: Duration) {
        self.record(Closed);
    }

    fn acquired(&self, _: Duration) {
        self.record(Acquired);
    }

    fn released(&self, _: Duration) {
        self.record(Released);
    }

    fn pool_health(&self, PoolHealth { active, idle }: PoolHealth) {
        self.record(Health { active, idle });
    }
}

fn ask(peer: SocketAddr, path: &str) -> Request<Bytes> {
    Request::post(format!("http://{peer}{path}")).body(Bytes::from_static(b"question")).unwrap()
}

/// Answers with the request's body, its path and its `host`; some paths do something else.
async fn handle(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = Response::default();
    match parts.uri.path() {
        "/moved" => {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/elsewhere"));
        }
        "/large" => *response.body_mut() = Full::from(vec![b'x'; MAX_ANSWER_BYTES + 1]),
        "/largest" => *response.body_mut() = Full::from(vec![b'x'; MAX_ANSWER_BYTES]),
        "/never" => pending().await,
        path => {
            let body = body.collect().await.unwrap().to_bytes();
            let host = parts.headers["host"].to_str().unwrap();
            *response.body_mut() = Full::from(format!("{path} {host} {}", String::from_utf8_lossy(&body)));
        }
    }
    Ok(response)
}

async fn server() -> Server {
    let bound = Bound::bind("127.0.0.1:0").await.unwrap();
    Server::start(bound, service_fn(handle), Limits::default(), Arc::new(()))
}

fn client(limits: ClientLimits) -> (Client, Arc<Recorder>) {
    let seen = Recorder::new();
    (Client::new(limits, seen.clone()), seen)
}

/// What a peer does once it has said its word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Closes,
    Hangs,
}

/// A peer that answers each connection with the next of `answers`, whatever it is asked.
async fn peer(answers: Vec<Vec<u8>>, then: Then) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut open = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            // The client may give up in the middle.
            let _ = stream.write_all(&answer).await;
            if then == Then::Hangs {
                open.push(stream);
            }
        }
        pending::<()>().await;
    });
    (addr, task)
}

async fn read_request(stream: &mut TcpStream) {
    let mut received = Vec::new();
    while !received.ends_with(b"question") {
        assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_whole_and_its_connection_is_used_again() {
    let mut server = server().await;
    let addr = server.local_addr();
    let (client, seen) = client(ClientLimits::default());
    assert_eq!(seen.life(), [Created]);
    for path in ["/one", "/two"] {
        let answer = client.send(ask(addr, path)).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(*answer.body(), format!("{path} {addr} question"));
    }
    assert_eq!(seen.life(), [Created, Opened, Acquired, Released, Acquired, Released]);
    assert_eq!(client.pool_health(), PoolHealth { active: 0, idle: 1 });
    let health: Vec<_> = seen.0.borrow().iter().filter(|told| matches!(told, Health { .. })).copied().collect();
    let (idle, active) = (Health { active: 0, idle: 1 }, Health { active: 1, idle: 0 });
    assert_eq!(health, [idle, active, idle, active, idle]);

    drop(client);
    seen.wait_for(Closed, 1).await;
    server.shutdown(Instant::now() + Duration::from_millis(800)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_used_is_closed() {
    let server = server().await;
    let (client, seen) = client(ClientLimits { idle: Duration::from_secs(5), ..ClientLimits::default() });
    client.send(ask(server.local_addr(), "/")).await.unwrap();
    let start = Instant::now();
    seen.wait_for(Closed, 1).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(5) && took <= Duration::from_secs(11), "took {took:?}");
    assert_eq!(client.pool_health(), PoolHealth { active: 0, idle: 0 });
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_kept_than_allowed() {
    let server = server().await;
    let (client, seen) = client(ClientLimits { max_idle: 1, ..ClientLimits::default() });
    let ask = || client.send(ask(server.local_addr(), "/"));
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    a.and(b).and(c).unwrap();
    seen.wait_for(Closed, 2).await;
    seen.wait_for(Health { active: 0, idle: 1 }, 1).await;
    assert_eq!(client.pool_health(), PoolHealth { active: 0, idle: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = server().await;
    let (client, _) = client(ClientLimits::default());
    let answer = client.send(ask(server.local_addr(), "/moved")).await.unwrap();
    assert_eq!((answer.status(), answer.headers()[LOCATION].to_str().unwrap()), (StatusCode::FOUND, "/elsewhere"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_above_the_limit_is_refused() {
    let server = server().await;
    let (client, seen) = client(ClientLimits::default());
    let largest = client.send(ask(server.local_addr(), "/largest")).await.unwrap();
    assert_eq!(largest.body().len(), MAX_ANSWER_BYTES);
    let error = client.send(ask(server.local_addr(), "/large")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge(MAX_ANSWER_BYTES)), "{error:?}");
    seen.wait_for(Closed, 1).await;

    // One that says so, and is not waited for.
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_ANSWER_BYTES + 1);
    let (addr, _peer) = peer(vec![announced.into()], Then::Hangs).await;
    let start = Instant::now();
    let error = client.send(ask(addr, "/")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge(MAX_ANSWER_BYTES)), "{error:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);

    // One that does not say how large it is.
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    chunked.extend(chunk.repeat(65));
    let (addr, _peer) = peer(vec![chunked], Then::Closes).await;
    let error = client.send(ask(addr, "/")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_is_given_up_in_time() {
    let server = server().await;
    let (client, seen) = client(ClientLimits { request: Duration::from_secs(3), ..ClientLimits::default() });
    let start = Instant::now();
    let error = client.send(ask(server.local_addr(), "/never")).await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "no answer within 3s");
    assert_eq!(start.elapsed().as_secs(), 3);
    seen.wait_for(Closed, 1).await;
    assert_eq!(seen.life(), [Created, Opened, Acquired, Released, Closed]);

    // Nor does one gain by beginning an answer.
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    let (addr, _peer) = peer(vec![begun], Then::Hangs).await;
    let start = Instant::now();
    let error = client.send(ask(addr, "/")).await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "no answer within 3s");
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_breaks_off_is_an_error_that_says_so() {
    let half = "the connection broke before the end of the answer";
    let not_http = "the answer is not HTTP";
    let long_head = "the head of the answer is larger than 65536 bytes, or breaks the rules of HTTP/2";
    let long_header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(4 * MAX_ANSWER_HEADER_BYTES));
    let cases: [(&[u8], &str, ErrorKind); 7] = [
        (b"", half, ErrorKind::Io),
        (b"HTTP/1.1 200 OK\r\nconte", half, ErrorKind::Io),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", half, ErrorKind::Io),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", half, ErrorKind::Io),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", not_http, ErrorKind::Parse),
        // What a server that speaks TLS says to a request in plaintext: a fatal alert.
        (&[0x15, 3, 3, 0, 2, 2, 70], "cannot connect", ErrorKind::Connect),
        (long_header.as_bytes(), long_head, ErrorKind::Parse),
    ];
    let (addr, _peer) = peer(cases.iter().map(|(answer, ..)| answer.to_vec()).collect(), Then::Closes).await;
    let (client, seen) = client(ClientLimits::default());
    for (answer, message, kind) in cases {
        let error = client.send(ask(addr, "/")).await.unwrap_err();
        let answer = String::from_utf8_lossy(answer);
        assert_eq!((error.to_string().as_str(), error.kind()), (message, kind), "{answer:.40}: {error:?}");
    }
    seen.wait_for(Closed, cases.len()).await;
    assert_eq!(client.pool_health(), PoolHealth::default());
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_the_peer_has_closed_costs_no_request() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let (addr, _peer) = peer(vec![answer; 3], Then::Closes).await;
    let (client, seen) = client(ClientLimits::default());
    for times in 1..=3 {
        assert_eq!(client.send(ask(addr, "/")).await.unwrap().body(), "ok");
        seen.wait_for(Closed, times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_there_is_an_error_of_the_connection() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (client, seen) = client(ClientLimits::default());
    let error = client.send(ask(free, "/")).await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "cannot connect: connection refused");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::Yes));
    assert_eq!(seen.life(), [Created, Failed(ConnectFailure::Refused)]);
}

/// Connects to nobody, or to the tests' ends of pipes.
struct Pipes(Option<mpsc::UnboundedSender<DuplexStream>>);

impl Connect for Pipes {
    type Io = DuplexStream;

    async fn connect(&self, _: Uri) -> io::Result<DuplexStream> {
        let Some(peers) = &self.0 else { return pending().await };
        let (ours, theirs) = tokio::io::duplex(1024);
        peers.send(theirs).map_err(io::Error::other)?;
        Ok(ours)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_too_long_is_given_up() {
    let seen = Recorder::new();
    let client = Client::over(Pipes(None), ClientLimits::default(), seen.clone());
    let start = Instant::now();
    let error = client.send(ask(([192, 0, 2, 1], 80).into(), "/")).await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "cannot connect: no connection within 5s");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(seen.life(), [Created, Failed(ConnectFailure::Timeout)]);

    let limits = ClientLimits { request: Duration::from_secs(1), ..ClientLimits::default() };
    let client = Client::over(Pipes(None), limits, seen.clone());
    let error = client.send(ask(([192, 0, 2, 1], 80).into(), "/")).await.unwrap_err();
    assert_eq!(Report(&error).to_string(), "no answer within 1s");
    assert_eq!(seen.life()[2..], [Created, Failed(ConnectFailure::Abandoned)]);
}

/// A peer on this address that says its name to each connection, until it is dropped.
async fn named(name: &'static str, ip: [u8; 4], port: u16) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(SocketAddr::from((ip, port))).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (addr, task)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_for_every_connection() {
    let (old, old_peer) = named("old", [127, 0, 0, 1], 0).await;
    let (new, _new_peer) = named("new", [127, 0, 0, 2], old.port()).await;
    let addresses = Arc::new(Mutex::new(None));
    let asked = Arc::clone(&addresses);
    let resolver = service_fn(move |_: Name| {
        let address: Option<SocketAddr> = *asked.lock().unwrap();
        let addresses = address.ok_or_else(|| io::Error::other("no address is known for that name"));
        ready(addresses.map(std::iter::once))
    });
    let seen = Recorder::new();
    let client = Client::over(Tcp::resolving(resolver, CONNECT_TIMEOUT), ClientLimits::default(), seen.clone());
    let ask = async || {
        let uri = format!("http://backend.example:{}/", old.port());
        client.send(Request::post(uri).body(Bytes::from_static(b"question")).unwrap()).await
    };

    let error = ask().await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::Yes));
    assert!(Report(&error).to_string().contains("no address is known"), "{}", Report(&error));
    *addresses.lock().unwrap() = Some(old);
    assert_eq!(ask().await.unwrap().body(), "old");
    seen.wait_for(Closed, 1).await;
    *addresses.lock().unwrap() = Some(new);
    drop(old_peer);
    assert_eq!(ask().await.unwrap().body(), "new");
    seen.wait_for(Closed, 2).await;
    *addresses.lock().unwrap() = None;
    assert!(ask().await.is_err(), "nor is an address kept that is none any more");
    assert_eq!(seen.life().iter().filter(|told| matches!(told, Failed(ConnectFailure::Other))).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_can_be_made_of_memory() {
    let (peers, mut accepted) = mpsc::unbounded_channel();
    let client = Client::over(Pipes(Some(peers)), ClientLimits::default(), Arc::new(()));
    let answering = async {
        let mut peer = accepted.recv().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"question") {
            peer.read_buf(&mut received).await.unwrap();
        }
        peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(received).unwrap()
    };
    let uri = Uri::from_static("http://collector:4318/v1/traces");
    let request = Request::post(uri).body(Bytes::from_static(b"question")).unwrap();
    let (answer, received) = tokio::join!(client.send(request), answering);
    assert_eq!(answer.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(received, "POST /v1/traces HTTP/1.1\r\nhost: collector:4318\r\ncontent-length: 8\r\n\r\nquestion");
}

#[tokio::test]
async fn what_is_not_plain_http_is_not_asked() {
    let (client, seen) = client(ClientLimits::default());
    for uri in ["https://localhost/", "/v1/traces", "localhost:4318", "unix://x/"] {
        let error = client.send(Request::get(uri).body(Bytes::new()).unwrap()).await.unwrap_err();
        assert!(matches!(error, ClientError::Address), "{uri}: {error:?}");
        assert_eq!(error.retry(), Retry::Permanent);
    }
    assert_eq!(seen.life(), [Created]);
}
