//! What flows through a pipeline: OTLP protobuf bytes that were validated once.
//!
//! A [`Batch`] is one signal as encoded OTLP. Only [`Batch::validate`] makes one, so whoever holds a batch may rely on
//! its structure, its UTF-8 and its nesting depth, and nothing behind the receiver decodes unless it asks. It is read
//! through the borrowed views of [`view`]; [`Batch::decode`] is the one way to the decoded form.
//!
//! Deliberately absent: acknowledgement (the verdict of `emit` is the one way back), and profiles.

mod batch;
pub mod edit;
pub mod json;
mod levels;
mod metadata;
mod normalise;
mod otlp;
mod schema;
mod split;
mod text;
mod utf8;
pub mod view;
mod walk;
mod wire_error;
pub(crate) mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;

pub use batch::{Batch, Decoded, SignalMismatch};
pub use metadata::{Metadata, MetadataTooLarge};
pub use split::{Split, SplitLimit};
pub use text::{TextFormat, Time};
pub use wire_error::{FieldName, Place, WireError};

/// What a batch carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order of the documentation.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// The name in configuration and in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal `{0}`, expected traces, metrics or logs")]
pub struct UnknownSignal(pub String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(name: &str) -> Result<Self, UnknownSignal> {
        Signal::ALL.into_iter().find(|signal| signal.as_str() == name).ok_or_else(|| UnknownSignal(name.to_owned()))
    }
}
