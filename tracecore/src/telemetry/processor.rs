//! What a processor says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::{BoundCounter, BoundHistogram};
use super::kinds::KindCounters;
use super::labels::ProcessorDropReason;
use crate::error::ErrorKind;
use crate::time::Duration;

/// Kinds that the runtime gives to any processor, whatever it declares.
const RUNTIME_KINDS: [ErrorKind; 2] = [ErrorKind::Panic, ErrorKind::Init];

/// The metrics of one processor, summed over the pipelines it stands in. Cheap to clone; two handles of one id are the
/// same.
#[derive(Clone)]
pub struct ProcessorTelemetry(Arc<Inner>);

struct Inner {
    received: BoundCounter,
    sent: BoundCounter,
    dropped: [BoundCounter; ProcessorDropReason::ALL.len()],
    refused: BoundCounter,
    latency: BoundHistogram,
    errors: KindCounters,
}

impl ProcessorTelemetry {
    pub(super) fn new(families: &Families, id: &str) -> Self {
        let families = &families.processor;
        let (errors, component) = (families.errors.clone(), id.to_owned());
        let errors = KindCounters::new(move |kind| errors.bind([kind.as_str(), &component]));
        errors.declare(&RUNTIME_KINDS);
        ProcessorTelemetry(Arc::new(Inner {
            received: families.items_in.bind([id]),
            sent: families.items_out.bind([id]),
            dropped: ProcessorDropReason::ALL.map(|reason| families.dropped.bind([id, reason.as_str()])),
            refused: families.refused.bind([id]),
            latency: families.latency.bind([id]),
            errors,
        }))
    }

    pub(super) fn declare(&self, kinds: &[ErrorKind]) {
        self.0.errors.declare(kinds);
    }

    /// Counts items given to it.
    pub fn received(&self, items: u64) {
        self.0.received.add(items);
    }

    /// Counts items that it passed on.
    pub fn sent(&self, items: u64) {
        self.0.sent.add(items);
    }

    /// Counts items that it let go.
    pub fn dropped(&self, reason: ProcessorDropReason, items: u64) {
        self.0.dropped[reason as usize].add(items);
    }

    /// Counts items that it refused for now.
    pub fn refused(&self, items: u64) {
        self.0.refused.add(items);
    }

    /// Records how long a batch took, whether it succeeded or not.
    pub fn observe_latency(&self, took: Duration) {
        self.0.latency.record(took.as_secs_f64());
    }

    /// Counts an error.
    pub fn error(&self, kind: ErrorKind) {
        self.0.errors.add(kind);
    }
}
