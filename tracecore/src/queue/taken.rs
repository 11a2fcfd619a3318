//! What a consumer has taken out of a queue: one batch, or several that are sent as one.
//!
//! Each is settled once, the first ones first, as many together as met one fate. Invariant: none is forgotten, and none is
//! told of twice. Who knows what became of some claims them before telling; who stops the queue counts what was not
//! claimed by then, and nobody claims afterwards. What a consumer drops unsettled was cut off: it is unclaimed, its room is
//! given back, and its sender hears that it may come again.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;

use smallvec::SmallVec;

use super::bounded::Queue;
use crate::emit::Passage;
use crate::events::{CorrelationId, ExportEvent};
use crate::memory::Charge;
use crate::queue::Outcome;
use crate::queue::load::Load;
use crate::queue::reply::Reply;
use crate::signal::Batch;

/// How many ids of merged batches an event names: enough to find each of some large requests, and half a kilobyte.
const MAX_SOURCES: usize = 16;

/// Batches that were taken out together and are unsettled.
#[derive(Debug)]
pub(crate) struct Taken {
    queue: Arc<Queue>,
    /// Never empty when it is made.
    sources: SmallVec<[Source; 1]>,
}

/// One batch as it came into the queue, or a piece of it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) batch: Batch,
    pub(super) charge: Charge,
    pub(super) passage: Passage,
    pub(super) reply: Option<Reply>,
    /// What it takes of the queue.
    pub(super) load: Load,
}

/// The right to tell what became of the next batches.
#[must_use = "nobody else can tell of them any more"]
#[derive(Debug)]
pub(crate) struct Claim {
    count: usize,
}

impl Taken {
    pub(super) fn new(queue: &Arc<Queue>, sources: SmallVec<[Source; 1]>) -> Self {
        Taken { queue: Arc::clone(queue), sources }
    }

    /// How many batches are unsettled.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// How many items are unsettled.
    pub(crate) fn items(&self) -> u64 {
        self.sources.iter().map(|source| source.batch.items()).sum()
    }

    /// The next `count` batches as one.
    pub(crate) fn merged(&self, count: usize) -> Cow<'_, Batch> {
        match &self.sources[..count.min(self.len())] {
            [alone] => Cow::Borrowed(&alone.batch),
            several => {
                let mut batches = several.iter().map(|source| source.batch.clone());
                let mut merged = batches.next().expect("a consumer asks for what it has");
                let first = merged.metadata().cloned();
                for batch in batches {
                    merged.merge(batch).expect("a lane holds one signal");
                }
                // What they have in common, if that is not all.
                let keys = self.queue.metadata_keys();
                if let (Some(metadata), None, false) = (first, merged.metadata(), keys.is_empty()) {
                    merged = merged.with_metadata(metadata.only(keys));
                }
                Cow::Owned(merged)
            }
        }
    }

    /// What follows the next `count` batches on their way: that of the one batch, or of several together one with an id
    /// of its own. Its spans stand in the trace of the first, so that one trace at least is whole.
    pub(crate) fn passage(&self, count: usize, own: impl FnOnce(bool) -> CorrelationId) -> Passage {
        let first = self.sources[0].passage;
        if count == 1 { first } else { Passage { correlation: own(first.is_own()), ..first } }
    }

    /// What is told of the next `count` batches, of so many `items`, when they are sent as one.
    pub(crate) fn told_as_merged(&self, count: usize, items: u64) -> ExportEvent {
        let ids = self.sources.iter().take(count.min(MAX_SOURCES)).map(|source| source.passage.correlation.to_string());
        let sources: Vec<String> = ids.collect();
        ExportEvent::Merged { items, batches: count as u64, sources: sources.join(" ") }
    }

    /// The right to tell of the next `count` batches; `None` once they were counted as lost.
    pub(crate) fn claim(&self, count: usize) -> Option<Claim> {
        let count = count.min(self.len());
        self.queue.claim(self.load(count).items).then_some(Claim { count })
    }

    /// Gives the places of the batches that were claimed back, and tells whoever waits how the delivery ended.
    pub(crate) fn settle(&mut self, Claim { count }: Claim, outcome: Outcome) {
        self.let_go(count, outcome);
    }

    fn load(&self, count: usize) -> Load {
        self.sources.iter().take(count).fold(Load::default(), |sum, source| sum.plus(source.load))
    }

    fn let_go(&mut self, count: usize, outcome: Outcome) {
        // The places and the memory first: whoever hears of the outcome may send the next batch at once.
        self.queue.settle(self.load(count));
        for Source { charge, reply, .. } in self.sources.drain(..count) {
            drop(charge);
            if let Some(reply) = reply {
                reply.settle(outcome);
            }
        }
    }

    pub(super) fn last(&self) -> Option<&Source> {
        self.sources.last()
    }

    pub(super) fn pop(&mut self) -> Option<Source> {
        self.sources.pop()
    }

    /// Puts `first` in the place of the last batch, and gives the others of its pieces. What the batch took of the queue is
    /// shared out among them to the last byte: pieces repeat what stands around their items, and the queue has what it had.
    pub(super) fn cut_last(&mut self, first: Batch, others: Vec<Batch>) -> Vec<Source> {
        if others.is_empty() {
            return Vec::new();
        }
        let Some(Source { batch: whole, charge, passage, mut reply, load: mut left }) = self.sources.pop() else {
            return Vec::new();
        };
        let count = 1 + others.len();
        let pieces = iter::once(first).chain(others).zip(charge.share(count)).enumerate();
        let mut sources = pieces.map(|(index, (batch, charge))| {
            let is_last = index + 1 == count;
            let load = if is_last { left } else { left.part(&batch) };
            left = left.minus(load);
            let reply = if is_last { reply.take() } else { reply.as_ref().map(Reply::another) };
            let charge = charge.remade(&whole, &batch);
            Source { batch, charge, passage, reply, load }
        });
        self.sources.extend(sources.next());
        sources.collect()
    }
}

/// The shutdown has cut the delivery off, or its consumer panicked.
impl Drop for Taken {
    fn drop(&mut self) {
        if !self.sources.is_empty() {
            self.let_go(self.len(), Outcome::Lost { retryable: true });
        }
    }
}
