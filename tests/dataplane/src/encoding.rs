//! How bodies are compressed, as clients and backends do it; and what `gzip -6` makes of them, to compare sizes with.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// A way to compress a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The level that `gzip` and the clients of most languages use when nobody asks for another.
const GZIP_LEVEL: u32 = 6;
/// The level that zstd itself calls its default.
const ZSTD_LEVEL: i32 = 3;
/// What a body may become. A collector may merge many requests into one.
const LARGEST: u64 = 256 << 20;

impl Encoding {
    /// Its name in a header and in a configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// The encoding that a header names; `None` if the body is as it is.
    pub(crate) fn of(header: Option<&http::HeaderValue>) -> Option<Self> {
        let name = header?.as_bytes();
        [Encoding::Gzip, Encoding::Zstd].into_iter().find(|encoding| encoding.as_str().as_bytes() == name)
    }

    /// Compresses, as a client does that asked for no level.
    pub(crate) fn compress(self, body: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Encoding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
        }
        .expect("memory takes everything")
    }

    /// Decompresses.
    pub(crate) fn decompress(self, body: &[u8]) -> io::Result<Bytes> {
        let mut whole = Vec::new();
        match self {
            Encoding::Gzip => MultiGzDecoder::new(body).take(LARGEST).read_to_end(&mut whole)?,
            Encoding::Zstd => zstd::Decoder::with_buffer(body)?.take(LARGEST).read_to_end(&mut whole)?,
        };
        Ok(whole.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let body = b"one two three ".repeat(100);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let compressed = encoding.compress(&body);
            assert!(compressed.len() < body.len());
            assert_eq!(encoding.decompress(&compressed).unwrap(), body);
            assert_eq!(Encoding::of(http::HeaderValue::from_str(encoding.as_str()).ok().as_ref()), Some(encoding));
        }
    }
}
