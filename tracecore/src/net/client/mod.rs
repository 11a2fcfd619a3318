//! The one way in which tracecore asks others over HTTP: a small pool of HTTP/1.1 connections under limits.
//!
//! An exporter, or the part that pushes the collector's own telemetry, makes one [`Client`] and sends whole requests for
//! whole answers. Its [`PoolObserver`] hears of the life of each connection ([`connect`]) and each checkout ([`pool`]).
//!
//! Invariants: a request ends within [`ClientLimits::request`], whatever the other side does; no answer takes more memory
//! than [`ClientLimits::body_bytes`]; dropping the client closes every connection. A request is sent once: again only
//! when a pooled connection turned out to be closed before a byte of the request was written.
//!
//! Deliberately absent: redirects, cookies, proxies, decompression, HTTP/2, retries (the queue's) and TLS, which will be
//! another [`Connect`].

mod connect;
mod pool;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use connect::Connector;
pub use connect::{Connect, ConnectFailure, Stream, Tcp};
use pool::{Checkout, Pool};
pub use pool::{PoolHealth, PoolObserver};

use crate::error::{Classify, ErrorKind, Retry};
use crate::time::Instant;

/// From the name to the open connection. A backend on another continent answers in a third of a second; who needs more
/// than this is down or behind a firewall that drops packets.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the call to the last byte of the answer, the connection included: the default of every OTLP exporter.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept unused. Shorter than what servers allow (ours 35 s), so that the client closes first and
/// seldom meets a connection that is just being closed.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept unused for one host. The usual ten consumers of a queue keep one each.
pub const POOL_MAX_IDLE: usize = 16;

/// Bytes of an answer's body, as the OTLP specification advises. What is expected is an empty message or an error's text.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of an answer's status line and headers; roughly, for hyper compares what it has read so far.
const MAX_ANSWER_HEADER_BYTES: usize = 64 * 1024;

/// What a client allows the other side, and itself. The default is made of the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Time to connect. See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// Time for the whole exchange. See [`EXCHANGE_TIMEOUT`].
    pub request: Duration,
    /// Bytes of the answer's body. See [`MAX_ANSWER_BYTES`].
    pub body_bytes: usize,
    /// Time for which a connection is kept unused. See [`POOL_IDLE_TIMEOUT`].
    pub idle: Duration,
    /// Connections kept unused for one host. See [`POOL_MAX_IDLE`].
    pub max_idle: usize,
}

impl ClientLimits {
    /// The constants of this module.
    pub const DEFAULT: ClientLimits = ClientLimits {
        connect: CONNECT_TIMEOUT,
        request: EXCHANGE_TIMEOUT,
        body_bytes: MAX_ANSWER_BYTES,
        idle: POOL_IDLE_TIMEOUT,
        max_idle: POOL_MAX_IDLE,
    };
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits::DEFAULT
    }
}

/// A client with its pool. Clones share it; it lives on the Tokio runtime on which it is used.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    pool: Arc<Pool>,
    limits: ClientLimits,
}

impl Client {
    /// A client over TCP. It connects when it has something to send.
    pub fn new(limits: ClientLimits, observer: Arc<dyn PoolObserver>) -> Self {
        Client::over(Tcp::new(limits.connect), limits, observer)
    }

    /// A client whose connections come from `connect`.
    pub fn over(connect: impl Connect, limits: ClientLimits, observer: Arc<dyn PoolObserver>) -> Self {
        let pool = Pool::new(observer);
        let connector = Connector::new(connect, limits.connect, Arc::clone(&pool));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle)
            .pool_max_idle_per_host(limits.max_idle)
            .http1_max_buf_size(MAX_ANSWER_HEADER_BYTES)
            .build(connector);
        Client { http, pool, limits }
    }

    /// Sends a request, whose URI is absolute (`http://host:port/path`), and reads its answer whole. An answer of any
    /// status is an answer, redirects included. Dropping the future gives the exchange up and closes its connection.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when there is no whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        if !is_plain_http(request.uri()) {
            return Err(ClientError::Address);
        }
        let limit = self.limits.request;
        timeout(limit, self.exchange(request)).await.unwrap_or(Err(ClientError::Timeout(limit)))
    }

    /// The connections now.
    pub fn pool_health(&self) -> PoolHealth {
        self.pool.health()
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let mut request = request.map(Full::new);
        let connection = capture_connection(&mut request);
        let began = Instant::now();
        // Given back when this function ends, however it does.
        let mut checkout = None;
        let mut sending = pin!(self.http.request(request));
        let response = poll_fn(|cx| {
            let polled = sending.as_mut().poll(cx);
            if checkout.is_none() && connection.connection_metadata().is_some() {
                checkout = Some(Checkout::new(Arc::clone(&self.pool), began.elapsed()));
            }
            polled
        });
        let (parts, body) = response.await.map_err(ClientError::of_request)?.into_parts();
        Ok(Response::from_parts(parts, self.whole(body).await?))
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, ClientError> {
        let limit = self.limits.body_bytes;
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(ClientError::TooLarge(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge(limit)),
            Err(error) => Err(ClientError::Broken(error)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pool", &self.pool_health())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn is_plain_http(uri: &Uri) -> bool {
    uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty())
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URI of the request is not one that this client can ask.
    #[error("an address is http://host:port/path")]
    Address,
    /// There is no connection. Nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The answer was not there in time. What was sent may have been taken.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection ended before the answer did. What was sent may have been taken.
    #[error("the connection broke before the end of the answer")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// What came back is not HTTP/1, or its headers are too large.
    #[error("the answer is not HTTP")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
    /// The body of the answer is larger than [`ClientLimits::body_bytes`].
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl ClientError {
    fn of_request(error: legacy::Error) -> Self {
        if let (true, Some(cause)) = (error.is_connect(), cause::<io::Error>(&error)) {
            return ClientError::Connect(connect::in_our_words(cause));
        }
        if cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
            ClientError::Malformed(error.into())
        } else {
            ClientError::Broken(error.into())
        }
    }
}

/// The first of the causes of `error` that is a `T`.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(error.source(), |error: &&'a (dyn Error + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}

impl Classify for ClientError {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Init, ErrorKind::Connect, ErrorKind::Io, ErrorKind::Parse];

    fn kind(&self) -> ErrorKind {
        match self {
            ClientError::Address => ErrorKind::Init,
            ClientError::Connect(_) => ErrorKind::Connect,
            ClientError::Timeout(_) | ClientError::Broken(_) => ErrorKind::Io,
            ClientError::Malformed(_) | ClientError::TooLarge(_) => ErrorKind::Parse,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            ClientError::Address => Retry::Permanent,
            _ => Retry::Yes,
        }
    }
}
