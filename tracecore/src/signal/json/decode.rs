//! From text to wire bytes.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::CamelCase;
use super::passed::{Passed, deeper};
use super::scalar::{Scalar, base64, bits, id};
use crate::signal::otlp::{self, KEY_VALUE};
use crate::signal::schema::{Kind, Message, Number};
use crate::signal::write::Writer;
use crate::signal::{Batch, Signal};

/// Reads one export request of `signal`.
///
/// # Errors
/// When it is not JSON, not an object, or a field that OTLP has holds something else than OTLP says: with the field, line
/// and column.
pub fn decode(signal: Signal, text: &[u8]) -> Result<Batch, JsonError> {
    // The wire takes less than half, and growing to the rest costs little.
    let mut writer = Writer::with_capacity(text.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Request(Fields { writer: &mut writer, message: otlp::request(signal), depth: 0 }).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let batch = Batch::validate(signal, writer.into_bytes().into());
    Ok(batch.expect("what is written follows the tables: its text is UTF-8, its ids and its depth were checked"))
}

/// The signal of an export request, by the first of its keys that any request has; `None` if there is none. Reads no
/// further than that key, so the text may still be anything behind it.
pub fn signal_of(text: &[u8]) -> Option<Signal> {
    let mut found = None;
    // It stops with an error where it found the key.
    let _ = FindSignal(&mut found).deserialize(&mut serde_json::Deserializer::from_slice(text));
    found
}

struct FindSignal<'a>(&'a mut Option<Signal>);

impl<'de> DeserializeSeed<'de> for FindSignal<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FindSignal<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export request")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let is_of = |signal: &Signal| Key(otlp::request(*signal)).find(&key).is_some();
            if let Some(signal) = Signal::ALL.into_iter().find(is_of) {
                *self.0 = Some(signal);
                return Err(de::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// The text is not OTLP/JSON. Its source says where: field, line and column.
#[derive(Debug, thiserror::Error)]
#[error("not OTLP/JSON")]
pub struct JsonError(#[from] serde_json::Error);

impl JsonError {
    /// The line of the text, from 1.
    pub fn line(&self) -> usize {
        self.0.line()
    }

    /// The column of the line, from 1, in bytes.
    pub fn column(&self) -> usize {
        self.0.column()
    }
}

/// The message at the top.
struct Request<'a>(Fields<'a>);

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an export request")?;
        self.0.message.named().try_for_each(|(_, name)| write!(f, ", an object with `{}`", CamelCase(name)))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        self.0.read(map)
    }
}

/// The fields of one message, and where they go.
struct Fields<'a> {
    writer: &'a mut Writer,
    message: &'static Message,
    /// How many messages it is below the request.
    depth: u32,
}

impl Fields<'_> {
    fn read<'de, M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Fields { writer, message, depth } = self;
        while let Some(number) = map.next_key_seed(Key(message))? {
            match number {
                Some(number) => {
                    let form = if message.is_repeated(number) { Form::Repeated } else { Form::Single };
                    map.next_value_seed(Field { writer: &mut *writer, message, number, depth, form })?;
                }
                None => map.next_value_seed(Passed { depth })?,
            }
        }
        Ok(())
    }
}

/// A key of a message: the number of its field, if it is one.
struct Key(&'static Message);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Option<u32>, E> {
        Ok(self.find(key))
    }
}

impl Key {
    fn find(&self, key: &str) -> Option<u32> {
        let is = |name: &'static str| key == name || key.bytes().eq(CamelCase(name).chars());
        self.0.named().find(|(_, name)| is(name)).map(|(number, _)| number)
    }
}

/// How the value of a field stands in the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By itself.
    Single,
    /// As an array.
    Repeated,
    /// As an element of such an array.
    Element,
    /// As an element of an array that becomes one packed field.
    Packed,
}

/// A value, and where it goes.
struct Field<'a> {
    writer: &'a mut Writer,
    /// The message that has the field.
    message: &'static Message,
    number: u32,
    /// How many messages that one is below the request.
    depth: u32,
    form: Form,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Scalar::Integer(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Scalar::Double(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(value))
    }

    /// `null` is what is absent, and among messages an empty one.
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        match self.form {
            Form::Single | Form::Repeated => Ok(()),
            Form::Element if self.inner().is_some() => {
                self.writer.message(self.number, |_| ());
                Ok(())
            }
            Form::Element | Form::Packed => Err(self.refused("null")),
        }
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<(), S::Error> {
        if self.form != Form::Repeated {
            return Err(self.refused("an array"));
        }
        let Field { writer, message, number, depth, .. } = self;
        let mut take = |writer: &mut Writer, form| {
            while elements.next_element_seed(Field { writer: &mut *writer, message, number, depth, form })?.is_some() {}
            Ok(())
        };
        match message.kind(number) {
            Kind::PackedVarint | Kind::PackedFixed64 => writer.message(number, |writer| take(writer, Form::Packed)),
            _ => take(writer, Form::Element),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        let Some(inner) = self.inner().filter(|_| self.form != Form::Repeated) else {
            return Err(self.refused("an object"));
        };
        let depth = deeper(self.depth)?;
        self.writer.message(self.number, |writer| Fields { writer, message: inner, depth }.read(map))
    }
}

impl Field<'_> {
    /// The message in this field, if it holds one.
    fn inner(&self) -> Option<&'static Message> {
        match self.message.kind(self.number) {
            Kind::Message(inner) | Kind::Item(inner) | Kind::Data(inner) => Some(inner),
            Kind::Attribute => Some(&KEY_VALUE),
            _ => None,
        }
    }

    fn scalar<E: de::Error>(mut self, value: Scalar<'_>) -> Result<(), E> {
        let written = self.form != Form::Repeated && self.write(value);
        if written { Ok(()) } else { Err(self.refused(value)) }
    }

    /// Writes the value; false if it is none that the field can have.
    #[must_use]
    fn write(&mut self, value: Scalar<'_>) -> bool {
        let number = self.number;
        match (self.message.kind(number), value) {
            (Kind::Text, Scalar::Text(text)) => self.writer.string(number, text),
            (Kind::Bytes, Scalar::Text(text)) => match base64(text) {
                Some(bytes) => self.writer.bytes(number, &bytes),
                None => return false,
            },
            (Kind::Id(length), Scalar::Text(text)) => match id(text, length) {
                Some((id, length)) => self.writer.bytes(number, &id[..length]),
                None => return false,
            },
            (kind, value) => {
                let Some(bits) = bits(self.message.meaning(number), value) else { return false };
                match (kind, self.form) {
                    (Kind::Varint, _) => self.writer.varint(number, bits),
                    (Kind::Fixed64, _) => self.writer.fixed64(number, bits),
                    // The meaning has bounded it.
                    (Kind::Fixed32, _) => self.writer.fixed32(number, bits as u32),
                    (Kind::PackedVarint, Form::Packed) => self.writer.raw_varint(bits),
                    (Kind::PackedFixed64, Form::Packed) => self.writer.raw(&bits.to_le_bytes()),
                    _ => return false,
                }
            }
        }
        true
    }

    fn refused<E: de::Error>(&self, found: impl fmt::Display) -> E {
        let Message { name: message, .. } = self.message;
        let field = CamelCase(self.message.field_name(self.number).unwrap_or_default());
        de::Error::custom(format_args!("{message}.{field}: expected {}, found {found}", self.expected()))
    }

    fn expected(&self) -> &'static str {
        match (self.message.kind(self.number), self.message.meaning(self.number)) {
            _ if self.form == Form::Repeated => "an array",
            (Kind::Text, _) => "a string",
            (Kind::Bytes, _) => "a string in base64",
            (Kind::Id(16), _) => "an id of 32 hexadecimal digits",
            (Kind::Id(_), _) => "an id of 16 hexadecimal digits",
            _ if self.inner().is_some() => "an object",
            (_, Number::Bool) => "true or false",
            (_, Number::Double) => "a number",
            (_, Number::Enumeration(_)) => "the number of an enumeration's value",
            (_, Number::Unsigned32) => "an unsigned integer of 32 bits",
            (_, Number::Unsigned64) => "an unsigned integer of 64 bits",
            (_, Number::Signed32 | Number::Zigzag32) => "an integer of 32 bits",
            (_, Number::Signed64) => "an integer of 64 bits",
        }
    }
}
