//! The settings of TLS for what is asked, and why they cannot be used.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use tracecore_macros::config;

use super::trust::{certificates, key};
use crate::config::{Period, Secret};

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

    /// What can be said without reading a file: whether they go together, and whether what stands in them as text is whole.
    pub(super) fn check(&self) -> Result<(), TlsConfigError> {
        let both = [
            ("ca", self.ca_file.is_some(), self.ca_pem.is_some()),
            ("cert", self.cert_file.is_some(), self.cert_pem.is_some()),
            ("key", self.key_file.is_some(), self.key_pem.is_some()),
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
        if self.max_version.is_some_and(|max| max < self.min_version) {
            return Err(TlsConfigError::Versions);
        }
        if let Some(name) = &self.server_name_override
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(TlsConfigError::ServerName(name.clone()));
        }
        if let Some(pem) = &self.ca_pem {
            certificates(&Place::text("ca_pem"), pem.expose().as_bytes())?;
        }
        if let Some(pem) = &self.cert_pem {
            certificates(&Place::text("cert_pem"), pem.expose().as_bytes())?;
        }
        if let Some(pem) = &self.key_pem {
            key(&Place::text("key_pem"), pem.expose().as_bytes())?;
        }
        Ok(())
    }
}

/// Where something of TLS stands: in a setting, or in the file that one names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    setting: &'static str,
    file: Option<PathBuf>,
}

impl Place {
    pub(super) fn text(setting: &'static str) -> Self {
        Place { setting, file: None }
    }

    pub(super) fn file(setting: &'static str, path: PathBuf) -> Self {
        Place { setting, file: Some(path) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "tls.{} ({})", self.setting, path.display()),
            None => write!(f, "tls.{}", self.setting),
        }
    }
}

/// Why settings of TLS cannot be used. Each says which setting, and which file.
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
    #[error("{0}: cannot be read")]
    Read(Place, #[source] io::Error),
    /// There is no such thing in a file or a text.
    #[error("{0}: there is no PEM block of {1} in it")]
    Empty(Place, &'static str),
    /// A file or a text is not PEM, or what it holds is broken.
    #[error("{0}: is not what it should be")]
    Malformed(Place, #[source] Box<dyn Error + Send + Sync>),
    /// The system trusts nobody.
    #[error(
        "tls: this system has no certificate authorities that can be read: install them, name their file in SSL_CERT_FILE, or set tls.ca_file"
    )]
    NoSystemRoots,
    /// The key is that of another certificate, or of a kind that is not known.
    #[error("{certificate}, {key}: this certificate and this key cannot be used together")]
    Identity {
        /// Where the certificate is.
        certificate: Place,
        /// Where the key is.
        key: Place,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}
