//! What waits to be taken, and when it is ready.
//!
//! Without [`Merging`] there is one lane, and what comes is ready at once, each batch alone. With it there is a lane for
//! each signal, and one for what the collector sends of itself; what waits in a lane is ready once it is large enough, or
//! once the first of it has waited long enough, and is then taken together: as many batches as it takes to reach the
//! least size, no more. Invariant: batches leave a lane in the order in which they came, and nobody takes from a lane
//! while a batch of it is being cut.
//!
//! Deliberately absent: the batches. What is merged and cut here are numbers; whoever takes a [`Run`] does the rest.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use smallvec::SmallVec;

use super::Sizer;
use super::load::Load;
use super::settings::Batching;
use crate::signal::{Batch, Signal, SplitLimit};
use crate::time::{Duration, Instant};

/// A lane for each signal, and one for what the collector sends of itself.
const LANES: usize = Signal::ALL.len() + 1;

/// The lane of what the collector sends of itself: merged with others, it would make them look like its own.
const OWN: usize = LANES - 1;

/// How batches that wait are merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merging {
    unit: Sizer,
    min: u64,
    max: Option<NonZeroU64>,
    wait: Duration,
}

impl Merging {
    pub(super) fn of(settings: &Batching, queue: Sizer) -> Self {
        Merging {
            unit: settings.unit(queue),
            min: settings.min_size,
            max: NonZeroU64::new(settings.max_size),
            wait: settings.flush_timeout.get(),
        }
    }

    /// How much of a merged batch this one is.
    pub(super) fn size(&self, batch: &Batch) -> u64 {
        match self.unit {
            Sizer::Bytes => batch.size() as u64,
            Sizer::Items | Sizer::Requests => batch.items(),
        }
    }

    /// As a limit for pieces of a batch.
    pub(super) fn pieces_of(&self, size: NonZeroU64) -> SplitLimit {
        match self.unit {
            // What does not fit the address space limits nothing in it.
            Sizer::Bytes => SplitLimit::Bytes(size.try_into().unwrap_or(std::num::NonZeroUsize::MAX)),
            Sizer::Items | Sizer::Requests => SplitLimit::Items(size),
        }
    }
}

/// The lane that a batch waits in.
pub(super) fn lane_of(signal: Signal, own: bool) -> usize {
    if own { OWN } else { signal as usize }
}

/// A batch `B` that waits.
#[derive(Debug)]
pub(super) struct Waiting<B> {
    /// What it takes of the queue.
    pub(super) load: Load,
    /// How much of a merged batch it is.
    pub(super) size: u64,
    pub(super) batch: B,
}

/// Batches that go together.
#[derive(Debug)]
pub(super) struct Run<B> {
    pub(super) batches: SmallVec<[Waiting<B>; 1]>,
    /// What is too much of the last one is to be cut off and put back; until then nobody takes from its lane.
    pub(super) cut: Option<Cut>,
}

/// How the last batch of a run is to be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) lane: usize,
    /// How much of it there is room for. Never 0: a run that is full has no more batches.
    pub(super) room: NonZeroU64,
    /// How large the pieces of the rest may be.
    pub(super) max: NonZeroU64,
}

#[derive(Debug)]
struct Lane<B> {
    waiting: VecDeque<Waiting<B>>,
    /// Of all that waits together.
    size: u64,
    /// When the first of it has waited long enough.
    due: Option<Instant>,
    /// A batch that was its first is being cut.
    cutting: bool,
}

impl<B> Lane<B> {
    fn ready(&self, min: u64, flush: bool, now: Option<Instant>) -> bool {
        let waited = || now.zip(self.due).is_some_and(|(now, due)| due <= now);
        !self.cutting && !self.waiting.is_empty() && (flush || self.size >= min || waited())
    }
}

/// What waits.
#[derive(Debug)]
pub(super) struct Lanes<B> {
    merging: Option<Merging>,
    clock: fn() -> Instant,
    lanes: [Lane<B>; LANES],
}

impl<B> Lanes<B> {
    pub(super) fn new(merging: Option<Merging>, clock: fn() -> Instant) -> Self {
        let lanes = [(); LANES].map(|()| Lane { waiting: VecDeque::new(), size: 0, due: None, cutting: false });
        Lanes { merging, clock, lanes }
    }

    /// Nothing waits, and nothing will be put back.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.is_empty() && !lane.cutting)
    }

    /// Adds a batch at the end of a lane.
    pub(super) fn push(&mut self, lane: usize, waiting: Waiting<B>, flush: bool) -> Pushed {
        let Some(merging) = self.merging else {
            self.lanes[0].waiting.push_back(waiting);
            return Pushed::Ready;
        };
        let lane = &mut self.lanes[lane];
        let (first, before) = (lane.waiting.is_empty(), lane.size);
        lane.size += waiting.size;
        lane.waiting.push_back(waiting);
        if first && lane.due.is_none() {
            lane.due = Some((self.clock)() + merging.wait);
        }
        let reached = lane.size >= merging.min && (first || before < merging.min);
        match () {
            () if lane.cutting => Pushed::Behind,
            () if reached || first && flush => Pushed::Ready,
            () if first => Pushed::First,
            () => Pushed::Behind,
        }
    }

    /// Takes what goes together next: of the lanes that are ready, from the one that has been waiting longest. `flush`:
    /// all are ready.
    pub(super) fn take(&mut self, flush: bool) -> Option<Run<B>> {
        let Some(merging) = self.merging else {
            let alone = self.lanes[0].waiting.pop_front()?;
            return Some(Run { batches: SmallVec::from_buf([alone]), cut: None });
        };
        if self.lanes.iter().all(|lane| lane.waiting.is_empty()) {
            return None;
        }
        let now = (self.clock)();
        let ready = self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.ready(merging.min, flush, Some(now)));
        let (index, lane) = ready.min_by_key(|(_, lane)| lane.due)?;
        let mut size = 0;
        let mut count = 0;
        for waiting in &lane.waiting {
            if count > 0 && size >= merging.min {
                break;
            }
            size += waiting.size;
            count += 1;
        }
        let batches: SmallVec<[Waiting<B>; 1]> = lane.waiting.drain(..count).collect();
        lane.size -= size;
        lane.due = (!lane.waiting.is_empty()).then(|| now + merging.wait);
        let last = batches.last().map_or(0, |last| last.size);
        let cut = merging.max.filter(|max| size > max.get()).and_then(|max| {
            // Without the last one it was below the least size, which is at most the largest one.
            let room = NonZeroU64::new(max.get().saturating_sub(size - last))?;
            Some(Cut { lane: index, room, max })
        });
        lane.cutting = cut.is_some();
        Some(Run { batches, cut })
    }

    /// Puts back what was cut off, before all else in the lane.
    pub(super) fn put_back(&mut self, lane: usize, rest: impl DoubleEndedIterator<Item = Waiting<B>>) {
        let lane = &mut self.lanes[lane];
        for waiting in rest.rev() {
            lane.size += waiting.size;
            lane.waiting.push_front(waiting);
        }
        lane.cutting = false;
        if let Some(merging) = self.merging
            && !lane.waiting.is_empty()
            && lane.due.is_none()
        {
            lane.due = Some((self.clock)() + merging.wait);
        }
    }

    /// Whether a lane is ready, whatever the time: whoever keeps it comes by itself.
    pub(super) fn any_ready(&self, flush: bool) -> bool {
        match self.merging {
            None => !self.lanes[0].waiting.is_empty(),
            Some(merging) => self.lanes.iter().any(|lane| lane.ready(merging.min, flush, None)),
        }
    }

    /// When the next lane is ready, if nothing comes. One of which a batch is being cut is told of when that is done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter(|lane| !lane.cutting).filter_map(|lane| lane.due).min()
    }

    /// Takes all.
    pub(super) fn clear(&mut self) -> Vec<Waiting<B>> {
        self.lanes
            .iter_mut()
            .flat_map(|lane| {
                (lane.size, lane.due) = (0, None);
                std::mem::take(&mut lane.waiting)
            })
            .collect()
    }
}

/// What became of a lane when a batch was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It was not ready and is now.
    Ready,
    /// It was empty: its time has begun.
    First,
    /// Nothing that anybody must know.
    Behind,
}
