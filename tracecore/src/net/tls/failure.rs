//! Why a server is not spoken to over TLS, as a closed set, each with what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

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
    /// It speaks TLS, and was asked in plaintext.
    Wanted,
    /// It speaks no version of TLS that we do, or no cipher suite.
    Version,
    /// It speaks TLS, and within it not the HTTP that is asked for.
    Protocol,
    /// It ended the connection in the middle of the handshake.
    Closed,
    /// It has not answered the handshake in time.
    Silent,
    /// Anything else.
    Handshake,
}

impl TlsFailure {
    /// Every reason.
    pub const ALL: [TlsFailure; 11] = [
        TlsFailure::Untrusted,
        TlsFailure::Expired,
        TlsFailure::Name,
        TlsFailure::ClientCertificate,
        TlsFailure::Plaintext,
        TlsFailure::Wanted,
        TlsFailure::Version,
        TlsFailure::Protocol,
        TlsFailure::Closed,
        TlsFailure::Silent,
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
            TlsFailure::Wanted => "tls_wanted",
            TlsFailure::Version => "tls_version",
            TlsFailure::Protocol => "tls_protocol",
            TlsFailure::Closed => "tls_closed",
            TlsFailure::Silent => "tls_timeout",
            TlsFailure::Handshake => "tls_handshake",
        }
    }

    /// Whether the server has refused the connection, and taken nothing that was sent on it.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, TlsFailure::ClientCertificate | TlsFailure::Wanted)
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
            NoApplicationProtocol => TlsFailure::Protocol,
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
            | AlertDescription::AccessDenied
            // An authority of the same name has signed it: what it is checked with is another's key.
            | AlertDescription::DecryptError => TlsFailure::ClientCertificate,
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => TlsFailure::Version,
            AlertDescription::NoApplicationProtocol => TlsFailure::Protocol,
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
            TlsFailure::Wanted => {
                "the server speaks TLS and was asked in plaintext: set tls.insecure to false, or begin the endpoint with https://"
            }
            TlsFailure::Version => {
                "the server speaks no version of TLS, or no cipher suite, that is spoken here: see tls.min_version and tls.max_version"
            }
            TlsFailure::Protocol => {
                "the server does not speak over TLS the HTTP that is asked for, HTTP/2 for gRPC and HTTP/1.1 for OTLP/HTTP: is this the right port?"
            }
            TlsFailure::Closed => {
                "the server ended the connection during the TLS handshake: if it does not speak TLS and plaintext is meant, set tls.insecure to true, or begin the endpoint with http://"
            }
            TlsFailure::Silent => {
                "the server did not answer the TLS handshake in time: if it does not speak TLS and plaintext is meant, set tls.insecure to true, or begin the endpoint with http://"
            }
            TlsFailure::Handshake => "the TLS handshake failed",
        })
    }
}

/// A handshake, or a connection, that TLS ended. It is the cause within an [`io::Error`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct TlsError {
    pub(crate) failure: TlsFailure,
    #[source]
    cause: Option<rustls::Error>,
}

impl TlsError {
    /// Such a failure that nothing of rustls has caused.
    pub(crate) fn io(failure: TlsFailure) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, TlsError { failure, cause: None })
    }

    /// The failure of TLS that `error` is, or is caused by.
    pub(crate) fn find(error: &(dyn Error + 'static)) -> Option<TlsError> {
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
pub(super) fn named(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ended = matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    let closed = || ended.then_some(TlsError { failure: TlsFailure::Closed, cause: None });
    match TlsError::find(&error).or_else(closed) {
        Some(found) => io::Error::new(error.kind(), found),
        None => error,
    }
}
