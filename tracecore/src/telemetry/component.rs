//! What the runtime says of a component of any role: its life, its health and its tasks; and of all of them together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::families::Families;
use super::instruments::{BoundCounter, BoundHistogram, BoundUpDownCounter, LateGauge};
use super::labels::{ComponentState, StopReason};
use crate::component::Role;
use crate::time::Duration;

/// The metrics that every component has. Cheap to clone; two handles of one id and role are the same.
#[derive(Clone)]
pub struct ComponentTelemetry(Arc<Inner>);

struct Inner {
    starts: BoundCounter,
    stopped: [BoundCounter; StopReason::ALL.len()],
    restarts: BoundCounter,
    start_seconds: LateGauge,
    health_checks_failed: BoundCounter,
    tasks: BoundUpDownCounter,
    /// None below the level that shows them: the clock is then not read either.
    polls: Option<Polls>,
}

struct Polls {
    count: BoundCounter,
    duration: BoundHistogram,
    /// The time of all polls, in nanoseconds.
    nanos: Arc<AtomicU64>,
}

impl ComponentTelemetry {
    pub(super) fn new(families: &Families, id: &str, role: Role, polls: bool) -> Self {
        let families = &families.component;
        let child = [id, role.as_str()];
        ComponentTelemetry(Arc::new(Inner {
            starts: families.starts.bind(child),
            stopped: StopReason::ALL.map(|reason| families.stopped.bind([id, role.as_str(), reason.as_str()])),
            restarts: families.restarts.bind(child),
            start_seconds: families.start_seconds.bind_late(child),
            health_checks_failed: families.health_checks_failed.bind(child),
            tasks: families.tasks.bind(child),
            polls: polls.then(|| {
                let nanos = Arc::new(AtomicU64::new(0));
                let read = Arc::clone(&nanos);
                families
                    .poll_seconds
                    .bind(child, move || Duration::from_nanos(read.load(Ordering::Relaxed)).as_secs_f64());
                Polls { count: families.polls.bind(child), duration: families.poll_duration.bind(child), nanos }
            }),
        }))
    }

    pub(super) fn restarted(&self) {
        self.0.restarts.add(1);
    }

    /// Counts a start, a restart too, that took this long.
    pub fn started(&self, took: Duration) {
        self.0.starts.add(1);
        self.0.start_seconds.set(took.as_secs_f64());
    }

    /// Counts the end of an incarnation.
    pub fn stopped(&self, reason: StopReason) {
        self.0.stopped[reason as usize].add(1);
    }

    /// Counts a health check that failed.
    pub fn health_check_failed(&self) {
        self.0.health_checks_failed.add(1);
    }

    /// Counts a task in.
    pub fn task_started(&self) {
        self.0.tasks.add(1);
    }

    /// Counts a task out, however it ended.
    pub fn task_ended(&self) {
        self.0.tasks.add(-1);
    }

    /// Whether polls are worth measuring: if not, [`ComponentTelemetry::polled`] does nothing.
    pub fn measures_polls(&self) -> bool {
        self.0.polls.is_some()
    }

    /// Records a poll of one of the tasks.
    pub fn polled(&self, took: Duration) {
        if let Some(polls) = &self.0.polls {
            polls.count.add(1);
            polls.duration.record(took.as_secs_f64());
            polls.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// What the components of a service do. Read at each collection, so it should be cheap.
pub trait ComponentStates: Send + Sync + 'static {
    /// How many components are in `state` now. Each is in one, so that the sum is the number of components.
    fn count(&self, state: ComponentState) -> u64;

    /// How many components run now: those that started and have not ended.
    fn active(&self) -> u64;
}

/// The source of the two gauges, once there is one.
#[derive(Clone, Default)]
pub(super) struct States(Arc<RwLock<Option<Weak<dyn ComponentStates>>>>);

impl States {
    /// Makes the series, at 0 without a source.
    pub(super) fn observe(&self, families: &Families) {
        for state in ComponentState::ALL {
            let states = self.clone();
            families.service.components.bind([state.as_str()], move || states.read(|source| source.count(state)));
        }
        let states = self.clone();
        families.service.components_active.bind([], move || states.read(ComponentStates::active));
    }

    pub(super) fn set(&self, source: Weak<dyn ComponentStates>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    fn read(&self, count: impl FnOnce(&dyn ComponentStates) -> u64) -> f64 {
        let source = self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade);
        source.map_or(0.0, |source| count(&*source) as f64)
    }
}
