//! The settings that the exporters have in common.

use tracecore::otlp::compression::Encoding;
use tracecore::prelude::*;

/// How requests are compressed.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum CompressionType {
    /// gzip, which every server knows.
    #[default]
    Gzip,
    /// zstd: smaller and faster than gzip, where the server knows it.
    Zstd,
    /// zlib, which HTTP calls `deflate`. The Collector knows it over HTTP only.
    Deflate,
    /// As `deflate`.
    Zlib,
    /// Not at all.
    None,
    /// Not at all.
    #[value("")]
    Empty,
}

impl CompressionType {
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            CompressionType::Gzip => Encoding::Gzip,
            CompressionType::Zstd => Encoding::Zstd,
            CompressionType::Deflate | CompressionType::Zlib => Encoding::Deflate,
            CompressionType::None | CompressionType::Empty => Encoding::Identity,
        }
    }
}
