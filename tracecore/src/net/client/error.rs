//! Why a request has no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use super::{MAX_ANSWER_HEADER_BYTES, connect};
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
    /// The head of the answer is larger than is read. The same would come again.
    #[error("the head of the answer is larger than {0} bytes, or breaks the rules of HTTP/2")]
    Head(usize),
    /// The body of the answer is larger than [`super::ClientLimits::body_bytes`].
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl ClientError {
    pub(super) fn of_http1(error: legacy::Error) -> Self {
        if let (true, Some(cause)) = (error.is_connect(), cause::<io::Error>(&error)) {
            return ClientError::Connect(connect::in_our_words(cause));
        }
        match cause::<hyper::Error>(&error) {
            Some(hyper) if hyper.is_parse_too_large() => ClientError::Head(MAX_ANSWER_HEADER_BYTES),
            Some(hyper) if hyper.is_parse() => ClientError::Malformed(error.into()),
            _ => ClientError::of_connection(error.into()),
        }
    }

    pub(super) fn of_http2(error: h2::Error) -> Self {
        // What this side found wrong: with one answer, or with the whole connection.
        let ours = error.is_library() || error.is_go_away() && !error.is_remote();
        // So many headers that `h2` gave up on the connection.
        let flooded = error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
        match ours && !error.is_io() {
            true if error.is_reset() || flooded => ClientError::Head(MAX_ANSWER_HEADER_BYTES),
            true => ClientError::Malformed(error.into()),
            false => ClientError::of_connection(error.into()),
        }
    }

    /// The connection broke, or the server did not want it: with TLS 1.3 it refuses a client's certificate after the
    /// handshake, and one that speaks TLS says so once it is asked in plaintext.
    pub(super) fn of_connection(error: Box<dyn Error + Send + Sync>) -> Self {
        match TlsError::find(&*error).filter(|tls| tls.failure.is_refusal()) {
            Some(tls) => ClientError::Connect(io::Error::new(io::ErrorKind::InvalidData, tls)),
            None => ClientError::Broken(error),
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
            ClientError::Malformed(_) | ClientError::Head(_) | ClientError::TooLarge(_) => ErrorKind::Parse,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // OTLP: a client must not ask again for an answer that is too large.
            ClientError::Address | ClientError::Head(_) | ClientError::TooLarge(_) => Retry::Permanent,
            _ => Retry::Yes,
        }
    }
}
