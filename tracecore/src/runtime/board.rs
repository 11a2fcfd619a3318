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

    /// How each pipeline is: as the worst of its components.
    pub(crate) fn pipelines(&self) -> Vec<(PipelineId, State)> {
        let contents = self.contents();
        contents.pipelines.iter().map(|(id, members)| (id.clone(), worst(members.iter()))).collect()
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

fn worst<'a>(members: impl Iterator<Item = &'a Base>) -> State {
    members.map(|base| base.status.state()).reduce(State::and).unwrap_or(State::Ok)
}
