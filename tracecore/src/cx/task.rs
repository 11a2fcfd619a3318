//! What a component does beside its own loop, and what it holds, as events.

use std::fmt;

use super::life::Base;
use crate::events::{Draft, ResourceEvent, TaskEvent};
use crate::time::Instant;

/// The listeners among the resources.
pub(crate) const LISTENER: &str = "listener";

/// A task of a component under way.
pub(super) struct Task<'a> {
    base: &'a Base,
    name: &'a str,
    began: Instant,
}

impl<'a> Task<'a> {
    pub(super) fn begin(base: &'a Base, name: &'a str) -> Self {
        base.tell(|| TaskEvent::Started { task: name.to_owned() });
        Task { base, name, began: Instant::now() }
    }

    pub(super) fn completed(self) {
        self.ended(|task| TaskEvent::Completed { task });
    }

    pub(super) fn failed(self, error: &dyn fmt::Display) {
        self.ended(|task| TaskEvent::Failed { task, error: error.to_string() });
    }

    fn ended(self, event: impl FnOnce(String) -> TaskEvent) {
        let Task { base, name, began } = self;
        base.shared.events.emit(|| Draft::of(&base.id, event(name.to_owned())).lasting(began.elapsed()));
    }
}

/// Something that there is a limited number of, taken; it is given back when this is dropped.
pub(super) struct Held {
    base: Base,
    resource: &'static str,
}

impl Held {
    pub(super) fn take(base: Base, resource: &'static str) -> Self {
        base.tell(|| ResourceEvent::Acquired { resource });
        Held { base, resource }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.base.tell(|| ResourceEvent::Released { resource: self.resource });
    }
}
