//! What goes through a pipeline.

use std::sync::Arc;

use super::families::Families;
use super::instruments::BoundCounter;
use super::labels::Direction;

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
        let families = &families.pipeline;
        PipelineTelemetry(Arc::new(Inner {
            items_in: families.items.bind([id, Direction::In.as_str()]),
            items_out: families.items.bind([id, Direction::Out.as_str()]),
            bytes_in: families.bytes.bind([id, Direction::In.as_str()]),
            bytes_out: families.bytes.bind([id, Direction::Out.as_str()]),
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
