//! The one pass over a request that validates and counts it.
//!
//! The walk accepts what prost accepts, minus trace and span ids of a length that no id has, and nesting deeper than
//! [`MAX_DEPTH`]. It cannot allocate: it holds slices of the request and a handful of integers, and its recursion is
//! bounded by that depth. Names and offsets are worked out only for an error.
//!
//! Two things make it fast. Each message is a table from field number to kind, so that a field costs one look-up. And
//! most bytes of any request are attributes with a key and a plain value, which [`Walk::plain_attributes`]
//! recognises without leaving the message that holds them.

use super::otlp::{self, DATA_CHOICES, KEY_VALUE};
use super::schema::{Kind, MAX_DEPTH, Message, wire};
use super::wire_error::{FieldName, Place, WireError};
use super::write::MAX_VARINT;
use super::{Signal, utf8};

/// What the walk found in an accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// Spans, data points or log records.
    pub(super) items: u64,
    /// No singular field and no `oneof` occurs twice in a message, and no value stands before its key.
    pub(super) canonical: bool,
    /// A field occurs that OTLP does not have.
    pub(super) unknown_fields: bool,
}

/// Walks one whole request.
pub(super) fn walk(signal: Signal, request: &[u8]) -> Result<Walked, WireError> {
    let mut walk = Walk { request, depth: 0, items: 0, clashes: 0, unknown_fields: false, error: None };
    match walk.message(request, otlp::request(signal)) {
        Ok(()) => Ok(Walked { items: walk.items, canonical: walk.clashes == 0, unknown_fields: walk.unknown_fields }),
        Err(_) => Err(walk.error.expect("the message that found the fault left the error")),
    }
}

struct Walk<'a> {
    request: &'a [u8],
    /// How many messages the one at hand is below the request.
    depth: u32,
    items: u64,
    /// The bits of fields that clashed with one before, of whatever message.
    clashes: u32,
    unknown_fields: bool,
    error: Option<WireError>,
}

/// What is wrong with a field. Without the particulars, which [`Walk::refuse`] reads again: so results stay in
/// registers.
#[derive(Clone, Copy)]
enum Fault {
    Truncated,
    Length,
    Varint,
    FieldKey,
    WireType,
    Group,
    Utf8,
    IdLength,
    Depth,
    /// Something in the message in this field, of which the error has been left.
    Inside,
}

/// What is left of a message behind a field.
type Behind<'a> = Result<&'a [u8], Fault>;

impl<'a> Walk<'a> {
    /// Walks the whole `body` of one `message`.
    fn message(&mut self, body: &'a [u8], message: &'static Message) -> Result<(), Fault> {
        let items_before = self.items;
        let mut seen = 0;
        let mut rest = body;
        while !rest.is_empty() {
            let behind = match take_key(rest) {
                Ok((key, value)) => match message.fields.get((key >> 3) as usize) {
                    Some(field) if u32::from(field.wire) == key & 7 => {
                        self.clashes |= seen & field.clash;
                        seen |= field.bit;
                        match field.kind {
                            Kind::Varint => skip_varint(value),
                            Kind::Fixed32 => skip_fixed(value, 4),
                            Kind::Fixed64 => skip_fixed(value, 8),
                            Kind::Attribute => match self.plain_attributes(rest) {
                                0 => self.delimited(value, Kind::Attribute),
                                length => Ok(&rest[length..]),
                            },
                            kind => {
                                if let Kind::Data(_) = kind
                                    && seen & DATA_CHOICES != field.bit
                                {
                                    self.items = items_before;
                                    seen = seen & !DATA_CHOICES | field.bit;
                                }
                                self.delimited(value, kind)
                            }
                        }
                    }
                    _ => self.irregular(value, key, message),
                },
                Err(fault) => Err(fault),
            };
            match behind {
                Ok(behind) => rest = behind,
                Err(fault) => return Err(self.refuse(fault, rest, message)),
            }
        }
        Ok(())
    }

    /// The length of the plain attributes at the start of `rest`: none, one, or a run under the same key.
    #[inline(never)]
    fn plain_attributes(&mut self, rest: &[u8]) -> usize {
        // A plain attribute is two messages deep.
        let [key, ..] = *rest else { return 0 };
        if self.depth + 2 > MAX_DEPTH {
            return 0;
        }
        let mut behind = rest;
        while let [next, ref value @ ..] = *behind
            && next == key
            && let Some((body, left)) = take_short(value)
        {
            match plain_attribute(body) {
                Plain::Canonical => {}
                Plain::Swapped => self.clashes |= 1,
                Plain::No => break,
            }
            behind = left;
        }
        rest.len() - behind.len()
    }

    /// Checks a value that has a length.
    #[inline(always)]
    fn delimited(&mut self, value: &'a [u8], kind: Kind) -> Behind<'a> {
        let (inner, behind) = take_delimited(value)?;
        match kind {
            Kind::Attribute => self.nested(inner, &KEY_VALUE)?,
            Kind::Text if !utf8::is_utf8(inner) => return Err(Fault::Utf8),
            Kind::Id(expected) if !inner.is_empty() && inner.len() != usize::from(expected) => {
                return Err(Fault::IdLength);
            }
            Kind::PackedFixed64 if !inner.len().is_multiple_of(8) => return Err(Fault::Truncated),
            Kind::PackedVarint => check_packed(inner)?,
            Kind::Message(message) | Kind::Data(message) => self.nested(inner, message)?,
            Kind::Item(message) => {
                self.items += 1;
                self.nested(inner, message)?;
            }
            _ => {}
        }
        Ok(behind)
    }

    #[inline(always)]
    fn nested(&mut self, body: &'a [u8], message: &'static Message) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::Depth);
        }
        self.depth += 1;
        self.message(body, message)?;
        self.depth -= 1;
        Ok(())
    }

    /// Skips a field that is unknown, or known and packed but written one by one.
    #[cold]
    fn irregular(&mut self, value: &'a [u8], key: u32, message: &'static Message) -> Behind<'a> {
        match message.kind(key >> 3) {
            Kind::Unknown => self.unknown_fields = true,
            kind if kind.unpacked_wire() == Some((key & 7) as u8) => {}
            _ => return Err(Fault::WireType),
        }
        skip(value, key, self.depth)
    }

    /// Leaves the error of the field at the start of `field`.
    #[cold]
    fn refuse(&mut self, fault: Fault, field: &'a [u8], message: &'static Message) -> Fault {
        let (key, value) = take_key(field).unwrap_or_default();
        let (number, found) = (key >> 3, (key & 7) as u8);
        let name = match message.field_name(number) {
            Some(name) => FieldName::Known(name),
            None if number == 0 => FieldName::Unread,
            None => FieldName::Unknown(number),
        };
        // Every body is a slice of the request: their addresses tell where it starts.
        let offset = field.as_ptr().addr() - self.request.as_ptr().addr();
        let at = Place { offset, message: message.name, field: name };
        let (length, behind) = take_varint(value).unwrap_or_default();
        self.error = Some(match fault {
            Fault::Inside => return fault,
            Fault::Truncated => WireError::Truncated(at),
            Fault::Length => WireError::Length { at, length, left: behind.len() },
            Fault::Varint => WireError::Varint(at),
            Fault::FieldKey => WireError::FieldKey(at),
            Fault::WireType => WireError::WireType { at, found },
            Fault::Group => WireError::Group(at),
            Fault::Utf8 => WireError::Utf8(at),
            Fault::IdLength => WireError::IdLength { at, length, expected: message.id_length(number) },
            Fault::Depth => WireError::Depth(at),
        });
        Fault::Inside
    }
}

/// Skips a value of which only the wire type is known.
fn skip(value: &[u8], key: u32, depth: u32) -> Behind<'_> {
    let number = key >> 3;
    if number == 0 {
        return Err(Fault::FieldKey);
    }
    match (key & 7) as u8 {
        wire::VARINT => skip_varint(value),
        wire::FIXED32 => skip_fixed(value, 4),
        wire::FIXED64 => skip_fixed(value, 8),
        wire::LENGTH => Ok(take_delimited(value)?.1),
        wire::START_GROUP if depth == MAX_DEPTH => Err(Fault::Depth),
        wire::START_GROUP => skip_group(value, number, depth + 1),
        wire::END_GROUP => Err(Fault::Group),
        _ => Err(Fault::WireType),
    }
}

/// Skips the fields of an open group and its end.
fn skip_group(mut rest: &[u8], open: u32, depth: u32) -> Behind<'_> {
    let end = open << 3 | u32::from(wire::END_GROUP);
    loop {
        let (key, value) = take_key(rest)?;
        if key == end {
            return Ok(value);
        }
        rest = skip(value, key, depth)?;
    }
}

#[inline(always)]
fn take_key(field: &[u8]) -> Result<(u32, &[u8]), Fault> {
    match *field {
        [low @ 0..0x80, ref value @ ..] => Ok((u32::from(low), value)),
        [low, high @ 0..0x80, ref value @ ..] => Ok((u32::from(low & 0x7F) | u32::from(high) << 7, value)),
        _ => take_long_key(field),
    }
}

#[cold]
fn take_long_key(field: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let (key, value) = take_varint(field)?;
    Ok((u32::try_from(key).map_err(|_| Fault::FieldKey)?, value))
}

/// What a length announces, and what is behind it.
#[inline(always)]
fn take_delimited(value: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (length, rest) = match *value {
        [length @ 0..0x80, ref rest @ ..] => (usize::from(length), rest),
        [low, high @ 0..0x80, ref rest @ ..] => (usize::from(low & 0x7F) | usize::from(high) << 7, rest),
        _ => take_long_length(value)?,
    };
    rest.split_at_checked(length).ok_or(Fault::Length)
}

#[cold]
fn take_long_length(value: &[u8]) -> Result<(usize, &[u8]), Fault> {
    let (length, rest) = take_varint(value)?;
    Ok((usize::try_from(length).map_err(|_| Fault::Length)?, rest))
}

#[inline(always)]
fn skip_fixed(value: &[u8], width: usize) -> Behind<'_> {
    value.get(width..).ok_or(Fault::Truncated)
}

#[inline(always)]
fn skip_varint(value: &[u8]) -> Behind<'_> {
    match *value {
        [0..0x80, ref behind @ ..] => Ok(behind),
        _ => Ok(take_varint(value)?.1),
    }
}

fn take_varint(value: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let mut integer = 0;
    for (i, &byte) in value.iter().take(MAX_VARINT).enumerate() {
        integer |= u64::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            // The last byte has room for bit 63 only.
            return if i == MAX_VARINT - 1 && byte > 1 { Err(Fault::Varint) } else { Ok((integer, &value[i + 1..])) };
        }
    }
    Err(if value.len() < MAX_VARINT { Fault::Truncated } else { Fault::Varint })
}

fn check_packed(mut integers: &[u8]) -> Result<(), Fault> {
    while !integers.is_empty() {
        integers = skip_varint(integers)?;
    }
    Ok(())
}

// The keys of a plain attribute: `KeyValue.key` and `.value`, and the plain choices of `AnyValue`.
const KEY: u8 = 1 << 3 | wire::LENGTH;
const VALUE: u8 = 2 << 3 | wire::LENGTH;
const STRING: u8 = 1 << 3 | wire::LENGTH;
const BOOL: u8 = 2 << 3 | wire::VARINT;
const INT: u8 = 3 << 3 | wire::VARINT;
const DOUBLE: u8 = 4 << 3 | wire::FIXED64;

/// How a plain attribute is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    /// Key, then value.
    Canonical,
    /// Value, then key.
    Swapped,
    /// It is not plain; the general walk decides whether it is valid.
    No,
}

/// Looks whether `body` is a valid `KeyValue` of a key, and a string, a boolean, an integer or a double.
#[inline(always)]
fn plain_attribute(body: &[u8]) -> Plain {
    let [first, rest @ ..] = body else { return Plain::No };
    let Some((front, [second, rest @ ..])) = take_short(rest) else { return Plain::No };
    let Some((back, [])) = take_short(rest) else { return Plain::No };
    let (plain, key, value) = match (*first, *second) {
        (KEY, VALUE) => (Plain::Canonical, front, back),
        (VALUE, KEY) => (Plain::Swapped, back, front),
        _ => return Plain::No,
    };
    let valid = match value {
        [STRING, rest @ ..] => match take_short(rest) {
            // In less than 128 bytes every tag and every length is one ASCII byte. So the key and the value are valid
            // text exactly if the whole body is.
            Some((_, [])) if body.len() < 0x80 => utf8::is_utf8(body),
            Some((text, [])) => utf8::is_utf8(key) && utf8::is_utf8(text),
            _ => false,
        },
        [DOUBLE, _, _, _, _, _, _, _, _] | [BOOL | INT, 0..0x80] | [BOOL | INT, 0x80..=0xFF, 0..0x80] => {
            utf8::is_utf8(key)
        }
        [BOOL | INT, integer @ ..] => matches!(skip_varint(integer), Ok([])) && utf8::is_utf8(key),
        _ => false,
    };
    if valid { plain } else { Plain::No }
}

/// What a length of at most two bytes announces, and what is behind it.
#[inline(always)]
pub(super) fn take_short(value: &[u8]) -> Option<(&[u8], &[u8])> {
    match *value {
        [length @ 0..0x80, ref rest @ ..] => rest.split_at_checked(usize::from(length)),
        [low, high @ 0..0x80, ref rest @ ..] => rest.split_at_checked(usize::from(low & 0x7F) | usize::from(high) << 7),
        _ => None,
    }
}
