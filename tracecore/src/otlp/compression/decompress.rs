//! From compressed bytes to what they stand for, within a limit.

use std::io;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::get_frame_content_size;

use super::Encoding;
use crate::memory::{Arriving, OverBudget, exact};

/// Decompresses the whole of `input` into at most `limit` bytes. Several gzip members or zstd frames in a row are one.
///
/// # Errors
/// When there would be more than `limit` bytes, or when `input` is not complete, intact and nothing else.
pub fn decompress(encoding: Encoding, input: &Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    Output { bytes: Vec::new(), limit, held: None }.of(encoding, input)
}

/// As [`decompress`], with the room for what is produced charged to `held` before it is taken.
///
/// # Errors
/// As [`decompress`], and when there is no memory for it now.
pub fn decompress_held(
    encoding: Encoding,
    input: &Bytes,
    limit: usize,
    held: &mut Arriving,
) -> Result<Bytes, DecompressError> {
    Output { bytes: Vec::new(), limit, held: Some(held) }.of(encoding, input)
}

/// Why bytes could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// There is more than the limit, in bytes.
    #[error("larger than {0} bytes when decompressed")]
    TooLarge(usize),
    /// There is no memory for it now.
    #[error(transparent)]
    NoMemory(OverBudget),
    /// They are not what the encoding says.
    #[error("corrupt {encoding} data at byte {offset} of {length}: {problem}")]
    Corrupt {
        /// What they should be.
        encoding: Encoding,
        /// How far they could be read.
        offset: usize,
        /// How many there are.
        length: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// How many gzip members or zstd frames one body may have. Each costs time however short it is, and whoever writes them
/// in blocks writes at least tens of kilobytes in each.
const MAX_MEMBERS: usize = 1024;

/// How many times larger than its input the output is expected to be at most: real telemetry reaches 13 times. More than
/// that is given room only as it is produced, whatever the input declares.
const MAX_EXPECTED_RATIO: usize = 32;

/// The room for output when nothing better is known, beside the size of the input. In bytes.
const FIRST_ROOM: usize = 256;

/// The largest window of a zstd frame, as a power of two: 8 MiB, the most that RFC 9659 lets a sender use over HTTP.
const MAX_WINDOW_LOG: u32 = 23;

/// What is produced, with one byte more than the limit, so that it shows when the limit is passed.
struct Output<'a> {
    bytes: Vec<u8>,
    limit: usize,
    /// What its room is charged to.
    held: Option<&'a mut Arriving>,
}

impl Output<'_> {
    fn of(mut self, encoding: Encoding, input: &Bytes) -> Result<Bytes, DecompressError> {
        match encoding {
            Encoding::Identity if input.len() > self.limit => return Err(DecompressError::TooLarge(self.limit)),
            Encoding::Identity => return Ok(input.clone()),
            Encoding::Gzip => gzip(input, &mut self)?,
            Encoding::Deflate => deflate(input, &mut self)?,
            Encoding::Zstd => zstd(input, &mut self)?,
        }
        Ok(exact(self.bytes))
    }

    /// Makes room for `size` bytes more, as far as they are plausible for `input` bytes and within the limit.
    fn expect(&mut self, size: u64, input: usize) -> Result<(), DecompressError> {
        let plausible = input.saturating_mul(MAX_EXPECTED_RATIO).min(self.left());
        self.reserve(usize::try_from(size).unwrap_or(usize::MAX).min(plausible))
    }

    fn reserve(&mut self, size: usize) -> Result<(), DecompressError> {
        let more = size.saturating_sub(self.bytes.capacity() - self.bytes.len());
        if let Some(held) = &mut self.held {
            held.grow(more).map_err(DecompressError::NoMemory)?;
        }
        self.bytes.reserve_exact(size);
        Ok(())
    }

    /// Makes room if there is none.
    ///
    /// # Errors
    /// When the limit is passed.
    fn grow(&mut self) -> Result<(), DecompressError> {
        if self.bytes.len() > self.limit {
            return Err(DecompressError::TooLarge(self.limit));
        }
        if self.bytes.len() == self.bytes.capacity() {
            self.reserve(self.bytes.len().max(FIRST_ROOM).min(self.left()))?;
        }
        Ok(())
    }

    fn left(&self) -> usize {
        self.limit.saturating_add(1) - self.bytes.len()
    }
}

fn gzip(input: &[u8], output: &mut Output<'_>) -> Result<(), DecompressError> {
    // The last four bytes are the size of the last member, of which there is nearly always one.
    let declared = input.last_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    output.expect(declared.into(), input.len())?;
    let mut offset = 0;
    for _ in 0..MAX_MEMBERS {
        offset += inflate(Encoding::Gzip, Decompress::new_gzip(GZIP_WINDOW_BITS), input, offset, output)?;
        if offset == input.len() {
            return Ok(());
        }
    }
    Err(corrupt(Encoding::Gzip, offset, input, TOO_MANY))
}

/// The window of gzip as a power of two: always 32 KiB.
const GZIP_WINDOW_BITS: u8 = 15;

fn deflate(input: &[u8], output: &mut Output<'_>) -> Result<(), DecompressError> {
    let end = inflate(Encoding::Deflate, Decompress::new(true), input, 0, output)?;
    if end == input.len() { Ok(()) } else { Err(corrupt(Encoding::Deflate, end, input, "more bytes behind the end")) }
}

/// Decompresses the stream that begins at `start`, and says how long it is.
fn inflate(
    encoding: Encoding,
    mut stream: Decompress,
    input: &[u8],
    start: usize,
    output: &mut Output<'_>,
) -> Result<usize, DecompressError> {
    loop {
        output.grow()?;
        // The stream counts at most what it was given.
        let read = stream.total_in() as usize;
        let produced = output.bytes.len();
        let status = stream.decompress_vec(&input[start + read..], &mut output.bytes, FlushDecompress::None);
        let offset = start + stream.total_in() as usize;
        match status {
            Ok(Status::StreamEnd) if output.bytes.len() > output.limit => {
                return Err(DecompressError::TooLarge(output.limit));
            }
            Ok(Status::StreamEnd) => return Ok(offset - start),
            Ok(_) if output.bytes.len() == output.bytes.capacity() => {}
            Ok(_) if offset > start + read || output.bytes.len() > produced => {}
            Ok(_) => return Err(corrupt(encoding, offset, input, CUT_SHORT)),
            Err(_) if start > 0 && stream.total_out() == 0 => {
                return Err(corrupt(encoding, offset, input, "what is behind the end is no further member"));
            }
            Err(_) => return Err(corrupt(encoding, offset, input, "not valid")),
        }
    }
}

const CUT_SHORT: &str = "cut short";
const TOO_MANY: &str = "too many members, expected at most 1024";

fn zstd(input: &[u8], output: &mut Output<'_>) -> Result<(), DecompressError> {
    if let Ok(Some(declared)) = get_frame_content_size(input) {
        if declared > output.limit as u64 {
            return Err(DecompressError::TooLarge(output.limit));
        }
        output.expect(declared, input.len())?;
    }
    let out_of_memory = |_| corrupt(Encoding::Zstd, 0, input, "no memory to decompress it");
    let mut decoder = Decoder::new().map_err(out_of_memory)?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(out_of_memory)?;
    let mut source = InBuffer::around(input);
    let mut frames = 0;
    loop {
        output.grow()?;
        let (read, produced) = (source.pos(), output.bytes.len());
        let mut sink = OutBuffer::around_pos(&mut output.bytes, produced);
        let hint = decoder.run(&mut source, &mut sink);
        let hint = hint.map_err(|error| corrupt(Encoding::Zstd, source.pos(), input, zstd_problem(&error)))?;
        if output.bytes.len() > output.limit {
            return Err(DecompressError::TooLarge(output.limit));
        }
        // Zero says that a frame is complete.
        frames += usize::from(hint == 0);
        let is_complete = hint == 0 && source.pos() == input.len();
        let is_stuck = source.pos() == read && output.bytes.len() == produced && hint > 0;
        match () {
            () if frames > MAX_MEMBERS => return Err(corrupt(Encoding::Zstd, source.pos(), input, TOO_MANY)),
            () if is_complete => return Ok(()),
            () if is_stuck && output.bytes.len() < output.bytes.capacity() => {
                return Err(corrupt(Encoding::Zstd, source.pos(), input, CUT_SHORT));
            }
            () => {}
        }
    }
}

/// What the library calls a problem; the ones that a sender can do something about in our words.
fn zstd_problem(error: &io::Error) -> &'static str {
    let text = error.to_string();
    let known = [
        ("Unknown frame descriptor", "not a zstd frame"),
        ("Frame requires too much memory for decoding", "its window is larger than 8 MiB"),
        ("Restored data doesn't match checksum", "its checksum is wrong"),
        ("Dictionary mismatch", "it needs a dictionary"),
    ];
    known.into_iter().find(|(theirs, _)| text == *theirs).map_or("not valid", |(_, ours)| ours)
}

fn corrupt(encoding: Encoding, offset: usize, input: &[u8], problem: &'static str) -> DecompressError {
    DecompressError::Corrupt { encoding, offset, length: input.len(), problem }
}
