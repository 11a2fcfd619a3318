//! What a batch takes of a queue, and what a queue can hold.

use super::settings::{SendingQueue, Sizer};
use crate::memory::BATCH_BYTES;
use crate::signal::Batch;

/// So many batches a queue holds at least where it counts items or bytes, however few bytes it may hold: a megabyte.
const MIN_REQUESTS: u64 = 1000;

/// How full a queue is, by the bound that is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    /// What the two are counted in.
    pub(crate) unit: Sizer,
    pub(crate) used: u64,
    pub(crate) capacity: u64,
}

impl Fill {
    /// Of two fractions the greater one has the greater cross product. Of two that are equal, the first.
    fn nearer(self, other: Fill) -> Fill {
        let product = |one: Fill, other: Fill| u128::from(one.used) * u128::from(other.capacity);
        if product(self, other) >= product(other, self) { self } else { other }
    }
}

/// An amount in all three units at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(super) requests: u64,
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Load {
    /// What a batch takes.
    pub(crate) fn of(batch: &Batch) -> Self {
        Load { requests: 1, items: batch.items(), bytes: batch.size() as u64 }
    }

    /// What a queue holds: so much by its sizer, and in bytes always. And no more batches than take as much beside their
    /// bytes: those that are tiny would otherwise take many times what it may have.
    pub(super) fn limit(settings: &SendingQueue) -> Self {
        let bytes = settings.max_bytes.get();
        let requests = (bytes / BATCH_BYTES).max(MIN_REQUESTS);
        let mut limit = Load { requests, items: u64::MAX, bytes };
        let size = settings.queue_size.get();
        match settings.sizer {
            Sizer::Requests => limit.requests = size,
            Sizer::Items => limit.items = size,
            Sizer::Bytes => limit.bytes = limit.bytes.min(size),
        }
        limit
    }

    /// How full a queue with this limit is that has taken so much.
    pub(super) fn fill(self, limit: Load) -> Fill {
        let requests = Fill { unit: Sizer::Requests, used: self.requests, capacity: limit.requests };
        let items = Fill { unit: Sizer::Items, used: self.items, capacity: limit.items };
        let bytes = Fill { unit: Sizer::Bytes, used: self.bytes, capacity: limit.bytes };
        // Without a bound there is none to be near to. The one that was set comes first; bytes always have one.
        let bounded = [requests, items].into_iter().filter(|fill| fill.capacity < u64::MAX);
        bounded.chain([bytes]).reduce(Fill::nearer).unwrap_or(bytes)
    }

    /// Both together.
    pub(crate) fn plus(self, other: Load) -> Load {
        Load {
            requests: self.requests.saturating_add(other.requests),
            items: self.items.saturating_add(other.items),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is left without `other`.
    pub(super) fn minus(self, other: Load) -> Load {
        Load {
            requests: self.requests.saturating_sub(other.requests),
            items: self.items.saturating_sub(other.items),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// The part of it that a piece of its batch takes. The request itself stays with the last piece.
    pub(super) fn part(self, piece: &Batch) -> Load {
        Load { requests: 0, items: piece.items().min(self.items), bytes: (piece.size() as u64).min(self.bytes) }
    }

    /// Whether it is at most `limit` in every unit.
    pub(super) fn within(self, limit: Load) -> bool {
        self.requests <= limit.requests && self.items <= limit.items && self.bytes <= limit.bytes
    }
}
