//! The attributes of one message while they are edited.
//!
//! They are a list of ranges in the message, made once however many edits there are; what an edit changes is encoded
//! into a buffer beside it. Both are kept from message to message, so that an item costs no allocation. Every edit of a
//! key is one of each attribute with that key: what occurs twice is deleted twice.

use std::mem;
use std::ops::Range;

use super::super::schema::wire;
use super::super::view::wire::{Body, Fields};
use super::super::view::{KeyValueRef, ValueRef};
use super::super::write::{MAX_VARINT, Writer, put_varint, varint_len};

/// The fields of `KeyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;

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
    fn write(self, out: &mut Writer) {
        match self {
            PlainValue::Str(text) => out.string(1, text),
            PlainValue::Bool(value) => out.varint(2, u64::from(value)),
            PlainValue::Int(value) => out.varint(3, value.cast_unsigned()),
            PlainValue::Double(value) => out.double(4, value),
            PlainValue::Bytes(bytes) => out.bytes(7, bytes),
        }
    }
}

/// What becomes of a value: see [`AttributesMut::map`].
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

/// The attributes of a resource, a scope or an item, to read and to edit.
#[derive(Debug)]
pub struct AttributesMut<'a> {
    message: &'a [u8],
    list: &'a mut List,
}

/// The attributes of one message after another.
#[derive(Debug, Default)]
pub(super) struct List {
    /// The number of the field that holds attributes.
    number: u32,
    /// Whether the entries are those of the message at hand.
    is_read: bool,
    /// Whether an edit changed something.
    pub(super) is_changed: bool,
    entries: Vec<Entry>,
    /// The `KeyValue`s that were written, without keys and lengths of their fields.
    written: Writer,
    scratch: String,
}

/// One attribute.
#[derive(Clone, Debug)]
struct Entry {
    /// The field in the message. An attribute that was added has an empty one at the end.
    field: Range<usize>,
    /// Its `KeyValue`, in the message or in what was written.
    pair: Range<usize>,
    /// Its key, in the same place.
    key: Range<usize>,
    place: Place,
}

/// Where an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Message,
    Written,
    Deleted,
}

impl List {
    /// Begins with another message, whose attributes are in field `number`.
    #[inline]
    pub(super) fn of<'a>(&'a mut self, message: &'a [u8], number: u32) -> AttributesMut<'a> {
        self.number = number;
        self.is_read = false;
        self.is_changed = false;
        AttributesMut { message, list: self }
    }

    /// Writes the message with these edits, as field `number` of the message around it.
    pub(super) fn write(&self, number: u32, message: &[u8], out: &mut Vec<u8>) {
        push_key(number, self.edited_len(message), out);
        let mut copied = 0;
        for entry in self.entries.iter().filter(|entry| entry.place != Place::Message) {
            out.extend_from_slice(&message[copied..entry.field.start]);
            copied = entry.field.end;
            if entry.place == Place::Written {
                push_key(self.number, entry.pair.len(), out);
                out.extend_from_slice(&self.written.as_bytes()[entry.pair.clone()]);
            }
        }
        out.extend_from_slice(&message[copied..]);
    }

    /// The length of the message with these edits.
    pub(super) fn edited_len(&self, message: &[u8]) -> usize {
        self.entries.iter().fold(message.len(), |length, entry| match entry.place {
            Place::Message => length,
            Place::Deleted => length - entry.field.len(),
            Place::Written => {
                let pair = entry.pair.len();
                length - entry.field.len() + KEY_LEN + varint_len(pair as u64) + pair
            }
        })
    }
}

/// The keys of fields that hold attributes, and of messages that have some, are one byte long.
const KEY_LEN: usize = 1;

/// Writes the key and the length of a field with a length.
#[inline]
fn push_key(number: u32, length: usize, out: &mut Vec<u8>) {
    let mut head = [0; KEY_LEN + MAX_VARINT];
    head[0] = (number as u8) << 3 | wire::LENGTH;
    put_varint(length as u64, &mut head[KEY_LEN..]);
    out.extend_from_slice(&head[..KEY_LEN + varint_len(length as u64)]);
}

impl<'a> AttributesMut<'a> {
    /// Every attribute as it is now, in order; those that were added come last.
    pub fn iter(&mut self) -> impl Iterator<Item = KeyValueRef<'_>> {
        self.read();
        let live = self.list.entries.iter().filter(|entry| entry.place != Place::Deleted);
        live.map(|entry| Body::of(&self.bytes(entry.place)[entry.pair.clone()]).into())
    }

    /// The value of the first attribute called `key`.
    pub fn get(&mut self, key: &str) -> Option<ValueRef<'_>> {
        let found = self.find(key, 0)?;
        Some(self.value(found))
    }

    /// Whether there is an attribute called `key`.
    pub fn contains(&mut self, key: &str) -> bool {
        self.find(key, 0).is_some()
    }

    /// Gives `key` this value, if that is wanted `when` the attribute is there or not.
    pub fn set(&mut self, key: &str, value: PlainValue<'_>, when: When) {
        self.set_with(key, when, |list, _| list.written.message(VALUE, |out| value.write(out)));
    }

    /// Gives `key` the value of the first attribute called `from`, if there is one.
    pub fn copy(&mut self, from: &str, key: &str, when: When) {
        let Some(from) = self.find(from, 0) else { return };
        let Entry { pair, place, .. } = self.list.entries[from].clone();
        self.set_with(key, when, |list, message| {
            list.copy_fields(message, pair.clone(), place, |number| number == VALUE)
        });
    }

    /// Deletes every attribute called `key`.
    pub fn delete(&mut self, key: &str) {
        let mut from = 0;
        while let Some(found) = self.find(key, from) {
            self.list.entries[found].place = Place::Deleted;
            self.list.is_changed = true;
            from = found + 1;
        }
    }

    /// Deletes every attribute whose key is `unwanted`.
    pub fn delete_where(&mut self, mut unwanted: impl FnMut(&str) -> bool) {
        self.read();
        for i in 0..self.list.entries.len() {
            let entry = &self.list.entries[i];
            if entry.place != Place::Deleted && str::from_utf8(self.key(entry)).is_ok_and(&mut unwanted) {
                self.list.entries[i].place = Place::Deleted;
                self.list.is_changed = true;
            }
        }
    }

    /// Calls every attribute called `from` `to` instead. If there is one, it takes the place of those called `to` before.
    pub fn rename(&mut self, from: &str, to: &str) {
        let Some(mut found) = self.find(from, 0) else { return };
        if from == to {
            return;
        }
        self.delete(to);
        loop {
            self.rewrite(found, |list, message, pair, place| {
                let key = list.written.as_bytes().len() + 1 + varint_len(to.len() as u64);
                list.written.string(KEY, to);
                list.copy_fields(message, pair, place, |number| number != KEY);
                key..key + to.len()
            });
            match self.find(from, found + 1) {
                Some(next) => found = next,
                None => return,
            }
        }
    }

    /// Gives every attribute called `key` the value that `new` makes of its value. What `new` writes into its second
    /// argument, which is empty at first, is the new value if it returns [`NewValue::Written`].
    pub fn map(&mut self, key: &str, mut new: impl FnMut(ValueRef<'_>, &mut String) -> NewValue<'static>) {
        let mut from = 0;
        while let Some(found) = self.find(key, from) {
            let mut text = mem::take(&mut self.list.scratch);
            text.clear();
            let value = match new(self.value(found), &mut text) {
                NewValue::Same => None,
                NewValue::Plain(value) => Some(value),
                NewValue::Written => Some(PlainValue::Str(&text)),
            };
            if let Some(value) = value {
                self.replace_value(found, |list, _| list.written.message(VALUE, |out| value.write(out)));
            }
            self.list.scratch = text;
            from = found + 1;
        }
    }

    fn set_with(&mut self, key: &str, when: When, mut write: impl FnMut(&mut List, &[u8])) {
        let Some(mut found) = self.find(key, 0) else {
            if when != When::Present {
                self.append(key, write);
            }
            return;
        };
        if when == When::Absent {
            return;
        }
        loop {
            self.replace_value(found, &mut write);
            match self.find(key, found + 1) {
                Some(next) => found = next,
                None => return,
            }
        }
    }

    fn append(&mut self, key: &str, write: impl FnOnce(&mut List, &[u8])) {
        let AttributesMut { message, ref mut list } = *self;
        let start = list.written.as_bytes().len();
        list.written.string(KEY, key);
        let key_end = list.written.as_bytes().len();
        write(list, message);
        let end = list.written.as_bytes().len();
        let (field, key) = (message.len()..message.len(), key_end - key.len()..key_end);
        list.entries.push(Entry { field, pair: start..end, key, place: Place::Written });
        list.is_changed = true;
    }

    /// Gives an attribute the value that `write` writes. Everything else in it stays.
    fn replace_value(&mut self, found: usize, write: impl FnOnce(&mut List, &[u8])) {
        self.rewrite(found, |list, message, pair, place| {
            let before = &list.entries[found];
            let key = list.written.as_bytes().len() + before.key.start - before.pair.start..;
            let length = before.key.len();
            list.copy_fields(message, pair, place, |number| number != VALUE);
            write(list, message);
            key.start..key.start + length
        });
    }

    /// Replaces an attribute by what `write` writes, which returns where the key is.
    fn rewrite(&mut self, found: usize, write: impl FnOnce(&mut List, &[u8], Range<usize>, Place) -> Range<usize>) {
        let AttributesMut { message, ref mut list } = *self;
        let start = list.written.as_bytes().len();
        let Entry { pair, place, .. } = list.entries[found].clone();
        let key = write(list, message, pair, place);
        let end = list.written.as_bytes().len();
        let entry = &mut list.entries[found];
        (entry.pair, entry.key, entry.place) = (start..end, key, Place::Written);
        list.is_changed = true;
    }

    /// The index of the next attribute called `key`, from index `from` on.
    fn find(&mut self, key: &str, from: usize) -> Option<usize> {
        self.read();
        let is_it = |entry: &Entry| {
            entry.key.len() == key.len() && entry.place != Place::Deleted && self.key(entry) == key.as_bytes()
        };
        let entries = self.list.entries.get(from..)?;
        entries.iter().position(is_it).map(|found| from + found)
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.bytes(entry.place)[entry.key.clone()]
    }

    fn value(&self, found: usize) -> ValueRef<'_> {
        let entry = &self.list.entries[found];
        let pair = KeyValueRef::from(Body::of(&self.bytes(entry.place)[entry.pair.clone()]));
        pair.value
    }

    fn bytes(&self, place: Place) -> &[u8] {
        if place == Place::Written { self.list.written.as_bytes() } else { self.message }
    }

    /// Finds the attributes of the message, once.
    #[inline]
    fn read(&mut self) {
        if !self.list.is_read {
            self.list.read(self.message);
        }
    }
}

impl List {
    fn read(&mut self, message: &[u8]) {
        self.is_read = true;
        self.entries.clear();
        self.written.clear();
        let tag = (self.number as u8) << 3 | wire::LENGTH;
        let mut rest = message;
        while let [first, ..] = *rest {
            let start = message.len() - rest.len();
            // Nearly all attributes are shorter than 128 bytes and begin with their key.
            if first == tag
                && let [_, length @ 0..0x80, 0x0A, key @ 0..0x80, ..] = *rest
            {
                let (pair, end) = (start + 2, start + 2 + usize::from(length));
                let key = pair + 2..pair + 2 + usize::from(key);
                let Some(behind) = message.get(end..) else { return };
                if key.end <= end {
                    self.entries.push(Entry { field: start..end, pair: pair..end, key, place: Place::Message });
                    rest = behind;
                    continue;
                }
            }
            let mut fields = Fields::of(rest);
            let Some(field) = fields.next_field() else { return };
            if field.number == self.number {
                let end = start + field.whole.len();
                let pair = end - field.value.bytes().len()..end;
                let key = key_of(field.value.bytes(), pair.start);
                self.entries.push(Entry { field: start..end, pair, key, place: Place::Message });
            }
            rest = fields.rest();
        }
    }

    /// Writes those fields of a `KeyValue` again whose numbers are `wanted`.
    fn copy_fields(&mut self, message: &[u8], pair: Range<usize>, place: Place, wanted: impl Fn(u32) -> bool) {
        let mut at = pair.start;
        while at < pair.end {
            let bytes = if place == Place::Written { self.written.as_bytes() } else { message };
            let Some(field) = Fields::of(&bytes[at..pair.end]).next_field() else { return };
            let end = at + field.whole.len();
            if wanted(field.number) {
                match place {
                    Place::Written => self.written.again(at..end),
                    Place::Message | Place::Deleted => self.written.raw(&message[at..end]),
                }
            }
            at = end;
        }
    }
}

/// Where the key of a `KeyValue` is, which begins at `start`.
#[cold]
fn key_of(pair: &[u8], start: usize) -> Range<usize> {
    let mut at = start;
    let mut fields = Fields::of(pair);
    while let Some(field) = fields.next_field() {
        at += field.whole.len();
        if field.number == KEY {
            return at - field.value.bytes().len()..at;
        }
    }
    start..start
}
