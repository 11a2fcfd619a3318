//! From the parts of a batch to compressed bytes.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::Encoding;

/// Compresses, again and again and for several callers at once. Between calls it keeps the memory of at most
/// [`IDLE`] of them.
pub struct Compressor {
    encoding: Encoding,
    level: i32,
    idle: Mutex<Vec<Context>>,
}

/// How many contexts a compressor keeps for the next call: as many as are at work at once on a small machine. Those of
/// gzip and deflate take 0.3 MB each, those of zstd up to 1 MB for batches of ordinary size.
const IDLE: usize = 2;

/// The default level of gzip and deflate. 1 is twice as fast, and up to 1.36 times the size of `gzip -6`; 2 is within 1.21.
const DEFLATE_LEVEL: i32 = 2;

/// The default level of zstd: within 1.09 times the size of `gzip -6` at two thirds of the time of level 1. -3 exceeds
/// 1.15 times.
const ZSTD_LEVEL: i32 = -1;

/// What the Collector writes for "the default".
const DEFAULT: i32 = -1;

impl Compressor {
    /// A compressor at `level`, by default the fastest one that compresses well.
    ///
    /// # Errors
    /// When the encoding has no such level.
    pub fn new(encoding: Encoding, level: Option<i32>) -> Result<Self, LevelError> {
        let (levels, default): (RangeInclusive<i32>, i32) = match encoding {
            Encoding::Identity => (0..=0, 0),
            Encoding::Gzip | Encoding::Deflate => (0..=9, DEFLATE_LEVEL),
            Encoding::Zstd => (-7..=22, ZSTD_LEVEL),
        };
        let level = match level {
            None => default,
            Some(level) if levels.contains(&level) => level,
            Some(DEFAULT) => default,
            Some(level) => return Err(LevelError { encoding, level, least: *levels.start(), most: *levels.end() }),
        };
        Ok(Compressor { encoding, level, idle: Mutex::default() })
    }

    /// How it compresses.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Compresses `parts`, one after the other, as one. Takes its time: 100 to 1,000 ns an item.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn compress(&self, parts: &[Bytes]) -> Result<Bytes, CompressError> {
        let mut context = match self.encoding {
            Encoding::Identity => return Ok(contiguous(parts)),
            Encoding::Gzip | Encoding::Deflate | Encoding::Zstd => self.context()?,
        };
        let mut compressed = match &mut context {
            Context::Deflate(context) => deflate(context, parts),
            Context::Zstd(context) => zstd(context, &contiguous(parts))?,
        };
        self.keep(context);
        // The room for the worst case is not what the compressed bytes should hold on to.
        compressed.shrink_to_fit();
        Ok(compressed.into())
    }

    fn context(&self) -> Result<Context, CompressError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| Context::new(self.encoding, self.level), Ok)
    }

    fn keep(&self, context: Context) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(context);
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor")
            .field("encoding", &self.encoding)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// The memory of one call.
enum Context {
    Deflate(Compress),
    Zstd(CCtx<'static>),
}

impl Context {
    fn new(encoding: Encoding, level: i32) -> Result<Self, CompressError> {
        // Checked when the compressor was made: 0 to 9.
        let deflate_level = || Compression::new(level.unsigned_abs());
        match encoding {
            Encoding::Gzip => Ok(Context::Deflate(Compress::new_gzip(deflate_level(), WINDOW_BITS))),
            Encoding::Deflate | Encoding::Identity => Ok(Context::Deflate(Compress::new(deflate_level(), true))),
            Encoding::Zstd => {
                let mut context = CCtx::try_create().ok_or(CompressError("no memory"))?;
                context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
                Ok(Context::Zstd(context))
            }
        }
    }
}

/// The window of gzip as a power of two: always 32 KiB.
const WINDOW_BITS: u8 = 15;

fn deflate(context: &mut Compress, parts: &[Bytes]) -> Vec<u8> {
    context.reset();
    let size: usize = parts.iter().map(Bytes::len).sum();
    // Real telemetry becomes a sixth to a thirteenth.
    let mut compressed = Vec::with_capacity(size / 4 + LEAST_ROOM);
    let (last, others) = parts.split_last().map_or((&[][..], &[][..]), |(last, others)| (&last[..], others));
    for part in others {
        run(context, part, FlushCompress::None, &mut compressed);
    }
    run(context, last, FlushCompress::Finish, &mut compressed);
    compressed
}

/// Room for the headers, the trailer and what cannot be compressed, in bytes.
const LEAST_ROOM: usize = 128;

fn run(context: &mut Compress, part: &[u8], flush: FlushCompress, compressed: &mut Vec<u8>) {
    let start = context.total_in();
    loop {
        // The context counts at most what it was given.
        let rest = &part[(context.total_in() - start) as usize..];
        if rest.is_empty() && flush == FlushCompress::None {
            return;
        }
        let status =
            context.compress_vec(rest, compressed, flush).expect("the stream is between its start and its end");
        match status {
            Status::StreamEnd => return,
            Status::Ok | Status::BufError => compressed.reserve(compressed.capacity().max(LEAST_ROOM)),
        }
    }
}

fn zstd(context: &mut CCtx<'_>, bytes: &[u8]) -> Result<Vec<u8>, CompressError> {
    let mut compressed = Vec::with_capacity(compress_bound(bytes.len()));
    context.compress2(&mut compressed, bytes).map_err(failed)?;
    Ok(compressed)
}

/// Beside compressing, copying costs nothing.
fn contiguous(parts: &[Bytes]) -> Bytes {
    match parts {
        [] => Bytes::new(),
        [part] => part.clone(),
        parts => parts.concat().into(),
    }
}

fn failed(code: usize) -> CompressError {
    CompressError(get_error_name(code))
}

/// Bytes could not be compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot compress: {0}")]
pub struct CompressError(&'static str);

/// An encoding has no such level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{encoding} has no level {level}, expected {least} to {most}")]
pub struct LevelError {
    /// The encoding.
    pub encoding: Encoding,
    /// The level.
    pub level: i32,
    /// The lowest level that it has.
    pub least: i32,
    /// The highest level that it has.
    pub most: i32,
}
