//! Writing protobuf wire bytes, without intermediate messages.
//!
//! A message's length is known only after its body: [`Writer::message`] keeps one byte for it, and moves the body when
//! the length turns out to need more. Lengths are always minimal, so what is written is canonical. Deliberately absent:
//! any knowledge of OTLP; the callers name fields by their numbers from the `.proto` files.

use std::ops::Range;

/// The wire types that OTLP uses.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// A buffer of protobuf wire bytes. Fields that hold their default value are not skipped: the caller decides.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer whose buffer starts with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Writer { bytes: Vec::with_capacity(capacity) }
    }

    /// The bytes written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew with an empty buffer.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Writes again what was written at `range`.
    pub(crate) fn again(&mut self, range: Range<usize>) {
        self.bytes.extend_from_within(range);
    }

    /// The bytes written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A `uint64`, `int64`, `bool` or enum field.
    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.raw_varint(value);
    }

    /// A `fixed64` field.
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A `fixed32` field.
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// An `sfixed64` field.
    pub(crate) fn sfixed64(&mut self, field: u32, value: i64) {
        self.fixed64(field, value.cast_unsigned());
    }

    /// A `double` field.
    pub(crate) fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// A `string` field.
    pub(crate) fn string(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A `bytes` field.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.head(field, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// A `string` field whose value is these parts put together.
    pub(crate) fn strings(&mut self, field: u32, parts: &[&str]) {
        self.tag(field, LENGTH_DELIMITED);
        self.raw_varint(parts.iter().map(|part| part.len() as u64).sum());
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    /// Fields that are encoded already.
    pub(crate) fn raw(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// A packed repeated field of 8-byte values.
    pub(crate) fn packed64(&mut self, field: u32, values: impl ExactSizeIterator<Item = u64>) {
        self.tag(field, LENGTH_DELIMITED);
        self.raw_varint(values.len() as u64 * 8);
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A message field (or a packed one) whose body `write` writes.
    pub(crate) fn message<T>(&mut self, field: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        self.head(field, 0);
        let start = self.bytes.len();
        let written = write(self);
        self.close(start);
        written
    }

    /// An OTLP `KeyValue` field with a string value.
    pub(crate) fn attribute(&mut self, field: u32, key: &str, value: &str) {
        self.message(field, |w| {
            w.string(1, key);
            w.message(2, |w| w.string(1, value));
        });
    }

    /// The key and the length of a field that has one.
    #[inline]
    fn head(&mut self, field: u32, length: usize) {
        let tag = field << 3 | LENGTH_DELIMITED;
        if tag < 0x80 && length < 0x80 {
            // Both are one byte long, as nearly always.
            self.bytes.extend_from_slice(&[tag as u8, length as u8]);
        } else {
            self.raw_varint(tag.into());
            self.raw_varint(length as u64);
        }
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }

    /// An integer of variable length without a key, as in a packed field.
    pub(crate) fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Writes the length of the body that begins at `start` into the byte before it, moving the body if one byte is
    /// not enough.
    fn close(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        if length < 0x80 {
            self.bytes[start - 1] = length as u8;
            return;
        }
        let body_end = self.bytes.len();
        self.raw_varint(length as u64);
        let width = self.bytes.len() - body_end;
        self.bytes[start - 1..].rotate_right(width);
        // The rotation put the placeholder byte right after the length: close the gap.
        self.bytes.remove(start - 1 + width);
    }
}

/// The length in bytes of the longest varint: 64 bits, 7 in each byte.
pub(super) const MAX_VARINT: usize = 10;

/// The length in bytes of `value` as a varint.
pub(super) fn varint_len(value: u64) -> usize {
    // Seven bits in a byte; 0 takes one.
    (value | 1).ilog2() as usize / 7 + 1
}

/// Writes `value` as a varint at the start of `out`, which has room for it.
pub(super) fn put_varint(mut value: u64, out: &mut [u8]) {
    for byte in out {
        *byte = value as u8 & 0x7F;
        value >>= 7;
        if value == 0 {
            return;
        }
        *byte |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_minimal_whatever_the_body_needs() {
        for length in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 100_000] {
            let text = "x".repeat(length);
            let mut writer = Writer::default();
            writer.varint(9, 7);
            writer.message(1, |w| w.string(2, &text));
            writer.varint(9, 8);
            let bytes = writer.into_bytes();

            let mut inner = Writer::default();
            inner.string(2, &text);
            let inner = inner.into_bytes();
            let mut expected = vec![9 << 3, 7, 1 << 3 | 2];
            prost::encode_length_delimiter(inner.len(), &mut expected).expect("a vector grows");
            expected.extend_from_slice(&inner);
            expected.extend_from_slice(&[9 << 3, 8]);
            assert_eq!(bytes, expected, "body of {length} bytes");
        }
    }
}
