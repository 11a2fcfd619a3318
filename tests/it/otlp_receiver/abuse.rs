//! Clients that mean harm: floods of headers, frames and streams.

use bytes::Bytes;
use h2::Reason;
use tracecore::otlp::grpc_path;
use tracecore::signal::Signal;
use tracecore::testing::{RecordingExporter as Sink, logs};

use super::client::{Http, body_of, call, message, post, received, with};
use super::{Served, Settings};

/// What a client of HTTP/2 says first: the preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `POST /` of `x`, compressed as headers are.
const POST: &[u8] = b"\x83\x86\x84\x41\x01x";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The frames in `bytes` that are whole: kind, stream, and the code of an error where it is one.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Option<u32>)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let mut frames = Vec::new();
    while let [a, b, c, kind, _, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some((head, behind)) = rest.split_at_checked(4 + length) else { break };
        let error = match *kind {
            RST_STREAM => Some(number(&head[4..8])),
            GOAWAY => Some(number(&head[8..12])),
            _ => None,
        };
        frames.push((*kind, number(&head[..4]), error));
        bytes = behind;
    }
    frames
}

/// The headers of a call of the method that takes this signal, compressed as headers are.
pub(super) fn call_block(signal: Signal) -> Vec<u8> {
    let path = grpc_path(signal);
    let content_type = "application/grpc";
    [
        &b"\x83\x86\x41\x01x\x04"[..],
        &[path.len() as u8],
        path.as_bytes(),
        b"\x0f\x10",
        &[content_type.len() as u8],
        content_type.as_bytes(),
        b"\x00\x02te\x08trailers",
    ]
    .concat()
}

/// A client of HTTP/2 that has said no more than that.
pub(super) async fn raw(served: &Served) -> Http {
    let mut client = Http::connect(served.grpc).await;
    client.send(HELLO).await;
    client
}

#[tokio::test]
async fn headers_above_the_limit_are_431() {
    let mut served = Served::start().await;
    let good = body_of(&logs("one", 1));
    let header = |length: usize| "x".repeat(length);
    for (length, taken) in [(15_000, true), (20_000, false)] {
        let request = with(call(Signal::Logs), "x-long", &header(length));
        let answer = served.grpc().await.send(request, message(&good)).await;
        assert_eq!(answer.status, if taken { 200 } else { 431 }, "gRPC, {length}");
        let headers = format!("content-type: application/x-protobuf\r\nx-long: {}\r\n", header(length));
        let answer = served.http().await.ask(post("/v1/logs", &headers, &good)).await;
        assert_eq!(answer.status, if taken { 200 } else { 431 }, "HTTP, {length}");
        served.taken += 2 * u64::from(taken);
        served.still_serves().await;
    }
    // Many that are short.
    let many: String = (0..1000).map(|n| format!("x-{n}: 1\r\n")).collect();
    let answer = served.http().await.ask(post("/v1/logs", &many, &good)).await;
    assert_eq!(answer.status, 431);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn a_header_block_that_does_not_end_ends_the_connection() {
    let mut served = Served::start().await;
    for piece in [&b""[..], &[0x40, 1, b'a', 1, b'b'].repeat(100)] {
        let mut client = raw(&served).await;
        let flood = frame(CONTINUATION, 0, 1, piece).repeat(2_000);
        client.send_what_is_taken([frame(HEADERS, 0, 1, POST), flood].concat()).await;
        client.closed().await;
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_end_the_connection() {
    let mut served = Served::start().await;
    let mut client = raw(&served).await;
    let pairs = (0..1000).map(|n| {
        let reset = frame(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS, 2 * n + 1, POST), reset].concat()
    });
    client.send_what_is_taken(pairs.collect::<Vec<_>>().concat()).await;
    let heard = frames(&client.closed().await);
    let calm = (GOAWAY, 0, Some(u32::from(Reason::ENHANCE_YOUR_CALM)));
    assert!(heard.contains(&calm), "{heard:?}");
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn frames_that_carry_no_request_end_the_connection() {
    let mut served = Served::start().await;
    let floods = [
        frame(PING, 0, 0, b"12345678"),
        frame(PING, 1, 0, b"12345678"),
        frame(SETTINGS, 0, 0, b""),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(20, 0, 0, b"of no kind"),
    ];
    for flood in floods {
        let mut client = raw(&served).await;
        client.send_what_is_taken(flood.repeat(5_000)).await;
        client.closed().await;
        served.still_serves().await;
    }
    // Empty pieces of a body that does not end.
    let mut client = raw(&served).await;
    let empty = frame(DATA, 0, 1, b"").repeat(5_000);
    client.send_what_is_taken([frame(HEADERS, END_HEADERS, 1, POST), empty].concat()).await;
    client.closed().await;
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn a_frame_above_the_limit_ends_the_connection_before_it_has_come() {
    let mut served = Served::start().await;
    let mut client = raw(&served).await;
    client.send(frame(HEADERS, END_HEADERS, 1, POST)).await;
    // A head that announces sixteen megabytes.
    client.send(b"\xff\xff\xff\0\0\0\0\0\x01").await;
    let heard = frames(&client.closed().await);
    let too_large = (GOAWAY, 0, Some(u32::from(Reason::FRAME_SIZE_ERROR)));
    assert!(heard.contains(&too_large), "{heard:?}");
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_opens_more_streams_than_it_may_has_them_refused() {
    let settings = Settings { grpc: "max_concurrent_streams: 10", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let mut client = raw(&served).await;
    let headers = call_block(Signal::Logs);
    let open = (0..15).map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &headers)).collect::<Vec<_>>().concat();
    client.send(open).await;
    let refused = u32::from(Reason::REFUSED_STREAM);
    let refused = |heard: &[(u8, u32, Option<u32>)]| heard.iter().filter(|(.., error)| *error == Some(refused)).count();
    while refused(&frames(client.received())) < 5 {
        assert!(client.read_more().await > 0, "{:?}", frames(client.received()));
    }
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn a_polite_client_waits_with_what_it_may_not_open() {
    let settings = Settings { grpc: "max_concurrent_streams: 2", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let mut client = served.grpc().await;
    client.send(call(Signal::Logs), message(b"")).await;
    assert_eq!(client.client.current_max_send_streams(), 2);
    let body = message(&body_of(&logs("one", 1)));
    let calls: Vec<_> = (0..2).map(|_| client.begin(call(Signal::Logs), Bytes::new(), false)).collect();
    for (answer, mut stream) in calls {
        stream.send_data(body.clone(), true).unwrap();
        assert_eq!(received(answer).await.unwrap().grpc_status(), Some(0));
        served.taken += 1;
    }
    served.still_serves().await;
    served.stop().await;
}
