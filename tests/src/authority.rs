//! Certificates for tests, made on the spot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Signs certificates. Its own is a file, for settings to name.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, each a file too.
pub struct Identity {
    certificate: String,
    key: String,
    /// The file of the certificate.
    pub cert_file: PathBuf,
    /// The file of the key.
    pub key_file: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl Authority {
    /// One that nobody trusts yet.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn new() -> Self {
        Authority::named("an authority of the tests")
    }

    /// One of this name.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("its parameters are fine");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("the folder is ours");
        Authority { issuer, folder }
    }

    /// The file of its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `name`, a DNS name or an address.
    pub fn identity(&self, name: &str) -> Identity {
        self.issue(name, (2020, 4000))
    }

    /// A certificate whose time is over.
    pub fn expired(&self, name: &str) -> Identity {
        self.issue(name, (2020, 2021))
    }

    fn issue(&self, name: &str, (from, to): (i32, i32)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("there is randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("its parameters are fine").pem();
        let key = key.serialize_pem();
        let folder = tempfile::tempdir_in(self.folder.path()).expect("the folder is ours").keep();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("the folder is ours");
            path
        };
        let (cert_file, key_file) = (write("cert.pem", &certificate), write("key.pem", &key));
        Identity { certificate, key, cert_file, key_file }
    }

    /// Copies what stands in the files of `identity` over those of `other`.
    pub fn replace(other: &Identity, identity: &Identity) {
        let copy = |from: &Path, to: &Path| std::fs::copy(from, to).expect("both are ours");
        copy(&identity.cert_file, &other.cert_file);
        copy(&identity.key_file, &other.key_file);
    }
}

/// How a server of the tests speaks TLS.
#[derive(Default)]
pub struct ServerTls<'a> {
    /// Whose certificates its clients must have, if they must have any.
    pub clients_of: Option<&'a Authority>,
    /// Whether it knows no other version than this: `1.2`, `1.3`.
    pub only: Option<&'static str>,
    /// Which protocols it agrees to.
    pub alpn: &'static [&'static str],
}

impl Identity {
    /// What shakes hands as this.
    ///
    /// # Panics
    /// When the certificate was not made here.
    pub fn acceptor(&self, tls: &ServerTls<'_>) -> TlsAcceptor {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("it was made here");
        let provider = Arc::new(ring::default_provider());
        let versions: &[&SupportedProtocolVersion] = match tls.only {
            Some("1.2") => &[&TLS12],
            Some(_) => &[&TLS13],
            None => &[&TLS13, &TLS12],
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let config = config.expect("the provider has them");
        let config = match tls.clients_of {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).expect("it was made here");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                config.with_client_cert_verifier(verifier.expect("there is an authority"))
            }
        };
        let mut config = config.with_single_cert(certificates.expect("they were made here"), key).expect("they match");
        config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
