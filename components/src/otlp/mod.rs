//! What the exporters `otlp_grpc` and `otlp_http` have in common: settings, the body, the headers, the errors and what an answer means.
//!
//! Invariants: what is compressed is compressed once for each attempt and never on a thread that receives; the value of a
//! configured header is shown nowhere; whether a batch goes again is what the OTLP specification says of the answer.

mod body;
mod error;
mod headers;
mod settings;

use tracecore::otlp::response::PartialSuccess;
use tracecore::prelude::*;

pub(crate) use body::Compression;
pub(crate) use error::{Error, Message};
pub(crate) use headers::{TRACEPARENT, configured, user_agent};
pub(crate) use settings::CompressionType;

/// Counts what the other side did not take of a batch that it did take; it may also say something about a batch that it
/// took whole.
pub(crate) fn tell_of_partial<C: Exporter>(cx: &Cx<C>, partial: Option<PartialSuccess>) {
    match partial {
        Some(PartialSuccess { rejected: 0, message }) if message.is_empty() => {}
        Some(PartialSuccess { rejected: 0, message }) => {
            tracing::warn!(component = %cx.id(), message = error::shortened(&message), "the other side took a batch, and warns");
        }
        Some(PartialSuccess { rejected, message }) => cx.rejected(rejected, &error::shortened(&message)),
        None => {}
    }
}
