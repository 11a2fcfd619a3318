//! What a component does beside its own loop, as events.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;

use super::life::Base;
use crate::events::{Draft, TaskEvent};
use crate::telemetry::ComponentTelemetry;
use crate::time::Instant;

/// A task of a component under way.
pub(super) struct Task<'a> {
    base: &'a Base,
    name: &'a str,
    began: Instant,
    has_ended: bool,
}

impl<'a> Task<'a> {
    pub(super) fn begin(base: &'a Base, name: &'a str) -> Self {
        base.telemetry.task_started();
        base.tell(|| TaskEvent::Started { task: name.to_owned() });
        Task { base, name, began: Instant::now(), has_ended: false }
    }

    pub(super) fn completed(self) {
        self.ended(|task| TaskEvent::Completed { task });
    }

    pub(super) fn failed(self, error: &dyn fmt::Display) {
        self.ended(|task| TaskEvent::Failed { task, error: error.to_string() });
    }

    fn ended(mut self, event: impl FnOnce(String) -> TaskEvent) {
        self.has_ended = true;
        self.end(event);
    }

    fn end(&self, event: impl FnOnce(String) -> TaskEvent) {
        self.base.telemetry.task_ended();
        let told = || Draft::of(&self.base.id, event(self.name.to_owned())).lasting(self.began.elapsed());
        self.base.shared.events.emit(told);
    }
}

/// Nobody waits for it any more.
impl Drop for Task<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(|task| TaskEvent::Failed { task, error: "nobody waits for it any more".to_owned() });
        }
    }
}

/// Measures the polls of one of a component's own futures, where the level of the self-telemetry asks for it: elsewhere
/// a poll costs a branch more.
pub(crate) async fn measured<F: Future>(telemetry: &ComponentTelemetry, future: F) -> F::Output {
    if !telemetry.measures_polls() {
        return future.await;
    }
    let mut future = pin!(future);
    poll_fn(|cx| {
        let began = Instant::now();
        let polled = future.as_mut().poll(cx);
        telemetry.polled(began.elapsed());
        polled
    })
    .await
}
