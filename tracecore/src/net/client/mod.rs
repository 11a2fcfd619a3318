//! The one way in which tracecore asks others over HTTP: a small pool of HTTP/1.1 connections ([`http1`]), or one HTTP/2
//! connection on which requests go side by side ([`http2`]), under limits.
//!
//! An exporter, or the part that pushes the collector's own telemetry, makes one [`Client`] and sends whole requests for
//! whole answers. Its [`PoolObserver`] hears of the life of each connection ([`connect`]) and each checkout ([`pool`]).
//!
//! Invariants: a request ends within [`ClientLimits::request`], whatever the other side does; no answer takes more memory
//! than [`ClientLimits::body_bytes`]; dropping the client closes every connection. A request is sent once: again only
//! when a pooled connection turned out to be closed before a byte of the request was written, or when the server of an
//! HTTP/2 connection says that it has not looked at it. What is `https` is never asked in plaintext ([`super::tls`]).
//!
//! Deliberately absent: redirects, cookies, proxies, decompression, retries (the queue's), HTTP/2 where HTTP/1.1 would do:
//! which of the two is spoken is said, and not found out.

mod connect;
mod error;
mod http1;
mod http2;
mod payload;
mod pool;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use connect::Connector;
pub use connect::{Connect, ConnectFailure, Stream, Tcp};
pub use error::ClientError;
use http1::Http1;
use http2::Http2;
pub use http2::{Http2Settings, Keepalive};
pub use payload::Payload;
use pool::Pool;
pub use pool::{PoolHealth, PoolObserver};

use super::tls::ClientTls;

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
    /// Time for the whole exchange; `Duration::MAX` where whoever asks limits it. See [`EXCHANGE_TIMEOUT`].
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

/// What a client is made of.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// What it allows the other side, and itself.
    pub limits: ClientLimits,
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// How it speaks TLS where a URI says `https`. Without, it does not ask such.
    pub tls: Option<Arc<ClientTls>>,
}

/// Which HTTP a client speaks.
#[derive(Clone, Debug, Default)]
pub enum Protocol {
    /// HTTP/1.1, over a connection for each request under way.
    #[default]
    Http1,
    /// HTTP/2 from the first byte (prior knowledge; with TLS agreed upon by ALPN), over one connection to one origin.
    Http2(Http2Settings),
}

impl From<ClientLimits> for ClientSettings {
    fn from(limits: ClientLimits) -> Self {
        ClientSettings { limits, ..ClientSettings::default() }
    }
}

/// A client with its pool. Clones share it; it lives on the Tokio runtime on which it is used.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    tls: bool,
    pool: Arc<Pool>,
    limits: ClientLimits,
}

#[derive(Clone)]
enum Transport {
    Http1(Http1),
    Http2(Arc<Http2>),
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What came behind the body.
    pub trailers: Option<HeaderMap>,
}

impl Client {
    /// A client over TCP. It connects when it has something to send.
    pub fn new(settings: impl Into<ClientSettings>, observer: Arc<dyn PoolObserver>) -> Self {
        let settings = settings.into();
        Client::over(Tcp::new(settings.limits.connect), settings, observer)
    }

    /// A client whose connections come from `connect`.
    pub fn over(connect: impl Connect, settings: impl Into<ClientSettings>, observer: Arc<dyn PoolObserver>) -> Self {
        let ClientSettings { limits, protocol, tls } = settings.into();
        let (pool, has_tls) = (Pool::new(observer), tls.is_some());
        let connector = Connector::new(connect, tls, limits.connect, Arc::clone(&pool));
        let transport = match protocol {
            Protocol::Http1 => Transport::Http1(Http1::new(connector, &limits, Arc::clone(&pool))),
            Protocol::Http2(settings) => {
                Transport::Http2(Arc::new(Http2::new(settings, limits, connector, Arc::clone(&pool))))
            }
        };
        Client { transport, tls: has_tls, pool, limits }
    }

    /// Sends a request, whose URI is absolute (`http://host:port/path`), and reads its answer whole. An answer of any
    /// status is an answer, redirects included. Dropping the future gives the exchange up: over HTTP/1 it closes the
    /// connection, over HTTP/2 it takes the request back.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when there is no whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let (head, body) = request.into_parts();
        let head = || Request::from_parts(head.clone(), ());
        let answer = self.exchange(head, body.into()).await?;
        let mut response = Response::new(answer.body);
        (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
        Ok(response)
    }

    /// As [`send`](Client::send), for a body of several parts and with the trailers of the answer. `head` makes the head
    /// of the request: once more when the request goes once more.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when there is no whole answer.
    pub async fn exchange(&self, head: impl Fn() -> Request<()>, payload: Payload) -> Result<Answer, ClientError> {
        let limit = self.limits.request;
        let exchange = async {
            match &self.transport {
                Transport::Http1(http) => {
                    let request = head().map(|()| payload);
                    if !self.can_ask(request.uri()) {
                        return Err(ClientError::Address);
                    }
                    http.exchange(request).await
                }
                Transport::Http2(http) => http.exchange(head, payload).await,
            }
        };
        if limit == Duration::MAX {
            return exchange.await;
        }
        timeout(limit, exchange).await.unwrap_or(Err(ClientError::Timeout(limit)))
    }

    /// The connections now.
    pub fn pool_health(&self) -> PoolHealth {
        self.pool.health()
    }

    fn can_ask(&self, uri: &Uri) -> bool {
        let scheme = matches!((uri.scheme_str(), self.tls), (Some("http"), _) | (Some("https"), true));
        scheme && uri.host().is_some_and(|host| !host.is_empty())
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
