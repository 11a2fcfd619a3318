//! Cutting a batch into smaller ones, on the wire.
//!
//! Pieces are filled one after the other, each as far as it goes: a piece takes whole resources, then whole scopes, whole
//! metrics and single items, and what stands around an item (its resource, its scope, its metric) is written again in
//! each piece that has some of it. The order of items and every unknown field stay. Whole resources are a slice of the
//! part they came in, unless that would pin more than twice their size.
//!
//! Deliberately absent: a bound on what is written again. Who asks for pieces smaller than a resource gets its attributes
//! in each of them.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::{iter, mem};

use bytes::Bytes;

use super::levels::{Levels, count_items, is_one_of, levels};
use super::schema::wire;
use super::view::wire::Fields;
use super::write::{put_varint, varint_len};
use super::{Batch, Signal};
use crate::memory::exact;

/// How large a piece of a batch may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitLimit {
    /// Spans, data points or log records.
    Items(NonZeroU64),
    /// Encoded bytes. An item that is larger with what stands around it makes a piece of its own.
    Bytes(NonZeroUsize),
}

impl Batch {
    /// The batch in pieces of at most `limit`, in order and each as full as can be. A batch that fits is one piece, itself.
    ///
    /// Nothing is decoded, but metrics that are not canonical: they are [`normalised`](Batch::normalised) before. Every
    /// piece has the flags and the metadata of the batch. A limit in bytes can make a piece of resources without items.
    pub fn split(&self, limit: SplitLimit) -> Split {
        let fits = match limit {
            SplitLimit::Items(limit) => self.items() <= limit.get(),
            SplitLimit::Bytes(limit) => self.size() <= limit.get(),
        };
        // Of a metric with two kinds of data the last one counts: it cannot be cut as it is.
        let must_normalise = !fits && self.signal() == Signal::Metrics;
        let batch = if must_normalise { self.normalised().into_owned() } else { self.clone() };
        let levels = levels(batch.signal());
        let messages = Vec::with_capacity(levels.len());
        Split { batch, limit, fits, levels, part: 0, messages }
    }
}

/// The pieces of a batch: see [`Batch::split`].
#[derive(Debug)]
pub struct Split {
    batch: Batch,
    limit: SplitLimit,
    /// The batch is its only piece, which is still to come.
    fits: bool,
    levels: Levels,
    /// The index of the part at hand.
    part: usize,
    /// The messages at hand, each within the one before; the first is the part itself. None between two parts.
    messages: Vec<Message>,
}

impl Split {
    /// Cuts what is left by another limit.
    pub fn then(&mut self, limit: SplitLimit) {
        self.limit = limit;
    }
}

/// A message that is taken apart.
#[derive(Debug)]
struct Message {
    /// The number of the field that it is, 0 of a part.
    number: u32,
    /// Its body in the part.
    body: Range<usize>,
    /// Where in the part its next field begins.
    next: usize,
    /// The size of what each piece of it repeats.
    header: usize,
    /// Where its length stands in the buffer, if it was begun in the piece at hand.
    begun: Option<usize>,
    /// The size of its body in the piece at hand, without a message in it that has not ended.
    written: usize,
}

impl Iterator for Split {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.fits {
            self.fits = false;
            self.part = self.batch.parts().len();
            return Some(self.batch.clone());
        }
        let Split { batch, messages, .. } = self;
        let mut piece = Piece::default();
        while let Some(part) = batch.parts().get(self.part) {
            if messages.is_empty() {
                messages.push(Message::new(0, 0..part.len(), 0));
            }
            let depth = messages.len() - 1;
            let Message { next, body, .. } = &messages[depth];
            let Some(field) = Fields::of(&part[*next..body.end]).next_field() else {
                piece.end(part, messages);
                self.part += usize::from(messages.is_empty());
                continue;
            };
            let whole = *next..next + field.whole.len();
            let (is_inner, below) = match self.levels[depth..] {
                [choices, ref below @ ..] => (is_one_of(field.number, choices), below),
                [] => (false, &[][..]),
            };
            if !is_inner && depth > 0 {
                // Every piece repeats it.
                messages[depth].next = whole.end;
                continue;
            }
            let items = if is_inner { count_items(field.value.bytes(), below) } else { 0 };
            let is_whole = items == 0 || below.is_empty();
            let fits = match self.limit {
                SplitLimit::Items(limit) => piece.items + items <= limit.get(),
                SplitLimit::Bytes(limit) => piece.size_with(messages, whole.len()) <= limit.get(),
            };
            if fits || is_whole && piece.is_empty() {
                messages[depth].next = whole.end;
                piece.take(part, messages, whole, items, self.levels);
            } else if is_whole {
                return Some(piece.into_batch(batch, part, messages));
            } else {
                messages[depth].next = whole.end;
                let body = whole.end - field.value.bytes().len()..whole.end;
                let header = repeated(&part[body.clone()], below[0]).map(<[u8]>::len).sum();
                messages.push(Message::new(field.number, body, header));
            }
        }
        let nothing = Bytes::new();
        (!piece.is_empty()).then(|| piece.into_batch(batch, &nothing, messages))
    }
}

/// The fields of a message that each of its pieces repeats: all but those of `choices`.
fn repeated(body: &[u8], choices: u32) -> impl Iterator<Item = &[u8]> {
    let mut fields = Fields::of(body);
    iter::from_fn(move || fields.next_field())
        .filter(move |field| !is_one_of(field.number, choices))
        .map(|field| field.whole)
}

impl Message {
    fn new(number: u32, body: Range<usize>, header: usize) -> Self {
        Message { number, next: body.start, body, header, begun: None, written: 0 }
    }

    /// The bytes that its length took where it came from, which are enough for a part of it.
    fn width(&self) -> usize {
        varint_len(self.body.len() as u64)
    }
}

/// The size of a message with its key and its length.
fn framed(body: usize) -> usize {
    KEY_LEN + varint_len(body as u64) + body
}

/// The keys of all messages between the request and its items are one byte long.
const KEY_LEN: usize = 1;

/// A slice that is less than a half of its part is copied.
const MAX_PINNED: usize = 2;

/// A batch that is filled.
#[derive(Default)]
struct Piece {
    parts: Vec<Bytes>,
    /// What has to be written, or is copied.
    buffer: Vec<u8>,
    /// The resources of the part at hand that follow one another and are taken as they are.
    run: Range<usize>,
    items: u64,
    /// The size of the resources that have ended.
    size: usize,
}

impl Piece {
    fn is_empty(&self) -> bool {
        self.size == 0 && self.buffer.is_empty()
    }

    /// How large the piece is if `more` bytes are added to the last of `messages`.
    fn size_with(&self, messages: &[Message], more: usize) -> usize {
        let begin = |message: &Message| if message.begun.is_some() { message.written } else { message.header };
        self.size + messages[1..].iter().rev().fold(more, |inner, message| framed(begin(message) + inner))
    }

    /// Adds a field of the last of `messages`.
    fn take(&mut self, part: &Bytes, messages: &mut [Message], field: Range<usize>, items: u64, levels: Levels) {
        self.items += items;
        let [_, messages @ ..] = messages else { return };
        let Some(depth) = messages.len().checked_sub(1) else {
            self.size += field.len();
            if self.run.end != field.start {
                self.end_run(part);
                self.run.start = field.start;
            }
            self.run.end = field.end;
            return;
        };
        self.end_run(part);
        for (message, &choices) in messages.iter_mut().zip(&levels[1..]) {
            if message.begun.is_none() {
                self.buffer.push((message.number as u8) << 3 | wire::LENGTH);
                message.begun = Some(self.buffer.len());
                self.buffer.resize(self.buffer.len() + message.width(), 0);
                repeated(&part[message.body.clone()], choices).for_each(|field| self.buffer.extend_from_slice(field));
                message.written = message.header;
            }
        }
        messages[depth].written += field.len();
        self.buffer.extend_from_slice(&part[field]);
    }

    /// Ends the last of `messages`.
    fn end(&mut self, part: &Bytes, messages: &mut Vec<Message>) {
        let Some(mut message) = messages.pop() else { return };
        if messages.is_empty() {
            self.end_run(part);
        }
        self.end_begun(&mut message, messages);
    }

    /// Writes the length of `message`, which is within `around`, if it was begun.
    fn end_begun(&mut self, message: &mut Message, around: &mut [Message]) {
        let Some(begun) = message.begun.take() else { return };
        let length = message.written as u64;
        let (width, reserved) = (varint_len(length), message.width());
        self.buffer.drain(begun + width..begun + reserved);
        put_varint(length, &mut self.buffer[begun..]);
        match around {
            [_, .., outer] => outer.written += framed(message.written),
            _ => self.size += framed(message.written),
        }
    }

    /// Adds the run: the slice that it is, or a copy.
    fn end_run(&mut self, part: &Bytes) {
        let run = mem::take(&mut self.run);
        if run.is_empty() {
            return;
        }
        if run.len() * MAX_PINNED < part.len() {
            self.buffer.extend_from_slice(&part[run]);
            return;
        }
        self.end_buffer();
        self.parts.push(part.slice(run));
    }

    fn end_buffer(&mut self) {
        if !self.buffer.is_empty() {
            self.parts.push(exact(mem::take(&mut self.buffer)));
        }
    }

    /// The piece of `whole`, of which `part` is at hand; what of `messages` it begins, the next piece begins again.
    fn into_batch(mut self, whole: &Batch, part: &Bytes, messages: &mut [Message]) -> Batch {
        self.end_run(part);
        for inner in (1..messages.len()).rev() {
            let (around, inner) = messages.split_at_mut(inner);
            self.end_begun(&mut inner[0], around);
        }
        self.end_buffer();
        whole.with_parts(self.parts, self.items)
    }
}
