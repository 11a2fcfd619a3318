//! How a running service is, for whoever asks its surface.
//!
//! Invariants: looking changes nothing and waits for nothing; what is told of a component holds at the moment in which
//! it is read, each one by itself. Without a surface nobody can ask, and nothing is sampled.

mod document;
mod history;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use self::document::{Component, Counts, Document, Pipeline, Pipelines, Window, place_of, rounded};
use self::history::{History, SLOT, Sample};
use super::Board;
use crate::config::{HealthCheck, Period, Readiness, Telemetry};
use crate::cx::Shared;
use crate::events::{Draft, Events, ServiceEvent};
use crate::exposition::{self, from_prometheus};
use crate::memory::{Memory, Pressure};
use crate::net::{BindError, Bound};
use crate::surface::{self, Health, Inspect, Paths, Serving, Surface, WindowError};
use crate::telemetry::{ComponentState, ComponentStates};
use crate::time::Instant;

/// The window of rates that nobody asked for: long enough to even out scrapes, short enough to show what has begun.
const DEFAULT_WINDOW: Period = Period::minutes(1);

/// What a service says of itself.
pub(super) struct Inspection {
    board: Arc<Board>,
    events: Events,
    memory: Memory,
    node: String,
    version: &'static str,
    began: Instant,
    readiness: Readiness,
    retention: Period,
    history: History,
}

/// Serves the telemetry surface, if it is enabled, and takes samples for it in a task of its own.
pub(super) async fn serve_surface(
    settings: &Telemetry,
    shared: &Shared,
    inspection: &Arc<Inspection>,
    health: &Health,
    sampler: &mut JoinSet<()>,
) -> Result<Option<Serving>, BindError> {
    if !settings.enabled {
        return Ok(None);
    }
    let surface = Surface::bind(&settings.listen.to_string()).await?;
    let paths = Paths {
        metrics: settings.paths.metrics.to_string(),
        healthz: settings.paths.healthz.to_string(),
        readyz: settings.paths.readyz.to_string(),
        status: settings.paths.status.to_string(),
    };
    let source = shared.telemetry.clone();
    let gather = move |format, out: &mut String| {
        // Nothing is left out: the names were checked when the families were made.
        let _omitted = exposition::encode(&from_prometheus(&source.gather()), format, out);
    };
    sampler.spawn(sample(Arc::clone(inspection)));
    let observer = Arc::new(shared.telemetry.surface());
    Ok(Some(surface.serve(paths, health.clone(), Arc::new(gather), Arc::clone(inspection) as _, observer)))
}

/// Serves one `health_check`.
pub(super) async fn serve_health_check(
    HealthCheck { id, settings, .. }: &HealthCheck,
    shared: &Shared,
    inspection: &Arc<Inspection>,
    health: &Health,
) -> Result<Serving, BindError> {
    let bound = Bound::bind(&settings.endpoint.to_string()).await;
    let bound = bound.map_err(|error| error.for_setting(format!("extensions.{id}.endpoint")))?;
    let bodies = settings.response_body.clone().map(|body| (body.healthy.into(), body.unhealthy.into()));
    let check = surface::HealthCheck { path: settings.path.to_string(), bodies, clock: shared.clock.clone() };
    let observer = Arc::new(shared.telemetry.surface());
    Ok(Surface::on(bound).serve_health_check(check, health.clone(), Arc::clone(inspection) as _, observer))
}

/// Takes a sample now and then.
async fn sample(inspection: Arc<Inspection>) {
    let mut slots = interval_at(inspection.began + SLOT, SLOT);
    // Never two in one slot, so that as many samples as there may be are as old as they must be.
    slots.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        slots.tick().await;
        inspection.sample();
    }
}

impl Inspection {
    pub(super) fn new(settings: &Telemetry, shared: &Shared, board: Arc<Board>) -> Self {
        let node = shared.resource.iter().find(|(key, _)| key == "host.name").map(|(_, value)| value.clone());
        let began = Instant::now();
        let retention = settings.status.retention;
        Inspection {
            board,
            events: shared.events.clone(),
            memory: shared.memory.clone(),
            node: node.unwrap_or_default(),
            version: shared.version,
            began,
            readiness: settings.readiness,
            retention,
            history: History::new(began, retention.get()),
        }
    }

    fn sample(&self) {
        let now = Instant::now();
        self.board.look(|places| self.history.record(now, places.iter().map(|place| place.base.activity.totals())));
    }

    fn document(&self, asked: Period) -> Document<'_> {
        let now = Instant::now();
        let anchor = self.history.anchor(now, asked.get());
        let Sample { at, totals } = anchor.unwrap_or(Sample { at: now, totals: Vec::new() });
        let window = now.saturating_duration_since(at);
        // The places on the board are those in a sample; shown are the components in the order of a batch's way.
        let mut places: Vec<_> = self.board.components().into_iter().enumerate().collect();
        places.sort_by_key(|(_, place)| place_of(place.base.role()));
        let component = |(index, place)| Component::of(place, totals.get(index).copied().unwrap_or_default(), window);
        let pipeline = |(id, state, members): (_, _, Vec<_>)| (ToString::to_string(&id), Pipeline::of(state, &members));
        Document {
            status: self.board.state(),
            node: &self.node,
            version: self.version,
            uptime_seconds: rounded(now.saturating_duration_since(self.began).as_secs_f64()),
            window: Window {
                asked_seconds: rounded(asked.get().as_secs_f64()),
                seconds: rounded(window.as_secs_f64()),
            },
            counts: Counts {
                components: places.len() as u64,
                active: self.board.active(),
                busy: self.board.count(ComponentState::Busy),
                idle: self.board.count(ComponentState::Idle),
                draining: self.board.count(ComponentState::Draining),
            },
            pipelines: Pipelines(self.board.wiring().into_iter().map(pipeline).collect()),
            components: places.iter().map(|(index, place)| component((*index, place))).collect(),
        }
    }
}

impl Inspect for Inspection {
    fn status(&self, window: Option<Period>) -> Result<String, WindowError> {
        let window = window.unwrap_or(DEFAULT_WINDOW.min(self.retention));
        if window > self.retention {
            return Err(WindowError::TooLong(self.retention));
        }
        let text = serde_json::to_string(&self.document(window));
        Ok(text.expect("its keys are texts, and nothing in it fails to be shown"))
    }

    fn is_ready(&self) -> bool {
        match self.readiness {
            Readiness::Started => true,
            Readiness::Healthy => !self.board.has_error() && self.memory.pressure() != Pressure::Hard,
        }
    }

    fn probed(&self, check: &'static str, passed: bool) {
        self.events.emit(|| Draft::new(ServiceEvent::HealthCheck { check, passed }));
    }
}
