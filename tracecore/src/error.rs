//! What can go wrong, as a closed set.
//!
//! A component maps each variant of its own error to one [`ErrorKind`]. The message and its `source()` chain are the
//! report for people; the kind is what metrics and code act on. The set is closed so that an error can never make a
//! new time series. Deliberately absent: an `Other` kind.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The canonical kind of an error: the value of the `kind` label of every error series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// A connection to a source or a backend could not be made.
    Connect,
    /// Bytes arrived and could not be understood.
    Parse,
    /// The pipeline behind refused a batch.
    Downstream,
    /// The things to observe (devices, processes, mounts) could not be listed.
    Enumerate,
    /// One thing to observe could not be read.
    Read,
    /// A bound on the number of series was reached.
    Cardinality,
    /// The component panicked. The runtime alone gives this kind.
    Panic,
    /// The component could not start.
    Init,
    /// A batch could not be put into the form that a backend wants.
    Marshal,
    /// A write or a transfer failed.
    Io,
}

impl ErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [ErrorKind; 10] = [
        ErrorKind::Connect,
        ErrorKind::Parse,
        ErrorKind::Downstream,
        ErrorKind::Enumerate,
        ErrorKind::Read,
        ErrorKind::Cardinality,
        ErrorKind::Panic,
        ErrorKind::Init,
        ErrorKind::Marshal,
        ErrorKind::Io,
    ];

    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Connect => "connect",
            ErrorKind::Parse => "parse",
            ErrorKind::Downstream => "downstream",
            ErrorKind::Enumerate => "enumerate",
            ErrorKind::Read => "read",
            ErrorKind::Cardinality => "cardinality",
            ErrorKind::Panic => "panic",
            ErrorKind::Init => "init",
            ErrorKind::Marshal => "marshal",
            ErrorKind::Io => "io",
        }
    }

    /// The position in [`ErrorKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying the same batch again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Trying again can help. The default.
    Yes,
    /// Trying again will fail the same way: the batch is dropped and counted.
    Permanent,
}

/// An error whose variants each have a kind. Derive it: `#[derive(Debug, thiserror::Error, Classify)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which kind of error each of its variants is",
    note = "add `#[derive(Classify)]` and a `#[kind(…)]` to each variant"
)]
pub trait Classify: Error + Send + Sync + 'static {
    /// The kinds that this error can have, so that each series stands at zero from the start.
    const KINDS: &'static [ErrorKind];

    /// The kind of this value.
    fn kind(&self) -> ErrorKind;

    /// Whether the runtime may try the batch again.
    fn retry(&self) -> Retry {
        Retry::Yes
    }

    /// How long the other side asked us to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The error of what cannot fail.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Error for Never {}

impl Classify for Never {
    const KINDS: &'static [ErrorKind] = &[];

    fn kind(&self) -> ErrorKind {
        match *self {}
    }
}

/// An error with its chain of causes on one line: `cannot open the device: permission denied`.
pub struct Report<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What can go wrong when text is written to a pipe.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The write failed.
    #[error("cannot write")]
    Io(#[from] std::io::Error),
    /// Whoever read has gone, and will not come back.
    #[error("the reader has gone")]
    Closed(#[source] std::io::Error),
}

impl Classify for WriteError {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Io];

    fn kind(&self) -> ErrorKind {
        ErrorKind::Io
    }

    fn retry(&self) -> Retry {
        match self {
            WriteError::Io(_) => Retry::Yes,
            WriteError::Closed(_) => Retry::Permanent,
        }
    }
}
