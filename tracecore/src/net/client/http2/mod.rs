//! Requests over HTTP/2: one connection to one origin, on which they go side by side.
//!
//! Invariants: the connection is one to which the server has said something, so that a peer which accepts and speaks no
//! HTTP/2 is an error of connecting; one connects and the others wait for it; what the server gives back untouched goes
//! once more, over a new connection; a name is resolved for each connection anew.
//!
//! This is `h2` itself and not hyper's client, which gives each request a task and two channels: here a request writes
//! into the connection's own queue, and the one task of the connection does the rest. Deliberately absent: several
//! connections, and balancing among the addresses of a name; pushed answers; CONNECT.

mod driver;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{Connection, SendRequest};
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Uri};
use tokio::time::timeout_at;

use super::connect::{Connector, Counted, Noticed, in_our_words, late};
use super::pool::{Attempt, Checkout, Pool};
use super::{Answer, ClientError, ClientLimits, ConnectFailure, MAX_ANSWER_HEADER_BYTES, Payload};
use crate::net::tls::Alpn;
use crate::time::Instant;

use self::driver::{Driver, Watch};

/// When a connection is asked whether it still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Time in which nothing came, after which the other side is pinged.
    pub time: Duration,
    /// Time that it has for its answer; the connection is then taken for dead.
    pub timeout: Duration,
    /// Whether it is pinged while no request is under way. Many servers close a connection on which they are.
    pub permit_without_stream: bool,
}

/// What a client that speaks HTTP/2 is told beside its limits.
#[derive(Clone, Debug)]
pub struct Http2Settings {
    /// Where every request goes, whatever its own authority: `https://host:port`, or `http://host:port`.
    pub origin: Uri,
    /// Whether and when a silent connection is asked for life.
    pub keepalive: Option<Keepalive>,
}

type Sender = SendRequest<Payload>;

/// The connection of a client that speaks HTTP/2, made when there is something to send.
pub(super) struct Http2 {
    settings: Http2Settings,
    limits: ClientLimits,
    connector: Connector,
    pool: Arc<Pool>,
    slot: Arc<Slot>,
    /// Held while a connection is made. Holds how the last attempt failed, for those who waited for it.
    connecting: tokio::sync::Mutex<Option<io::Error>>,
    /// Attempts that have failed.
    failures: AtomicUsize,
}

/// The connection that is used, if there is one.
#[derive(Default)]
struct Slot(Mutex<Option<Arc<Line>>>);

/// One connection, as its requests see it.
struct Line {
    sender: Sender,
    /// Requests under way.
    streams: Arc<AtomicUsize>,
}

/// Why a request on a connection has no answer.
enum Failed {
    /// The server has seen nothing of it, or gives it back.
    Unprocessed(h2::Error),
    Ended(ClientError),
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Option<Arc<Line>> {
        self.lock().clone()
    }

    /// Lets go of a connection: it ends once the last request on it has.
    fn forget(&self, streams: &Arc<AtomicUsize>) {
        let mut slot = self.lock();
        if slot.as_ref().is_some_and(|line| Arc::ptr_eq(&line.streams, streams)) {
            *slot = None;
        }
    }
}

impl Http2 {
    pub(super) fn new(settings: Http2Settings, limits: ClientLimits, connector: Connector, pool: Arc<Pool>) -> Self {
        let (slot, connecting) = (Arc::default(), tokio::sync::Mutex::default());
        Http2 { settings, limits, connector, pool, slot, connecting, failures: AtomicUsize::new(0) }
    }

    pub(super) async fn exchange(
        &self,
        head: impl Fn() -> Request<()>,
        payload: Payload,
    ) -> Result<Answer, ClientError> {
        match self.try_once(head(), payload.clone()).await {
            Err(Failed::Unprocessed(_)) => {}
            Err(Failed::Ended(error)) => return Err(error),
            Ok(answer) => return Ok(answer),
        }
        self.try_once(head(), payload).await.map_err(|failed| match failed {
            Failed::Unprocessed(error) => ClientError::Unprocessed(error),
            Failed::Ended(error) => error,
        })
    }

    async fn try_once(&self, head: Request<()>, mut payload: Payload) -> Result<Answer, Failed> {
        let began = Instant::now();
        let line = match self.slot.get() {
            Some(line) => line,
            None => self.connect().await.map_err(Failed::Ended)?,
        };
        let failed = |error| {
            self.slot.forget(&line.streams);
            Failed::Unprocessed(error)
        };
        let mut sender = line.sender.clone().ready().await.map_err(failed)?;
        let _checkout = Checkout::shared(Arc::clone(&self.pool), Arc::clone(&line.streams), began.elapsed());
        let (response, mut body) = sender.send_request(head, payload.is_empty()).map_err(failed)?;
        drop(sender);
        let unwritten = payload.watch();
        if !payload.is_empty() {
            // The connection takes it whole and writes it as the other side lets it: it holds references, and no copy. If
            // the stream has ended by now, the answer, or the lack of one, says how.
            let _ = body.send_data(payload, true);
        }
        let (head, answer) = response.await.map_err(|error| self.failed(&line, error))?.into_parts();
        let (answer, trailers) = self.whole(&head.headers, answer).await.map_err(Failed::Ended)?;
        // Of no use to a server that has answered, it would wait here for as long as the connection lives.
        if Arc::strong_count(&unwritten) > 1 {
            body.send_reset(Reason::CANCEL);
        }
        Ok(Answer { status: head.status, headers: head.headers, body: answer, trailers })
    }

    /// Of an error, what the server says about what it did with the request.
    fn failed(&self, line: &Line, error: h2::Error) -> Failed {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if !error.is_reset() {
            self.slot.forget(&line.streams);
        }
        // A request that the server may have looked at does not get to see why the connection goes away (RFC 9113, 6.8).
        match error.is_remote() && (refused || error.is_go_away()) {
            true => Failed::Unprocessed(error),
            false => Failed::Ended(ClientError::of_http2(error)),
        }
    }

    async fn whole(
        &self,
        headers: &HeaderMap,
        mut body: RecvStream,
    ) -> Result<(Bytes, Option<HeaderMap>), ClientError> {
        let limit = self.limits.body_bytes;
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|announced| announced > limit) {
            return Err(ClientError::TooLarge(limit));
        }
        let mut whole = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(ClientError::of_http2)?;
            let length = whole.len() + more.len() + data.len();
            if length > limit {
                return Err(ClientError::TooLarge(limit));
            }
            // The window of a stream that has ended is nobody's.
            let _ = body.flow_control().release_capacity(data.len());
            match (whole.is_empty(), more.is_empty()) {
                (true, true) => whole = data,
                (_, true) => {
                    more.extend_from_slice(&whole);
                    more.extend_from_slice(&data);
                    whole = Bytes::new();
                }
                (_, false) => more.extend_from_slice(&data),
            }
        }
        let trailers = body.trailers().await.map_err(ClientError::of_http2)?;
        Ok((if more.is_empty() { whole } else { more.freeze() }, trailers))
    }

    /// The connection, made by this call or by one that was first.
    async fn connect(&self) -> Result<Arc<Line>, ClientError> {
        let seen = self.failures.load(Ordering::Relaxed);
        let mut last = self.connecting.lock().await;
        if let Some(line) = self.slot.get() {
            return Ok(line);
        }
        // Whom this call waited for has just failed: another attempt at once would fare no better.
        if let Some(error) = last.as_ref().filter(|_| self.failures.load(Ordering::Relaxed) != seen) {
            return Err(ClientError::Connect(in_our_words(error)));
        }
        match self.open().await {
            Ok(line) => {
                *self.slot.lock() = Some(Arc::clone(&line));
                Ok(line)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                *last = Some(in_our_words(&error));
                Err(ClientError::Connect(in_our_words(&error)))
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "`net` spawns; the task ends with its client and its requests")]
    async fn open(&self) -> io::Result<Arc<Line>> {
        let deadline = Instant::now() + self.limits.connect;
        let mut attempt = Attempt::new(Arc::clone(&self.pool));
        let opened = self.shake_hands(deadline).await;
        let (sender, mut connection, noticed) =
            opened.inspect_err(|error| attempt.failed(ConnectFailure::of(error)))?;
        let streams = Arc::new(AtomicUsize::new(0));
        let driver = Driver {
            pings: connection.ping_pong().expect("nobody has taken it before"),
            connection,
            watch: Watch::new(self.settings.keepalive, self.limits.idle),
            noticed,
            streams: Arc::clone(&streams),
            slot: Arc::downgrade(&self.slot),
            open: attempt.succeeded(),
        };
        tokio::spawn(driver);
        Ok(Arc::new(Line { sender, streams }))
    }

    /// Connects, and waits until the other side has said something.
    async fn shake_hands(&self, deadline: Instant) -> io::Result<Opened> {
        let io = self.connector.dial(self.settings.origin.clone(), Alpn::Http2, deadline).await?;
        let spoken = timeout_at(deadline, speak(io)).await;
        spoken.unwrap_or_else(|_| Err(late(self.limits.connect)))
    }
}

/// A connection on which the other side has said something.
type Opened = (Sender, Connection<Counted, Payload>, Arc<Noticed>);

async fn speak(io: Counted) -> io::Result<Opened> {
    let noticed = io.noticed();
    let not_spoken = |error| noticed.tls().unwrap_or_else(|| not_spoken(error));
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .max_header_list_size(MAX_ANSWER_HEADER_BYTES as u32)
        .handshake::<_, Payload>(io)
        .await
        .map_err(not_spoken)?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(not_spoken(error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(noticed.tls().unwrap_or_else(closed_at_once))),
        Poll::Pending if noticed.heard() => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, connection, noticed))
}

/// What was heard is not HTTP/2, or the connection ended before anything was.
fn not_spoken(error: h2::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error.get_io().map(io::Error::kind) {
        Some(BrokenPipe | ConnectionReset | UnexpectedEof) => closed_at_once(),
        Some(kind) => error.into_io().unwrap_or_else(|| kind.into()),
        None => io::Error::new(
            io::ErrorKind::InvalidData,
            "the other side does not speak HTTP/2: is this its gRPC port, and does it want TLS?",
        ),
    }
}

fn closed_at_once() -> io::Error {
    let text = "the other side closed the connection at once: does it want TLS, or HTTP/1?";
    io::Error::new(io::ErrorKind::InvalidData, text)
}
