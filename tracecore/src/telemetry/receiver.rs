//! What a receiver says of itself.

use std::sync::Arc;

use super::degraded::DegradedTime;
use super::families::Families;
use super::instruments::{BoundCounter, BoundGauge, BoundHistogram, LateGauge};
use super::kinds::KindCounters;
use crate::error::ErrorKind;
use crate::time::{Clock, Duration, unix_nanos};

/// Kinds that the runtime gives to any receiver, whatever it declares.
const RUNTIME_KINDS: [ErrorKind; 3] = [ErrorKind::Downstream, ErrorKind::Panic, ErrorKind::Init];

/// The metrics of one receiver. Cheap to clone; two handles of one id are the same.
#[derive(Clone)]
pub struct ReceiverTelemetry(Arc<Inner>);

struct Inner {
    emissions: BoundCounter,
    errors: KindCounters,
    latency: BoundHistogram,
    degraded: Arc<DegradedTime>,
    last_activity: BoundGauge,
    first_emission: LateGauge,
    clock: Clock,
}

impl ReceiverTelemetry {
    pub(super) fn new(families: &Families, id: &str, clock: Clock) -> Self {
        let families = &families.receiver;
        let degraded = Arc::new(DegradedTime::new());
        let read = Arc::clone(&degraded);
        families.degraded.bind([id], move || read.total().as_secs_f64());
        let (errors, component) = (families.errors.clone(), id.to_owned());
        let errors = KindCounters::new(move |kind| errors.bind([kind.as_str(), &component]));
        errors.declare(&RUNTIME_KINDS);
        ReceiverTelemetry(Arc::new(Inner {
            emissions: families.emissions.bind([id]),
            errors,
            latency: families.latency.bind([id]),
            degraded,
            last_activity: families.last_activity.bind([id], unix_seconds(&clock)),
            first_emission: families.first_emission.bind_late([id]),
            clock,
        }))
    }

    pub(super) fn declare(&self, kinds: &[ErrorKind]) {
        self.0.errors.declare(kinds);
    }

    /// Counts `n` accepted emissions.
    pub fn emitted(&self, n: u64) {
        self.0.emissions.add(n);
    }

    /// Says how long it took from the last start to the first emission that was accepted after it.
    pub fn first_emission(&self, took: Duration) {
        self.0.first_emission.set(took.as_secs_f64());
    }

    /// Counts an error.
    pub fn error(&self, kind: ErrorKind) {
        self.0.errors.add(kind);
    }

    /// Records how long a collection took, whether it succeeded or not.
    pub fn observe_latency(&self, took: Duration) {
        self.0.latency.record(took.as_secs_f64());
    }

    /// Says whether the receiver works with less than it should. One that starts so says it at its start.
    pub fn set_degraded(&self, degraded: bool) {
        self.0.degraded.set(degraded);
    }

    /// Says that the receiver is alive now, by the wall clock.
    pub fn mark_activity(&self) {
        self.0.last_activity.set(unix_seconds(&self.0.clock));
    }
}

fn unix_seconds(clock: &Clock) -> f64 {
    Duration::from_nanos(unix_nanos(clock.now())).as_secs_f64()
}
