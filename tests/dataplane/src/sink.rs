//! The backend: it takes every request, counts its items and remembers its marks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::http2::{GRPC_ENCODING, PREFIX};
use crate::signal::Signal;
use crate::{http1, http2, spawn, walk};

/// The backend, for gRPC and for HTTP/1.1. It ends with the program.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Where gRPC is taken.
    pub(crate) grpc: SocketAddr,
    /// Where HTTP/1.1 is taken.
    pub(crate) http: SocketAddr,
    received: Arc<Received>,
}

/// What has come, and how requests are answered.
#[derive(Debug, Default)]
struct Received {
    counts: Mutex<Counts>,
    /// A request was taken.
    taken: Notify,
    /// Answer nothing: a backend that hangs.
    stalled: AtomicBool,
    /// Refuse one of so many requests; 0 refuses none.
    refuse_one_of: AtomicU64,
}

/// What has come up to some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Requests, those that were refused too.
    pub(crate) requests: u64,
    /// Items of what was taken.
    pub(crate) items: u64,
    /// Bytes of the bodies that were taken, as they came.
    pub(crate) bytes: u64,
    /// Requests that could not be read.
    pub(crate) broken: u64,
    /// How often each mark came, by its number.
    pub(crate) marks: Vec<u32>,
    /// How many marks came.
    pub(crate) marked: u64,
}

impl Sink {
    /// Takes OTLP on two ports that are free.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let (grpc, http) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let addresses = (grpc.local_addr()?, http.local_addr()?);
        let received = Arc::new(Received::default());
        let (over_grpc, over_http) = (Arc::clone(&received), Arc::clone(&received));
        spawn(http2::serve(grpc, move |request, answer| {
            let received = Arc::clone(&over_grpc);
            async move {
                let accepted = received.grpc(request).await;
                // A client that has gone needs no answer.
                let _ = http2::answer(answer, accepted);
            }
        }));
        spawn(http1::serve(http, move |request| {
            let received = Arc::clone(&over_http);
            async move { received.http(request).await }
        }));
        Ok(Sink { grpc: addresses.0, http: addresses.1, received })
    }

    /// What has come so far.
    pub(crate) fn counts(&self) -> Counts {
        self.received.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many marks have come.
    pub(crate) async fn marked(&self, marks: u64) {
        loop {
            let taken = self.received.taken.notified();
            if self.received.counts.lock().unwrap_or_else(PoisonError::into_inner).marked >= marks {
                return;
            }
            taken.await;
        }
    }

    /// From now on nothing is answered.
    pub(crate) fn stall(&self) {
        self.received.stalled.store(true, Ordering::Relaxed);
    }

    /// From now on one of so many requests is refused.
    pub(crate) fn refuse_one_of(&self, count: u64) {
        self.received.refuse_one_of.store(count, Ordering::Relaxed);
    }
}

impl Received {
    async fn grpc(&self, mut request: Request<h2::RecvStream>) -> bool {
        let Some(signal) = Signal::of_path(request.uri().path()) else { return false };
        let encoding = Encoding::of(request.headers().get(GRPC_ENCODING));
        let Ok(parts) = http2::gather(request.body_mut()).await else { return false };
        let body = match <[Bytes; 1]>::try_from(parts) {
            Ok([one]) => one,
            Err(parts) => parts.concat().into(),
        };
        // A message may be as it is although its call names an encoding.
        let encoding = encoding.filter(|_| body.first() == Some(&1));
        self.take(signal, encoding, body.len(), &body[PREFIX.min(body.len())..]).await
    }

    async fn http(&self, request: Request<Incoming>) -> bool {
        let Some(signal) = Signal::of_path(request.uri().path()) else { return false };
        let encoding = Encoding::of(request.headers().get(http::header::CONTENT_ENCODING));
        let Ok(body) = request.into_body().collect().await else { return false };
        let body = body.to_bytes();
        self.take(signal, encoding, body.len(), &body).await
    }

    /// Takes a message that came in so many bytes; whether it is accepted.
    async fn take(&self, signal: Signal, encoding: Option<Encoding>, size: usize, message: &[u8]) -> bool {
        if self.stalled.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let refuse = self.refuse_one_of.load(Ordering::Relaxed);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        if refuse > 0 && counts.requests.is_multiple_of(refuse) {
            return false;
        }
        let found = match encoding.map(|encoding| encoding.decompress(message)) {
            None => walk::read(signal, message),
            Some(message) => message.ok().and_then(|message| walk::read(signal, &message)),
        };
        let Some(found) = found else {
            counts.broken += 1;
            return true;
        };
        counts.items += found.items;
        counts.bytes += size as u64;
        counts.marked += found.marks.len() as u64;
        for mark in found.marks {
            count(&mut counts.marks, mark);
        }
        drop(counts);
        self.taken.notify_waiters();
        true
    }
}

/// Counts a mark.
pub(crate) fn count(marks: &mut Vec<u32>, mark: u32) {
    let mark = mark as usize;
    if marks.len() <= mark {
        marks.resize(mark + 1, 0);
    }
    marks[mark] += 1;
}
