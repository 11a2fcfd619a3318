//! The test's own book of what was emitted, kept apart from what the collector says of it.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tracecore::emit::Verdict;
use tracecore::events::CorrelationId;
use tracecore::signal::Batch;
use tracecore::testing::{metrics, name_of};

use crate::faults::lock;

/// A batch of a run, from 1. It is the batch's correlation id and the name of its metric, so that neither the events nor
/// the far end of an exporter need be believed about the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BatchId(pub u64);

impl BatchId {
    pub(crate) fn of(batch: &Batch) -> Self {
        BatchId(name_of(batch).parse().expect("the metric of a batch is named by its number"))
    }

    pub(crate) fn correlation(self) -> CorrelationId {
        CorrelationId::from_trace_id(u128::from(self.0)).expect("numbers begin at 1")
    }
}

/// What the test knows of one batch. Times are since the begin of the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) receiver: usize,
    pub(crate) items: u64,
    /// When its emission began, if it did.
    pub(crate) begun: Option<Duration>,
    /// When its emission ended, and how; `None` also if the caller went away.
    pub(crate) ended: Option<(Duration, Verdict)>,
    /// The caller went away.
    pub(crate) left: bool,
}

/// Every batch of a run.
pub(crate) struct Ledger {
    origin: Instant,
    entries: Mutex<Vec<Entry>>,
}

impl Ledger {
    /// One whose times begin now.
    pub(crate) fn new() -> Self {
        Ledger { origin: Instant::now(), entries: Mutex::default() }
    }

    /// A batch that a receiver is to emit.
    pub(crate) fn add(&self, receiver: usize, items: u64) -> BatchId {
        let mut entries = lock(&self.entries);
        entries.push(Entry { receiver, items, begun: None, ended: None, left: false });
        BatchId(entries.len() as u64)
    }

    /// Its emission begins.
    pub(crate) fn begin(&self, id: BatchId) -> Batch {
        let now = self.now();
        let items = self.change(id, |entry| {
            entry.begun = Some(now);
            entry.items
        });
        metrics(&id.0.to_string(), usize::try_from(items).expect("a plan's batches are small"))
    }

    /// Its emission has ended; `None`: the caller went away.
    pub(crate) fn end(&self, id: BatchId, verdict: Option<Verdict>) {
        let now = self.now();
        self.change(id, |entry| match verdict {
            Some(verdict) => entry.ended = Some((now, verdict)),
            None => entry.left = true,
        });
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        lock(&self.entries).clone()
    }

    /// The time since the begin of the run.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn change<T>(&self, id: BatchId, change: impl FnOnce(&mut Entry) -> T) -> T {
        let index = usize::try_from(id.0 - 1).expect("it is an index");
        change(&mut lock(&self.entries)[index])
    }
}
