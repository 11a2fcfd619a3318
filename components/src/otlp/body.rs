//! The bytes of a request: those of the batch, or compressed.

use std::sync::Arc;

use bytes::Bytes;
use tracecore::net::Payload;
use tracecore::otlp::compression::{Compressor, Encoding, LevelError};
use tracecore::prelude::*;

use super::Error;

/// Bytes up to which a batch is compressed in place. At a few nanoseconds a byte that takes some hundred microseconds, which
/// is about what it costs others to wait for; to hand it to another thread takes ten.
const IN_PLACE_BYTES: usize = 64 * 1024;

/// How bodies are compressed.
#[derive(Clone, Debug)]
pub(crate) struct Compression(Arc<Compressor>);

impl Compression {
    pub(crate) fn new(encoding: Encoding, level: Option<i32>) -> Result<Self, LevelError> {
        Ok(Compression(Arc::new(Compressor::new(encoding, level)?)))
    }

    /// What the header says, if anything.
    pub(crate) fn encoding(&self) -> Option<&'static str> {
        (self.0.encoding() != Encoding::Identity).then(|| self.0.encoding().as_str())
    }

    /// The body of these parts.
    pub(crate) async fn body<C: Exporter>(&self, parts: &[Bytes], cx: &Cx<C>) -> Result<Payload, Error> {
        if self.0.encoding() == Encoding::Identity {
            return Ok(Payload::of(parts));
        }
        let compressed = if parts.iter().map(Bytes::len).sum::<usize>() <= IN_PLACE_BYTES {
            self.0.compress(parts)
        } else {
            let (compressor, parts) = (Arc::clone(&self.0), parts.to_vec());
            cx.offload().run(move || compressor.compress(&parts)).await
        };
        Ok(compressed.map_err(Error::Compress)?.into())
    }
}
