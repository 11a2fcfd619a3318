//! One message while its attributes are edited: runs of whole fields, in the message as it came or in a buffer beside it.
//!
//! Nothing is listed or copied before something changes. Then the message is cut at the change, and what an edit writes
//! stands between the pieces. What stays between two changes and is shorter than a [`Piece`] is copied rather than cut
//! out, so the pieces take no more than a small multiple of the message, whatever is in it. The buffers are kept from
//! message to message: an item costs no allocation.

use std::iter;
use std::mem;
use std::ops::Range;

use super::super::write::{MAX_VARINT, Writer, put_varint, varint_len};
use super::scan::{self, Any, Spot, Wanted};

/// What stays and is shorter than this is copied: a piece takes as much.
const SHORT: usize = size_of::<Piece>();

/// Written bytes that are not in the message any more are thrown away once they are more than this and more than the
/// message.
const WASTE: usize = 64 * 1024;

/// One message after another.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The key of the field that holds attributes.
    tag: u8,
    /// Whether the pieces are those of the message at hand.
    is_cut: bool,
    /// Whether an edit changed something.
    pub(super) is_changed: bool,
    /// What of the message stands before its first attribute, and before all pieces.
    head: usize,
    pieces: Vec<Piece>,
    /// The pieces before the edit at hand.
    before: Vec<Piece>,
    written: Writer,
}

/// A run of whole fields.
#[derive(Clone, Copy, Debug)]
struct Piece {
    place: Place,
    start: usize,
    end: usize,
}

/// Where bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Message,
    Written,
}

/// An attribute, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The index of the piece it is in.
    piece: usize,
    pub(super) place: Place,
    pub(super) spot: Spot,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    Same,
    /// It goes.
    Gone,
    /// It becomes the field that was written.
    Written,
}

impl Pieces {
    /// Begins with another message, whose attributes are in field `number`, which is below 16.
    #[inline]
    pub(super) fn begin(&mut self, number: u32) {
        self.tag = (number as u8) << 3 | scan::LENGTH;
        self.is_cut = false;
        self.is_changed = false;
    }

    /// The number of the field that holds attributes.
    pub(super) fn number(&self) -> u32 {
        u32::from(self.tag >> 3)
    }

    /// Finds the first attribute, once.
    #[inline]
    fn cut(&mut self, message: &[u8]) {
        if self.is_cut {
            return;
        }
        self.is_cut = true;
        self.head = scan::before_attributes(message, self.tag);
        self.written.clear();
        self.pieces.clear();
        self.pieces.push(Piece { place: Place::Message, start: self.head, end: message.len() });
    }

    /// The bytes in which ranges of this place are.
    pub(super) fn bytes<'a>(&'a self, message: &'a [u8], place: Place) -> &'a [u8] {
        match place {
            Place::Message => message,
            Place::Written => self.written.as_bytes(),
        }
    }

    /// The first attribute that is wanted.
    #[inline]
    pub(super) fn find(&mut self, message: &[u8], wanted: &impl Wanted) -> Option<Found> {
        self.cut(message);
        for (piece, &Piece { place, start, end }) in self.pieces.iter().enumerate() {
            if let Some(spot) = scan::find(&self.bytes(message, place)[..end], start, self.tag, wanted) {
                return Some(Found { piece, place, spot });
            }
        }
        None
    }

    /// The `KeyValue` of every attribute, in order.
    pub(super) fn all<'a>(&'a mut self, message: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.cut(message);
        let pieces = &*self;
        pieces.pieces.iter().flat_map(move |piece| {
            let bytes = &pieces.bytes(message, piece.place)[..piece.end];
            let mut at = piece.start;
            iter::from_fn(move || {
                let spot = scan::find(bytes, at, pieces.tag, &Any)?;
                at = spot.field.end;
                Some(spot.pair(bytes))
            })
        })
    }

    /// Asks `change` what becomes of each attribute that is wanted, of which `first` is the first.
    pub(super) fn change(
        &mut self,
        message: &[u8],
        wanted: &impl Wanted,
        first: Found,
        mut change: impl FnMut(&mut Self, Place, &Spot) -> Becomes,
    ) {
        let mut before = mem::take(&mut self.before);
        before.clear();
        before.extend(self.pieces.drain(first.piece..));
        let mut next = Some(first.spot);
        for &Piece { place, start, end } in &before {
            let (mut kept, mut at) = (start, start);
            while let Some(spot) =
                next.take().or_else(|| scan::find(&self.bytes(message, place)[..end], at, self.tag, wanted))
            {
                self.keep(message, place, kept..spot.field.start);
                (kept, at) = (spot.field.start, spot.field.end);
                let written = self.written.as_bytes().len();
                match change(self, place, &spot) {
                    Becomes::Same => continue,
                    Becomes::Gone => {}
                    Becomes::Written => self.put_written(written),
                }
                self.is_changed = true;
                kept = at;
            }
            self.keep(message, place, kept..end);
        }
        self.before = before;
        self.throw_away(message);
    }

    /// Puts what `write` writes, a whole field, behind everything.
    pub(super) fn append(&mut self, message: &[u8], write: impl FnOnce(&mut Writer)) {
        self.cut(message);
        let written = self.written.as_bytes().len();
        write(&mut self.written);
        self.put_written(written);
        self.is_changed = true;
        self.throw_away(message);
    }

    /// Where an edit writes fields.
    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.written
    }

    fn keep(&mut self, message: &[u8], place: Place, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if last.place == place && last.end == range.start => last.end = range.end,
            _ if range.len() < SHORT => {
                let written = self.written.as_bytes().len();
                copy(&mut self.written, message, place, range);
                self.put_written(written);
            }
            _ => self.pieces.push(Piece { place, start: range.start, end: range.end }),
        }
    }

    /// What was written from here on is the next piece, or part of the last one.
    fn put_written(&mut self, start: usize) {
        let end = self.written.as_bytes().len();
        match self.pieces.last_mut() {
            Some(last) if last.place == Place::Written && last.end == start => last.end = end,
            _ => self.pieces.push(Piece { place: Place::Written, start, end }),
        }
    }

    /// Writes the pieces anew once most of what was written is in none of them: edits of an item that is large and all
    /// of which changes would heap it up.
    fn throw_away(&mut self, message: &[u8]) {
        let written = self.written.as_bytes().len();
        if written <= WASTE || written / 2 <= self.edited_len(message) {
            return;
        }
        let mut anew = Writer::with_capacity(self.edited_len(message));
        for &Piece { place, start, end } in &self.pieces {
            anew.raw(&self.bytes(message, place)[start..end]);
        }
        self.written = anew;
        self.pieces.clear();
        self.put_written(0);
    }

    /// Writes the message with these edits, as field `number` of the message around it, which is below 16.
    pub(super) fn write(&self, number: u32, message: &[u8], out: &mut Vec<u8>) {
        let length = self.edited_len(message);
        let mut key = [0; 1 + MAX_VARINT];
        key[0] = (number as u8) << 3 | scan::LENGTH;
        put_varint(length as u64, &mut key[1..]);
        let key = &key[..=varint_len(length as u64)];
        out.reserve(key.len() + length);
        out.extend_from_slice(key);
        out.extend_from_slice(&message[..self.head]);
        for &Piece { place, start, end } in &self.pieces {
            out.extend_from_slice(&self.bytes(message, place)[start..end]);
        }
    }

    /// The length of the message with these edits.
    pub(super) fn edited_len(&self, message: &[u8]) -> usize {
        if !self.is_cut {
            return message.len();
        }
        self.head + self.pieces.iter().map(|piece| piece.end - piece.start).sum::<usize>()
    }
}

/// Writes these bytes again.
pub(super) fn copy(out: &mut Writer, message: &[u8], place: Place, range: Range<usize>) {
    match place {
        Place::Message => out.raw(&message[range]),
        Place::Written => out.again(range),
    }
}
