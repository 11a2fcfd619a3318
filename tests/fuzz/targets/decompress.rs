//! Decompression ends, keeps to its limit and agrees with the plain decoders; what we compress comes back.
#![no_main]

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use libfuzzer_sys::fuzz_target;
use tracecore::otlp::compression::{Compressor, DecompressError, Encoding, decompress};

/// Above what libFuzzer makes of an input without being told to, and below what takes long.
const LIMIT: usize = 64 * 1024;

/// What a reader gives, up to a little above the limit; `None` if it fails.
fn all(reader: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(LIMIT as u64 + 1).read_to_end(&mut out).ok().map(|_| out)
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let encoding = Encoding::ALL[usize::from(*first) % Encoding::ALL.len()];
    let input = Bytes::copy_from_slice(rest);
    match decompress(encoding, &input, LIMIT) {
        Ok(out) => {
            assert!(out.len() <= LIMIT);
            let plain = match encoding {
                Encoding::Identity => Some(rest.to_vec()),
                Encoding::Gzip => all(MultiGzDecoder::new(rest)),
                Encoding::Deflate => all(ZlibDecoder::new(rest)),
                Encoding::Zstd => zstd::Decoder::new(rest).ok().and_then(all),
            };
            assert_eq!(plain.as_deref(), Some(&out[..]), "{encoding:?}");
        }
        Err(DecompressError::TooLarge(limit)) => assert_eq!(limit, LIMIT),
        Err(DecompressError::Corrupt { offset, length, .. }) => assert!(offset <= length),
        Err(DecompressError::NoMemory(_)) => unreachable!("nothing is charged"),
    }
    let compressor = Compressor::new(encoding, None).expect("every encoding has a default");
    let middle = input.len() / 2;
    let compressed = compressor.compress(&[input.slice(..middle), input.slice(middle..)]).expect("there is memory");
    assert_eq!(decompress(encoding, &compressed, input.len()), Ok(input));
});
