//! Why a request has no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use super::connect;
use crate::error::{Classify, ErrorKind, Retry};
use crate::net::tls::TlsError;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URI of the request is not one that this client can ask.
    #[error("an address is http://host:port/path, or https://host:port/path for a client with TLS")]
    Address,
    /// There is no connection. Nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The answer was not there in time. What was sent may have been taken.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection ended before the answer did. What was sent may have been taken.
    #[error("the connection broke before the end of the answer")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The server gave the request back untouched (HTTP/2: a stream refused, or a connection that it winds up), twice.
    #[error("the server takes no request now")]
    Unprocessed(#[source] h2::Error),
    /// What came back is not the HTTP that is spoken here, or its headers are too large.
    #[error("the answer is not HTTP")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
    /// The body of the answer is larger than [`super::ClientLimits::body_bytes`].
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl ClientError {
    pub(super) fn of_http1(error: legacy::Error) -> Self {
        if let (true, Some(cause)) = (error.is_connect(), cause::<io::Error>(&error)) {
            return ClientError::Connect(connect::in_our_words(cause));
        }
        ClientError::of_exchange(error.into(), |error| cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse))
    }

    pub(super) fn of_http2(error: h2::Error) -> Self {
        // An error that this side found in what came.
        let malformed = !error.is_io() && (error.is_library() || error.is_go_away() && !error.is_remote());
        ClientError::of_exchange(error.into(), |_| malformed)
    }

    /// The body of an answer broke off.
    pub(super) fn of_body(error: Box<dyn Error + Send + Sync>) -> Self {
        ClientError::of_exchange(error, |_| false)
    }

    /// With TLS 1.3 a server refuses a client's certificate after the handshake.
    fn of_exchange(
        error: Box<dyn Error + Send + Sync>,
        malformed: impl FnOnce(&(dyn Error + 'static)) -> bool,
    ) -> Self {
        if let Some(tls) = TlsError::find(&*error) {
            ClientError::Connect(io::Error::new(io::ErrorKind::InvalidData, tls))
        } else if malformed(&*error) {
            ClientError::Malformed(error)
        } else {
            ClientError::Broken(error)
        }
    }
}

/// The first of the causes of `error` that is a `T`.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(error.source(), |error: &&'a (dyn Error + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}

impl Classify for ClientError {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Init, ErrorKind::Connect, ErrorKind::Io, ErrorKind::Parse];

    fn kind(&self) -> ErrorKind {
        match self {
            ClientError::Address => ErrorKind::Init,
            ClientError::Connect(_) => ErrorKind::Connect,
            ClientError::Timeout(_) | ClientError::Broken(_) | ClientError::Unprocessed(_) => ErrorKind::Io,
            ClientError::Malformed(_) | ClientError::TooLarge(_) => ErrorKind::Parse,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            ClientError::Address => Retry::Permanent,
            _ => Retry::Yes,
        }
    }
}
