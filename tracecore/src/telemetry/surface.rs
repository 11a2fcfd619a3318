//! What the telemetry surface says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::BoundCounter;
use super::labels::ServeExit;

/// The metrics of the surface. Cheap to clone.
#[derive(Clone)]
pub struct SurfaceTelemetry(Arc<Inner>);

struct Inner {
    scrape_panics: BoundCounter,
    serve_exited: [BoundCounter; ServeExit::ALL.len()],
    rate_limited: BoundCounter,
}

impl SurfaceTelemetry {
    pub(super) fn new(families: &Families) -> Self {
        SurfaceTelemetry(Arc::new(Inner {
            scrape_panics: families.scrape_panics.bind([]),
            serve_exited: ServeExit::ALL.map(|reason| families.serve_exited.bind([reason.as_str()])),
            rate_limited: families.rate_limited.bind([]),
        }))
    }

    /// Counts a request whose handler panicked.
    pub fn scrape_panicked(&self) {
        self.0.scrape_panics.add(1);
    }

    /// Counts an end of the loop that accepts connections.
    pub fn serve_exited(&self, reason: ServeExit) {
        self.0.serve_exited[reason as usize].add(1);
    }

    /// Counts a request that was refused because it came too fast.
    pub fn rate_limited(&self) {
        self.0.rate_limited.add(1);
    }
}
