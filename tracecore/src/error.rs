//! What can go wrong, as a closed set.
//!
//! A component maps each variant of its own error to one [`ErrorKind`]. The message and its `source()` chain are the
//! report for people; the kind is what metrics and code act on. The set is closed so that an error can never make a
//! new time series. Deliberately absent: an `Other` kind.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Each kind once: its variant, what it means, its word and what to do about it.
macro_rules! kinds {
    ($($(#[doc = $meaning:literal])+ $kind:ident, $word:literal, $advice:literal;)+) => {
        /// The canonical kind of an error: the value of the `kind` label of every error series.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind {
            $($(#[doc = $meaning])+ $kind,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: [ErrorKind; [$($word),+].len()] = [$(ErrorKind::$kind),+];

            /// The value of the `kind` label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $word,)+
                }
            }

            /// What happened, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => concat!($($meaning),+).trim_ascii(),)+
                }
            }

            /// What an operator does about it.
            pub const fn advice(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $advice,)+
                }
            }
        }
    };
}

kinds! {
    /// A connection to a source or a backend could not be made.
    Connect, "connect", "See whether the other side runs and can be reached from this node: its address, its name, a firewall, \
        TLS. What an exporter could not send waits in its queue and is tried again, for as long as \
        `retry_on_failure.max_elapsed_time` says and until the queue is full.";
    /// Bytes arrived and could not be understood.
    Parse, "parse", "The other side sends, or a file holds, something else than the settings say. The log names what and where. It is \
        passed over and counted; what is understood goes on.";
    /// The pipeline behind refused a batch.
    Downstream, "downstream", "The receiver works; what follows it does not take its batches. Look for the exporter of its pipelines \
        whose queue is full or that fails, and for a `memory_limiter` that refuses.";
    /// The things to observe (devices, processes, mounts) could not be listed.
    Enumerate, "enumerate", "See whether what is observed is there, and whether the collector may list it: permissions, a mount of the host \
        that a container lacks, a driver that is not loaded.";
    /// One thing to observe could not be read.
    Read, "read", "A single device or file fails, the others are reported. If it lasts, look at that device; the log names it.";
    /// A bound on the number of series was reached.
    Cardinality, "cardinality", "There are more devices or attribute values than the bound allows; what is past it is left out. Raise the \
        bound if the component's settings have it, such as `max_series`, or drop the attribute that makes them.";
    /// The component panicked. The runtime alone gives this kind.
    Panic, "panic", "This is a defect: report it with the log line, which holds the message and the place. The component runs again after \
        a back-off; a batch that brings it about is dropped and counted with the reason `panic`.";
    /// The component could not start.
    Init, "init", "The log says what it lacks: a port that is taken, a file, a right. `on_start_error` says whether the service waits for it, \
        tries again, or stays without.";
    /// A batch could not be put into the form that a backend wants.
    Marshal, "marshal", "The backend refuses these data for good, and they are dropped and counted; the log has its answer. See whether the \
        exporter's encoding and the backend go together.";
    /// A write or a transfer failed.
    Io, "io", "The connection broke, the other side was busy, or a disk is full. An exporter tries again, as `retry_on_failure` says; if it \
        lasts, look at the other side and at the disk.";
}

impl ErrorKind {
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
