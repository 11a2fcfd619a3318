//! Everything that runs, for whoever asks how it is.
//!
//! The board holds what the boot has made, in the order of the configuration; it changes nothing and takes part in
//! nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::component::Role;
use crate::config::{ComponentId, PipelineId};
use crate::cx::Base;
use crate::queue::{Breaker, Queue};
use crate::status::{State, Status};
use crate::telemetry::{ComponentState, ComponentStates};
use crate::time::Duration;

/// A component is busy for this long after its last work: Prometheus scrapes every 15 s in most set-ups, and work
/// between two scrapes is then seen by the second one.
const BUSY_WINDOW: Duration = Duration::from_secs(15);

/// The components and pipelines of a service.
#[derive(Default)]
pub(crate) struct Board(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    components: Vec<Place>,
    pipelines: Vec<(PipelineId, Vec<Base>)>,
}

/// One component.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) base: Base,
    /// The queue before an exporter.
    pub(crate) queue: Option<Arc<Queue>>,
    /// The circuit breaker of an exporter.
    pub(crate) breaker: Option<Arc<Breaker>>,
    /// The pipeline of a processor, which has an instance in each of its pipelines.
    pub(crate) pipeline: Option<PipelineId>,
}

impl Place {
    /// What it does; `None` once it has stopped.
    pub(crate) fn activity(&self) -> Option<ComponentState> {
        match self.base.status.state() {
            State::Stopped => None,
            State::Stopping => Some(ComponentState::Draining),
            // Only then is it asked to stop: it works while it drains.
            _ if self.queue.is_some() && self.base.shared.drain.begun.is_cancelled() => Some(ComponentState::Draining),
            _ if self.base.activity.is_busy(BUSY_WINDOW) => Some(ComponentState::Busy),
            _ => Some(ComponentState::Idle),
        }
    }
}

impl Board {
    pub(crate) fn add(&self, place: Place) {
        self.contents().components.push(place);
    }

    /// A pipeline and all that takes part in it.
    pub(crate) fn add_pipeline(&self, id: PipelineId, members: Vec<Base>) {
        self.contents().pipelines.push((id, members));
    }

    pub(crate) fn components(&self) -> Vec<Place> {
        self.contents().components.clone()
    }

    /// Shows the components, in the order in which they were made: one that comes later comes last.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&[Place]) -> T) -> T {
        see(&self.contents().components)
    }

    /// Whether something is wrong with a component now.
    pub(crate) fn has_error(&self) -> bool {
        self.contents().components.iter().any(|place| place.base.status.state().is_error())
    }

    /// How each pipeline is, as the worst of its components, and which these are.
    pub(crate) fn wiring(&self) -> Vec<(PipelineId, State, Vec<Base>)> {
        let contents = self.contents();
        let pipelines = contents.pipelines.iter();
        pipelines.map(|(id, members)| (id.clone(), worst(members.iter()), members.clone())).collect()
    }

    /// How each pipeline is: as the worst of its components.
    pub(crate) fn pipelines(&self) -> Vec<(PipelineId, State)> {
        self.wiring().into_iter().map(|(id, state, _)| (id, state)).collect()
    }

    /// How the whole is: as the worst of its components.
    pub(crate) fn state(&self) -> State {
        worst(self.contents().components.iter().map(|place| &place.base))
    }

    /// How a component is, from now on. Of a processor in several pipelines, the first.
    pub(crate) fn watch(&self, role: Role, id: &ComponentId) -> Option<watch::Receiver<Status>> {
        let contents = self.contents();
        let found = contents.components.iter().find(|place| place.base.role() == role && place.base.id == *id);
        found.map(|place| place.base.status.watch())
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ComponentStates for Board {
    fn count(&self, state: ComponentState) -> u64 {
        self.look(|places| places.iter().filter(|place| place.activity() == Some(state)).count() as u64)
    }

    fn active(&self) -> u64 {
        self.look(|places| places.iter().filter(|place| place.base.status.is_alive()).count() as u64)
    }
}

fn worst<'a>(members: impl Iterator<Item = &'a Base>) -> State {
    members.map(|base| base.status.state()).reduce(State::and).unwrap_or(State::Ok)
}
