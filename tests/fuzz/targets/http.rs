//! Whatever bytes a client sends, a server answers or closes, in bounded time and without a panic: HTTP/1 and HTTP/2, over
//! a socket of memory and under a paused clock, where every time limit comes at once.
//!
//! The first byte says which protocol it is, whether HTTP/2 begins as it should, and into what pieces the rest is cut.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tower::service_fn;
use tracecore::net::{Accept, Closed, Http2, Limits, Observer, RequestBody, Server};
use tracecore::time::Instant;

/// How HTTP/2 begins: the preface and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Bytes that are under way in each direction.
const IN_FLIGHT: usize = 16 * 1024;

/// Gives one connection.
struct One(Mutex<Option<DuplexStream>>);

impl Accept for One {
    type Io = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.lock().await.take() {
            Some(io) => Ok((io, self.local_addr())),
            None => pending().await,
        }
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }
}

#[derive(Default)]
struct Count {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl Observer for Count {
    fn connection_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    fn connection_closed(&self, _: Closed) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn handler_panicked(&self) {
        panic!("nothing that a client sends makes a handler panic");
    }
}

/// Says how long the body was.
async fn answer(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.into_body().collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes().len().to_string()),
        Err(_) => (StatusCode::BAD_REQUEST, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    Ok(response)
}

/// What the server says to a client that sends these pieces and no more.
async fn converse<'a>(http2: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (ours, theirs) = duplex(IN_FLIGHT);
    let observer = Arc::<Count>::default();
    let limits = Limits { body_bytes: 1024, http2: http2.then(Http2::default), ..Limits::default() };
    let listener = One(Mutex::new(Some(theirs)));
    let mut server = Server::start(listener, service_fn(answer), limits, Arc::clone(&observer) as Arc<dyn Observer>);
    let (mut from, mut to) = split(ours);
    let writes = async {
        for piece in pieces {
            if to.write_all(piece).await.is_err() {
                break;
            }
        }
        // The server may have closed before.
        let _ = to.shutdown().await;
    };
    let reads = async {
        let mut received = Vec::new();
        let _ = from.read_to_end(&mut received).await;
        received
    };
    let ((), received) = tokio::join!(writes, reads);
    server.shutdown(Instant::now() + Duration::from_secs(1)).await;
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    assert_eq!((count(&observer.opened), count(&observer.closed)), (1, 1));
    received
}

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime"));
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let http2 = first & 1 == 1;
    let preface = if first & 2 == 2 && http2 { PREFACE } else { &[] };
    let pieces = [preface].into_iter().chain(rest.chunks(usize::from(first >> 2) * 8 + 1));
    let received = RUNTIME.with_borrow(|runtime| runtime.block_on(converse(http2, pieces)));
    // The first frame of a server is one of settings, which has the type 4.
    let is_answer = if http2 { received.get(3) == Some(&4) } else { received.starts_with(b"HTTP/1.") };
    assert!(received.is_empty() || is_answer, "{received:02x?}");
});
