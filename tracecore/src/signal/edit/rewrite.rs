//! The pass of an edit over one part of a batch.
//!
//! A position in the output is known before anything is copied: what stays is copied in runs, each as long as nothing
//! changes. A message whose content changed gets its length when it ends, where the old length stood; what is behind it
//! moves only if the new length has more or fewer digits. If nothing changes, nothing is copied.
//!
//! The part is canonical and valid: no message has its resource, its scope or its data twice.

use std::mem;
use std::ops::Range;

use bytes::Bytes;

use super::super::Signal;
use super::super::levels::{Levels, count_items, is_one_of, levels};
use super::super::view::wire::{Body, Field, Fields};
use super::super::write::{MAX_VARINT, put_varint, varint_len};
use super::attributes::Desk;
use super::{Act, Edit, ItemKind, ItemMut, ScopeMut, Tally, Touches};
use crate::memory::exact;

/// The part as the edits leave it.
pub(super) fn rewrite(
    signal: Signal,
    part: &Bytes,
    edits: &mut [&mut dyn Edit],
    wanted: &Wanted,
    tally: &mut Tally,
) -> Bytes {
    let mut rewrite = Rewrite {
        input: part,
        audience: Audience { shown_to: edits.len(), edits, wanted, tally },
        levels: levels(signal),
        signal,
        out: Vec::new(),
        copied: 0,
        around: Desk::default(),
        item: Desk::default(),
    };
    rewrite.messages(0, 0..part.len(), 0, &Shown::Kept);
    if rewrite.copied == 0 {
        return part.clone();
    }
    rewrite.copy(part.len());
    exact(rewrite.out)
}

/// What edits want to be shown.
pub(super) struct Wanted {
    by_each: Vec<Touches>,
    by_all: Touches,
    /// The depth of the innermost messages that any of them looks into.
    depth: usize,
}

impl Wanted {
    /// What these want of a signal, if they want anything of it.
    pub(super) fn of(signal: Signal, edits: &[&mut dyn Edit], tally: &mut Tally) -> Option<Wanted> {
        let touches = |(at, edit): (usize, &&mut dyn Edit)| {
            tally.at = at;
            edit.touches()
        };
        let by_each: Vec<Touches> = edits.iter().enumerate().map(touches).collect();
        let by_all = by_each.iter().copied().fold(Touches::NOTHING, Touches::and);
        let depth = depth(by_all, signal);
        (depth > 0).then_some(Wanted { by_each, by_all, depth })
    }
}

/// The output has room for an eighth more than the input and a little, enough for an attribute of each item.
const SPARE_SHARE: usize = 8;
const SPARE: usize = 256;

/// The depths of messages.
const RESOURCE: usize = 1;
const SCOPE: usize = 2;
const METRIC: usize = 3;

/// The number of the field that holds the resource or the scope, in both messages around them.
const HEADER: u32 = 1;

/// The numbers of the fields that hold the attributes of a resource and of a scope.
const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE_ATTRIBUTES: u32 = 3;

/// The depth of the innermost messages that are looked into for this.
fn depth(touches: Touches, signal: Signal) -> usize {
    let Touches { resources, scopes, metrics, items } = touches;
    if items {
        levels(signal).len()
    } else if metrics && signal == Signal::Metrics {
        METRIC
    } else if scopes {
        SCOPE
    } else {
        usize::from(resources)
    }
}

/// Who is shown what comes.
struct Audience<'a, 'e> {
    edits: &'a mut [&'e mut dyn Edit],
    wanted: &'a Wanted,
    /// How many of the edits: all, but for what is in a message that one of them dropped.
    shown_to: usize,
    tally: &'a mut Tally,
}

impl Audience<'_, '_> {
    /// Shows something to each edit that wants it, until one drops it: which.
    #[inline]
    fn show(
        &mut self,
        is_wanted: impl Fn(&Touches) -> bool,
        mut show: impl FnMut(&mut dyn Edit) -> Act,
    ) -> Option<usize> {
        let edits = self.edits.iter_mut().zip(&self.wanted.by_each).take(self.shown_to).enumerate();
        for (at, (edit, _)) in edits.filter(|(_, (_, touches))| is_wanted(touches)) {
            self.tally.at = at;
            if show(&mut **edit) == Act::Drop {
                return Some(at);
            }
        }
        None
    }

    /// What the first of the edits have dropped so far.
    fn dropped_by(&self, first: usize) -> u64 {
        self.tally.dropped[..first].iter().sum()
    }
}

struct Rewrite<'a, 'e> {
    input: &'a [u8],
    audience: Audience<'a, 'e>,
    levels: Levels,
    signal: Signal,
    out: Vec<u8>,
    /// What of the input is in the output, or left out of it.
    copied: usize,
    /// The attributes of the resource or the scope at hand.
    around: Desk,
    /// The attributes of the item at hand.
    item: Desk,
}

/// Where a field is in the input.
struct Extent {
    whole: Range<usize>,
    body: Range<usize>,
}

impl Extent {
    fn of(field: &Field<'_>, start: usize) -> Self {
        let end = start + field.whole.len();
        Extent { whole: start..end, body: end - field.value.bytes().len()..end }
    }
}

/// What showing a resource or a scope came to.
enum Shown {
    Kept,
    /// It was written before what it belongs to: where it stood, it is left out.
    Moved,
    /// By the edit of this index.
    Dropped(usize),
}

impl Rewrite<'_, '_> {
    /// Shows the messages in `body`, which is that of a message `depth` levels below the request and in field `around` of
    /// the message around it. Whether something is left of them.
    fn messages(&mut self, depth: usize, body: Range<usize>, around: u32, shown: &Shown) -> bool {
        let choices = self.levels[depth];
        let kind = ItemKind::of(self.signal, around);
        let has_items = depth + 1 == self.levels.len();
        let (mut kept, mut dropped) = (false, false);
        let mut fields = Fields::of(&self.input[body.clone()]);
        loop {
            let start = body.end - fields.rest().len();
            let Some(field) = fields.next_field() else { return kept || !dropped };
            let at = Extent::of(&field, start);
            if is_one_of(field.number, choices) {
                let stays = if has_items {
                    self.item(kind, field.number, &at)
                } else {
                    self.message(depth + 1, field.number, &at)
                };
                kept |= stays;
                dropped |= !stays;
            } else if field.number == HEADER && matches!(shown, Shown::Moved) {
                self.leave_out(&at.whole);
            }
        }
    }

    /// Shows a message that has items in it, and what is in it. Whether it stays.
    fn message(&mut self, depth: usize, number: u32, at: &Extent) -> bool {
        let begin = self.position(at.whole.start);
        let body_begin = self.position(at.body.start);
        let shown = match depth {
            RESOURCE if self.audience.wanted.by_all.resources => self.header(depth, at),
            SCOPE if self.audience.wanted.by_all.scopes => self.header(depth, at),
            METRIC if self.audience.wanted.by_all.metrics => {
                let metric = Body::of(&self.input[at.body.clone()]).into();
                self.audience
                    .show(|touches| touches.metrics, |edit| edit.metric(&metric))
                    .map_or(Shown::Kept, Shown::Dropped)
            }
            _ => Shown::Kept,
        };
        let stays = match shown {
            Shown::Dropped(by) => {
                self.lose(depth, number, at, by);
                false
            }
            // To leave out what was moved takes a look into the message, too.
            Shown::Moved => self.messages(depth, at.body.clone(), number, &shown),
            Shown::Kept => depth >= self.audience.wanted.depth || self.messages(depth, at.body.clone(), number, &shown),
        };
        if stays {
            self.end(at, body_begin);
        } else {
            self.out.truncate(begin);
            self.leave_out(&at.whole);
        }
        stays
    }

    /// Counts the items of a message that an edit dropped. Those that the edits before it would have dropped are theirs:
    /// they are shown them, and what they make of the message is left out with it.
    fn lose(&mut self, depth: usize, number: u32, at: &Extent, by: usize) {
        let items = count_items(&self.input[at.body.clone()], &self.levels[depth..]);
        let before = self.audience.dropped_by(by);
        if self.audience.wanted.by_each[..by].iter().any(|touches| self::depth(*touches, self.signal) > depth) {
            let shown_to = mem::replace(&mut self.audience.shown_to, by);
            self.messages(depth, at.body.clone(), number, &Shown::Kept);
            self.audience.shown_to = shown_to;
        }
        let earlier = self.audience.dropped_by(by) - before;
        self.audience.tally.dropped[by] += items.saturating_sub(earlier);
    }

    /// Shows the resource or the scope of a message, and writes it if it changed.
    fn header(&mut self, depth: usize, around: &Extent) -> Shown {
        let mut fields = Fields::of(&self.input[around.body.clone()]);
        let mut follows_others = false;
        let header = loop {
            let start = around.body.end - fields.rest().len();
            match fields.next_field() {
                Some(field) if field.number == HEADER => break Some(Extent::of(&field, start)),
                Some(field) => follows_others |= is_one_of(field.number, self.levels[depth]),
                None => break None,
            }
        };
        let message = header.as_ref().map_or(&[][..], |header| &self.input[header.body.clone()]);
        let Rewrite { audience, around: desk, .. } = self;
        let dropped = if depth == RESOURCE {
            let mut resource = desk.of(message, RESOURCE_ATTRIBUTES);
            audience.show(|touches| touches.resources, |edit| edit.resource(&mut resource))
        } else {
            let mut scope = ScopeMut { message, attributes: desk.of(message, SCOPE_ATTRIBUTES) };
            audience.show(|touches| touches.scopes, |edit| edit.scope(&mut scope))
        };
        if let Some(by) = dropped {
            return Shown::Dropped(by);
        }
        let pieces = &self.around.pieces;
        let stays_absent = header.is_none() && pieces.edited_len(message) == 0;
        if !pieces.is_changed || stays_absent {
            return Shown::Kept;
        }
        let stood = match &header {
            Some(header) if !follows_others => header.whole.clone(),
            _ => around.body.start..around.body.start,
        };
        self.copy(stood.start);
        self.around.pieces.write(HEADER, message, &mut self.out);
        self.copied = stood.end;
        if header.is_some() && follows_others { Shown::Moved } else { Shown::Kept }
    }

    /// Shows an item. Whether it stays.
    #[inline]
    fn item(&mut self, kind: ItemKind, number: u32, at: &Extent) -> bool {
        let message = &self.input[at.body.clone()];
        let mut item = ItemMut { kind, message, attributes: self.item.of(message, kind.attributes()) };
        if let Some(by) = self.audience.show(|touches| touches.items, |edit| edit.item(&mut item)) {
            self.leave_out(&at.whole);
            self.audience.tally.dropped[by] += 1;
            return false;
        }
        if self.item.pieces.is_changed {
            self.copy(at.whole.start);
            self.item.pieces.write(number, message, &mut self.out);
            self.copied = at.whole.end;
        }
        true
    }

    /// Where in the output this place of the input is, if nothing before it changes any more.
    fn position(&self, at: usize) -> usize {
        self.out.len() + (at - self.copied)
    }

    /// Copies the run that ends here.
    fn copy(&mut self, end: usize) {
        if self.out.capacity() == 0 {
            self.out.reserve(self.input.len() + self.input.len() / SPARE_SHARE + SPARE);
        }
        self.out.extend_from_slice(&self.input[self.copied..end]);
        self.copied = end;
    }

    /// Copies what is before this, and leaves this out.
    fn leave_out(&mut self, whole: &Range<usize>) {
        if self.copied < whole.start {
            self.copy(whole.start);
        }
        self.copied = whole.end;
    }

    /// Corrects the length of a message that begins here in the output.
    fn end(&mut self, at: &Extent, body_begin: usize) {
        let length = self.position(at.body.end) - body_begin;
        if length == at.body.len() {
            return;
        }
        self.copy(at.body.end);
        let mut digits = [0; MAX_VARINT];
        put_varint(length as u64, &mut digits);
        let width = varint_len(length as u64);
        let before = &self.input[at.whole.start..at.body.start];
        let key = before.iter().take_while(|&&byte| byte >= 0x80).count() + 1;
        let length_at = body_begin - (before.len() - key);
        if length_at + width == body_begin {
            self.out[length_at..body_begin].copy_from_slice(&digits[..width]);
        } else {
            self.out.splice(length_at..body_begin, digits[..width].iter().copied());
        }
    }
}
