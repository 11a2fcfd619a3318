//! Where the connections of a client come from, each told of when it opens, fails and closes.

use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::{Service, ServiceExt};

use super::pool::{Open, Pool};
use crate::time::Instant;

/// What a connection is made of.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Where connections come from. [`Tcp`] is the real one; a test brings its own to inject failures.
pub trait Connect: Send + Sync + 'static {
    /// One connection.
    type Io: Stream;

    /// Connects to the host and the port of `uri`. The client gives it [`super::ClientLimits::connect`].
    fn connect(&self, uri: Uri) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Connections over TCP. A name with several addresses is tried by all of them, IPv6 and IPv4 side by side. It is looked
/// up, by `R`, for every connection: a backend that moves is found without a restart.
#[derive(Clone, Debug)]
pub struct Tcp<R = GaiResolver>(HttpConnector<R>);

impl Tcp {
    /// `limit` is divided among the addresses of a name, so that one that is dead does not use up the time of the others.
    pub fn new(limit: Duration) -> Self {
        Tcp::resolving(GaiResolver::new(), limit)
    }
}

impl<R> Tcp<R> {
    /// Connections to the addresses that `resolver` gives.
    pub(super) fn resolving(resolver: R, limit: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.set_connect_timeout(Some(limit));
        // Requests are written whole: waiting to fill a packet only adds latency.
        connector.set_nodelay(true);
        Tcp(connector)
    }
}

impl<R: Clone + Send + Sync + 'static> Connect for Tcp<R>
where
    HttpConnector<R>: Service<Uri, Response = TokioIo<TcpStream>, Error: Error + Send + Sync, Future: Send>,
{
    type Io = TcpStream;

    async fn connect(&self, uri: Uri) -> io::Result<TcpStream> {
        match self.0.clone().oneshot(uri).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(error) => Err(match super::cause::<io::Error>(&error) {
                Some(cause) => io::Error::new(cause.kind(), cause.to_string()),
                None => io::Error::other(error),
            }),
        }
    }
}

/// Why a connection was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// There is no way to that address.
    Unreachable,
    /// The request no longer waited for it.
    Abandoned,
    /// Anything else: a name that does not resolve, no descriptor left.
    Other,
}

impl ConnectFailure {
    /// Every reason, so that each series stands at zero from the start.
    pub const ALL: [ConnectFailure; 5] = [
        ConnectFailure::Refused,
        ConnectFailure::Timeout,
        ConnectFailure::Unreachable,
        ConnectFailure::Abandoned,
        ConnectFailure::Other,
    ];

    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConnectFailure::Refused => "refused",
            ConnectFailure::Timeout => "timeout",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Abandoned => "abandoned",
            ConnectFailure::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
        match error.kind() {
            ConnectionRefused => ConnectFailure::Refused,
            TimedOut => ConnectFailure::Timeout,
            HostUnreachable | NetworkUnreachable | AddrNotAvailable => ConnectFailure::Unreachable,
            _ => ConnectFailure::Other,
        }
    }
}

/// What an operator meets most often, without the system's capital letter and error number.
pub(super) fn in_our_words(error: &io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), text)
}

/// [`Connect`] with its types erased, so that a client has none of them in its own.
trait Dial: Send + Sync {
    fn dial(&self, uri: Uri) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

impl<C: Connect> Dial for C {
    fn dial(&self, uri: Uri) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.connect(uri).await?) as Box<dyn Stream>) })
    }
}

/// What hyper's pool asks for a connection.
#[derive(Clone)]
pub(super) struct Connector {
    dial: Arc<dyn Dial>,
    limit: Duration,
    pool: Arc<Pool>,
}

impl Connector {
    pub(super) fn new(connect: impl Connect, limit: Duration, pool: Arc<Pool>) -> Self {
        Connector { dial: Arc::new(connect), limit, pool }
    }

    async fn connect(self, uri: Uri) -> io::Result<TokioIo<Counted>> {
        let mut attempt = Attempt::new(Arc::clone(&self.pool));
        let connected = match timeout(self.limit, self.dial.dial(uri)).await {
            Ok(connected) => connected,
            Err(_elapsed) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", self.limit)))
            }
        };
        match connected {
            Ok(io) => Ok(TokioIo::new(Counted { io, _open: attempt.succeeded() })),
            Err(error) => {
                attempt.failure = Some(ConnectFailure::of(&error));
                Err(error)
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Counted>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(connector.connect(uri).await?) })
    }
}

/// An attempt to connect: told of as failed unless it has succeeded, also when nobody waits for it any more.
struct Attempt {
    pool: Arc<Pool>,
    began: Instant,
    failure: Option<ConnectFailure>,
}

impl Attempt {
    fn new(pool: Arc<Pool>) -> Self {
        Attempt { pool, began: Instant::now(), failure: Some(ConnectFailure::Abandoned) }
    }

    fn succeeded(&mut self) -> Open {
        self.failure = None;
        Open::new(Arc::clone(&self.pool), self.began.elapsed())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(failure) = self.failure {
            self.pool.observer.connection_failed(failure, self.began.elapsed());
        }
    }
}

/// A connection that is counted as open while it lives.
pub(super) struct Counted {
    io: Box<dyn Stream>,
    _open: Open,
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
