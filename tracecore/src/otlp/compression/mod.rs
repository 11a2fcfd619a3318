//! Bodies and messages smaller: gzip, deflate (which is zlib) and zstd, as HTTP and gRPC name them.
//!
//! What comes in is decompressed to memory, up to a limit that holds whatever the input declares: room grows with what
//! is produced. What goes out is compressed at the fastest level whose bytes are within 1.3 times those of `gzip -6`
//! (zstd: 1.15 times), as measured in `docs/BENCHMARKS.md`. Deliberately absent: streaming, since a batch is a whole.

mod compress;
mod decompress;
#[cfg(test)]
mod tests;

use std::fmt;

pub use compress::{CompressError, Compressor, LevelError};
pub use decompress::{DecompressError, decompress, decompress_held};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// zlib, RFC 1950, which HTTP calls deflate.
    Deflate,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

    /// The name in `content-encoding` and `grpc-encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Deflate => "deflate",
        }
    }

    /// The encoding of a name, in any case; `x-gzip` and the Collector's `zlib` are other names of what is here.
    pub fn from_token(token: &str) -> Option<Encoding> {
        let is = |name: &str| token.eq_ignore_ascii_case(name);
        let found = Encoding::ALL.into_iter().find(|encoding| is(encoding.as_str()));
        found.or_else(|| is("x-gzip").then_some(Encoding::Gzip)).or_else(|| is("zlib").then_some(Encoding::Deflate))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
