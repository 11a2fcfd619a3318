//! What waits to be taken, and when it is ready.
//!
//! Without [`Merging`] there is one lane, and what comes is ready at once, each batch alone. With it there is a lane for
//! each signal, and one for what the collector sends of itself; what waits in a lane is ready once it is large enough, or
//! once the first of it has waited long enough, and is then taken together: as many batches as it takes to reach the
//! least size, no more. Clients that are kept apart have lanes of their own for as long as something waits in them; those
//! for whom there is none left share one, in which nothing is merged. Invariant: batches leave a lane in the order in which
//! they came, and nobody takes from a lane while a batch of it is being cut.
//!
//! Deliberately absent: the batches. What is merged and cut here are numbers; whoever takes a [`Run`] does the rest.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

use smallvec::SmallVec;

use super::Sizer;
use super::load::Load;
use super::settings::Batching;
use crate::signal::{Batch, Signal, SplitLimit};
use crate::time::{Duration, Instant};

/// The lanes that are always there: one for each signal, and two more.
const LANES: usize = Signal::ALL.len() + 2;

/// The lane of what the collector sends of itself: merged with others, it would make them look like its own.
const OWN: usize = LANES - 2;

/// The lane of those who are to have one of their own, and there are too many of them: nothing in it is merged.
const CROWD: usize = LANES - 1;

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

/// Which lane a batch waits in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    lane: usize,
    /// Whose batch it is, where those of several are kept apart.
    client: Option<Box<[u8]>>,
}

impl Way {
    /// That of a batch, by what its metadata has under these keys; `own`: the collector sends it of itself.
    pub(super) fn of(batch: &Batch, own: bool, metadata_keys: &[String]) -> Self {
        match own {
            true => Way { lane: OWN, client: None },
            false => Way { lane: batch.signal() as usize, client: client(batch, metadata_keys) },
        }
    }
}

/// The values under these keys, each with its length, after their number for each key: no two clients look alike.
fn client(batch: &Batch, metadata_keys: &[String]) -> Option<Box<[u8]>> {
    if metadata_keys.is_empty() {
        return None;
    }
    let mut client = Vec::new();
    for key in metadata_keys {
        let values = || batch.metadata().into_iter().flat_map(|metadata| metadata.get_all(key));
        client.extend_from_slice(&values().count().to_ne_bytes());
        for value in values() {
            client.extend_from_slice(&value.len().to_ne_bytes());
            client.extend_from_slice(value.as_bytes());
        }
    }
    Some(client.into_boxed_slice())
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
    /// From which size on what waits is ready.
    min: u64,
    waiting: VecDeque<Waiting<B>>,
    /// Of all that waits together.
    size: u64,
    /// When the first of it has waited long enough.
    due: Option<Instant>,
    /// A batch that was its first is being cut.
    cutting: bool,
}

impl<B> Lane<B> {
    fn new(min: u64) -> Self {
        Lane { min, waiting: VecDeque::new(), size: 0, due: None, cutting: false }
    }

    /// Nothing waits, and nothing will be put back.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.cutting
    }

    fn ready(&self, flush: bool, now: Option<Instant>) -> bool {
        let waited = || now.zip(self.due).is_some_and(|(now, due)| due <= now);
        !self.cutting && !self.waiting.is_empty() && (flush || self.size >= self.min || waited())
    }
}

/// What waits.
#[derive(Debug)]
pub(super) struct Lanes<B> {
    merging: Option<Merging>,
    clock: fn() -> Instant,
    /// Those that are always there, and behind them those of clients.
    lanes: Vec<Lane<B>>,
    /// Which of the lanes of clients is whose: the lanes of those for whom something waits.
    clients: HashMap<Way, usize>,
    /// How many clients have lanes of their own at most.
    most_clients: usize,
    /// Lanes of clients that are nobody's now.
    free: Vec<usize>,
}

impl<B> Lanes<B> {
    pub(super) fn new(merging: Option<Merging>, most_clients: usize, clock: fn() -> Instant) -> Self {
        let min = merging.map_or(0, |merging| merging.min);
        let lanes = (0..LANES).map(|lane| Lane::new(if lane == CROWD { 0 } else { min })).collect();
        Lanes { merging, clock, lanes, clients: HashMap::new(), most_clients, free: Vec::new() }
    }

    /// Nothing waits, and nothing will be put back.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// Adds a batch at the end of a lane.
    pub(super) fn push(&mut self, way: Way, waiting: Waiting<B>, flush: bool) -> Pushed {
        let Some(merging) = self.merging else {
            self.lanes[0].waiting.push_back(waiting);
            return Pushed::Ready;
        };
        let lane = self.lane_of(way, merging.min);
        let lane = &mut self.lanes[lane];
        let (first, before) = (lane.waiting.is_empty(), lane.size);
        lane.size += waiting.size;
        lane.waiting.push_back(waiting);
        if first && lane.due.is_none() {
            lane.due = Some((self.clock)() + merging.wait);
        }
        let reached = lane.size >= lane.min && (first || before < lane.min);
        match () {
            () if lane.cutting => Pushed::Behind,
            () if reached || first && flush => Pushed::Ready,
            () if first => Pushed::First,
            () => Pushed::Behind,
        }
    }

    /// The lane of a batch, made for its client if it has none.
    fn lane_of(&mut self, way: Way, min: u64) -> usize {
        if way.client.is_none() {
            return way.lane;
        }
        let clients = self.clients.len();
        match self.clients.entry(way) {
            Entry::Occupied(client) => *client.get(),
            Entry::Vacant(_) if clients >= self.most_clients => CROWD,
            Entry::Vacant(client) => *client.insert(self.free.pop().unwrap_or_else(|| {
                self.lanes.push(Lane::new(min));
                self.lanes.len() - 1
            })),
        }
    }

    /// Gives the lane of a client back if nothing is left in it.
    fn leave(&mut self, lane: usize) {
        if lane >= LANES && self.lanes[lane].is_empty() {
            self.clients.retain(|_, of| *of != lane);
            self.lanes[lane].due = None;
            self.free.push(lane);
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
        let ready = self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.ready(flush, Some(now)));
        let (index, lane) = ready.min_by_key(|(_, lane)| lane.due)?;
        let mut size = 0;
        let mut count = 0;
        for waiting in &lane.waiting {
            if count > 0 && size >= lane.min {
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
        self.leave(index);
        Some(Run { batches, cut })
    }

    /// Puts back what was cut off, before all else in the lane.
    pub(super) fn put_back(&mut self, index: usize, rest: impl DoubleEndedIterator<Item = Waiting<B>>) {
        let lane = &mut self.lanes[index];
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
        self.leave(index);
    }

    /// Whether a lane is ready, whatever the time: whoever keeps it comes by itself.
    pub(super) fn any_ready(&self, flush: bool) -> bool {
        match self.merging {
            None => !self.lanes[0].waiting.is_empty(),
            Some(_) => self.lanes.iter().any(|lane| lane.ready(flush, None)),
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
