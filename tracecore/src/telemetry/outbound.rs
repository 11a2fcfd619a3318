//! The tasks that send the collector's own telemetry: none, or one for each signal that has an endpoint.
//!
//! Invariants: nothing runs before [`Outbound::start`]; after [`Outbound::stop`] nothing does, nor once the telemetry that
//! they belong to is gone. They are no component's, and nobody supervises them: a panic ends the sending of its signal.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::time::Instant;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What sends, before it runs and while it does.
#[derive(Default)]
pub(super) struct Outbound {
    waiting: Mutex<Vec<Task>>,
    running: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Outbound {
    /// Adds a task; it is told when to send what is left and end.
    pub(super) fn add<F>(&self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (task, abort) = (task(self.stop.clone()), self.abort.clone());
        let task = Box::pin(async move {
            let _aborted = abort.run_until_cancelled_owned(task).await;
        });
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Runs what has been added. Without any task it does nothing, and then needs no runtime.
    pub(super) fn start(&self) {
        let tasks = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            self.running.spawn(task);
        }
    }

    /// Lets the tasks send what is left until `deadline`, and ends them.
    pub(super) async fn stop(&self, deadline: Instant) {
        self.stop.cancel();
        self.running.close();
        if timeout_at(deadline, self.running.wait()).await.is_err() {
            tracing::warn!("the last of the collector's own telemetry was not sent in time");
            // A task that waits for the network ends as soon as it is polled.
            self.abort.cancel();
            self.running.wait().await;
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn what_sends_ends_with_the_telemetry_that_it_belongs_to() {
        let outbound = Outbound::default();
        outbound.add(|_| pending());
        outbound.start();
        let running = outbound.running.clone();
        running.close();
        assert_eq!(running.len(), 1);
        drop(outbound);
        running.wait().await;
    }
}
