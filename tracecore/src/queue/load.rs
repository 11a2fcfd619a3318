//! What a batch takes of a queue, and what a queue can hold.

use super::settings::{SendingQueue, Sizer};
use crate::signal::Batch;

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

    /// What a queue holds: so much by its sizer, and in bytes always.
    pub(super) fn limit(settings: &SendingQueue) -> Self {
        let mut limit = Load { requests: u64::MAX, items: u64::MAX, bytes: settings.max_bytes.get() };
        let size = settings.queue_size.get();
        match settings.sizer {
            Sizer::Requests => limit.requests = size,
            Sizer::Items => limit.items = size,
            Sizer::Bytes => limit.bytes = limit.bytes.min(size),
        }
        limit
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

    /// Whether it is at most `limit` in every unit.
    pub(super) fn within(self, limit: Load) -> bool {
        self.requests <= limit.requests && self.items <= limit.items && self.bytes <= limit.bytes
    }
}
