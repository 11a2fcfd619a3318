//! Whole ways there and back, and what must be refused.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message;

use super::{CompressError, Compressor, DecompressError, Encoding, decompress};
use crate::signal::Signal;

#[path = "../../signal/tests/payload.rs"]
mod payload;

use payload::{Payload, Script};

const COMPRESSING: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

/// Larger than anything here.
const ENOUGH: usize = 64 << 20;

fn compressor(encoding: Encoding) -> Compressor {
    Compressor::new(encoding, None).expect("the default level exists")
}

fn compressed(encoding: Encoding, bytes: &[u8]) -> Bytes {
    compressor(encoding).compress(&[Bytes::copy_from_slice(bytes)]).expect("there is memory")
}

fn request(signal: Signal, items: usize) -> Vec<u8> {
    written_in(Script::Ascii, signal, items)
}

fn written_in(script: Script, signal: Signal, items: usize) -> Vec<u8> {
    let mut payload = Payload::new(script);
    match signal {
        Signal::Traces => payload.traces(items).encode_to_vec(),
        Signal::Metrics => payload.metrics(items).encode_to_vec(),
        Signal::Logs => payload.logs(items).encode_to_vec(),
    }
}

/// Bytes that cannot be made smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

fn problem(encoding: Encoding, input: &[u8]) -> (usize, &'static str) {
    match decompress(encoding, &Bytes::copy_from_slice(input), ENOUGH) {
        Err(DecompressError::Corrupt { encoding: of, offset, length, problem }) if of == encoding => {
            assert_eq!(length, input.len());
            assert!(offset <= length, "{offset} of {length}");
            (offset, problem)
        }
        other => panic!("{encoding}: {other:?}"),
    }
}

#[test]
fn bytes_are_the_same_there_and_back_however_they_are_cut() -> Result<(), CompressError> {
    let bodies = [vec![], b"x".to_vec(), request(Signal::Traces, 300), noise(70_000), vec![0; 3_000_000]];
    for encoding in Encoding::ALL {
        let compressor = compressor(encoding);
        for body in &bodies {
            for parts in [1, 2, 7] {
                let cut = body.chunks(body.len() / parts + 1).map(Bytes::copy_from_slice).collect::<Vec<_>>();
                let compressed = compressor.compress(&cut)?;
                let back = decompress(encoding, &compressed, body.len());
                assert_eq!(back.as_deref(), Ok(&body[..]), "{encoding}, {} bytes in {parts} parts", body.len());
            }
        }
    }
    Ok(())
}

#[test]
fn one_compressor_serves_many_threads() {
    for encoding in COMPRESSING {
        let compressor = compressor(encoding);
        let body = Bytes::from(request(Signal::Logs, 100));
        let expected = compressor.compress(std::slice::from_ref(&body)).expect("there is memory");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert_eq!(compressor.compress(std::slice::from_ref(&body)), Ok(expected.clone()));
                    }
                });
            }
        });
    }
}

#[test]
fn other_programs_read_what_is_written_and_what_they_write_is_read() {
    let body = request(Signal::Metrics, 50);
    let mut read = Vec::new();
    GzDecoder::new(&compressed(Encoding::Gzip, &body)[..]).read_to_end(&mut read).expect("it is gzip");
    assert_eq!(read, body);
    assert_eq!(compressed(Encoding::Deflate, &body)[0], 0x78, "a zlib header");

    for level in [0, 1, 6, 9] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(level));
        gzip.write_all(&body).expect("memory");
        zlib.write_all(&body).expect("memory");
        let (gzip, zlib) = (gzip.finish().expect("memory").into(), zlib.finish().expect("memory").into());
        assert_eq!(decompress(Encoding::Gzip, &gzip, ENOUGH).as_deref(), Ok(&body[..]));
        assert_eq!(decompress(Encoding::Deflate, &zlib, ENOUGH).as_deref(), Ok(&body[..]));
    }
    for level in [-7, 1, 19] {
        let block = zstd::encode_all(&body[..], level).expect("memory").into();
        assert_eq!(decompress(Encoding::Zstd, &block, ENOUGH).as_deref(), Ok(&body[..]));
    }
    // As a stream writes it: without its size.
    let mut stream = zstd::Encoder::new(Vec::new(), 3).expect("memory");
    stream.include_contentsize(false).expect("memory");
    stream.include_checksum(true).expect("memory");
    stream.write_all(&body).expect("memory");
    let mut frame = stream.finish().expect("memory");
    assert_eq!(decompress(Encoding::Zstd, &frame.clone().into(), ENOUGH).as_deref(), Ok(&body[..]));
    let last = frame.len() - 1;
    frame[last] ^= 1;
    assert_eq!(problem(Encoding::Zstd, &frame).1, "its checksum is wrong");
}

#[test]
fn several_members_are_one() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let [a, b] = [request(Signal::Logs, 30), vec![7; 100_000]];
        let both = [compressed(encoding, &a), compressed(encoding, b""), compressed(encoding, &b)].concat();
        let read = decompress(encoding, &both.into(), ENOUGH);
        assert_eq!(read.as_deref(), Ok(&[a, b].concat()[..]), "{encoding}");
    }
}

#[test]
fn refuses_more_members_than_it_has_time_for() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let member = compressed(encoding, b"");
        assert_eq!(decompress(encoding, &member.repeat(1024).into(), ENOUGH).as_deref(), Ok(&b""[..]));
        assert_eq!(problem(encoding, &member.repeat(1025)).1, "too many members, expected at most 1024");
    }
}

#[test]
fn refuses_what_is_cut_short_wherever_it_is_cut() {
    let body = request(Signal::Logs, 5);
    for encoding in COMPRESSING {
        let whole = compressed(encoding, &body);
        for length in 0..whole.len() {
            let (_, problem) = problem(encoding, &whole[..length]);
            assert_eq!(problem, "cut short", "{encoding} {length} of {}", whole.len());
        }
    }
}

#[test]
fn refuses_what_stands_behind_the_end() {
    let body = request(Signal::Logs, 5);
    for (encoding, expected) in [
        (Encoding::Gzip, "what is behind the end is no further member"),
        (Encoding::Deflate, "more bytes behind the end"),
        (Encoding::Zstd, "not a zstd frame"),
    ] {
        let whole = compressed(encoding, &body);
        let longer = [&whole[..], b"and more of it"].concat();
        let (offset, problem) = problem(encoding, &longer);
        assert_eq!(problem, expected, "{encoding}");
        assert!(offset >= whole.len(), "{encoding} at {offset} of {}", whole.len());
    }
}

#[test]
fn refuses_what_is_not_compressed_at_all() {
    for encoding in COMPRESSING {
        for wrong in [&b"plain text, and enough of it to be read"[..], &[0; 64], &[0xFF; 64]] {
            let (_, problem) = problem(encoding, wrong);
            assert!(["not valid", "not a zstd frame"].contains(&problem), "{encoding} {problem}");
        }
    }
}

#[test]
fn never_panics_and_never_passes_the_limit_whatever_is_changed() {
    let body = request(Signal::Traces, 3);
    for encoding in COMPRESSING {
        let whole = compressed(encoding, &body);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.to_vec();
                changed[at] ^= 1 << bit;
                if let Ok(read) = decompress(encoding, &changed.into(), 5000) {
                    assert!(read.len() <= 5000);
                }
            }
        }
    }
}

#[test]
fn the_limit_is_the_largest_size_that_is_taken() {
    for size in [1, 255, 256, 257, 100_000] {
        for body in [vec![7; size], noise(size)] {
            for encoding in Encoding::ALL {
                let small = compressed(encoding, &body);
                assert_eq!(decompress(encoding, &small, size).as_deref(), Ok(&body[..]), "{encoding} {size}");
                let refused = decompress(encoding, &small, size - 1);
                assert_eq!(refused, Err(DecompressError::TooLarge(size - 1)), "{encoding} {size}");
            }
        }
    }
}

#[test]
fn a_declared_size_is_not_believed() {
    let body = vec![7_u8; 50_000];
    // gzip: the size in the trailer, which is checked only at the end.
    let mut gzip = compressed(Encoding::Gzip, &body).to_vec();
    let size = gzip.len() - 4;
    gzip[size..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(problem(Encoding::Gzip, &gzip).1, "not valid");
    gzip[size..].copy_from_slice(&10_u32.to_le_bytes());
    assert_eq!(decompress(Encoding::Gzip, &gzip.into(), 1000), Err(DecompressError::TooLarge(1000)));

    // zstd: a frame of one segment that declares 32 MiB, then 1 MiB, and holds nothing.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000];
    frame.extend_from_slice(&(32_u32 << 20).to_le_bytes());
    assert_eq!(problem(Encoding::Zstd, &frame).1, "its window is larger than 8 MiB");
    assert_eq!(decompress(Encoding::Zstd, &frame.clone().into(), 1000), Err(DecompressError::TooLarge(1000)));
    frame[7] = 0x10;
    frame[8] = 0;
    assert_eq!(problem(Encoding::Zstd, &frame).1, "cut short");
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    const LIMIT: usize = 64 << 10;
    for encoding in COMPRESSING {
        let bomb = compressed(encoding, &vec![0; 16 << 20]);
        assert!(bomb.len() < LIMIT);
        assert_eq!(decompress(encoding, &bomb, LIMIT), Err(DecompressError::TooLarge(LIMIT)), "{encoding}");
    }
}

#[test]
fn what_is_produced_fills_half_of_its_buffer() {
    let body = vec![7; 100_000];
    for encoding in COMPRESSING {
        let small = compressed(encoding, &body);
        for bytes in [decompress(encoding, &small, ENOUGH).expect("it was just written"), small] {
            let length = bytes.len();
            let capacity = Vec::from(bytes).capacity();
            assert!(capacity <= 2 * length.max(256), "{encoding}: {length} of {capacity}");
        }
    }
}

#[test]
fn the_default_level_is_within_its_bound_of_gzip_6() {
    for (script, items) in [(Script::Ascii, 100), (Script::Ascii, 1000), (Script::Cyrillic, 100), (Script::Cjk, 100)] {
        for signal in Signal::ALL {
            let body = written_in(script, signal, items);
            let six = Compressor::new(Encoding::Gzip, Some(6)).expect("a level of gzip");
            let six = six.compress(&[body.clone().into()]).expect("there is memory").len() as f64;
            for (encoding, bound) in [(Encoding::Gzip, 1.3), (Encoding::Deflate, 1.3), (Encoding::Zstd, 1.15)] {
                let size = compressed(encoding, &body).len() as f64;
                assert!(size <= bound * six, "{signal} {script:?} {items} {encoding}: {} times", size / six);
            }
        }
    }
}

#[test]
fn a_level_that_does_not_exist_is_refused_with_those_that_do() {
    for (encoding, level) in [(Encoding::Gzip, 10), (Encoding::Gzip, -2), (Encoding::Zstd, 23), (Encoding::Identity, 1)]
    {
        assert!(Compressor::new(encoding, Some(level)).is_err(), "{encoding} {level}");
    }
    let error = Compressor::new(Encoding::Deflate, Some(11)).expect_err("there is no such level");
    assert_eq!(error.to_string(), "deflate has no level 11, expected 0 to 9");
    for (encoding, level) in [(Encoding::Gzip, -1), (Encoding::Gzip, 9), (Encoding::Zstd, 19), (Encoding::Zstd, -7)] {
        let compressor = Compressor::new(encoding, Some(level)).expect("there is such a level");
        let small = compressor.compress(&[Bytes::from_static(b"some text")]).expect("there is memory");
        assert_eq!(decompress(encoding, &small, 9).as_deref(), Ok(&b"some text"[..]));
    }
}

#[test]
fn an_encoding_is_known_by_its_names() {
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_token(encoding.as_str()), Some(encoding));
        assert_eq!(Encoding::from_token(&encoding.as_str().to_uppercase()), Some(encoding));
    }
    assert_eq!(Encoding::from_token("x-gzip"), Some(Encoding::Gzip));
    assert_eq!(Encoding::from_token("zlib"), Some(Encoding::Deflate));
    for unknown in ["", "br", "gzip, gzip", "snappy"] {
        assert_eq!(Encoding::from_token(unknown), None);
    }
}
