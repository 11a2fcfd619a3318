//! The decisions of a queue: who has room, who waits for it, what is taken next.
//!
//! Nothing here waits, wakes or locks: each call is one step under the lock of [`Queue`](super::Queue), which then wakes
//! whom the step has admitted, and as many consumers as it says. What always holds between two steps: `used` is within
//! `limit`; the first in line does not fit; nobody stands in line before a closed queue. What waits to be merged with what
//! has not come yet waits no longer than until the queue is full: then nothing can come. What came in is told of once: by
//! whoever claims it, or by the last count.
//!
//! Of the consumers that wait, one keeps the time at which a lane is ready without anything coming. It is told when there
//! is a first such time, and looks by itself when that has come: by then, what waits has often been taken for its size,
//! and there is a later one. So the time is kept without being told of each batch. Deliberately absent: what a batch is and
//! how a sender is told.

use std::collections::VecDeque;

use super::Full;
use super::lanes::{Lanes, Pushed, Run, Waiting, Way};
use super::load::Load;
use crate::telemetry::DropReason;
use crate::time::Instant;

/// What the lock of a queue guards: batches `B` that wait to be taken, and senders `S` that wait for room.
#[derive(Debug)]
pub(super) struct State<B, S> {
    limit: Load,
    /// What is promised, waiting and under way.
    used: Load,
    /// How many places are promised and neither filled nor given back.
    promised: usize,
    waiting: Lanes<B>,
    /// The queue was full while something waited to be merged.
    pressed: bool,
    /// A consumer keeps the time.
    kept: bool,
    /// In the order of their tickets.
    line: VecDeque<Standing<S>>,
    tickets: u64,
    /// Why it takes nothing more, once that is so.
    closed: Option<DropReason>,
    /// Items that came in and of which nobody has told what became of them.
    untold: u64,
    /// They were told of together: nobody claims any after that.
    counted: bool,
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
    /// What goes out next.
    Run {
        run: Run<B>,
        /// There is more to do for another consumer.
        more: bool,
    },
    /// Nothing yet.
    Nothing,
    /// Nothing before this time, which the consumer is to keep.
    Keep(Instant),
    /// Nothing, and nothing will come.
    Ended,
}

/// Which consumers must look again.
#[must_use = "a consumer that is not woken sleeps beside a batch"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Nobody,
    One,
    /// Those of a closed queue: the ones that find nothing end.
    All,
}

impl Wake {
    fn one_if(condition: bool) -> Self {
        if condition { Wake::One } else { Wake::Nobody }
    }
}

impl<B, S> State<B, S> {
    pub(super) fn new(limit: Load, lanes: Lanes<B>) -> Self {
        State {
            limit,
            used: Load::default(),
            promised: 0,
            waiting: lanes,
            pressed: false,
            kept: false,
            line: VecDeque::new(),
            tickets: 0,
            closed: None,
            untold: 0,
            counted: false,
        }
    }

    pub(super) fn used_and_limit(&self) -> (Load, Load) {
        (self.used, self.limit)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Why it takes nothing more: a queue that is open will take nothing more for a shutdown at the earliest.
    pub(super) fn closed_for(&self) -> DropReason {
        self.closed.unwrap_or(DropReason::Shutdown)
    }

    /// Promises a place, if there is room and nobody waits for it already.
    pub(super) fn reserve(&mut self, load: Load) -> Result<(), Full> {
        if !load.within(self.limit) {
            return Err(Full::ForEver);
        }
        if let Some(reason) = self.closed {
            return Err(Full::Closed(reason));
        }
        if !self.line.is_empty() || !self.fits(load) {
            return Err(Full::Now);
        }
        self.promise(load);
        Ok(())
    }

    /// Puts a sender that found no room at the end of the line.
    pub(super) fn line_up(&mut self, load: Load, sender: S) -> Ticket {
        debug_assert!(load.within(self.limit) && !self.is_closed(), "it would stand there for ever");
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
    ///
    /// # Errors
    /// The batch, if it comes after the last count: nobody takes it out, and its place is given back.
    pub(super) fn fill(&mut self, way: Way, waiting: Waiting<B>) -> Result<Wake, B> {
        self.promised -= 1;
        if self.counted {
            self.used = self.used.minus(waiting.load);
            return Err(waiting.batch);
        }
        self.untold += waiting.load.items;
        let pushed = self.waiting.push(way, waiting, self.flushes());
        Ok(match pushed {
            // The others then end.
            _ if self.is_closed() => Wake::All,
            Pushed::Ready => Wake::One,
            Pushed::First => Wake::one_if(!self.kept),
            Pushed::Behind => Wake::Nobody,
        })
    }

    /// The queue was full: what waits to be merged goes out as it is.
    pub(super) fn press(&mut self) -> Wake {
        let waits = !self.flushes() && self.waiting.due().is_some() && !self.waiting.any_ready(false);
        self.pressed |= waits;
        Wake::one_if(waits)
    }

    /// Whether what waits goes out at once, however little it is.
    fn flushes(&self) -> bool {
        self.is_closed() || self.pressed || !self.line.is_empty()
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

    /// Gives out what goes out next. Its room stays used until it is settled.
    pub(super) fn take(&mut self) -> Next<B> {
        let flush = self.flushes();
        if let Some(run) = self.waiting.take(flush) {
            self.pressed = false;
            let unkept = !self.kept && self.waiting.due().is_some();
            return Next::Run { run, more: unkept || self.waiting.any_ready(self.flushes()) };
        }
        match self.waiting.due() {
            Some(due) if !self.kept => {
                self.kept = true;
                Next::Keep(due)
            }
            None if self.is_closed() && self.promised == 0 && self.waiting.is_empty() => Next::Ended,
            Some(_) | None => Next::Nothing,
        }
    }

    /// The consumer that kept the time does so no longer.
    pub(super) fn unkeep(&mut self) -> Wake {
        self.kept = false;
        Wake::one_if(self.waiting.due().is_some())
    }

    /// Puts back what was cut off the last batch of a run.
    ///
    /// # Errors
    /// All of it, after the last count, which has told of it: its room is given back.
    pub(super) fn put_back(&mut self, lane: usize, rest: Vec<Waiting<B>>) -> Result<Wake, Vec<Waiting<B>>> {
        if self.counted {
            // The lane is not being cut any more.
            self.waiting.put_back(lane, std::iter::empty());
            self.used = rest.iter().fold(self.used, |used, waiting| used.minus(waiting.load));
            return Err(rest);
        }
        self.waiting.put_back(lane, rest.into_iter());
        Ok(match self.is_closed() {
            true => Wake::All,
            false => Wake::one_if(self.waiting.any_ready(self.flushes()) || !self.kept && self.waiting.due().is_some()),
        })
    }

    /// Frees the room of a batch that was taken out.
    pub(super) fn settle(&mut self, load: Load) -> Admitted<S> {
        self.used = self.used.minus(load);
        self.admit()
    }

    /// Promises nothing more, for the first reason that it was closed for, and sends away who stands in line.
    pub(super) fn close(&mut self, reason: DropReason) -> impl Iterator<Item = S> + use<B, S> {
        self.closed.get_or_insert(reason);
        std::mem::take(&mut self.line).into_iter().map(|standing| standing.sender)
    }

    /// Whether these items, which were taken out, are the caller's to tell of. They are once, and not after the last count.
    pub(super) fn claim(&mut self, items: u64) -> bool {
        if !self.counted {
            self.untold -= items;
        }
        !self.counted
    }

    /// The last count: gives up the batches that wait to be taken, and says how many items are untold, of these and of
    /// what was taken out and never claimed. Comes after the close: nobody stands in line.
    pub(super) fn abandon(&mut self) -> (impl Iterator<Item = B> + use<B, S>, u64) {
        debug_assert!(self.is_closed(), "what came later would be lost untold");
        self.counted = true;
        let waiting = self.waiting.clear();
        self.used = waiting.iter().fold(self.used, |used, waiting| used.minus(waiting.load));
        (waiting.into_iter().map(|waiting| waiting.batch), std::mem::take(&mut self.untold))
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
