//! What the telemetry surface says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::BoundCounter;
use crate::net::{self, Exit};
use crate::surface;

/// The metrics of the surface. Cheap to clone.
#[derive(Clone)]
pub struct SurfaceTelemetry(Arc<Inner>);

struct Inner {
    scrape_panics: BoundCounter,
    serve_exited: [BoundCounter; Exit::ALL.len()],
    rate_limited: BoundCounter,
}

impl SurfaceTelemetry {
    pub(super) fn new(families: &Families) -> Self {
        let families = &families.service;
        SurfaceTelemetry(Arc::new(Inner {
            scrape_panics: families.scrape_panics.bind([]),
            serve_exited: Exit::ALL.map(|reason| families.serve_exited.bind([reason.as_str()])),
            rate_limited: families.rate_limited.bind([]),
        }))
    }
}

impl net::Observer for SurfaceTelemetry {
    /// Also called for a panic while `/metrics` was gathered.
    fn handler_panicked(&self) {
        self.0.scrape_panics.add(1);
    }

    fn exited(&self, why: Exit) {
        self.0.serve_exited[why as usize].add(1);
    }
}

impl surface::Observer for SurfaceTelemetry {
    fn scrape_limited(&self) {
        self.0.rate_limited.add(1);
    }
}
