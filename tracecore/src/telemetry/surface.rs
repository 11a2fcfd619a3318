//! What the telemetry surface says of itself.

use std::sync::Arc;

use super::families::Families;
use super::instruments::BoundCounter;
use super::labels::{StatusClass, SurfaceRoute};
use crate::net::{self, Exit, Finished};
use crate::surface;

/// The metrics of the surface. Cheap to clone.
#[derive(Clone)]
pub struct SurfaceTelemetry(Arc<Inner>);

struct Inner {
    requests: [[BoundCounter; StatusClass::ALL.len()]; SurfaceRoute::ALL.len()],
    scrape_panics: BoundCounter,
    serve_exited: [BoundCounter; Exit::ALL.len()],
    rate_limited: BoundCounter,
}

impl SurfaceTelemetry {
    pub(super) fn new(families: &Families) -> Self {
        let families = &families.service;
        let requests = |route: SurfaceRoute| {
            StatusClass::ALL.map(|class| families.surface_requests.bind([route.as_str(), class.as_str()]))
        };
        SurfaceTelemetry(Arc::new(Inner {
            requests: SurfaceRoute::ALL.map(requests),
            scrape_panics: families.scrape_panics.bind([]),
            serve_exited: Exit::ALL.map(|reason| families.serve_exited.bind([reason.as_str()])),
            rate_limited: families.rate_limited.bind([]),
        }))
    }
}

impl net::Observer for SurfaceTelemetry {
    fn request_finished(&self, request: &Finished) {
        let (route, class) = (SurfaceRoute::of(request.route), request.status_class());
        self.0.requests[route as usize][class as usize].add(1);
    }

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
