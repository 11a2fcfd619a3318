//! Each limit of HTTP/2, seen by a client that speaks raw frames, and what well-behaved clients see of it.

use h2::client::{ResponseFuture, SendRequest};

use super::*;
use crate::net::testing::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame,
};

/// What a client says first: the preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /` of `x`, compressed as headers are.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";

/// The kinds of frames in `bytes`, with their streams.
fn kinds(mut bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, d, e, f, g, rest @ ..] = bytes {
        kinds.push((*kind, u32::from_be_bytes([*d, *e, *f, *g])));
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = rest.get(length..).unwrap_or_default();
    }
    kinds
}

pub(super) fn limits() -> Limits {
    Limits { http2: Some(Http2::default()), ..Limits::default() }
}

/// A client that keeps to the protocol.
pub(super) async fn polite(fixture: &Fixture) -> SendRequest<Bytes> {
    polite_by(fixture, &h2::client::Builder::new()).await
}

/// One with settings of its own.
pub(super) async fn polite_by(fixture: &Fixture, settings: &h2::client::Builder) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(fixture.server.local_addr()).await.unwrap();
    // Or what is written second waits for an acknowledgement, in real time, while the paused clock runs on.
    socket.set_nodelay(true).unwrap();
    let (client, connection) = settings.handshake(socket).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "the far end of a test, not a part of what is tested")]
    tokio::spawn(connection);
    client
}

pub(super) fn get(client: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    let request = Request::get(format!("http://x{path}")).body(()).unwrap();
    client.send_request(request, true).unwrap().0
}

pub(super) async fn status(answer: ResponseFuture) -> u16 {
    answer.await.unwrap().status().as_u16()
}

async fn raw(fixture: &Fixture) -> Client {
    let mut client = fixture.client().await;
    client.send(HELLO).await;
    client
}

async fn hears_frame(client: &mut Client, frame: (u8, u32)) {
    while !kinds(client.received()).contains(&frame) {
        assert!(client.read_more().await > 0, "closed after {:?}", kinds(client.received()));
    }
}

/// A `GET` that has ended.
pub(super) fn ended(status: impl Into<Option<u16>>) -> Event {
    Event::Request(Method::Get, "unknown", status.into())
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_connection_are_answered_side_by_side() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let waiting: Vec<_> = (0..10).map(|_| get(&mut client, "/gate")).collect();
    for _ in 0..10 {
        fixture.arrived.recv().await.unwrap();
    }
    assert_eq!(status(get(&mut client, "/")).await, 200, "while ten wait");
    fixture.gate.send(true).unwrap();
    for answer in waiting {
        assert_eq!(status(answer).await, 200);
    }
    fixture.seen.wait_for(ended(200), 11).await;
    assert_eq!(fixture.seen.count(Event::Opened), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_how_many_streams_it_may_open() {
    let fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    assert_eq!(status(get(&mut client, "/")).await, 200);
    assert_eq!(client.current_max_send_streams(), MAX_STREAMS as usize);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_http_1_is_refused() {
    let fixture = Fixture::with(limits()).await;
    let mut client = fixture.client().await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until_closed().await;
    fixture.seen.wait_for(Event::Closed(Closed::Refused), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_greet_is_closed_at_the_header_timeout() {
    let fixture = Fixture::with(limits()).await;
    for greeting in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut client = fixture.client().await;
        let start = Instant::now();
        client.send(greeting).await;
        client.until_closed().await;
        assert_took(start, HEADER_READ_TIMEOUT);
    }
    fixture.seen.wait_for(Event::Closed(Closed::HeaderTimeout), 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_does_not_end_is_closed_at_the_header_timeout() {
    let fixture = Fixture::with(limits()).await;
    let mut client = raw(&fixture).await;
    client.read_more().await;
    let start = Instant::now();
    client.send(frame(HEADERS, END_STREAM, 1, &GET[..3])).await;
    while client.hears(Duration::from_secs(2)).await {}
    client.send(frame(CONTINUATION, 0, 1, b"")).await;
    client.until_closed().await;
    assert_took(start, HEADER_READ_TIMEOUT);
    fixture.seen.wait_for(Event::Closed(Closed::HeaderTimeout), 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_asked_to_leave_and_one_that_does_not_answer_is_cut() {
    let fixture = Fixture::with(limits()).await;
    let start = Instant::now();
    let mut client = polite(&fixture).await;
    assert_eq!(status(get(&mut client, "/")).await, 200);
    fixture.seen.wait_for(Event::Closed(Closed::IdleTimeout), 1).await;
    assert_took(start, IDLE_TIMEOUT);

    let mut silent = raw(&fixture).await;
    let start = Instant::now();
    let heard = silent.until_closed().await;
    assert_took(start, IDLE_TIMEOUT + WRITE_STALL_TIMEOUT);
    assert!(kinds(&heard).contains(&(GOAWAY, 0)), "{:?}", kinds(&heard));
    fixture.seen.wait_for(Event::Closed(Closed::IdleTimeout), 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_answered_for_and_its_neighbours_go_on() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let start = Instant::now();
    let slow = get(&mut client, "/never");
    let first = get(&mut client, "/gate");
    fixture.arrived.recv().await.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    let neighbour = get(&mut client, "/gate");
    fixture.arrived.recv().await.unwrap();
    assert_eq!(status(slow).await, 503);
    assert_took(start, REQUEST_TIMEOUT);
    fixture.gate.send(true).unwrap();
    assert_eq!(status(neighbour).await, 200);
    assert_eq!(status(first).await, 503);
    fixture.seen.wait_for(ended(503), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_answered_503() {
    let fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let start = Instant::now();
    let upload = Request::post("http://x/upload").body(()).unwrap();
    let (answer, mut body) = client.send_request(upload, false).unwrap();
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    assert_eq!(status(answer).await, 503);
    assert_took(start, REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_at_the_write_timeout() {
    let seen = Arc::new(Recorder::new());
    let (listener, connect) = Scripted::new([]);
    let (mut client, io) = tokio::io::duplex(256);
    connect.send(io).unwrap();
    let hello = |_: Request<RequestBody>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello"))) };
    let _server = Server::start(listener, service_fn(hello), limits(), seen.clone());
    let requests = (0..20).map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, GET));
    let sent = [HELLO.to_vec(), requests.collect::<Vec<_>>().concat()].concat();
    let start = Instant::now();
    let _ = client.write_all(&sent).await;
    seen.wait_for(Event::Closed(Closed::WriteTimeout), 1).await;
    assert_took(start, WRITE_STALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let fixture = Fixture::with(limits()).await;
    let mut client = raw(&fixture).await;
    let pairs = (0..1000).map(|n| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS, stream, GET), reset].concat()
    });
    client.send(pairs.collect::<Vec<_>>().concat()).await;
    let heard = client.until_closed().await;
    assert!(kinds(&heard).contains(&(GOAWAY, 0)), "{:?}", kinds(&heard));
    fixture.seen.wait_for(Event::Closed(Closed::Refused), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_block_in_ever_more_pieces_ends_the_connection() {
    let fixture = Fixture::with(limits()).await;
    let mut client = raw(&fixture).await;
    let flood = frame(CONTINUATION, 0, 1, b"").repeat(10_000);
    client.send([frame(HEADERS, 0, 1, GET), flood].concat()).await;
    client.until_closed().await;
    fixture.seen.wait_for(Event::Closed(Closed::Refused), 1).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_no_part_of_a_request_may_be_so_many() {
    let floods = [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, b""), frame(8, 0, 0, &1_u32.to_be_bytes())];
    let fixture = Fixture::with(limits()).await;
    for (flood, times) in floods.iter().zip(1..) {
        let mut client = raw(&fixture).await;
        client.send(flood.repeat(MAX_CONTROL_FRAMES as usize + 1)).await;
        client.until_closed().await;
        fixture.seen.wait_for(Event::Closed(Closed::Refused), times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn headers_above_the_limit_are_answered_431() {
    let fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    for (length, expected) in [(7_000, 200), (9_000, 431)] {
        let request = Request::get("http://x/").header("x-padding", "x".repeat(length)).body(()).unwrap();
        assert_eq!(status(client.send_request(request, true).unwrap().0).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_panic_is_500_and_the_connection_goes_on() {
    let fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    assert_eq!(status(get(&mut client, "/panic")).await, 500);
    assert_eq!(status(get(&mut client, "/")).await, 200);
    assert_eq!(fixture.seen.count(Event::HandlerPanicked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_ends_its_connection_only() {
    let fixture = Fixture::with(limits()).await;
    let (mut unlucky, mut other) = (polite(&fixture).await, polite(&fixture).await);
    let _ = get(&mut unlucky, "/body-panic").await;
    fixture.seen.wait_for(Event::Closed(Closed::Cut), 1).await;
    assert_eq!(status(get(&mut other, "/")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_left_when_its_requests_are_answered() {
    let http2 = Some(Http2 { max_age: Some(Duration::from_secs(5)), ..Http2::default() });
    let mut fixture = Fixture::with(Limits { http2, ..limits() }).await;
    let mut client = polite(&fixture).await;
    let waiting = get(&mut client, "/gate");
    fixture.arrived.recv().await.unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    fixture.gate.send(true).unwrap();
    assert_eq!(status(waiting).await, 200);
    fixture.seen.wait_for(Event::Closed(Closed::MaxAge), 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_cut_after_its_grace() {
    let (max_age, max_age_grace) = (Some(Duration::from_secs(5)), Some(Duration::from_secs(2)));
    let http2 = Some(Http2 { max_age, max_age_grace, ..Http2::default() });
    let fixture = Fixture::with(Limits { http2, ..limits() }).await;
    let mut client = polite(&fixture).await;
    let start = Instant::now();
    assert!(get(&mut client, "/never").await.is_err());
    assert_took(start, Duration::from_secs(7));
    fixture.seen.wait_for(Event::Closed(Closed::MaxAge), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_a_ping_is_closed() {
    let http2 = Some(Http2 { ping_interval: Some(Duration::from_secs(10)), ..Http2::default() });
    let fixture = Fixture::with(Limits { http2, ..limits() }).await;
    let mut silent = raw(&fixture).await;
    let start = Instant::now();
    let heard = silent.until_closed().await;
    assert!(kinds(&heard).contains(&(PING, 0)), "{:?}", kinds(&heard));
    assert_took(start, Duration::from_secs(10) + PING_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_a_request_without_a_status() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let waiting = get(&mut client, "/gate");
    fixture.arrived.recv().await.unwrap();
    drop(waiting);
    fixture.seen.wait_for(ended(None), 1).await;
    assert_eq!(status(get(&mut client, "/")).await, 200, "the connection goes on");
    fixture.seen.wait_for(ended(200), 1).await;
    assert_eq!(fixture.seen.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_cut_into_frames_anywhere_is_the_same_body() {
    let fixture = Fixture::with(limits()).await;
    let body = b"a body of some length";
    let post = b"\x83\x86\x44\x07/upload\x41\x01x";
    for cut in 0..=body.len() {
        let (first, rest) = body.split_at(cut);
        let frames = [frame(HEADERS, END_HEADERS, 1, post), frame(DATA, 0, 1, first), frame(DATA, END_STREAM, 1, rest)];
        let mut client = raw(&fixture).await;
        // The frames themselves come in two reads.
        let sent = frames.concat();
        client.send(&sent[..sent.len() - 5]).await;
        tokio::task::yield_now().await;
        client.send(&sent[sent.len() - 5..]).await;
        hears_frame(&mut client, (DATA, 1)).await;
        assert!(client.received().windows(2).any(|pair| pair == b"21"), "cut at {cut}");
    }
}
