//! HTTP/2 with prior knowledge: many requests at a time.
//!
//! Deliberately absent: CONNECT, server push, and a word to the observer about what never became a request: the `h2` crate
//! refuses headers that are malformed or too large (431) itself.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Follow};
use super::frames::{Frames, Read};
use super::large::Large;
use super::streams::{Alarm, Stream, Streams};
use crate::memory::OverBudget;
use crate::net::handler::{HttpService, guarded, too_slow};
use crate::net::request::Exchange;
use crate::net::{Closed, Http2, Limits, Observer};

/// What the protocol allows for the size of a frame, in bytes.
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 16 * 1024..=(1 << 24) - 1;

/// As [`super::run`].
pub(super) async fn run<Io, S>(
    io: Io,
    peer: SocketAddr,
    service: S,
    limits: Limits,
    settings: Http2,
    observer: Arc<dyn Observer>,
    stopping: CancellationToken,
) -> Closed
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    let streams = Streams::new(limits, &settings);
    let io = TokioIo::new(Watched {
        io,
        streams: streams.clone(),
        settings,
        frames: Frames::new(),
        large: Large::new(Arc::clone(&observer)),
        arriving: true,
        stalled: false,
        farewell: None,
    });
    let handler = Handler { peer, service, limits, observer, streams: streams.clone() };
    let mut http = http2::Builder::new(streams.clone());
    http.timer(TokioTimer::new())
        .auto_date_header(false)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(settings.streams)
        .max_frame_size(settings.frame_bytes.clamp(*FRAME_BYTES.start(), *FRAME_BYTES.end()))
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_pending_accept_reset_streams(settings.pending_resets)
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout);
    let service = service_fn(move |request| handler.answer(request));
    let mut connection = pin!(http.serve_connection(io, service));
    let mut alarm = pin!(sleep_until(streams.earliest()));
    let mut tasks: FuturesUnordered<Stream> = FuturesUnordered::new();
    // A set of one, which is looked at only when it is woken: every connection waits for the same token.
    let mut stop = FuturesUnordered::from_iter([stopping.cancelled_owned()]);

    poll_fn(|cx| {
        if let Poll::Ready(Some(())) = stop.poll_next_unpin(cx) {
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            // What came in the same read as the end; it would keep itself alive.
            streams.take_fresh(&mut tasks);
            return Poll::Ready(streams.left_for().unwrap_or_else(|| how_it_ended(&result)));
        }
        streams.take_fresh(&mut tasks);
        while let Poll::Ready(Some(())) = tasks.poll_next_unpin(cx) {}
        loop {
            let earliest = streams.earliest();
            if earliest < alarm.deadline() {
                alarm.as_mut().reset(earliest);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match streams.ring(&settings) {
                Alarm::At(next) => alarm.as_mut().reset(next),
                Alarm::Leave => {
                    connection.as_mut().graceful_shutdown();
                    cx.waker().wake_by_ref();
                }
                Alarm::Close(closed) => return Poll::Ready(closed),
            }
        }
    })
    .await
}

fn how_it_ended(result: &hyper::Result<()>) -> Closed {
    let Err(error) = result else { return Closed::Done };
    let refused = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    if refused.is_some_and(|error| error.is_go_away() && error.is_library()) { Closed::Refused } else { Closed::Broken }
}

/// The service of one connection, with what bounds each of its requests.
struct Handler<S> {
    peer: SocketAddr,
    service: S,
    limits: Limits,
    observer: Arc<dyn Observer>,
    streams: Streams,
}

impl<S: HttpService> Handler<S> {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<S::Body, Answered>>, Infallible>> + use<S> {
        let id = self.streams.begin();
        let Handler { peer, limits, observer, streams, .. } = self;
        let (peer, limits, observer, streams, service) =
            (*peer, *limits, Arc::clone(observer), streams.clone(), self.service.clone());
        let (mut exchange, request) = Exchange::begin(Arc::clone(&observer), request);
        async move {
            let answered = streams.in_time(id, guarded(service, request, peer, None, limits, observer)).await;
            let response = exchange.answered::<S>(answered.unwrap_or_else(|| Err(too_slow(limits))));
            let answered = Answered { exchange: Some(exchange), ended: false };
            Ok(response.map(|body| Answer::new(body, answered)))
        }
    }
}

/// Ends the request when the last of its answer is taken for writing. What the socket takes is not known of a stream, but
/// what waits for a client that lets nothing through is: it goes with the piece that waits.
struct Answered {
    exchange: Option<Exchange>,
    /// There is no last piece: nothing at all comes, or trailers end it.
    ended: bool,
}

impl Follow for Answered {
    type Data = Piece;

    fn piece(&mut self, bytes: Bytes, is_last: bool) -> Piece {
        Piece { bytes, exchange: if is_last { self.exchange.take() } else { None } }
    }

    fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take().filter(|_| self.ended) {
            exchange.delivered();
        }
    }
}

/// Bytes of an answer. They are dropped once they are written, or once the stream is reset.
struct Piece {
    bytes: Bytes,
    /// The request that ends with them.
    exchange: Option<Exchange>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take().filter(|_| self.bytes.is_empty()) {
            exchange.delivered();
        }
    }
}

/// The stream, noting what the client sends and takes. What it notes is rare: no byte of a request passes a lock.
struct Watched<Io> {
    io: Io,
    streams: Streams,
    settings: Http2,
    frames: Frames,
    large: Large,
    /// The last read ended in the middle of something that must come to its end.
    arriving: bool,
    /// The last write was not taken.
    stalled: bool,
    /// What is left to say before the connection ends. Nothing more is read.
    farewell: Option<Bytes>,
}

/// The last frame to a client that pings too often: GOAWAY with the code and the text that make gRPC clients ping less.
fn too_many_pings(last_stream: u32) -> Bytes {
    const TEXT: &[u8] = b"too_many_pings";
    const GOAWAY: u8 = 7;
    let mut frame = BytesMut::new();
    frame.put_uint((2 * size_of::<u32>() + TEXT.len()) as u64, 3);
    frame.put_slice(&[GOAWAY, 0]);
    for number in [0, last_stream, h2::Reason::ENHANCE_YOUR_CALM.into()] {
        frame.put_u32(number);
    }
    frame.put_slice(TEXT);
    frame.freeze()
}

impl<Io> Watched<Io> {
    fn charge(&mut self) -> Result<(), OverBudget> {
        self.large.comes(self.frames.unfinished())
    }

    fn wrote<T>(&mut self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() != self.stalled {
            self.stalled = result.is_pending();
            self.streams.stalls(self.stalled);
        }
        result
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_some() {
            // Whoever reads flushes then, which is what the farewell waits for.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        let came = self.frames.read(&buf.filled()[before..]);
        let pings = self.frames.take_pings();
        if pings > 0 && self.streams.pinged(pings, &self.settings) {
            self.farewell = Some(too_many_pings(self.frames.last_stream()));
        }
        if self.charge().is_err() {
            self.streams.refuse();
            return Poll::Ready(Err(io::Error::other("there is no memory for a frame")));
        }
        let came = match came {
            // Nothing, or nothing new.
            Read::Whole if !self.arriving => return result,
            Read::GoesOn => return result,
            came => came,
        };
        self.arriving = came == Read::Begins;
        if came == Read::Flood {
            self.streams.refuse();
            return Poll::Ready(Err(io::Error::other("too many frames that are no part of a request")));
        }
        self.streams.arrives(self.arriving);
        result
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// What is flushed ends with a whole frame: there and nowhere else is a place for one more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut farewell) = self.farewell.take() else { return Pin::new(&mut self.io).poll_flush(cx) };
        let said = loop {
            if farewell.is_empty() {
                break Pin::new(&mut self.io).poll_flush(cx);
            }
            let written = Pin::new(&mut self.io).poll_write(cx, &farewell);
            match self.wrote(written) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => farewell.advance(written),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if said.is_pending() {
            self.farewell = Some(farewell);
            return Poll::Pending;
        }
        self.streams.refuse();
        said.map(|said| said.and(Err(io::Error::other("too many pings"))))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
