//! What the service as a whole says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::{BoundCounter, LateGauge};
use crate::time::Duration;

/// The metrics of the service. Cheap to clone.
#[derive(Clone)]
pub struct ServiceTelemetry(Arc<Inner>);

struct Inner {
    startup: LateGauge,
    config_apply: LateGauge,
    events_lagged: BoundCounter,
    events_refused: BoundCounter,
    memory_refused: BoundCounter,
}

impl ServiceTelemetry {
    pub(super) fn new(families: &Families) -> Self {
        let families = &families.service;
        ServiceTelemetry(Arc::new(Inner {
            startup: families.startup.bind_late([]),
            config_apply: families.config_apply.bind_late([]),
            events_lagged: families.events_lagged.bind([]),
            events_refused: families.events_refused.bind([]),
            memory_refused: families.memory_refused.bind([]),
        }))
    }

    /// Says how long it took from the start until the service was ready.
    pub fn ready(&self, took: Duration) {
        self.0.startup.set(took.as_secs_f64());
    }

    /// Says how long it took to apply the present configuration.
    pub fn config_applied(&self, took: Duration) {
        self.0.config_apply.set(took.as_secs_f64());
    }

    /// Counts events that a subscriber missed.
    pub fn events_lagged(&self, missed: u64) {
        self.0.events_lagged.add(missed);
    }

    /// Counts items that were refused for want of memory.
    pub fn memory_refused(&self, items: u64) {
        self.0.memory_refused.add(items);
    }

    /// Counts events that their pipeline refused.
    pub fn events_refused(&self, refused: u64) {
        self.0.events_refused.add(refused);
    }
}
