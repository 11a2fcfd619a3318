//! TLS for what tracecore asks: whom it trusts, who it is, and why a handshake failed, as a closed set.
//!
//! Invariants: a peer is trusted by what the settings say, never by default; a handshake that fails never falls back to
//! plaintext; [`ClientTls::new`] touches nothing, [`ClientTls::load`] reads the files. What has `reload_interval` reads
//! them again before a new connection once that time is over; if they are then broken, the last ones hold.
//!
//! Deliberately absent: TLS 1.1 and older, cipher suites to choose, certificate revocation lists, TLS for servers.

mod failure;
mod settings;
mod trust;

use std::fmt;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinError;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use self::failure::TlsError;
pub use self::failure::TlsFailure;
pub use self::settings::{Place, TlsClientConfig, TlsConfigError, TlsVersion};
use crate::config::Period;
use crate::time::Instant;

/// Which versions of HTTP are offered in the handshake (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl Alpn {
    const fn token(self) -> &'static [u8] {
        match self {
            Alpn::Http1 => b"http/1.1",
            Alpn::Http2 => b"h2",
        }
    }
}

/// How a client speaks TLS. One serves any number of connections.
pub struct ClientTls {
    settings: TlsClientConfig,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    at: Instant,
}

impl ClientTls {
    /// Checks the settings as far as that is possible without reading a file.
    ///
    /// # Errors
    /// When they do not go together, or what stands in them as text is broken.
    pub fn new(settings: TlsClientConfig) -> Result<Self, TlsConfigError> {
        settings.check()?;
        Ok(ClientTls { settings, loaded: Mutex::new(None) })
    }

    /// Reads the files, so that what is wrong with them is known at the start and not at the first batch.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub async fn load(&self) -> Result<(), TlsConfigError> {
        self.read().await.map(drop)
    }

    /// Shakes hands with the server at `host` over `io`.
    pub(super) async fn connect<IO>(&self, host: &str, alpn: Alpn, io: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = self.current().await.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let name = self.settings.server_name_override.as_deref().unwrap_or(host);
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, TlsConfigError::ServerName(name.to_owned())))?;
        let config = match alpn {
            Alpn::Http1 => loaded.http1,
            Alpn::Http2 => loaded.http2,
        };
        let stream = TlsConnector::from(config).connect(name, io).await.map_err(failure::named)?;
        // A server that knows no ALPN may speak HTTP/1; HTTP/2 over TLS is agreed upon or not spoken (RFC 9113, 3.2).
        if alpn == Alpn::Http2 && stream.get_ref().1.alpn_protocol() != Some(alpn.token()) {
            return Err(TlsError::io(TlsFailure::Protocol));
        }
        Ok(stream)
    }

    async fn current(&self) -> Result<Loaded, TlsConfigError> {
        let loaded = self.loaded().clone();
        let Some(loaded) = loaded else { return self.read().await };
        let old = |interval: Period| loaded.at.elapsed() >= interval.get();
        if !self.settings.reload_interval.is_some_and(old) {
            return Ok(loaded);
        }
        match self.read().await {
            Ok(new) => Ok(new),
            Err(error) => {
                let error = crate::error::Report(&error);
                tracing::warn!(%error, "the files of TLS cannot be read again: what was read before holds");
                Ok(loaded)
            }
        }
    }

    async fn read(&self) -> Result<Loaded, TlsConfigError> {
        let settings = self.settings.clone();
        let config = on_a_thread(move || trust::client_config(&settings)).await?;
        let with = |alpn: Alpn| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.token().to_vec()];
            Arc::new(config)
        };
        let loaded = Loaded { http1: with(Alpn::Http1), http2: with(Alpn::Http2), at: Instant::now() };
        *self.loaded() = Some(loaded.clone());
        Ok(loaded)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, Option<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The authorities of the system are trusted, and we are nobody.
impl Default for ClientTls {
    fn default() -> Self {
        ClientTls { settings: TlsClientConfig::default(), loaded: Mutex::new(None) }
    }
}

/// Shows no key: settings of TLS show none.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Files are read where waiting for a disk holds nobody up.
#[expect(clippy::disallowed_methods, reason = "short, seldom, and of `net`, whose tasks nobody drains")]
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and this with it.
        Err(Err(_)) => pending().await,
    }
}
