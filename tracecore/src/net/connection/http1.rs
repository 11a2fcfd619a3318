//! HTTP/1: one request at a time.
//!
//! The stream, the handler and the answer's body note in [`Progress`] what they did, and after every poll the task sets
//! its alarm to the deadline that follows. hyper's own header timeout is off because it cannot tell a client that is slow
//! from one that is idle between two scrapes.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::after;
use super::answer::{Answer, Follow};
use crate::net::body::Unread;
use crate::net::handler::{HttpService, guarded, too_slow};
use crate::net::request::Exchange;
use crate::net::{Closed, DISCARD_TIMEOUT, Limits, MAX_BODY_BYTES, Observer};
use crate::time::Instant;

/// The smallest read buffer that hyper accepts, in bytes.
const MIN_READ_BUFFER: usize = 8 * 1024;

/// The largest read buffer of a server that takes uploads, in bytes: a body of a megabyte comes in sixteen reads. hyper
/// grows it to that as reads fill it.
const UPLOAD_READ_BUFFER: usize = 64 * 1024;

/// As [`super::run`].
pub(super) async fn run<Io, S>(
    io: Io,
    peer: SocketAddr,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    stopping: CancellationToken,
) -> Closed
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    let progress = Progress::new(Arc::clone(&observer));
    let io = TokioIo::new(Watched { io, progress: progress.clone() });
    let handler = Handler { peer, service, limits, observer, progress: progress.clone() };
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_header_size(limits.header_bytes).max_buf_size(read_buffer(limits));
    let service = service_fn(move |request| handler.answer(request));
    let mut connection = pin!(http.serve_connection(io, service));
    let mut alarm = pin!(sleep_until(progress.deadline(&limits).0));
    let mut stop = pin!(stopping.cancelled());
    let unread = progress.unread();
    let mut told = false;

    poll_fn(|cx| {
        if !told && stop.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        if told {
            unread.give_up();
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            progress.settle(&result);
            return Poll::Ready(how_it_ended(&result, &progress));
        }
        if unread.poll_forget(cx).is_ready() {
            progress.rest_is_read();
        }
        let (deadline, closed) = progress.deadline(&limits);
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx).map(|()| closed)
    })
    .await
}

/// The largest read buffer, in bytes.
fn read_buffer(limits: Limits) -> usize {
    let of_body = if limits.body_bytes > MAX_BODY_BYTES { UPLOAD_READ_BUFFER } else { MIN_READ_BUFFER };
    limits.header_bytes.max(of_body)
}

/// The service of one connection, with what bounds each of its requests.
struct Handler<S> {
    peer: SocketAddr,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    progress: Progress,
}

impl<S: HttpService> Handler<S> {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<S::Body, Answered>>, Infallible>> + use<S> {
        self.progress.request_begins();
        let Handler { peer, limits, observer, progress, .. } = self;
        let (peer, limits, observer, progress, service) =
            (*peer, *limits, Arc::clone(observer), progress.clone(), self.service.clone());
        let unread = progress.unread();
        let (mut exchange, request) = Exchange::begin(Arc::clone(&observer), request);
        async move {
            let answered =
                timeout(limits.request, guarded(service, request, peer, Some(unread), limits, observer)).await;
            let answered = answered.unwrap_or_else(|_elapsed| {
                progress.request_timed_out();
                Err(too_slow(limits))
            });
            let closes = answered.is_err();
            let mut response = exchange.answered::<S>(answered);
            if closes {
                // The state of the request is not known: what comes next may be the rest of it.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let answered = Answered { exchange: Some(exchange), progress };
            Ok(response.map(|body| Answer::new(body, answered)))
        }
    }
}

/// Ends the request when hyper drops the answer's body: it has the last of it then.
struct Answered {
    exchange: Option<Exchange>,
    progress: Progress,
}

impl Follow for Answered {
    type Data = Bytes;

    fn piece(&mut self, bytes: Bytes, _: bool) -> Bytes {
        bytes
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.progress.request_ends(exchange);
        }
    }
}

fn how_it_ended(result: &hyper::Result<()>, progress: &Progress) -> Closed {
    match result {
        _ if progress.lock().gave_up => Closed::RequestTimeout,
        Ok(()) => Closed::Done,
        Err(error) if error.is_parse() => Closed::Refused,
        Err(_) => Closed::Broken,
    }
}

/// What a request that hyper cannot read is answered with, by hyper. It answers nothing to who wants HTTP/2.
fn refused_with(error: &hyper::Error) -> Option<StatusCode> {
    if !error.is_parse() || error.is_parse_version_h2() {
        None
    } else if error.is_parse_too_large() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        Some(StatusCode::BAD_REQUEST)
    }
}

/// What a connection is doing and since when. Shared by the parts of one connection, which are polled one at a time:
/// the lock is never contended.
#[derive(Clone)]
struct Progress(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client takes no byte, while there are bytes for it.
    stalled: Option<Instant>,
    /// The handler took too long and was answered for.
    gave_up: bool,
    /// Since when headers come that are not complete.
    arriving: Option<Instant>,
    /// The request whose answer is out of the handler's hands and not yet in the socket's.
    unflushed: Option<Exchange>,
    /// The rest of the body of a request that was answered without it.
    unread: Unread,
    observer: Arc<dyn Observer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for the rest of a request's headers, or for the first request.
    Headers,
    /// A handler has the request, or its answer is being written.
    Request,
    /// The answer is out, and the rest of the request's body is still coming.
    Rest,
    /// The answer is out and nothing has come since.
    Idle,
}

impl Progress {
    fn new(observer: Arc<dyn Observer>) -> Self {
        Progress(Arc::new(Mutex::new(State {
            phase: Phase::Headers,
            since: Instant::now(),
            stalled: None,
            gave_up: false,
            arriving: None,
            unflushed: None,
            unread: Unread::default(),
            observer,
        })))
    }

    /// The headers are complete.
    fn request_begins(&self) {
        // hyper flushes before it reads on, but for a body that the handler did not read to its end.
        self.delivered();
        let mut state = self.lock();
        state.arriving = None;
        state.enter(Phase::Request);
    }

    /// The handler took too long; whoever still sends has had the time of a request.
    fn request_timed_out(&self) {
        let mut state = self.lock();
        state.gave_up = true;
        state.unread.give_up();
    }

    /// The last of the answer was handed over for writing. Or the connection has failed: then nothing is flushed any
    /// more, and the request ends with the connection.
    fn request_ends(&self, exchange: Exchange) {
        let mut state = self.lock();
        state.unflushed = Some(exchange);
        let phase = if state.unread.is_there() { Phase::Rest } else { Phase::Idle };
        state.enter(phase);
    }

    /// There is nothing more of a body that nobody wants.
    fn rest_is_read(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Rest {
            state.enter(Phase::Idle);
        }
    }

    fn unread(&self) -> Unread {
        self.lock().unread.clone()
    }

    /// The socket has taken all there was to write.
    fn delivered(&self) {
        let unflushed = self.lock().unflushed.take();
        if let Some(exchange) = unflushed {
            exchange.delivered();
        }
    }

    /// The connection has ended by itself: says what became of headers that are not complete.
    fn settle(&self, result: &hyper::Result<()>) {
        let (arriving, observer) = {
            let mut state = self.lock();
            (state.arriving.take(), Arc::clone(&state.observer))
        };
        // Where all is well, what came after the last request were line ends, which are no request.
        if let (Some(since), Err(error)) = (arriving, result) {
            Exchange::stillborn(observer, since, refused_with(error));
        }
    }

    /// Bytes came. In any phase but the idle one they belong to what is going on, and buy no time.
    fn received(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            state.enter(Phase::Headers);
        }
        if state.phase == Phase::Headers {
            state.arriving = state.arriving.or_else(|| Some(Instant::now()));
        }
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        let stalled = &mut self.lock().stalled;
        match result {
            Poll::Ready(_) => *stalled = None,
            Poll::Pending => *stalled = stalled.or_else(|| Some(Instant::now())),
        }
        result
    }

    /// When the connection is to be closed if nothing happens, and what to call it.
    fn deadline(&self, limits: &Limits) -> (Instant, Closed) {
        let state = self.lock();
        let (limit, closed) = match state.phase {
            Phase::Headers => (limits.header_read, Closed::HeaderTimeout),
            Phase::Request => (limits.request.saturating_add(limits.write_stall), Closed::RequestTimeout),
            Phase::Rest => (DISCARD_TIMEOUT, Closed::RequestTimeout),
            Phase::Idle => (limits.idle, Closed::IdleTimeout),
        };
        let phase_ends = (after(state.since, limit), closed);
        match state.stalled.map(|since| after(since, limits.write_stall)) {
            Some(stall_ends) if stall_ends < phase_ends.0 => (stall_ends, Closed::WriteTimeout),
            _ => phase_ends,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

/// A connection that is cut takes with it what was arriving.
impl Drop for State {
    fn drop(&mut self) {
        if let Some(since) = self.arriving {
            Exchange::stillborn(Arc::clone(&self.observer), since, None);
        }
    }
}

/// The stream, noting what the client sends and takes.
struct Watched<Io> {
    io: Io,
    progress: Progress,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.progress.received();
        }
        result
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.progress.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.progress.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        // hyper flushes the stream once its own buffer is empty.
        if matches!(result, Poll::Ready(Ok(()))) {
            self.progress.delivered();
        }
        self.progress.wrote(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_shutdown(cx);
        self.progress.wrote(result)
    }
}
