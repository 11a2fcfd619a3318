//! What a component does beside its own loop, as events.

use std::fmt;

use super::life::Base;
use crate::events::{Draft, TaskEvent};
use crate::time::Instant;

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
