//! Taking a socket, before anything is served on it.
//!
//! Binding is a step of its own so that a taken port is an error of the start, with the address and the setting in its
//! text, and not a message of a task that died later.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tracing::warn;

use crate::config::Endpoint;

/// How long a host name may take to resolve. `localhost` comes from a file; a name server that is silent for this long
/// will not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where connections come from. [`Bound`] is the real one; a test brings its own to inject failures.
pub trait Accept: Send + Sync + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Dropping the future must lose none.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// The address listened on.
    fn local_addr(&self) -> SocketAddr;
}

/// A shared listener outlives the server that uses it: the next one goes on with the same socket.
impl<A: Accept> Accept for Arc<A> {
    type Io = A::Io;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send {
        A::accept(self)
    }

    fn local_addr(&self) -> SocketAddr {
        A::local_addr(self)
    }
}

/// A TCP socket that listens and is not served yet: clients connect and wait.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// Listens on `address`, a `host:port` such as `localhost:8888`, `[::]:8888` or `:8888`; port 0 takes a free one.
    ///
    /// A name that resolves to several addresses is tried in order, IPv4 before IPv6, until one is an address of this
    /// machine. A taken port ends the search: falling back from 127.0.0.1 to ::1 would start a second server where the
    /// operator must hear that the first still runs.
    ///
    /// # Errors
    ///
    /// [`BindError`], which names the address; add the setting with [`BindError::for_setting`].
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let (listener, local_addr) =
            listen(address).await.map_err(|cause| BindError { address: address.to_owned(), setting: None, cause })?;
        let bound = Bound { listener, local_addr };
        if bound.is_wildcard() {
            warn!(listen = %local_addr, "listening on every interface without TLS");
        }
        Ok(bound)
    }

    /// The address listened on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Whether clients of every interface can connect.
    pub fn is_wildcard(&self) -> bool {
        self.local_addr.ip().to_canonical().is_unspecified()
    }
}

impl Accept for Bound {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        // Answers are written whole: waiting to fill a packet only adds latency. A socket that refuses still works.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Cause> {
    // So that what is no address is told apart from a name that does not resolve.
    let endpoint: Endpoint = address.parse().map_err(|_| Cause::Malformed)?;
    let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, lookup_host((endpoint.host(), endpoint.port())));
    let mut candidates: Vec<SocketAddr> =
        resolved.await.map_err(|_elapsed| Cause::Unresolved(None))?.map_err(|e| Cause::Unresolved(Some(e)))?.collect();
    candidates.sort_by_key(SocketAddr::is_ipv6);

    let mut cause = Cause::Unresolved(None);
    for candidate in candidates {
        match TcpListener::bind(candidate).await {
            Ok(listener) => {
                let local_addr = listener.local_addr().map_err(Cause::Refused)?;
                return Ok((listener, local_addr));
            }
            Err(error) if is_not_ours(&error) => cause = Cause::Refused(error),
            Err(error) => return Err(Cause::Refused(error)),
        }
    }
    Err(cause)
}

/// The address family, or the address, is not one of this machine: the next candidate may be.
fn is_not_ours(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

/// A socket could not be taken: `cannot listen on localhost:8888 (telemetry.listen): address already in use`, the part
/// behind the colon being the source.
#[derive(Debug)]
pub struct BindError {
    address: String,
    setting: Option<Cow<'static, str>>,
    cause: Cause,
}

impl BindError {
    /// Adds the path of the setting that the address came from, such as `telemetry.listen`.
    #[must_use]
    pub fn for_setting(mut self, setting: impl Into<Cow<'static, str>>) -> Self {
        self.setting = Some(setting.into());
        self
    }

    /// Whether another process, or another component, listens there.
    pub fn is_in_use(&self) -> bool {
        matches!(&self.cause, Cause::Refused(error) if error.kind() == io::ErrorKind::AddrInUse)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}", self.address)?;
        match &self.setting {
            Some(setting) => write!(f, " ({setting})"),
            None => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("an address is host:port, such as localhost:8888 or 0.0.0.0:8888")]
    Malformed,
    #[error("the host name does not resolve")]
    Unresolved(#[source] Option<io::Error>),
    #[error("{}", in_our_words(.0))]
    Refused(io::Error),
}

/// What an operator meets most often, without the system's capital letter and error number.
fn in_our_words(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".into(),
        io::ErrorKind::AddrNotAvailable => "not an address of this machine".into(),
        io::ErrorKind::PermissionDenied => "permission denied (a port below 1024 needs CAP_NET_BIND_SERVICE)".into(),
        _ => error.to_string().into(),
    }
}
