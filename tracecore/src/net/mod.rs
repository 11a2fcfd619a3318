//! The one way in which tracecore serves HTTP, and the one in which it asks others ([`Client`]).
//!
//! The telemetry surface and every component that listens come through here, so a limit is set once for all of them.
//! [`Bound::bind`] takes the socket, [`serve`] runs it until it is told to stop, and [`Server`] is `serve` in a task of
//! its own. A handler is any tower service from `Request<RequestBody>` to `Response<impl Body>`.
//!
//! Invariants: no client can hold a connection without making progress ([`Limits`]); no more than
//! [`Limits::connections`] are open; a handler's panic is a 500; every connection task belongs to the server and ends
//! with it; every request is told of once ([`Observer::request_finished`]); a server that ends says why ([`Exit`]).
//!
//! A listener speaks HTTP/1, or HTTP/2 with prior knowledge if its owner says so ([`Limits::http2`]), and never both: who
//! takes scrapes needs no streams, and who takes gRPC nothing else.
//!
//! Deliberately absent: protocol upgrades, compression, and TLS. TLS will wrap the stream at the start of the
//! connection task, so that a slow handshake holds up its own connection and never the accept loop.

mod bind;
mod body;
mod client;
mod component;
mod connection;
mod handler;
mod http2;
pub(crate) mod media;
mod request;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod tls;

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{Extensions, HeaderMap};

use crate::memory::Memory;

pub use bind::{Accept, BindError, Bound};
pub use body::{NoMemory, RequestBody};
pub use client::{
    Answer, CONNECT_TIMEOUT, Client, ClientError, ClientLimits, ClientSettings, Connect, ConnectFailure,
    EXCHANGE_TIMEOUT, Http2Settings, Keepalive, MAX_ANSWER_BYTES, POOL_IDLE_TIMEOUT, POOL_MAX_IDLE, Payload,
    PoolHealth, PoolObserver, Protocol, Stream, Tcp,
};
pub use component::{ListenerFailed, serve_component};
pub use handler::HttpService;
pub use http2::{
    CONNECTION_WINDOW_BYTES, Http2, MAX_CONTROL_FRAMES, MAX_FRAME_BYTES, MAX_PENDING_RESETS, MAX_STREAMS,
    MIN_PING_INTERVAL, PING_TIMEOUT, STREAM_WINDOW_BYTES,
};
pub use request::{Finished, Method, RequestSpan, Route};
pub use server::{Server, serve};

/// From the accept, or from the first byte of a later request, to the end of the headers. A client on the same
/// continent needs milliseconds; who needs more is stuck or holds the connection on purpose.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// From the end of the headers to the answer of the handler, the request's body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two requests on one connection. Longer than the usual 15 s and 30 s between two scrapes, so that a scraper
/// keeps its connection and never meets one that is just being closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(35);

/// How long a client may take none of the answer's bytes. Also what is left for writing once [`REQUEST_TIMEOUT`] is over.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of a body is read, and forgotten, whose request is answered without it. A client of HTTP/1 that sends
/// while its connection is closed may never hear the answer: a refusal that asks it to come again, for one.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of request line and headers. A scrape sends about 500; proxies commonly allow 8 KiB.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Bytes of a request's body. Who serves scrapes and probes needs none; who takes uploads sets its own.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Open connections of one server. A node has a few scrapers and a kubelet; 64 leaves room and costs at most 64
/// descriptors and about 2 MiB.
pub const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// What one server allows its clients. The default is made of the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for the headers; the connection is closed. See [`HEADER_READ_TIMEOUT`].
    pub header_read: Duration,
    /// Time for the handler, its reading of the body included; answered 503. An answer that the handler makes piece by
    /// piece is cut [`Limits::write_stall`] later. See [`REQUEST_TIMEOUT`].
    pub request: Duration,
    /// Time without a request, in which the client also takes the rest of the last answer; the connection is closed. See
    /// [`IDLE_TIMEOUT`].
    pub idle: Duration,
    /// Time in which the client takes no byte of the answer; the connection is closed. See [`WRITE_STALL_TIMEOUT`].
    pub write_stall: Duration,
    /// Bytes of request line and headers; answered 431. See [`MAX_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Bytes of body; answered 413 when declared, an error of [`RequestBody`] when not. See [`MAX_BODY_BYTES`].
    pub body_bytes: usize,
    /// Open connections; further clients wait in the kernel's backlog. See [`MAX_CONNECTIONS`].
    pub connections: NonZeroUsize,
    /// What HTTP/2 has beside all that; `None` for a listener that speaks HTTP/1.
    pub http2: Option<Http2>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_read: HEADER_READ_TIMEOUT,
            request: REQUEST_TIMEOUT,
            idle: IDLE_TIMEOUT,
            write_stall: WRITE_STALL_TIMEOUT,
            header_bytes: MAX_HEADER_BYTES,
            body_bytes: MAX_BODY_BYTES,
            connections: MAX_CONNECTIONS,
            http2: None,
        }
    }
}

/// Why a server no longer serves: the `reason` of the `serve_exited` series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It was asked to stop, and every connection had ended by the deadline.
    Shutdown,
    /// It was cut: connections were open at the deadline, or the server was dropped.
    Aborted,
    /// The listener failed in a way that trying again cannot cure.
    ListenerError,
}

impl Exit {
    /// Every reason, so that each series stands at zero from the start.
    pub const ALL: [Exit; 3] = [Exit::Shutdown, Exit::Aborted, Exit::ListenerError];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Exit::Shutdown => "shutdown",
            Exit::Aborted => "aborted",
            Exit::ListenerError => "listener_error",
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// One side closed it between two requests.
    Done,
    /// What the client sent is not the HTTP of the listener, its headers are too large, or it floods.
    Refused,
    /// The connection broke in the middle of a request or an answer, or a handler's body failed.
    Broken,
    /// [`Limits::header_read`] ran out.
    HeaderTimeout,
    /// [`Limits::request`] ran out.
    RequestTimeout,
    /// [`Limits::idle`] ran out.
    IdleTimeout,
    /// [`Limits::write_stall`] ran out.
    WriteTimeout,
    /// [`Http2::max_age`] ran out.
    MaxAge,
    /// The server cut it: the shutdown deadline, or a panic in a body.
    Cut,
}

impl Closed {
    /// Every way, so that each series stands at zero from the start.
    pub const ALL: [Closed; 9] = [
        Closed::Done,
        Closed::Refused,
        Closed::Broken,
        Closed::HeaderTimeout,
        Closed::RequestTimeout,
        Closed::IdleTimeout,
        Closed::WriteTimeout,
        Closed::MaxAge,
        Closed::Cut,
    ];

    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Closed::Done => "done",
            Closed::Refused => "refused",
            Closed::Broken => "broken",
            Closed::HeaderTimeout => "header_timeout",
            Closed::RequestTimeout => "request_timeout",
            Closed::IdleTimeout => "idle_timeout",
            Closed::WriteTimeout => "write_timeout",
            Closed::MaxAge => "max_age",
            Closed::Cut => "cut",
        }
    }
}

/// Where the owner of a server counts. Called on the server's tasks: count and return.
pub trait Observer: Send + Sync + 'static {
    /// A connection was accepted. Each is followed by one [`Observer::connection_closed`].
    fn connection_opened(&self) {}

    /// A connection ended.
    fn connection_closed(&self, _how: Closed) {}

    /// [`Limits::connections`] was reached: no further connection is accepted until one ends. Called again only after
    /// half of them have ended.
    fn connections_full(&self) {}

    /// Accepting failed and will be tried again.
    fn accept_failed(&self) {}

    /// The headers of a request are complete. What this returns accompanies the request to its end; what it puts into
    /// `extensions` is there for the handler, such as the span that is to be the parent of what the handler does. Not
    /// called for what never became a request: [`Observer::request_finished`] is.
    fn request_started(
        &self,
        _method: Method,
        _headers: &HeaderMap,
        _extensions: &mut Extensions,
    ) -> Option<Box<dyn RequestSpan>> {
        None
    }

    /// A request ended, or what might have become one. Called once for each.
    fn request_finished(&self, _request: &Finished) {}

    /// A handler, or the body of its answer, panicked.
    fn handler_panicked(&self) {}

    /// The memory that the bodies of requests are charged to while they come; `None` for a server that takes none.
    fn memory(&self) -> Option<&Memory> {
        None
    }

    /// There was no memory for the body of a request: it fails with [`NoMemory`].
    fn body_refused(&self) {}

    /// The server ended. Called once.
    fn exited(&self, _why: Exit) {}
}

/// Counts nothing.
impl Observer for () {}
