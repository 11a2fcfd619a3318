//! Reading validated wire format: fields, repeated messages, repeated numbers.

use std::fmt;
use std::marker::PhantomData;

use super::super::schema::wire;

/// The body of one message, from which a view is made. Only a batch has any.
#[derive(Clone, Copy, Default)]
pub struct Body<'a>(&'a [u8]);

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'a> Body<'a> {
    /// The body with these bytes, which were validated as that of such a message.
    pub(in crate::signal) fn of(bytes: &'a [u8]) -> Self {
        Body(bytes)
    }

    /// The fields in the order of the wire.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields(self.0)
    }

    /// The messages of repeated field `number`.
    pub(super) fn repeated<T>(self, number: u32) -> Repeated<'a, T> {
        Repeated::of(self.0, number)
    }

    /// The numbers of repeated field `number`, from their bits.
    pub(super) fn scalars<T>(self, number: u32, from_bits: fn(u64) -> T, packed: Packed) -> Scalars<'a, T> {
        Scalars { fields: self.fields(), number, from_bits, packed, chunk: &[] }
    }
}

/// The fields of a message. Ends early where validation would have refused.
#[derive(Clone, Copy)]
pub(in crate::signal) struct Fields<'a>(&'a [u8]);

/// A field as it stands on the wire.
#[derive(Clone, Copy)]
pub(in crate::signal) struct Field<'a> {
    /// Its number.
    pub(in crate::signal) number: u32,
    /// Its value.
    pub(in crate::signal) value: Value<'a>,
    /// All of its bytes, from the key on.
    pub(in crate::signal) whole: &'a [u8],
}

/// The value of a field. Asking for another type than it has on the wire gives the default.
#[derive(Clone, Copy)]
pub(in crate::signal) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    Group,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<(u32, Value<'a>)> {
        let (number, wire) = self.key()?;
        let value = match wire {
            wire::START_GROUP => {
                self.skip_group()?;
                Value::Group
            }
            _ => self.value(wire)?,
        };
        Some((number, value))
    }
}

impl<'a> Fields<'a> {
    /// The fields of the message with this body.
    pub(in crate::signal) fn of(body: &'a [u8]) -> Self {
        Fields(body)
    }

    /// What is still to come.
    pub(in crate::signal) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next field with its bytes.
    pub(in crate::signal) fn next_field(&mut self) -> Option<Field<'a>> {
        let before = self.0;
        let (number, value) = self.next()?;
        Some(Field { number, value, whole: &before[..before.len() - self.0.len()] })
    }

    fn key(&mut self) -> Option<(u32, u8)> {
        let key = u32::try_from(take_varint(&mut self.0)?).ok()?;
        Some((key >> 3, (key & 7) as u8))
    }

    fn value(&mut self, wire: u8) -> Option<Value<'a>> {
        Some(match wire {
            wire::VARINT => Value::Varint(take_varint(&mut self.0)?),
            wire::FIXED64 => Value::Fixed64(take_fixed64(&mut self.0)?),
            wire::FIXED32 => Value::Fixed32(u32::from_le_bytes(take_array(&mut self.0)?)),
            wire::LENGTH => {
                let length = usize::try_from(take_varint(&mut self.0)?).ok()?;
                Value::Bytes(self.0.split_off(..length)?)
            }
            _ => return None,
        })
    }

    fn skip_group(&mut self) -> Option<()> {
        let mut open = 1_u32;
        while open > 0 {
            match self.key()?.1 {
                wire::START_GROUP => open += 1,
                wire::END_GROUP => open -= 1,
                wire => drop(self.value(wire)?),
            }
        }
        Some(())
    }
}

impl<'a> Value<'a> {
    pub(in crate::signal) fn bytes(self) -> &'a [u8] {
        if let Value::Bytes(bytes) = self { bytes } else { &[] }
    }

    pub(super) fn text(self) -> &'a str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    pub(super) fn body(self) -> Body<'a> {
        Body(self.bytes())
    }

    pub(super) fn message<T: From<Body<'a>>>(self) -> T {
        T::from(self.body())
    }

    pub(super) fn u64(self) -> u64 {
        match self {
            Value::Varint(bits) | Value::Fixed64(bits) => bits,
            Value::Fixed32(bits) => u64::from(bits),
            Value::Bytes(_) | Value::Group => 0,
        }
    }

    /// Of a longer integer the low bits, as protobuf has it.
    pub(super) fn u32(self) -> u32 {
        self.u64() as u32
    }

    pub(super) fn i64(self) -> i64 {
        self.u64().cast_signed()
    }

    pub(super) fn i32(self) -> i32 {
        self.u32().cast_signed()
    }

    /// Of a `sint32`, which alternates between the signs.
    pub(super) fn zigzag(self) -> i32 {
        let bits = self.u32();
        (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
    }

    pub(super) fn f64(self) -> f64 {
        f64::from_bits(self.u64())
    }

    pub(super) fn bool(self) -> bool {
        self.u64() != 0
    }

    /// An enumeration; a number that it does not have reads as its first value, "unspecified".
    pub(super) fn enumeration<E: TryFrom<i32> + Default>(self) -> E {
        E::try_from(self.i32()).unwrap_or_default()
    }
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take_fixed64(rest: &mut &[u8]) -> Option<u64> {
    take_array(rest).map(u64::from_le_bytes)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (array, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*array)
}

/// The messages of a repeated field.
pub struct Repeated<'a, T> {
    fields: Fields<'a>,
    number: u32,
    message: PhantomData<fn() -> T>,
}

impl<'a, T> Repeated<'a, T> {
    pub(super) fn of(body: &'a [u8], number: u32) -> Self {
        Repeated { fields: Fields(body), number, message: PhantomData }
    }
}

impl<'a, T> Repeated<'a, T> {
    pub(super) fn next_body(&mut self) -> Option<Body<'a>> {
        self.fields.find(|(number, _)| *number == self.number).map(|(_, value)| value.body())
    }
}

impl<'a, T: From<Body<'a>>> Iterator for Repeated<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.next_body().map(T::from)
    }
}

// Not derived: a derive would ask the same of `T`.
impl<T> Clone for Repeated<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Repeated<'_, T> {}

impl<'a, T: From<Body<'a>> + fmt::Debug> fmt::Debug for Repeated<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// How the numbers of a packed field are written.
#[derive(Clone, Copy)]
pub(super) enum Packed {
    Varint,
    Fixed64,
}

/// The numbers of a repeated field.
#[derive(Clone)]
pub struct Scalars<'a, T> {
    fields: Fields<'a>,
    number: u32,
    from_bits: fn(u64) -> T,
    packed: Packed,
    chunk: &'a [u8],
}

impl<T> Iterator for Scalars<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.chunk.is_empty() {
            match self.fields.find(|(number, _)| *number == self.number)?.1 {
                Value::Bytes(chunk) => self.chunk = chunk,
                single => return Some((self.from_bits)(single.u64())),
            }
        }
        let bits = match self.packed {
            Packed::Varint => take_varint(&mut self.chunk),
            Packed::Fixed64 => take_fixed64(&mut self.chunk),
        };
        bits.map(self.from_bits)
    }
}

impl<T: Clone + fmt::Debug> fmt::Debug for Scalars<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
