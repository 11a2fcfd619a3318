//! The values that an edit writes, and when.

use super::super::write::Writer;

/// A value without values in it: what can be written anywhere without becoming too deep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlainValue<'a> {
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl PlainValue<'_> {
    /// Writes the body of its `AnyValue`.
    pub(super) fn write(self, out: &mut Writer) {
        match self {
            PlainValue::Str(text) => out.string(1, text),
            PlainValue::Bool(value) => out.varint(2, u64::from(value)),
            PlainValue::Int(value) => out.varint(3, value.cast_unsigned()),
            PlainValue::Double(value) => out.double(4, value),
            PlainValue::Bytes(bytes) => out.bytes(7, bytes),
        }
    }
}

/// What becomes of a value: see [`AttributesMut::map`](super::AttributesMut::map).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NewValue<'a> {
    /// It stays.
    Same,
    /// It becomes this.
    Plain(PlainValue<'a>),
    /// It becomes the text that was written.
    Written,
}

/// When a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// If there is no attribute with the key.
    Absent,
    /// If there is one.
    Present,
    /// Always.
    Always,
}
