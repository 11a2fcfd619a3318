//! Bringing a request into canonical form, on the wire.
//!
//! Of fields that may occur once and occur several times the last counts, as protobuf has it; messages are merged, which
//! on the wire is to put one behind the other; of the choices of a `oneof` the last counts. A key is put before its
//! value. Everything else, unknown fields too, stays as it is and in its order.

use std::ops::Range;

use super::Signal;
use super::otlp::{self, KEY_VALUE};
use super::schema::{Kind, Message};
use super::view::wire::{Field, Fields};
use super::write::Writer;

/// A valid request in canonical form.
pub(super) fn request(signal: Signal, part: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(part.len());
    message(part, otlp::request(signal), &mut out);
    out.into_bytes()
}

/// The field that counts of those that exclude one another.
#[derive(Clone, Copy, Default)]
struct Winner {
    number: u32,
    /// Where the run of messages begins that are merged into it; without any, where it begins itself.
    first: usize,
    /// Where the last of them begins.
    last: usize,
}

/// The fields of a message with this body, and where each begins.
fn fields(body: &[u8]) -> impl Iterator<Item = (usize, Field<'_>)> {
    let mut fields = Fields::of(body);
    std::iter::from_fn(move || {
        let at = body.len() - fields.rest().len();
        fields.next_field().map(|field| (at, field))
    })
}

/// Writes the body of a message. It is no deeper than validation allows, so neither is this.
fn message(body: &[u8], schema: &'static Message, out: &mut Writer) {
    let mut winners = [Winner::default(); u32::BITS as usize];
    for (at, field) in fields(body) {
        let Some(group) = group(schema, field.number) else { continue };
        let winner = &mut winners[group];
        let is_merged = winner.number == field.number && inner(schema, field.number).is_some();
        let first = if is_merged { winner.first } else { at };
        *winner = Winner { number: field.number, first, last: at };
    }
    let is_pair = std::ptr::eq(schema, &raw const KEY_VALUE);
    let key = fields(body).find(|(at, field)| is_pair && field.number == KEY && winners[KEY as usize].last == *at);
    if let Some((_, key)) = key {
        out.raw(key.whole);
    }
    for (at, field) in fields(body) {
        let number = field.number;
        let Some(group) = group(schema, number) else {
            match inner(schema, number) {
                Some(inner) => out.message(number, |out| message(field.value.bytes(), inner, out)),
                None => out.raw(field.whole),
            }
            continue;
        };
        let winner = winners[group];
        if winner.number != number || winner.last != at || is_pair && number == KEY {
            continue;
        }
        match inner(schema, number) {
            Some(inner) if winner.first == winner.last => {
                out.message(number, |out| message(field.value.bytes(), inner, out));
            }
            Some(inner) => {
                let merged = merged(body, number, winner.first..at + field.whole.len());
                out.message(number, |out| message(&merged, inner, out));
            }
            None => out.raw(field.whole),
        }
    }
}

/// The number of `KeyValue.key`.
const KEY: u32 = 1;

/// What identifies the fields of which one counts, and this is one; `None` if it may be repeated or is unknown.
fn group(schema: &'static Message, number: u32) -> Option<usize> {
    let field = schema.fields.get(number as usize).filter(|field| field.clash != 0)?;
    // That a key clashes with a value is a matter of their order.
    let excluded = if std::ptr::eq(schema, &raw const KEY_VALUE) { field.bit } else { field.clash };
    Some(excluded.trailing_zeros() as usize)
}

/// The message in field `number`, if it holds one.
fn inner(schema: &'static Message, number: u32) -> Option<&'static Message> {
    match schema.kind(number) {
        Kind::Message(message) | Kind::Item(message) | Kind::Data(message) => Some(message),
        Kind::Attribute => Some(&KEY_VALUE),
        _ => None,
    }
}

/// The bodies of field `number` in this part of a body, one behind the other.
fn merged(body: &[u8], number: u32, part: Range<usize>) -> Vec<u8> {
    let bodies = fields(&body[part]).filter(|(_, field)| field.number == number);
    bodies.flat_map(|(_, field)| field.value.bytes()).copied().collect()
}
