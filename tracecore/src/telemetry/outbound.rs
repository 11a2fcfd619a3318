//! The tasks that send the collector's own telemetry: none, or one for each signal that has an endpoint.
//!
//! Invariants: nothing runs before [`Outbound::start`]; after [`Outbound::stop`] nothing does.

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
            if abort.run_until_cancelled_owned(task).await.is_none() {
                tracing::warn!("the last of the collector's own telemetry was not sent in time");
            }
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
            // A task that waits for the network ends as soon as it is polled.
            self.abort.cancel();
            self.running.wait().await;
        }
    }
}
