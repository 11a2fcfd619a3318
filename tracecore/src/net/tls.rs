//! TLS for what tracecore asks: whom it trusts, who it is, and why a handshake failed, as a closed set.
//!
//! Invariants: a peer is trusted by what the settings say, never by default; a handshake that fails never falls back to
//! plaintext; [`ClientTls::new`] touches nothing, [`ClientTls::load`] reads the files. What has `reload_interval` reads
//! them again before a new connection once that time is over; if they are then broken, the last ones hold.
//!
//! Deliberately absent: TLS 1.1 and older, cipher suites to choose, certificate revocation lists, TLS for servers.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion, version,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracecore_macros::config;

use crate::config::{Period, Secret};
use crate::time::Instant;

/// TLS for what is asked. The keys are the Collector's.
#[config]
pub struct TlsClientConfig {
    /// `true`: plaintext. With `ca_file` or `ca_pem`, and with an `https://` endpoint, it is TLS all the same, as in the
    /// Collector.
    #[default(false)]
    pub insecure: bool,
    /// `true`: whoever answers is trusted. For tests: it gives credentials and data to anyone in between.
    #[default(false)]
    pub insecure_skip_verify: bool,
    /// The file with the certificates of the authorities to trust, as PEM. Without, those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificates of the authorities to trust, as PEM, in place of `ca_file`.
    pub ca_pem: Option<Secret>,
    /// `true`: the authorities of the system are trusted beside those of `ca_file` or `ca_pem`.
    #[default(false)]
    pub include_system_ca_certs_pool: bool,
    /// The file with our own certificate and what links it to its authority, as PEM, for a server that asks for one.
    pub cert_file: Option<PathBuf>,
    /// Our own certificate, as PEM, in place of `cert_file`.
    pub cert_pem: Option<Secret>,
    /// The file with the key of our own certificate, as PEM.
    pub key_file: Option<PathBuf>,
    /// The key of our own certificate, as PEM, in place of `key_file`.
    pub key_pem: Option<Secret>,
    /// The name that the server's certificate must have, where it is not the host of the endpoint.
    pub server_name_override: Option<String>,
    /// The oldest version of TLS to speak.
    #[default(TlsVersion::Tls12)]
    pub min_version: TlsVersion,
    /// The newest version of TLS to speak. Without, the newest that there is.
    pub max_version: Option<TlsVersion>,
    /// How long the files are good for: after this time they are read again before a connection is made. Without, they
    /// are read once.
    pub reload_interval: Option<Period>,
}

/// A version of TLS.
#[config]
#[derive(Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[value("1.2")]
    Tls12,
    /// TLS 1.3.
    #[value("1.3")]
    Tls13,
}

impl TlsClientConfig {
    /// Whether an endpoint without a scheme is asked in plaintext.
    pub fn is_plaintext(&self) -> bool {
        self.insecure && self.ca_file.is_none() && self.ca_pem.is_none()
    }
}

/// Why settings of TLS cannot be used. Each says which setting.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// A thing is given both as a file and as text.
    #[error("tls: `{0}_file` and `{0}_pem` are the same thing: leave one out")]
    Twice(&'static str),
    /// A certificate without its key, or a key without its certificate.
    #[error("tls: a certificate and its key belong together: `{0}_file` (or `{0}_pem`) is missing")]
    Half(&'static str),
    /// No version is left.
    #[error("tls: `min_version` is newer than `max_version`")]
    Versions,
    /// A name that no server has.
    #[error("tls.server_name_override: `{0}` is neither a DNS name nor an address")]
    ServerName(String),
    /// A file cannot be read.
    #[error("tls.{setting}: cannot read {path}")]
    Read {
        /// Which.
        setting: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has no such thing in it.
    #[error("tls.{0}: there is no PEM block of {1} in it")]
    Empty(&'static str, &'static str),
    /// A file is not PEM, or what it holds is broken.
    #[error("tls.{setting}: is not what it should be")]
    Malformed {
        /// Which.
        setting: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The system trusts nobody.
    #[error("tls: this system has no certificate authorities that can be read: set tls.ca_file")]
    NoSystemRoots,
    /// The certificate and the key do not go together.
    #[error("tls: the certificate and the key cannot be used")]
    Identity(#[source] rustls::Error),
}

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
        let both = [
            ("ca", settings.ca_file.is_some(), settings.ca_pem.is_some()),
            ("cert", settings.cert_file.is_some(), settings.cert_pem.is_some()),
            ("key", settings.key_file.is_some(), settings.key_pem.is_some()),
        ];
        if let Some((name, ..)) = both.iter().find(|(_, file, pem)| *file && *pem) {
            return Err(TlsConfigError::Twice(name));
        }
        let [_, has_cert, has_key] = both.map(|(_, file, pem)| file || pem);
        match (has_cert, has_key) {
            (true, false) => return Err(TlsConfigError::Half("key")),
            (false, true) => return Err(TlsConfigError::Half("cert")),
            _ => {}
        }
        if settings.max_version.is_some_and(|max| max < settings.min_version) {
            return Err(TlsConfigError::Versions);
        }
        if let Some(name) = &settings.server_name_override
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(TlsConfigError::ServerName(name.clone()));
        }
        if let Some(pem) = &settings.ca_pem {
            certificates("ca_pem", pem.expose().as_bytes())?;
        }
        if let Some(pem) = &settings.cert_pem {
            certificates("cert_pem", pem.expose().as_bytes())?;
        }
        if let Some(pem) = &settings.key_pem {
            key("key_pem", pem.expose().as_bytes())?;
        }
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
        let stream = TlsConnector::from(config).connect(name, io).await.map_err(named)?;
        // A server that knows no ALPN may speak HTTP/1; HTTP/2 over TLS is agreed upon or not spoken (RFC 9113, 3.2).
        if alpn == Alpn::Http2 && stream.get_ref().1.alpn_protocol() != Some(alpn.token()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                TlsError { failure: TlsFailure::NoHttp2, cause: None },
            ));
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
        let config = on_a_thread(move || client_config(&settings)).await?;
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
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

fn client_config(settings: &TlsClientConfig) -> Result<ClientConfig, TlsConfigError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match (settings.min_version, settings.max_version) {
        (TlsVersion::Tls13, _) => &[&version::TLS13],
        (TlsVersion::Tls12, Some(TlsVersion::Tls12)) => &[&version::TLS12],
        (TlsVersion::Tls12, _) => &[&version::TLS13, &version::TLS12],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has suites for both versions");
    let builder = if settings.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        let roots = trusted(settings)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|_| TlsConfigError::NoSystemRoots)?;
        builder.with_webpki_verifier(verifier)
    };
    let Some((certificates, key)) = identity(settings)? else { return Ok(builder.with_no_client_auth()) };
    builder.with_client_auth_cert(certificates, key).map_err(TlsConfigError::Identity)
}

/// The authorities that are trusted.
fn trusted(settings: &TlsClientConfig) -> Result<Arc<RootCertStore>, TlsConfigError> {
    let Some((setting, pem)) = given("ca_file", settings.ca_file.as_deref(), "ca_pem", settings.ca_pem.as_ref())?
    else {
        return system_roots();
    };
    let mut roots = match settings.include_system_ca_certs_pool {
        true => RootCertStore::clone(&*system_roots()?),
        false => RootCertStore::empty(),
    };
    for certificate in certificates(setting, &pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsConfigError::Malformed { setting, source: error.into() })?;
    }
    Ok(Arc::new(roots))
}

/// Read once: there are a hundred and more of them.
fn system_roots() -> Result<Arc<RootCertStore>, TlsConfigError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // What cannot be read of them is left out: a system's store may hold what no longer follows the standards.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() { Err(TlsConfigError::NoSystemRoots) } else { Ok(Arc::clone(roots)) }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Who we are, for servers that ask.
fn identity(settings: &TlsClientConfig) -> Result<Option<Identity>, TlsConfigError> {
    let certificate = given("cert_file", settings.cert_file.as_deref(), "cert_pem", settings.cert_pem.as_ref())?;
    let secret = given("key_file", settings.key_file.as_deref(), "key_pem", settings.key_pem.as_ref())?;
    let (Some((of_certificate, certificate)), Some((of_key, secret))) = (certificate, secret) else { return Ok(None) };
    Ok(Some((certificates(of_certificate, &certificate)?, key(of_key, &secret)?)))
}

/// What a pair of settings holds, and which of the two it was.
fn given(
    file_setting: &'static str,
    file: Option<&Path>,
    pem_setting: &'static str,
    pem: Option<&Secret>,
) -> Result<Option<(&'static str, Vec<u8>)>, TlsConfigError> {
    match (file, pem) {
        (Some(path), _) => match std::fs::read(path) {
            Ok(text) => Ok(Some((file_setting, text))),
            Err(source) => Err(TlsConfigError::Read { setting: file_setting, path: path.to_owned(), source }),
        },
        (None, Some(pem)) => Ok(Some((pem_setting, pem.expose().as_bytes().to_vec()))),
        (None, None) => Ok(None),
    }
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err(TlsConfigError::Empty(setting, "a certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsConfigError::Malformed { setting, source: error.into() }),
    }
}

fn key(setting: &'static str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    use rustls::pki_types::pem::Error::NoItemsFound;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        NoItemsFound => TlsConfigError::Empty(setting, "a private key"),
        error => TlsConfigError::Malformed { setting, source: error.into() },
    })
}

/// Why a server is not spoken to over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFailure {
    /// Its certificate is signed by nobody who is trusted.
    Untrusted,
    /// Its certificate is of the past, or of the future.
    Expired,
    /// Its certificate is for others.
    Name,
    /// It wants a certificate of ours, or another one.
    ClientCertificate,
    /// It does not speak TLS.
    Plaintext,
    /// It speaks no version of TLS that we do, or no cipher suite.
    Version,
    /// It speaks TLS and no HTTP/2.
    NoHttp2,
    /// It ended the connection in the middle of the handshake.
    Closed,
    /// Anything else.
    Handshake,
}

impl TlsFailure {
    /// Every reason.
    pub const ALL: [TlsFailure; 9] = [
        TlsFailure::Untrusted,
        TlsFailure::Expired,
        TlsFailure::Name,
        TlsFailure::ClientCertificate,
        TlsFailure::Plaintext,
        TlsFailure::Version,
        TlsFailure::NoHttp2,
        TlsFailure::Closed,
        TlsFailure::Handshake,
    ];

    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsFailure::Untrusted => "tls_untrusted",
            TlsFailure::Expired => "tls_expired",
            TlsFailure::Name => "tls_name",
            TlsFailure::ClientCertificate => "tls_client_certificate",
            TlsFailure::Plaintext => "tls_plaintext",
            TlsFailure::Version => "tls_version",
            TlsFailure::NoHttp2 => "tls_no_http2",
            TlsFailure::Closed => "tls_closed",
            TlsFailure::Handshake => "tls_handshake",
        }
    }

    fn of(error: &rustls::Error) -> Self {
        use rustls::Error::{
            AlertReceived, InvalidCertificate, InvalidMessage, NoApplicationProtocol, PeerIncompatible,
        };
        match error {
            InvalidCertificate(why) => TlsFailure::of_certificate(why),
            // What comes is not a record of TLS.
            InvalidMessage(_) => TlsFailure::Plaintext,
            PeerIncompatible(_) => TlsFailure::Version,
            NoApplicationProtocol => TlsFailure::NoHttp2,
            AlertReceived(alert) => TlsFailure::of_alert(*alert),
            _ => TlsFailure::Handshake,
        }
    }

    fn of_certificate(why: &CertificateError) -> Self {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
            UnknownIssuer,
        };
        match why {
            UnknownIssuer => TlsFailure::Untrusted,
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => TlsFailure::Expired,
            NotValidForName | NotValidForNameContext { .. } => TlsFailure::Name,
            // A certificate that signed itself, a broken signature, a purpose that is not a server's.
            _ => TlsFailure::Untrusted,
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => TlsFailure::ClientCertificate,
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => TlsFailure::Version,
            AlertDescription::NoApplicationProtocol => TlsFailure::NoHttp2,
            _ => TlsFailure::Handshake,
        }
    }
}

/// What to do about it.
impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFailure::Untrusted => {
                "the server's certificate is signed by no authority that is trusted: set tls.ca_file to its authority's"
            }
            TlsFailure::Expired => "the server's certificate is not valid at this time: renew it, or set this machine's clock",
            TlsFailure::Name => {
                "the server's certificate is for another name: use one of its names in the endpoint, or tls.server_name_override"
            }
            TlsFailure::ClientCertificate => {
                "the server wants a certificate of this client that it trusts: set tls.cert_file and tls.key_file"
            }
            TlsFailure::Plaintext => {
                "the server does not speak TLS: set tls.insecure to true, or begin the endpoint with http://, if plaintext is meant"
            }
            TlsFailure::Version => {
                "the server speaks no version of TLS, or no cipher suite, that is spoken here: see tls.min_version and tls.max_version"
            }
            TlsFailure::NoHttp2 => "the server does not speak HTTP/2 over TLS, which gRPC needs: is this its gRPC port?",
            TlsFailure::Closed => {
                "the server ended the connection during the TLS handshake: if it does not speak TLS and plaintext is meant, set tls.insecure to true"
            }
            TlsFailure::Handshake => "the TLS handshake failed",
        })
    }
}

/// A handshake, or a connection, that TLS ended. It is the cause within an [`io::Error`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub(super) struct TlsError {
    pub(super) failure: TlsFailure,
    #[source]
    cause: Option<rustls::Error>,
}

impl TlsError {
    /// The failure of TLS that `error` is, or is caused by.
    pub(super) fn find(error: &(dyn Error + 'static)) -> Option<TlsError> {
        let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
        causes.into_iter().find_map(TlsError::of)
    }

    fn of(error: &(dyn Error + 'static)) -> Option<TlsError> {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found.clone());
        }
        if let Some(cause) = error.downcast_ref::<rustls::Error>() {
            return Some(TlsError { failure: TlsFailure::of(cause), cause: Some(cause.clone()) });
        }
        // What an `io::Error` was made of is not among its sources.
        TlsError::of(error.downcast_ref::<io::Error>()?.get_ref()?)
    }
}

/// The error of a handshake with its reason.
fn named(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ended = matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    let closed = || ended.then_some(TlsError { failure: TlsFailure::Closed, cause: None });
    match TlsError::find(&error).or_else(closed) {
        Some(found) => io::Error::new(error.kind(), found),
        None => error,
    }
}

/// Trusts whoever answers: `insecure_skip_verify`. The signatures are checked all the same: they show that the server has
/// the key of the certificate that it shows.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
