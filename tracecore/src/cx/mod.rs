//! What a running component may do.
//!
//! A component gets a [`Cx`] and nothing else: time, its way into the pipelines, tracked tasks, threads for blocking
//! work, sockets. It writes no `select!` and spawns nothing on its own, so shutdown, supervision and tests hold for
//! every component alike. Deliberately absent: the other components, and the SDK behind the metrics.

mod activity;
mod attempt;
mod client;
mod life;
mod offload;
mod resources;
mod serve;
mod sockets;
mod task;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior};

use crate::component::{Component, Exporter, Receiver};
use crate::config::{ComponentId, Period};
use crate::emit::{Emitter, Origin, Verdict};
use crate::error::{Classify, ErrorKind, Report, WriteError};
use crate::events::{BatchEvent, ResourceEvent};
use crate::memory::{Memory, exact};
use crate::metrics::{Encoder, MetricSet, data, health};
use crate::net::{BindError, Bound};
use crate::runtime::contain;
use crate::signal::{Batch, Signal};
use crate::status::{ComponentStatus, State};
use crate::telemetry::DropReason;
use crate::time::{Instant, unix_nanos};

pub(crate) use activity::{Activity, Totals};
pub use attempt::Attempt;
pub(crate) use life::{Base, Drain, Fatal, Own, Shared};
pub use offload::Offload;
pub(crate) use offload::Offloads;
pub(crate) use resources::LISTENER;
pub use resources::Resources;
use resources::{Held, THREAD};
use task::Task;
pub(crate) use task::measured;

/// What a running component may do, and what it measures.
pub struct Cx<C: Component> {
    /// What the component measures: sent by [`Cx::emit_data`].
    pub data: C::Data,
    /// The component's own health: on the collector's `/metrics`.
    pub telemetry: C::Telemetry,
    base: Base,
    ticks: Option<(Period, Interval)>,
    /// When the collection under way began: the last tick, until its data is emitted.
    collecting: Option<Instant>,
    /// The last emission left values out: the log has been told.
    over_the_cap: bool,
}

impl<C: Component> Cx<C> {
    pub(crate) fn new(base: Base) -> Self {
        let start = base.shared.clock.unix_nanos();
        let maker = health::Maker::new(&base.shared.telemetry, C::ROLE, C::NAME, &base.id);
        Cx {
            data: C::Data::make(&data::Maker { start }),
            telemetry: C::Telemetry::make(&maker),
            base,
            ticks: None,
            collecting: None,
            over_the_cap: false,
        }
    }

    /// The component's id in the configuration.
    pub fn id(&self) -> &ComponentId {
        &self.base.id
    }

    /// The wall-clock time.
    pub fn now(&self) -> SystemTime {
        self.base.shared.clock.now()
    }

    /// The version of the program, as whom the other side sees it: `tracecore/<version>`.
    pub fn version(&self) -> &'static str {
        self.base.shared.version
    }

    /// The attributes that identify this process: host.name, service.name, service.version, service.instance.id.
    pub fn resource(&self) -> &[(String, String)] {
        &self.base.shared.resource
    }

    /// The memory of the process, and what batches hold of it.
    pub fn memory(&self) -> &Memory {
        &self.base.shared.memory
    }

    /// Runs `future` until it is done or shutdown is asked for, whichever is first.
    pub async fn until_shutdown<F: Future>(&self, future: F) -> Option<F::Output> {
        self.base.shutdown.run_until_cancelled(future).await
    }

    /// Waits `delay`; false once shutdown was asked for.
    pub async fn delay(&self, delay: Duration) -> bool {
        self.until_shutdown(tokio::time::sleep(delay)).await.is_some()
    }

    /// Waits until shutdown is asked for.
    pub async fn shutdown_requested(&self) {
        self.base.shutdown.cancelled().await;
    }

    /// A `background` that has nothing to do.
    pub(crate) fn shutdown_requested_ok(&self) -> impl Future<Output = Result<(), C::Error>> + Send + use<C> {
        let shutdown = self.base.shutdown.clone();
        async move {
            shutdown.cancelled().await;
            Ok(())
        }
    }

    /// Runs `future` as a task of this component, called `name` in events: its panic is the component's, the drain waits
    /// for it, then aborts it.
    #[expect(clippy::disallowed_methods, reason = "this is the seam through which components spawn")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let base = self.base.clone();
        let incarnation = base.incarnation();
        let tracked = self.base.tasks.track_future(async move {
            let task = Task::begin(&base, name);
            match incarnation.run_until_cancelled(contain(measured(&base.telemetry, future))).await {
                Some(Err(failure)) => {
                    task.failed(&failure);
                    base.task_failed(failure);
                }
                Some(Ok(())) | None => task.completed(),
            }
        });
        tokio::spawn(tracked);
    }

    /// Runs `work`, which may block, on a thread of its own named `name`, and waits for it at most `deadline`.
    ///
    /// # Errors
    /// When it takes longer (the thread then ends by itself, and its result is dropped), when it panics, or when the
    /// machine has no thread left.
    pub async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Blocked> {
        let task = Task::begin(&self.base, name);
        let outcome = self.on_a_thread(name, deadline, work).await;
        match &outcome {
            Ok(_) => task.completed(),
            Err(blocked) => task.failed(blocked),
        }
        outcome
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        name: &str,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Blocked> {
        let (sender, receiver) = oneshot::channel();
        let base = self.base.clone();
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _held = Held::take(base, THREAD);
            // Nobody waits any more once the deadline has passed.
            let _ = sender.send(work());
        });
        if let Err(error) = spawned {
            self.base.tell(|| ResourceEvent::Exhausted { resource: THREAD });
            return Err(Blocked::NoThread(error));
        }
        match tokio::time::timeout(deadline, receiver).await {
            Err(_) => Err(Blocked::Late(deadline)),
            Ok(Err(_)) => Err(Blocked::Panicked),
            Ok(Ok(done)) => Ok(done),
        }
    }

    /// Listens on `address` (`host:port`). The socket belongs to the runtime and survives a restart of the component.
    ///
    /// # Errors
    /// When the address cannot be resolved or is taken, if only by this component itself.
    pub async fn listen(&self, address: &str) -> Result<Arc<Bound>, BindError> {
        if let Some(left) = self.base.sockets.take(address) {
            return Ok(left);
        }
        let bound = Arc::new(Bound::bind(address).await?);
        self.base.sockets.keep(address, &bound);
        self.base.acquired(LISTENER);
        Ok(bound)
    }

    /// Says how the component is; what it says holds until it says otherwise or its incarnation ends. What is an error
    /// is counted and logged, once for each spell.
    pub fn report_status(&self, status: ComponentStatus<'_, C::Error>) {
        let (state, error) = match status {
            ComponentStatus::Ok => (State::Ok, None),
            ComponentStatus::RecoverableError(error) => (State::RecoverableError, Some(error)),
            ComponentStatus::PermanentError(error) => (State::PermanentError, Some(error)),
            ComponentStatus::FatalError(error) => (State::FatalError, Some(error)),
        };
        if let Some(error) = error.filter(|_| self.base.status.is_news(state)) {
            self.base.count_error(error.kind());
            tracing::warn!(component = %self.base.id, kind = %error.kind(), error = %Report(error), %state, "the component reports an error");
        }
        self.base.reported(state, error.map(|error| (error.kind(), Report(error).to_string())));
    }
}

impl<C: Receiver> Cx<C> {
    /// Waits for the next tick; false once shutdown was asked for. The first tick is at once. Ticks that were missed
    /// are left out, not caught up.
    pub async fn tick(&mut self, period: Period) -> bool {
        if self.ticks.as_ref().is_none_or(|(current, _)| *current != period) {
            let mut interval = tokio::time::interval(period.get());
            interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
            self.ticks = Some((period, interval));
        }
        let Some((_, interval)) = &mut self.ticks else { return false };
        let ticked = self.base.shutdown.run_until_cancelled(interval.tick()).await.is_some();
        self.collecting = ticked.then(Instant::now);
        ticked
    }

    /// Sends a batch into the receiver's pipelines and says what became of it. The runtime counts the outcome.
    pub async fn emit(&mut self, batch: Batch) -> Verdict {
        let since = self.collecting.take().unwrap_or_else(Instant::now);
        self.emitter().emit_since(batch, Origin::default(), since).await
    }

    /// Encodes what the component measures as it is now, and emits it.
    pub async fn emit_data(&mut self) -> Verdict {
        let mut encoder = Encoder::new(C::NAME, unix_nanos(self.now()));
        self.data.visit(&mut encoder);
        let encoded = encoder.finish(self.resource(), self.base.shared.version);
        let over_the_cap = encoded.refused > 0;
        if over_the_cap {
            self.base.count_error(ErrorKind::Cardinality);
        }
        if over_the_cap && !self.over_the_cap {
            tracing::warn!(
                component = %self.base.id,
                values = encoded.refused,
                "values are left out: a label has reached its cap"
            );
        }
        self.over_the_cap = over_the_cap;
        let batch = Batch::validate(Signal::Metrics, exact(encoded.request))
            .expect("the encoder writes valid OTLP: its strings are UTF-8, its nesting is fixed");
        self.emit(batch).await
    }

    /// The way into the pipelines, for tasks beside `run`.
    pub fn emitter(&self) -> &Emitter {
        match &self.base.own {
            Own::Receiver { emitter, .. } => emitter,
            Own::Processor { .. } | Own::Exporter { .. } => unreachable!("a receiver's context is made for a receiver"),
        }
    }

    /// Counts and logs an error that the receiver survives.
    pub fn report(&self, error: &C::Error) {
        self.base.count_error(error.kind());
        self.base.remember(error.kind(), &Report(error).to_string());
        tracing::warn!(component = %self.base.id, kind = %error.kind(), error = %Report(error), "the receiver had an error");
    }

    /// Counts an error that lasts and that [`Cx::report`] has told of before, so that the log tells of it once.
    pub fn count(&self, error: &C::Error) {
        self.base.count_error(error.kind());
    }
}

impl<C: Exporter> Cx<C> {
    /// Counts items that the other side took the batch without.
    pub fn rejected(&self, items: u64, reason: &str) {
        if let Own::Exporter { telemetry } = &self.base.own {
            telemetry.dropped(DropReason::Rejected, items);
        }
        let dropped = DropReason::Rejected.as_str();
        self.base.tell(|| BatchEvent::Dropped { items, reason: dropped });
        if self.base.tells_of_rejection() {
            tracing::warn!(component = %self.base.id, items, reason, "a part of a batch was rejected");
        }
    }
}

impl<C: Exporter> Cx<C> {
    /// The error of a write to a pipe. When the reader has gone, as in `tracecore collect | head`, the service is asked
    /// to stop: there is nobody left to collect for.
    pub fn output_closed(&self, error: std::io::Error) -> WriteError {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            return WriteError::Io(error);
        }
        tracing::info!(component = %self.base.id, "the reader has gone: stopping");
        self.base.shared.stop.cancel();
        WriteError::Closed(error)
    }
}

impl<C: Component> fmt::Debug for Cx<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx").field("id", &self.base.id).finish_non_exhaustive()
    }
}

/// Why blocking work gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    /// It is not done within its deadline.
    #[error("blocking work took longer than {0:?}")]
    Late(Duration),
    /// It panicked.
    #[error("blocking work panicked")]
    Panicked,
    /// The machine has no thread left.
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
}
