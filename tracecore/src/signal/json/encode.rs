//! From wire bytes to text.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CamelCase;
use crate::signal::Batch;
use crate::signal::otlp::{self, KEY_VALUE};
use crate::signal::schema::{Kind, Message, Number};
use crate::signal::view::Hex;
use crate::signal::view::wire::{Fields, Value, take_varint};

/// How many times larger than the wire the text is, usually.
const EXPANSION: usize = 3;

/// The batch as one JSON object on one line, without a line feed. Unknown fields are lost, as JSON has no names for them.
pub fn encode(batch: &Batch) -> Vec<u8> {
    // So that no singular field occurs twice.
    let batch = batch.normalised();
    let mut encoder = Encoder { text: Vec::with_capacity(batch.size() * EXPANSION), fields: Vec::new() };
    encoder.message(batch.parts().iter().map(|part| &part[..]), otlp::request(batch.signal()));
    encoder.text
}

struct Encoder<'a> {
    text: Vec<u8>,
    /// The fields of the messages that are being written, the outermost first.
    fields: Vec<(u32, Value<'a>)>,
}

impl<'a> Encoder<'a> {
    /// Writes one message, whose body is in one or several parts. Validation has bounded how deep they nest.
    fn message(&mut self, parts: impl Iterator<Item = &'a [u8]>, message: &'static Message) {
        let start = self.fields.len();
        let known = |(number, _): &(u32, Value<'_>)| !matches!(message.kind(*number), Kind::Unknown);
        self.fields.extend(parts.flat_map(Fields::of).filter(known));
        let end = self.fields.len();
        // What belongs to one repeated field need not stand together on the wire.
        if !self.fields[start..].is_sorted_by_key(|(number, _)| *number) {
            self.fields[start..].sort_by_key(|(number, _)| *number);
        }
        self.text.push(b'{');
        let mut at = start;
        while at < end {
            let number = self.fields[at].0;
            let next = at + self.fields[at..end].partition_point(|(other, _)| *other == number);
            if at > start {
                self.text.push(b',');
            }
            self.key(message.field_name(number).unwrap_or_default());
            if message.is_repeated(number) {
                self.text.push(b'[');
                for i in at..next {
                    self.elements(message, number, self.fields[i].1);
                }
                self.end_of_array();
            } else {
                self.value(message, number, self.fields[at].1);
            }
            at = next;
        }
        self.text.push(b'}');
        self.fields.truncate(start);
    }

    fn key(&mut self, name: &'static str) {
        self.text.push(b'"');
        self.text.extend(CamelCase(name).chars());
        self.text.extend_from_slice(b"\":");
    }

    /// Writes the elements in one occurrence of a repeated field, each with a comma behind it.
    fn elements(&mut self, message: &'static Message, number: u32, value: Value<'a>) {
        match (message.kind(number), value) {
            (Kind::PackedFixed64, Value::Bytes(packed)) => {
                for bits in packed.as_chunks().0 {
                    self.element_number(message.meaning(number), u64::from_le_bytes(*bits));
                }
            }
            (Kind::PackedVarint, Value::Bytes(mut packed)) => {
                while let Some(bits) = take_varint(&mut packed) {
                    self.element_number(message.meaning(number), bits);
                }
            }
            _ => {
                self.value(message, number, value);
                self.text.push(b',');
            }
        }
    }

    fn element_number(&mut self, meaning: Number, bits: u64) {
        self.number(meaning, bits);
        self.text.push(b',');
    }

    fn end_of_array(&mut self) {
        match self.text.last_mut() {
            Some(last) if *last == b',' => *last = b']',
            _ => self.text.push(b']'),
        }
    }

    fn value(&mut self, message: &'static Message, number: u32, value: Value<'a>) {
        match (message.kind(number), value) {
            (Kind::Text, Value::Bytes(text)) => self.string(str::from_utf8(text).unwrap_or_default()),
            (Kind::Bytes, Value::Bytes(bytes)) => {
                let encoded = STANDARD.encode(bytes);
                self.quoted(format_args!("{encoded}"));
            }
            (Kind::Id(_), Value::Bytes(id)) => self.quoted(format_args!("{}", Hex(id))),
            (Kind::Message(of) | Kind::Item(of) | Kind::Data(of), Value::Bytes(body)) => {
                self.message(std::iter::once(body), of);
            }
            (Kind::Attribute, Value::Bytes(body)) => self.message(std::iter::once(body), &KEY_VALUE),
            (_, Value::Varint(bits) | Value::Fixed64(bits)) => self.number(message.meaning(number), bits),
            (_, Value::Fixed32(bits)) => self.number(message.meaning(number), bits.into()),
            // Validation lets no other type of value through.
            (_, Value::Bytes(_) | Value::Group) => self.text.extend_from_slice(b"null"),
        }
    }

    fn number(&mut self, meaning: Number, bits: u64) {
        // Of a longer integer the low bits, as protobuf has it.
        let low = bits as u32;
        match meaning {
            Number::Bool => self.bare(format_args!("{}", bits != 0)),
            Number::Unsigned32 => self.bare(format_args!("{low}")),
            Number::Signed32 | Number::Enumeration(_) => self.bare(format_args!("{}", low.cast_signed())),
            Number::Zigzag32 => self.bare(format_args!("{}", (low >> 1).cast_signed() ^ -(low & 1).cast_signed())),
            Number::Unsigned64 => self.quoted(format_args!("{bits}")),
            Number::Signed64 => self.quoted(format_args!("{}", bits.cast_signed())),
            Number::Double => self.double(f64::from_bits(bits)),
        }
    }

    fn double(&mut self, value: f64) {
        if value.is_nan() {
            self.quoted(format_args!("NaN"));
        } else if value.is_infinite() {
            self.quoted(format_args!("{}Infinity", if value < 0.0 { "-" } else { "" }));
        } else {
            // The shortest text that reads as the same number. Writing to a vector cannot fail.
            let _ = serde_json::to_writer(&mut self.text, &value);
        }
    }

    fn string(&mut self, text: &str) {
        // Writing a string to a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.text, text);
    }

    fn quoted(&mut self, value: std::fmt::Arguments<'_>) {
        let _ = write!(self.text, "\"{value}\"");
    }

    fn bare(&mut self, value: std::fmt::Arguments<'_>) {
        let _ = write!(self.text, "{value}");
    }
}
