//! Where the connections of a client come from, each told of when it opens, fails and closes.

use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tower::{Service, ServiceExt};

use super::error::cause;
use super::pool::{Attempt, Open, Pool};
use crate::error::Report;
use crate::net::tls::{Alpn, ClientTls, TlsError, TlsFailure};
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
        connector.enforce_http(false);
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
            Err(error) => Err(match cause::<io::Error>(&error) {
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
    /// TLS was not agreed upon.
    Tls(TlsFailure),
    /// The other side does not speak HTTP/2, where it should.
    Protocol,
    /// The request no longer waited for it.
    Abandoned,
    /// Anything else: a name that does not resolve, no descriptor left.
    Other,
}

impl ConnectFailure {
    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConnectFailure::Refused => "refused",
            ConnectFailure::Timeout => "timeout",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Tls(failure) => failure.as_str(),
            ConnectFailure::Protocol => "protocol",
            ConnectFailure::Abandoned => "abandoned",
            ConnectFailure::Other => "other",
        }
    }

    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionRefused, HostUnreachable, InvalidData, NetworkUnreachable, TimedOut,
        };
        if let Some(tls) = TlsError::find(error) {
            return ConnectFailure::Tls(tls.failure);
        }
        match error.kind() {
            ConnectionRefused => ConnectFailure::Refused,
            TimedOut => ConnectFailure::Timeout,
            HostUnreachable | NetworkUnreachable | AddrNotAvailable => ConnectFailure::Unreachable,
            InvalidData => ConnectFailure::Protocol,
            _ => ConnectFailure::Other,
        }
    }
}

/// What an operator meets most often, without the system's capital letter and error number.
pub(super) fn in_our_words(error: &io::Error) -> io::Error {
    if let Some(tls) = TlsError::find(error) {
        return io::Error::new(error.kind(), tls);
    }
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable".to_owned(),
        _ => Report(error).to_string(),
    };
    io::Error::new(error.kind(), text)
}

/// Connecting has taken too long.
pub(super) fn late(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"))
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

/// Where the connections of a client come from, with TLS around them where the URI says `https`.
#[derive(Clone)]
pub(super) struct Connector {
    dial: Arc<dyn Dial>,
    tls: Option<Arc<ClientTls>>,
    limit: Duration,
    pool: Arc<Pool>,
}

impl Connector {
    pub(super) fn new(connect: impl Connect, tls: Option<Arc<ClientTls>>, limit: Duration, pool: Arc<Pool>) -> Self {
        Connector { dial: Arc::new(connect), tls, limit, pool }
    }

    /// A connection that nobody is told of yet.
    pub(super) async fn dial(&self, uri: Uri, alpn: Alpn, deadline: Instant) -> io::Result<Counted> {
        let tls = match (&self.tls, uri.scheme() == Some(&Scheme::HTTPS)) {
            (_, false) => None,
            (Some(tls), true) => Some((tls, uri.host().unwrap_or_default().to_owned())),
            (None, true) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "this client has no TLS")),
        };
        let io = timeout_at(deadline, self.dial.dial(uri)).await.unwrap_or_else(|_| Err(late(self.limit)))?;
        let plaintext = tls.is_none();
        let io = match tls {
            Some((tls, host)) => {
                let secured = timeout_at(deadline, tls.connect(&host, alpn, io)).await;
                let secured = secured.unwrap_or_else(|_| Err(TlsError::io(TlsFailure::Silent)))?;
                Box::new(secured) as Box<dyn Stream>
            }
            None => io,
        };
        Ok(Counted { io, noticed: Arc::default(), may_be_tls: plaintext, open: None })
    }

    async fn connect(self, uri: Uri) -> io::Result<TokioIo<Counted>> {
        let mut attempt = Attempt::new(Arc::clone(&self.pool));
        match self.dial(uri, Alpn::Http1, Instant::now() + self.limit).await {
            Ok(mut io) => {
                io.open = Some(attempt.succeeded());
                Ok(TokioIo::new(io))
            }
            Err(error) => {
                attempt.failed(ConnectFailure::of(&error));
                Err(error)
            }
        }
    }
}

/// What hyper's pool asks for a connection.
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

/// How every alert of TLS begins (RFC 8446, 5.1), and no answer of HTTP: a server that speaks TLS sends one to whoever
/// asks it in plaintext.
const TLS_ALERT: u8 = 0x15;

/// A connection that is counted as open while it lives, unless something around it is.
pub(super) struct Counted {
    io: Box<dyn Stream>,
    noticed: Arc<Noticed>,
    /// It is plaintext, and nothing has come yet.
    may_be_tls: bool,
    open: Option<Open>,
}

/// What is known of a connection beside those who read and write on it.
#[derive(Default)]
pub(super) struct Noticed {
    heard: AtomicBool,
    /// `h2` keeps the text of an error and not the error.
    tls: OnceLock<TlsError>,
}

impl Noticed {
    /// Whether anything has come.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether anything has come since this was last asked.
    pub(super) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// How TLS ended the connection, if it did.
    pub(super) fn tls(&self) -> Option<io::Error> {
        self.tls.get().map(|tls| io::Error::new(io::ErrorKind::InvalidData, tls.clone()))
    }
}

impl Counted {
    pub(super) fn noticed(&self) -> Arc<Noticed> {
        Arc::clone(&self.noticed)
    }

    fn failed(&self, error: io::Error) -> io::Error {
        if let Some(tls) = TlsError::find(&error) {
            // The first is the cause of those after it.
            let _ = self.noticed.tls.set(tls);
        }
        error
    }
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf)).map_err(|error| self.failed(error))?;
        let Some(&first) = buf.filled().get(before) else { return Poll::Ready(Ok(())) };
        self.noticed.heard.store(true, Ordering::Relaxed);
        if std::mem::take(&mut self.may_be_tls) && first == TLS_ALERT {
            buf.set_filled(before);
            return Poll::Ready(Err(self.failed(TlsError::io(TlsFailure::Wanted))));
        }
        Poll::Ready(Ok(()))
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
