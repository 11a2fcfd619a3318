//! What goes through a pipeline.

use std::sync::Arc;

use super::families::Families;
use super::instruments::BoundCounter;

/// The metrics of one pipeline. Cheap to clone; two handles of one id are the same.
#[derive(Clone)]
pub struct PipelineTelemetry(Arc<Inner>);

struct Inner {
    items_in: BoundCounter,
    items_out: BoundCounter,
    bytes_in: BoundCounter,
    bytes_out: BoundCounter,
}

impl PipelineTelemetry {
    pub(super) fn new(families: &Families, id: &str) -> Self {
        PipelineTelemetry(Arc::new(Inner {
            items_in: families.pipeline_items.bind([id, "in"]),
            items_out: families.pipeline_items.bind([id, "out"]),
            bytes_in: families.pipeline_bytes.bind([id, "in"]),
            bytes_out: families.pipeline_bytes.bind([id, "out"]),
        }))
    }

    /// Counts a batch that a receiver brought.
    pub fn received(&self, items: u64, bytes: u64) {
        self.0.items_in.add(items);
        self.0.bytes_in.add(bytes);
    }

    /// Counts a batch that the exporters' queues took.
    pub fn delivered(&self, items: u64, bytes: u64) {
        self.0.items_out.add(items);
        self.0.bytes_out.add(bytes);
    }
}
