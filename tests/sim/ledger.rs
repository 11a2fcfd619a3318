//! The test's own book of what was emitted, kept apart from what the collector says of it.

use std::sync::Mutex;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokio::time::Instant;
use tracecore::emit::{Origin, Verdict};
use tracecore::signal::{Batch, Decoded};
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

    /// The batches that one is made of, each with its items.
    pub(crate) fn all_of(batch: &Batch) -> Vec<(Self, u64)> {
        let Decoded::Metrics(data) = batch.decode() else { panic!("{} where metrics are expected", batch.signal()) };
        let scopes = data.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let items = |metric: &Metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.len() as u64,
            other => panic!("{other:?} where a gauge is expected"),
        };
        let number = |metric: &Metric| metric.name.parse().expect("the metric of a batch is named by its number");
        scopes.flat_map(|scope| scope.metrics).map(|metric| (BatchId(number(&metric)), items(&metric))).collect()
    }

    /// The request that would have brought it: its trace is its number.
    pub(crate) fn origin(self) -> Origin {
        let traceparent = format!("00-{:032x}-0000000000000001-00", self.0);
        let value = traceparent.parse().expect("a header's value");
        Origin::of(&HeaderMap::from_iter([(HeaderName::from_static("traceparent"), value)]), &Extensions::new())
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
