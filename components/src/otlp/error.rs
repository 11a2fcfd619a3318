//! What can go wrong between a batch and a backend that speaks OTLP.

use std::time::Duration;

use tracecore::error::{ErrorKind, Retry};
use tracecore::net::ClientError;
use tracecore::net::tls::TlsConfigError;
use tracecore::otlp::compression::{CompressError, LevelError};
use tracecore::prelude::*;

use super::HeaderError;

/// Characters of a backend's message that are told: the rest is most often a page of HTML.
const MESSAGE_CHARS: usize = 300;

/// Why a batch is not delivered, or why the exporter cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is nowhere to send a signal to.
    #[error(
        "there is no `endpoint`, nor one for each signal of its pipelines: set `endpoint`, or `traces_endpoint`, `metrics_endpoint`, `logs_endpoint`"
    )]
    NoEndpoint,
    /// `authority` is none.
    #[error("authority: is no name of a host")]
    Authority(#[source] http::Error),
    /// A header cannot be sent.
    #[error("headers")]
    Header(#[from] HeaderError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(TlsConfigError),
    /// There is no such level of compression.
    #[error("compression_params.level: {0}")]
    Level(LevelError),
    /// It was not started.
    #[error("the exporter has not started")]
    NotStarted,
    /// A batch of this signal has no endpoint.
    #[error("there is no endpoint for {0}: set `endpoint` or `{0}_endpoint`")]
    NoEndpointFor(Signal),
    /// A batch cannot be put into the form that is sent.
    #[error("cannot encode the batch")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A batch cannot be compressed.
    #[error(transparent)]
    Compress(CompressError),
    /// There is no answer.
    #[error(transparent)]
    Call(ClientError),
    /// The backend does not take the batch.
    #[error("the backend answered {answer}{message}")]
    Refused { answer: String, message: Message, retry: Retry, after: Option<Duration> },
}

/// What a backend says beside its code, after a colon and shortened.
#[derive(Debug, PartialEq)]
pub(crate) struct Message(String);

impl Message {
    pub(crate) fn new(text: &str) -> Self {
        Message(shortened(text))
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// One line of a message.
pub(super) fn shortened(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MESSAGE_CHARS).map(line).collect()
}

impl Classify for Error {
    const KINDS: &'static [ErrorKind] =
        &[ErrorKind::Init, ErrorKind::Connect, ErrorKind::Parse, ErrorKind::Marshal, ErrorKind::Io];

    fn kind(&self) -> ErrorKind {
        match self {
            Error::NoEndpoint | Error::Authority(_) | Error::Header { .. } | Error::Tls(_) | Error::Level(_) => {
                ErrorKind::Init
            }
            Error::NotStarted | Error::NoEndpointFor(_) => ErrorKind::Init,
            Error::Encode(_) | Error::Compress(_) => ErrorKind::Marshal,
            Error::Call(error) => error.kind(),
            Error::Refused { .. } => ErrorKind::Io,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Error::Call(error) => error.retry(),
            Error::Refused { retry, .. } => *retry,
            // There was no memory.
            Error::Compress(_) | Error::NotStarted => Retry::Yes,
            _ => Retry::Permanent,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused { after, .. } => *after,
            _ => None,
        }
    }
}
