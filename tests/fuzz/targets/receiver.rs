//! The `otlp` receiver takes what is a request and refuses what is none, over real sockets.
//!
//! An input is a byte for the method, one for the headers, and a body. HTTP is asked over a connection that stays; gRPC
//! over a new one each time, whose frames are written by hand.
#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use components as _;
use libfuzzer_sys::fuzz_target;
use tracecore::otlp::compression::{Encoding, decompress};
use tracecore::otlp::{grpc_path, json, path};
use tracecore::registry::Registry;
use tracecore::runtime::Service;
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{COMPONENTS, ExportFailure, RecordingExporter, config};

/// The largest message that the receiver takes.
const MAX_MESSAGE: usize = 1 << 20;

/// Above what any answer takes: a receiver that does not answer is a failure.
const CEILING: Duration = Duration::from_secs(10);

const ENCODINGS: [(&str, Option<Encoding>); 6] = [
    ("", Some(Encoding::Identity)),
    ("identity", Some(Encoding::Identity)),
    ("gzip", Some(Encoding::Gzip)),
    ("zstd", Some(Encoding::Zstd)),
    ("deflate", Some(Encoding::Deflate)),
    ("snappy", None),
];

/// Where the receiver listens for gRPC and HTTP.
fn addresses() -> [SocketAddr; 2] {
    static ADDRESSES: OnceLock<[SocketAddr; 2]> = OnceLock::new();
    *ADDRESSES.get_or_init(|| {
        let (sender, started) = sync_channel(1);
        thread::spawn(move || serve(|addresses| sender.send(addresses).expect("it is waited for")));
        started.recv().expect("it starts")
    })
}

/// Runs the receiver until the process ends. What it takes is refused behind the queue: nothing is kept.
fn serve(started: impl FnOnce([SocketAddr; 2])) {
    let sink = RecordingExporter::failing(ExportFailure::Refused);
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
    let [grpc, http] = [free(), free()];
    let pipelines = Signal::ALL.map(|signal| format!("{signal}: {{receivers: [otlp], exporters: [test_sink]}}"));
    let yaml = format!(
        "
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '{grpc}', max_recv_msg_size_mib: 1}}
      http: {{endpoint: '{http}', max_request_body_size: 1MiB}}
exporters:
  test_sink: {{key: {sink}, sending_queue: {{queue_size: 1000000}}}}
service:
  pipelines: {{{}}}
",
        pipelines.join(", ")
    );
    let registry = Registry::linked_with(&COMPONENTS).expect("the names differ");
    let service = Service::builder().events_enabled(false).build(config(&yaml), &registry).expect("a service");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let _running = service.start().await.expect("it starts");
        // Its far end would keep every call.
        drop(sink);
        started([grpc, http]);
        std::future::pending::<()>().await;
    });
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the receiver listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(CEILING)).expect("a socket");
    stream
}

/// Asks over HTTP, and gives the status.
fn post(signal: Signal, media_type: &str, encoding: &str, body: &[u8]) -> u16 {
    thread_local! {
        static KEPT: RefCell<Option<TcpStream>> = const { RefCell::new(None) };
    }
    let length = body.len();
    let mut request = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n", path(signal)).into_bytes();
    for (name, value) in [("content-type", media_type), ("content-encoding", encoding)] {
        if !value.is_empty() {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
    }
    request.extend(b"\r\n");
    request.extend(body);
    KEPT.with_borrow_mut(|kept| {
        // One that was idle for long is closed, which shows when it is used.
        let answered = kept.as_mut().and_then(|stream| ask(stream, &request));
        let (status, closes) = answered.unwrap_or_else(|| {
            ask(kept.insert(connect(addresses()[1])), &request).expect("the receiver answers on a new connection")
        });
        if closes {
            *kept = None;
        }
        status
    })
}

/// The status of the answer, which is read to its end, and whether the connection closes behind it; `None` if there is no
/// answer.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Option<(u16, bool)> {
    stream.write_all(request).ok()?;
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).ok()?;
        if read == 0 {
            assert!(received.is_empty(), "closed in the middle of: {:?}", String::from_utf8_lossy(&received));
            return None;
        }
        received.extend(&chunk[..read]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = header("content-length:").and_then(|length| length.parse().ok()).expect("it has a length");
        if received.len() == end + 4 + length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            return Some((status, header("connection:") == Some("close")));
        }
    }
}

/// Asks over gRPC, and gives all that comes back.
fn call(signal: Signal, encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = connect(addresses()[0]);
    let mut headers = Vec::new();
    let pairs = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", grpc_path(signal)),
        (":authority", "x"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-encoding", encoding),
    ];
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        // A literal without indexing, whose name is new (RFC 7541, 6.2.2).
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).expect("it is short"));
            headers.extend(text.bytes());
        }
    }
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut request, 4, 0, 0, &[]);
    frame(&mut request, 1, 4, 1, &headers);
    // Each piece is a frame; the last one ends the stream.
    for piece in body.chunks(1024) {
        frame(&mut request, 0, 0, 1, piece);
    }
    frame(&mut request, 0, 1, 1, &[]);
    stream.write_all(&request).expect("the receiver reads");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("the receiver answers, and closes");
    received
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&u32::try_from(payload.len()).expect("it is short").to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

fuzz_target!(|input: &[u8]| {
    let ([method, headers], body) = match input.split_first_chunk() {
        Some((&first, body)) => (first, body),
        None => return,
    };
    let signal = Signal::ALL[usize::from(method) % 3];
    let (token, encoding) = ENCODINGS[usize::from(headers) % ENCODINGS.len()];
    let message = |body: &[u8]| decompress(encoding?, &Bytes::copy_from_slice(body), MAX_MESSAGE).ok();
    match method / 3 % 4 {
        0 => {
            let received = call(signal, token, body);
            assert_eq!(received.get(3), Some(&4), "the first frame of a server is one of settings");
        }
        1 => {
            let json = message(body).is_some_and(|text| json::decode(signal, &text).is_ok());
            let status = post(signal, "application/json", token, body);
            assert_eq!(status == 200, json, "{status}");
        }
        2 => {
            let protobuf = message(body).is_some_and(|message| Batch::validate(signal, message).is_ok());
            let status = post(signal, "application/x-protobuf", token, body);
            assert_eq!(status == 200, protobuf, "{status}");
        }
        _ => assert_eq!(post(signal, ["", "text/plain"][usize::from(headers & 1)], token, body), 415),
    }
});
