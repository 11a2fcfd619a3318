//! Values that are neither arrays nor objects: numbers, ids, bytes.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::signal::schema::Number;

/// A value that is neither an array nor an object.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Integer(i128),
    Double(f64),
    Text(&'a str),
}

/// How much of a text an error repeats, in characters.
const SHOWN_CHARS: usize = 32;

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Double(value) => value.fmt(f),
            Scalar::Text(text) => match text.char_indices().nth(SHOWN_CHARS) {
                None => write!(f, "{text:?}"),
                Some((end, _)) => write!(f, "{:?} and {} bytes more", &text[..end], text.len() - end),
            },
        }
    }
}

/// The number as the wire has it, if it is one of this meaning.
pub(super) fn bits(meaning: Number, value: Scalar<'_>) -> Option<u64> {
    match meaning {
        Number::Bool => match value {
            Scalar::Bool(value) => Some(value.into()),
            _ => None,
        },
        Number::Double => double(value).map(f64::to_bits),
        Number::Enumeration(by_name) => match value {
            Scalar::Text(name) if let Some(number) = by_name(name) => Some(i64::from(number).cast_unsigned()),
            value => signed32(value).map(|number| i64::from(number).cast_unsigned()),
        },
        Number::Unsigned32 => integer(value).and_then(|value| u32::try_from(value).ok()).map(u64::from),
        Number::Unsigned64 => integer(value).and_then(|value| u64::try_from(value).ok()),
        Number::Signed32 => signed32(value).map(|value| i64::from(value).cast_unsigned()),
        Number::Zigzag32 => signed32(value).map(|value| ((value << 1) ^ (value >> 31)).cast_unsigned().into()),
        Number::Signed64 => integer(value).and_then(|value| i64::try_from(value).ok()).map(i64::cast_unsigned),
    }
}

fn signed32(value: Scalar<'_>) -> Option<i32> {
    integer(value).and_then(|value| i32::try_from(value).ok())
}

fn integer(value: Scalar<'_>) -> Option<i128> {
    match value {
        Scalar::Integer(value) => Some(value),
        // As some write large integers. The cast saturates, and what follows refuses what is that large.
        Scalar::Double(value) if value.fract() == 0.0 => Some(value as i128),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Bool(_) | Scalar::Double(_) => None,
    }
}

fn double(value: Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Double(value) => Some(value),
        Scalar::Integer(value) => Some(value as f64),
        Scalar::Text("NaN") => Some(f64::NAN),
        Scalar::Text("Infinity") => Some(f64::INFINITY),
        Scalar::Text("-Infinity") => Some(f64::NEG_INFINITY),
        Scalar::Text(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
        Scalar::Bool(_) => None,
    }
}

/// The id and its length: empty or `expected` bytes.
pub(super) fn id(text: &str, expected: u8) -> Option<([u8; 16], usize)> {
    let mut id = [0; 16];
    let length = text.len() / 2;
    if !text.is_empty() && text.len() != usize::from(expected) * 2 {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    for (byte, [high, low]) in id.iter_mut().zip(text.as_bytes().as_chunks().0) {
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Some((id, length))
}

/// Either alphabet, with or without padding, as protobuf's JSON has it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
