//! The decisions of a queue: who has room, who waits for it, what is taken next.
//!
//! Nothing here waits, wakes or locks: each call is one step under the lock of [`Queue`](super::Queue), which then wakes
//! whom the step has admitted. What always holds between two steps: `used` is within `limit`; the first in line does not
//! fit; nobody stands in line before a closed queue. Deliberately absent: what a batch is and how a sender is told.

use std::collections::VecDeque;

use super::Full;
use super::load::Load;

/// What the lock of a queue guards: batches `B` that wait to be taken, and senders `S` that wait for room.
#[derive(Debug)]
pub(super) struct State<B, S> {
    limit: Load,
    /// What is promised, waiting and under way.
    used: Load,
    /// How many places are promised and neither filled nor given back.
    promised: usize,
    waiting: VecDeque<(Load, B)>,
    /// In the order of their tickets.
    line: VecDeque<Standing<S>>,
    tickets: u64,
    closed: bool,
    /// Items whose delivery the shutdown has cut off.
    cut_off: u64,
}

/// Where a sender stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Standing<S> {
    ticket: Ticket,
    load: Load,
    sender: S,
}

/// Senders who now have room, in their order: it is theirs already, and each must be told.
#[must_use = "whoever is not told waits for ever"]
#[derive(Debug)]
pub(super) struct Admitted<S>(pub(super) Vec<(Load, S)>);

/// What a consumer finds.
#[derive(Debug)]
pub(super) enum Next<B> {
    /// The oldest batch.
    Batch(Load, B),
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing will come.
    Ended,
}

impl<B, S> State<B, S> {
    pub(super) fn new(limit: Load) -> Self {
        State {
            limit,
            used: Load::default(),
            promised: 0,
            waiting: VecDeque::new(),
            line: VecDeque::new(),
            tickets: 0,
            closed: false,
            cut_off: 0,
        }
    }

    pub(super) fn used_and_limit(&self) -> (Load, Load) {
        (self.used, self.limit)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Promises a place, if there is room and nobody waits for it already.
    pub(super) fn reserve(&mut self, load: Load) -> Result<(), Full> {
        if !load.within(self.limit) {
            return Err(Full::ForEver);
        }
        if self.closed {
            return Err(Full::Closed);
        }
        if !self.line.is_empty() || !self.fits(load) {
            return Err(Full::Now);
        }
        self.promise(load);
        Ok(())
    }

    /// Puts a sender that found no room at the end of the line.
    pub(super) fn line_up(&mut self, load: Load, sender: S) -> Ticket {
        debug_assert!(load.within(self.limit) && !self.closed, "it would stand there for ever");
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.line.push_back(Standing { ticket, load, sender });
        ticket
    }

    /// Takes a sender out of the line, if it still stands there.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Admitted<S> {
        if let Ok(place) = self.line.binary_search_by_key(&ticket, |standing| standing.ticket) {
            self.line.remove(place);
        }
        self.admit()
    }

    /// Fills a promised place.
    pub(super) fn fill(&mut self, load: Load, batch: B) {
        self.promised -= 1;
        self.waiting.push_back((load, batch));
    }

    /// Makes two promised places of one.
    pub(super) fn split(&mut self) {
        self.promised += 1;
    }

    /// Takes a promised place back.
    pub(super) fn forgo(&mut self, load: Load) -> Admitted<S> {
        self.promised -= 1;
        self.settle(load)
    }

    /// Gives the oldest batch out. Its room stays used until it is settled.
    pub(super) fn take(&mut self) -> Next<B> {
        match self.waiting.pop_front() {
            Some((load, batch)) => Next::Batch(load, batch),
            None if self.closed && self.promised == 0 => Next::Ended,
            None => Next::Nothing,
        }
    }

    /// Frees the room of a batch that was taken out.
    pub(super) fn settle(&mut self, load: Load) -> Admitted<S> {
        self.used = self.used.minus(load);
        self.admit()
    }

    /// Promises nothing more, and sends away who stands in line.
    pub(super) fn close(&mut self) -> impl Iterator<Item = S> + use<B, S> {
        self.closed = true;
        std::mem::take(&mut self.line).into_iter().map(|standing| standing.sender)
    }

    /// Remembers items whose delivery was cut off.
    pub(super) fn cut_off(&mut self, items: u64) {
        self.cut_off += items;
    }

    /// Gives up what waits to be taken: the batches, and how many items they and what was cut off are.
    pub(super) fn abandon(&mut self) -> (impl Iterator<Item = B> + use<B, S>, u64, Admitted<S>) {
        let waiting = std::mem::take(&mut self.waiting);
        let load = waiting.iter().fold(Load::default(), |sum, (load, _)| sum.plus(*load));
        let items = std::mem::take(&mut self.cut_off) + load.items;
        let admitted = self.settle(load);
        (waiting.into_iter().map(|(_, batch)| batch), items, admitted)
    }

    fn fits(&self, load: Load) -> bool {
        self.used.plus(load).within(self.limit)
    }

    fn promise(&mut self, load: Load) {
        self.used = self.used.plus(load);
        self.promised += 1;
    }

    /// Promises places from the head of the line on, as far as there is room. One that does not fit holds up those
    /// behind it: a large batch would otherwise wait as long as small ones come.
    fn admit(&mut self) -> Admitted<S> {
        let mut admitted = Vec::new();
        while self.line.front().is_some_and(|first| self.fits(first.load))
            && let Some(Standing { load, sender, .. }) = self.line.pop_front()
        {
            self.promise(load);
            admitted.push((load, sender));
        }
        Admitted(admitted)
    }
}
