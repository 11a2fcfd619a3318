//! Whom a client trusts and who it is, out of files and texts.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version};

use super::settings::{Place, TlsClientConfig, TlsConfigError, TlsVersion};
use crate::config::Secret;

/// Bytes of a file of certificates, or of a key. All the authorities of a system are a quarter of a MiB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What the settings make of a client. Reads files.
pub(super) fn client_config(settings: &TlsClientConfig) -> Result<ClientConfig, TlsConfigError> {
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
    let Some(identity) = identity(settings)? else { return Ok(builder.with_no_client_auth()) };
    let Identity { certificate, certificates, key, secret } = identity;
    builder.with_client_auth_cert(certificates, secret).map_err(|source| TlsConfigError::Identity {
        certificate,
        key,
        source,
    })
}

/// The authorities that are trusted.
fn trusted(settings: &TlsClientConfig) -> Result<Arc<RootCertStore>, TlsConfigError> {
    let Some((place, pem)) = given("ca_file", settings.ca_file.as_deref(), "ca_pem", settings.ca_pem.as_ref())? else {
        return system_roots();
    };
    let mut roots = match settings.include_system_ca_certs_pool {
        true => RootCertStore::clone(&*system_roots()?),
        false => RootCertStore::empty(),
    };
    for certificate in certificates(&place, &pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsConfigError::Malformed(place.clone(), error.into()))?;
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

/// A certificate with what links it to its authority, and its key, each with where it stands.
struct Identity {
    certificate: Place,
    certificates: Vec<CertificateDer<'static>>,
    key: Place,
    secret: PrivateKeyDer<'static>,
}

/// Who we are, for servers that ask.
fn identity(settings: &TlsClientConfig) -> Result<Option<Identity>, TlsConfigError> {
    let certificate = given("cert_file", settings.cert_file.as_deref(), "cert_pem", settings.cert_pem.as_ref())?;
    let secret = given("key_file", settings.key_file.as_deref(), "key_pem", settings.key_pem.as_ref())?;
    let (Some((certificate, chain)), Some((place, secret))) = (certificate, secret) else { return Ok(None) };
    let (certificates, secret) = (certificates(&certificate, &chain)?, key(&place, &secret)?);
    Ok(Some(Identity { certificate, certificates, key: place, secret }))
}

/// What a pair of settings holds, and where it stands.
fn given(
    file_setting: &'static str,
    file: Option<&Path>,
    pem_setting: &'static str,
    pem: Option<&Secret>,
) -> Result<Option<(Place, Vec<u8>)>, TlsConfigError> {
    match (file, pem) {
        (Some(path), _) => {
            let place = Place::file(file_setting, path.to_owned());
            match read(path) {
                Ok(text) => Ok(Some((place, text))),
                Err(error) => Err(TlsConfigError::Read(place, error)),
            }
        }
        (None, Some(pem)) => Ok(Some((Place::text(pem_setting), pem.expose().as_bytes().to_vec()))),
        (None, None) => Ok(None),
    }
}

/// A file, if it is no larger than [`MAX_FILE_BYTES`].
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE_BYTES} bytes"))),
        false => Ok(text),
    }
}

/// The certificates of a PEM text; at least one.
pub(super) fn certificates(place: &Place, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err(TlsConfigError::Empty(place.clone(), "a certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsConfigError::Malformed(place.clone(), error.into())),
    }
}

/// The first private key of a PEM text.
pub(super) fn key(place: &Place, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    use rustls::pki_types::pem::Error::NoItemsFound;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        NoItemsFound => TlsConfigError::Empty(place.clone(), "a private key"),
        error => TlsConfigError::Malformed(place.clone(), error.into()),
    })
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
