//! How batches stand in a file, which the `file` exporter writes and the `file` receiver reads.
//!
//! As the Collector's file exporter has it: uncompressed JSON is one request a line; everything else is frames, each a
//! length of four bytes (big-endian) and as many bytes of one request. What is compressed is compressed frame by frame, so
//! that a file can be appended to and read from any frame on.

use tracecore::prelude::*;

/// How a request is written.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OTLP/JSON.
    Json,
    /// OTLP protobuf.
    Proto,
}

/// How a request is compressed.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// Zstandard.
    Zstd,
}

/// The size of a frame's length in bytes.
pub(crate) const LENGTH: usize = 4;

/// Whether requests stand a line each.
pub(crate) fn is_lines(format: Format, compression: Compression) -> bool {
    format == Format::Json && compression == Compression::None
}
