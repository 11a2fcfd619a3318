//! What an exporter and its queue say of themselves.

use std::sync::Arc;

use super::families::Families;
use super::instruments::{BoundCounter, BoundHistogram};
use super::kinds::KindCounters;
use super::labels::DropReason;
use super::slo::{AggregateSlo, CallCounts, FailureRate};
use crate::error::ErrorKind;
use crate::time::Duration;

/// Kinds of failed calls that the runtime gives to any exporter, whatever it declares.
const CALL_KINDS: [ErrorKind; 1] = [ErrorKind::Panic];
/// The same of its other errors.
const RUNTIME_KINDS: [ErrorKind; 2] = [ErrorKind::Panic, ErrorKind::Init];

/// The `kind` of a call that did not fail.
pub(super) const NO_KIND: &str = "";

/// The metrics of one exporter. Cheap to clone; two handles of one id are the same, so that one that several pipelines
/// share is counted once.
#[derive(Clone)]
pub struct ExporterTelemetry(Arc<Inner>);

struct Inner {
    succeeded: BoundCounter,
    failed: KindCounters,
    errors: KindCounters,
    dropped: [BoundCounter; DropReason::ALL.len()],
    duration: BoundHistogram,
    retries: BoundCounter,
    /// The same calls where they can be read back, for the failure rates.
    counts: Arc<CallCounts>,
}

impl ExporterTelemetry {
    pub(super) fn new(families: &Families, slo: &AggregateSlo, id: &str) -> Self {
        let families = &families.exporter;
        let counts = Arc::new(CallCounts::default());
        slo.add_exporter(Arc::clone(&counts));
        let (rate, read) = (FailureRate::new(), Arc::clone(&counts));
        families.failure_rate_by_component.bind([id], move || rate.observe(read.calls()));
        let (calls, component) = (families.calls.clone(), id.to_owned());
        let failed = KindCounters::new(move |kind| calls.bind(["failure", kind.as_str(), &component]));
        failed.declare(&CALL_KINDS);
        let (errors, component) = (families.errors.clone(), id.to_owned());
        let errors = KindCounters::new(move |kind| errors.bind([kind.as_str(), &component]));
        errors.declare(&RUNTIME_KINDS);
        ExporterTelemetry(Arc::new(Inner {
            succeeded: families.calls.bind(["success", NO_KIND, id]),
            failed,
            errors,
            dropped: DropReason::ALL.map(|reason| families.dropped.bind([id, reason.as_str()])),
            duration: families.duration.bind([id]),
            retries: families.retries.bind([id]),
            counts,
        }))
    }

    pub(super) fn declare(&self, kinds: &[ErrorKind]) {
        self.0.failed.declare(kinds);
        self.0.errors.declare(kinds);
    }

    /// Counts a call that delivered, or had nothing to deliver.
    pub fn call_succeeded(&self) {
        self.0.succeeded.add(1);
        self.0.counts.succeed();
    }

    /// Counts a call that failed.
    pub fn call_failed(&self, kind: ErrorKind) {
        self.0.failed.add(kind);
        self.0.counts.fail();
    }

    /// Counts an error that is not that of a call: of a start, of a task, or reported by the exporter.
    pub fn error(&self, kind: ErrorKind) {
        self.0.errors.add(kind);
    }

    /// Records how long a call took, whether it succeeded or not.
    pub fn observe_export(&self, took: Duration) {
        self.0.duration.record(took.as_secs_f64());
    }

    /// Counts a call that tries a batch again.
    pub fn retried(&self) {
        self.0.retries.add(1);
    }

    /// Counts items that were given up.
    pub fn dropped(&self, reason: DropReason, items: u64) {
        self.0.dropped[reason as usize].add(items);
    }

    /// Calls that succeeded since the start.
    pub fn success_count(&self) -> u64 {
        self.0.counts.succeeded()
    }

    /// Calls that failed since the start.
    pub fn failure_count(&self) -> u64 {
        self.0.counts.failed()
    }
}
