//! The attributes of one message, to read and to edit.
//!
//! Every edit of a key is one of each attribute with that key: what occurs twice is deleted twice.

use std::mem;
use std::ops::Range;

use super::super::view::wire::Body;
use super::super::view::{KeyValueRef, ValueRef};
use super::super::write::Writer;
use super::pieces::{Becomes, Found, Pieces, Place, copy};
use super::scan::{KEY, Spot, VALUE, Wanted, Where};
use super::value::{NewValue, PlainValue, When};

/// The attributes of a resource, a scope or an item, to read and to edit.
#[derive(Debug)]
pub struct AttributesMut<'a> {
    message: &'a [u8],
    pieces: &'a mut Pieces,
    scratch: &'a mut String,
}

/// What is kept from message to message.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) pieces: Pieces,
    scratch: String,
}

impl Desk {
    /// Begins with another message, whose attributes are in field `number`.
    #[inline]
    pub(super) fn of<'a>(&'a mut self, message: &'a [u8], number: u32) -> AttributesMut<'a> {
        self.pieces.begin(number);
        AttributesMut { message, pieces: &mut self.pieces, scratch: &mut self.scratch }
    }
}

impl<'a> AttributesMut<'a> {
    /// Every attribute as it is now, in order; those that were added come last.
    pub fn iter(&mut self) -> impl Iterator<Item = KeyValueRef<'_>> {
        let AttributesMut { message, ref mut pieces, .. } = *self;
        pieces.all(message).map(|pair| Body::of(pair).into())
    }

    /// The value of the first attribute called `key`.
    pub fn get(&mut self, key: &str) -> Option<ValueRef<'_>> {
        let Found { place, spot, .. } = self.find(key)?;
        Some(value(self.pieces.bytes(self.message, place), &spot))
    }

    /// Whether there is an attribute called `key`.
    pub fn contains(&mut self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Gives `key` this value, if that is wanted `when` the attribute is there or not.
    pub fn set(&mut self, key: &str, value: PlainValue<'_>, when: When) {
        self.set_with(key, when, |out| out.message(VALUE, |out| value.write(out)));
    }

    /// Gives `key` the value of the first attribute called `from`. Whether there is one.
    pub fn copy(&mut self, from: &str, key: &str, when: When) -> bool {
        let message = self.message;
        let Some(Found { place, spot, .. }) = self.find(from) else { return false };
        let (value, _) = spot.value(self.pieces.bytes(message, place));
        self.set_with(key, when, |out| copy(out, message, place, value.clone()));
        true
    }

    /// Deletes every attribute called `key`.
    pub fn delete(&mut self, key: &str) {
        self.change(&key, |_, _, _| Becomes::Gone);
    }

    /// Deletes every attribute whose key is `unwanted`.
    pub fn delete_where(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.change(&Where(unwanted), |_, _, _| Becomes::Gone);
    }

    /// Calls every attribute called `from` `to` instead. If there is one, it takes the place of those called `to` before.
    pub fn rename(&mut self, from: &str, to: &str) {
        let message = self.message;
        let Some(first) = self.pieces.find(message, &[from, to]) else { return };
        let is_to =
            |pieces: &Pieces, place, spot: &Spot| pieces.bytes(message, place)[spot.key.clone()] == *to.as_bytes();
        if from == to || is_to(self.pieces, first.place, &first.spot) && !self.contains(from) {
            return;
        }
        self.pieces.change(message, &[from, to], first, |pieces, place, spot| {
            if is_to(pieces, place, spot) {
                return Becomes::Gone;
            }
            replace(pieces, message, place, spot, spot.key_field..spot.key.end, |out| out.string(KEY, to));
            Becomes::Written
        });
    }

    /// Gives every attribute called `key` the value that `new` makes of its value. What `new` writes into its second
    /// argument, which is empty at first, is the new value if it returns [`NewValue::Written`].
    pub fn map(&mut self, key: &str, new: impl FnMut(ValueRef<'_>, &mut String) -> NewValue<'static>) {
        self.map_with(&key, new);
    }

    /// As [`map`](AttributesMut::map), for every attribute whose key is `wanted`.
    pub fn map_where(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        new: impl FnMut(ValueRef<'_>, &mut String) -> NewValue<'static>,
    ) {
        self.map_with(&Where(wanted), new);
    }

    fn map_with(&mut self, wanted: &impl Wanted, mut new: impl FnMut(ValueRef<'_>, &mut String) -> NewValue<'static>) {
        let message = self.message;
        let mut text = mem::take(self.scratch);
        self.change(wanted, |pieces, place, spot| {
            text.clear();
            let value = match new(value(pieces.bytes(message, place), spot), &mut text) {
                NewValue::Same => return Becomes::Same,
                NewValue::Plain(value) => value,
                NewValue::Written => PlainValue::Str(&text),
            };
            replace_value(pieces, message, place, spot, |out| out.message(VALUE, |out| value.write(out)));
            Becomes::Written
        });
        *self.scratch = text;
    }

    fn set_with(&mut self, key: &str, when: When, write: impl Fn(&mut Writer)) {
        let message = self.message;
        let is_there = match when {
            When::Absent => self.contains(key),
            When::Present | When::Always => self.change(&key, |pieces, place, spot| {
                replace_value(pieces, message, place, spot, &write);
                Becomes::Written
            }),
        };
        if !is_there && when != When::Present {
            let number = self.pieces.number();
            self.pieces.append(message, |out| {
                out.message(number, |out| {
                    out.string(KEY, key);
                    write(out);
                });
            });
        }
    }

    fn find(&mut self, key: &str) -> Option<Found> {
        self.pieces.find(self.message, &key)
    }

    /// Asks `change` what becomes of each attribute that is wanted. Whether there is one.
    fn change(&mut self, wanted: &impl Wanted, change: impl FnMut(&mut Pieces, Place, &Spot) -> Becomes) -> bool {
        let first = self.pieces.find(self.message, wanted);
        let is_found = first.is_some();
        if let Some(first) = first {
            self.pieces.change(self.message, wanted, first, change);
        }
        is_found
    }
}

/// The value of an attribute in these bytes.
fn value<'a>(bytes: &'a [u8], spot: &Spot) -> ValueRef<'a> {
    let (field, start) = spot.value(bytes);
    Body::of(&bytes[start..field.end]).into()
}

/// Writes an attribute again with the value that `write` writes. Everything else in it stays.
fn replace_value(pieces: &mut Pieces, message: &[u8], place: Place, spot: &Spot, write: impl FnOnce(&mut Writer)) {
    let (value, _) = spot.value(pieces.bytes(message, place));
    replace(pieces, message, place, spot, value, write);
}

/// Writes an attribute again with what `write` writes in the place of one of its fields.
fn replace(
    pieces: &mut Pieces,
    message: &[u8],
    place: Place,
    spot: &Spot,
    field: Range<usize>,
    write: impl FnOnce(&mut Writer),
) {
    let number = pieces.number();
    pieces.writer().message(number, |out| {
        copy(out, message, place, spot.pair..field.start);
        write(out);
        copy(out, message, place, field.end..spot.field.end);
    });
}
