//! What a receiver that serves clients says of its requests and connections.

use std::sync::Arc;

use super::families::Families;
use super::instruments::{BoundCounter, BoundHistogram, BoundUpDownCounter};
use super::labels::StatusClass;
use crate::time::Duration;

/// The metrics of one receiver's server. Cheap to clone; two handles of one id are the same.
#[derive(Clone)]
pub struct IngestTelemetry(Arc<Inner>);

struct Inner {
    requests: [BoundCounter; StatusClass::ALL.len()],
    duration: BoundHistogram,
    connections: BoundUpDownCounter,
}

impl IngestTelemetry {
    pub(super) fn new(families: &Families, id: &str) -> Self {
        let families = &families.ingest;
        IngestTelemetry(Arc::new(Inner {
            requests: StatusClass::ALL.map(|class| families.requests.bind([id, class.as_str()])),
            duration: families.duration.bind([id]),
            connections: families.connections.bind([id]),
        }))
    }

    /// Counts a request that was answered, and how long that took.
    pub fn answered(&self, class: StatusClass, took: Duration) {
        self.0.requests[class as usize].add(1);
        self.0.duration.record(took.as_secs_f64());
    }

    /// Counts a connection in.
    pub fn connection_opened(&self) {
        self.0.connections.add(1);
    }

    /// Counts a connection out, however it ended.
    pub fn connection_closed(&self) {
        self.0.connections.add(-1);
    }
}
