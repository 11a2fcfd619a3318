//! Why bytes are not a batch.

use std::fmt;

use super::schema::MAX_DEPTH;

/// Why an OTLP request was refused, and where.
///
/// [`IdLength`](WireError::IdLength) and [`Depth`](WireError::Depth) are our own rules; all others break the protobuf
/// encoding itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A value ends after the message that it is part of.
    #[error("{0}: cut short")]
    Truncated(Place),
    /// A field declares more bytes than its message has left.
    #[error("{at}: length {length}, but the message has {left} bytes left")]
    Length {
        /// The field.
        at: Place,
        /// The declared length in bytes.
        length: u64,
        /// The bytes that are left.
        left: usize,
    },
    /// A variable-length integer does not fit 64 bits.
    #[error("{0}: integer longer than 64 bits")]
    Varint(Place),
    /// A field key is 0 or does not fit 32 bits.
    #[error("{0}: invalid field key")]
    FieldKey(Place),
    /// A field has a wire type that its declaration does not allow, or that protobuf does not know.
    #[error("{at}: unexpected wire type {found}")]
    WireType {
        /// The field.
        at: Place,
        /// The wire type found, 0 to 7.
        found: u8,
    },
    /// A group is closed that was not opened, or under another number.
    #[error("{0}: end of a group that is not open")]
    Group(Place),
    /// A string is not UTF-8.
    #[error("{0}: invalid UTF-8")]
    Utf8(Place),
    /// A trace or span id has a length that no id has.
    #[error("{at}: length {length}, expected 0 or {expected}")]
    IdLength {
        /// The field.
        at: Place,
        /// The length found, in bytes.
        length: u64,
        /// The length of such an id, in bytes.
        expected: u64,
    },
    /// Messages are nested too deep.
    #[error("{0}: nested deeper than {MAX_DEPTH} messages")]
    Depth(Place),
}

impl WireError {
    /// Every value of [`reason`](WireError::reason), so that each series can stand at zero from the start.
    pub const REASONS: [&'static str; 9] =
        ["truncated", "length", "varint", "field_key", "wire_type", "group", "utf8", "id_length", "depth"];

    /// The refusal as the value of a metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            WireError::Truncated(_) => "truncated",
            WireError::Length { .. } => "length",
            WireError::Varint(_) => "varint",
            WireError::FieldKey(_) => "field_key",
            WireError::WireType { .. } => "wire_type",
            WireError::Group(_) => "group",
            WireError::Utf8(_) => "utf8",
            WireError::IdLength { .. } => "id_length",
            WireError::Depth(_) => "depth",
        }
    }

    /// Where the request broke.
    pub const fn place(&self) -> Place {
        match self {
            WireError::Truncated(at)
            | WireError::Length { at, .. }
            | WireError::Varint(at)
            | WireError::FieldKey(at)
            | WireError::WireType { at, .. }
            | WireError::Group(at)
            | WireError::Utf8(at)
            | WireError::IdLength { at, .. }
            | WireError::Depth(at) => *at,
        }
    }
}

/// A field of a request: `at byte 17: Span.trace_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The offset of the field's first byte (its key) from the start of the request.
    pub offset: usize,
    /// The OTLP message that holds the field.
    pub message: &'static str,
    /// The field.
    pub field: FieldName,
}

/// How a field can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName {
    /// A field of OTLP.
    Known(&'static str),
    /// A field number that OTLP does not have.
    Unknown(u32),
    /// The key itself could not be read.
    Unread,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.message)?;
        match self.field {
            FieldName::Known(name) => write!(f, ".{name}"),
            FieldName::Unknown(number) => write!(f, ", unknown field {number}"),
            FieldName::Unread => Ok(()),
        }
    }
}
