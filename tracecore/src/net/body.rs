//! The body of a request, on its way to the handler.
//!
//! Invariant: what has come of bodies that are not whole is charged to the memory of the process
//! ([`Observer::memory`](super::Observer::memory)), with what their requests are beside them, however many connections and
//! streams they come by. Who sends its body with its headers, as clients of small requests do, is never charged.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Limited;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::Observer;
use crate::memory::Arriving;

/// The body of a request. It fails with [`http_body_util::LengthLimitError`] once it is longer than
/// [`Limits::body_bytes`](super::Limits::body_bytes), which the handler answers with 413, and with [`NoMemory`] once there is
/// none for it, which it answers so that the client comes again.
pub struct RequestBody {
    /// There until it is dropped.
    inner: Option<Limited<Incoming>>,
    peer: SocketAddr,
    /// Where it goes if it is dropped before its end.
    unread: Option<Unread>,
    observer: Arc<dyn Observer>,
    /// What the request takes beside its body.
    beside: usize,
    /// What has come, from when it was waited for, or from the first piece that is not all.
    held: Option<Arriving>,
}

/// What a request that waits for its body takes beside that and beside the bytes of its headers: its stream, the handler
/// that waits, and what is read with the headers. In bytes; measured 16 KiB, and a test holds it.
const WAITING_BYTES: usize = 20 * 1024;

/// There is no memory for more of this body now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for the request now")]
pub struct NoMemory;

/// Where the rest of a body is left whose request is answered without it, for the connection to read and to forget: a
/// client of HTTP/1 that is still sending when its connection is closed may never hear the answer.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Option<Limited<Incoming>>>>);

impl Unread {
    /// Whether there is a rest.
    pub(super) fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// Reads on, up to the limit of the body. Ready once there is no rest.
    pub(super) fn poll_forget(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut rest = self.lock();
        while let Some(body) = rest.as_mut() {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => *rest = None,
            }
        }
        Poll::Ready(())
    }

    /// Nothing more is read: the connection ends.
    pub(super) fn give_up(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Limited<Incoming>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestBody {
    pub(super) fn new(
        body: Incoming,
        peer: SocketAddr,
        unread: Option<Unread>,
        limit: usize,
        head: usize,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let inner = Some(Limited::new(body, limit));
        RequestBody { inner, peer, unread, observer, beside: head + WAITING_BYTES, held: None }
    }

    /// Who sends it: the other end of the connection, which may be a proxy.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn is_whole(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    /// Charges a piece behind which more will come, and with the first one what is beside the body.
    fn charge(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let Some(memory) = self.observer.memory() else { return Ok(()) };
        let bytes = if self.held.is_some() { bytes } else { bytes + self.beside };
        let held = self.held.get_or_insert_with(|| memory.arriving());
        held.grow(bytes).map_err(|_| {
            self.observer.body_refused();
            NoMemory
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(cx);
        if frame.is_pending() && self.held.is_none() {
            self.charge(0)?;
        }
        let frame = ready!(frame);
        let coming = match &frame {
            Some(Ok(frame)) if !self.is_whole() => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        if coming > 0 {
            self.charge(coming)?;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(unread) = self.unread.take().filter(|_| !self.is_whole()) {
            *unread.lock() = self.inner.take();
        }
    }
}
