//! What a running component may do.
//!
//! A component gets a [`Cx`] and nothing else: time, its way into the pipelines, tracked tasks, threads for blocking
//! work, sockets. It writes no `select!` and spawns nothing on its own, so shutdown, supervision and tests hold for
//! every component alike. Deliberately absent: the other components, and the SDK behind the metrics.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::component::{Component, Exporter, Receiver, Role};
use crate::config::{ComponentId, Period};
use crate::emit::{Emitter, Verdict};
use crate::error::{Classify, ErrorKind, Report, WriteError};
use crate::events::{Event, Events};
use crate::metrics::{Encoder, MetricSet, data, health};
use crate::net::{BindError, Bound};
use crate::runtime::{Failure, contain};
use crate::signal::{Batch, Signal};
use crate::telemetry::{DropReason, ExporterTelemetry, ProcessorTelemetry, ReceiverTelemetry, SelfTelemetry};
use crate::time::{Clock, Instant, unix_nanos};

/// How often an exporter's rejections are logged.
const REJECTION_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the components of one service share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) telemetry: SelfTelemetry,
    pub(crate) events: Events,
    /// The attributes that identify this process, on exported data as on its own metrics.
    pub(crate) resource: Arc<[(String, String)]>,
    /// The version of the program.
    pub(crate) version: &'static str,
    pub(crate) drain: Arc<Drain>,
    /// Cancelled by a component that asks the service to stop.
    pub(crate) stop: CancellationToken,
}

/// The end of the service: queues are emptied until a deadline.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    pub(crate) begun: CancellationToken,
    deadline: OnceLock<Instant>,
}

impl Drain {
    pub(crate) fn begin(&self, deadline: Instant) {
        // A second stop does not move the deadline.
        let _ = self.deadline.set(deadline);
        self.begun.cancel();
    }

    /// When what is left is given up; `None` while the service runs.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }
}

/// What outlives an incarnation of a component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Base(Arc<Life>);

pub(crate) struct Life {
    pub(crate) id: ComponentId,
    pub(crate) shared: Shared,
    pub(crate) own: Own,
    /// Asks the component to end.
    pub(crate) shutdown: CancellationToken,
    /// Ends its tasks where they stand: the deadline has passed.
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Ends the tasks of the present incarnation; the next one has its own.
    incarnation: Mutex<CancellationToken>,
    panicked_task: Mutex<Option<Failure>>,
    task_has_panicked: Notify,
    degraded: Mutex<Degraded>,
    /// When a rejection was last logged.
    told_of_rejection: Mutex<Option<Instant>>,
    /// Sockets by address: they survive a restart, so that no client sees the port closed.
    sockets: Mutex<HashMap<String, Arc<Bound>>>,
}

/// Why a receiver works with less than it should. Either is enough, so that neither hides the other.
#[derive(Clone, Copy, Debug, Default)]
struct Degraded {
    /// It does not run: the supervisor's word.
    failing: bool,
    /// It said so itself.
    reported: bool,
}

/// What a component has by its role.
pub(crate) enum Own {
    Receiver { telemetry: ReceiverTelemetry, emitter: Emitter },
    Processor { telemetry: ProcessorTelemetry },
    Exporter { telemetry: ExporterTelemetry },
}

impl Base {
    pub(crate) fn new(id: ComponentId, shared: Shared, own: Own) -> Self {
        let abort = CancellationToken::new();
        Base(Arc::new(Life {
            id,
            shared,
            own,
            shutdown: CancellationToken::new(),
            incarnation: Mutex::new(abort.child_token()),
            panicked_task: Mutex::default(),
            task_has_panicked: Notify::new(),
            degraded: Mutex::default(),
            told_of_rejection: Mutex::default(),
            abort,
            tasks: TaskTracker::new(),
            sockets: Mutex::default(),
        }))
    }

    pub(crate) fn role(&self) -> Role {
        match self.own {
            Own::Receiver { .. } => Role::Receiver,
            Own::Processor { .. } => Role::Processor,
            Own::Exporter { .. } => Role::Exporter,
        }
    }

    /// Counts an error of the component under its kind.
    pub(crate) fn count_error(&self, kind: ErrorKind) {
        match &self.own {
            Own::Receiver { telemetry, .. } => telemetry.error(kind),
            Own::Processor { telemetry } => telemetry.error(kind),
            Own::Exporter { telemetry } => telemetry.call_failed(kind),
        }
    }

    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        self.shared.events.emit(event);
    }

    /// Says whether the component fails to run. What a life reported of itself ends with it.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.change_degraded(|degraded| {
            degraded.failing = failing;
            degraded.reported &= !failing;
        });
    }

    fn change_degraded(&self, change: impl FnOnce(&mut Degraded)) {
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut degraded);
        if let Own::Receiver { telemetry, .. } = &self.own {
            // Under the lock: of two changes the later one is shown.
            telemetry.set_degraded(degraded.failing || degraded.reported);
        }
    }

    /// Whether it is time to log a rejection again. Each is counted; the log would have one per batch.
    fn tells_of_rejection(&self) -> bool {
        let now = Instant::now();
        let mut told = self.told_of_rejection.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|last| now.duration_since(last) >= REJECTION_LOG_INTERVAL);
        if due {
            *told = Some(now);
        }
        due
    }

    /// A receiver's task that panics ends the incarnation, as a panic in `run` does. An exporter and a processor have no
    /// `run` to end: theirs is counted.
    fn task_panicked(&self, failure: Failure) {
        tracing::error!(component = %self.id, error = %failure, "a task of the component panicked");
        match self.own {
            Own::Receiver { .. } => {
                *self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                self.task_has_panicked.notify_one();
            }
            Own::Processor { .. } | Own::Exporter { .. } => self.count_error(failure.kind),
        }
    }

    /// Waits until a task of the incarnation panics.
    pub(crate) async fn panic_of_a_task(&self) -> Failure {
        loop {
            let panicked = self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(failure) = panicked {
                return failure;
            }
            self.task_has_panicked.notified().await;
        }
    }

    /// Ends the tasks that the incarnation has spawned: they were its own, and the next one spawns anew.
    pub(crate) fn end_incarnation(&self) {
        let mut incarnation = self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *incarnation, self.abort.child_token()).cancel();
        // Its panics end with it.
        *self.panicked_task.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl std::ops::Deref for Base {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.0
    }
}

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

    /// The attributes that identify this process: host.name, service.name, service.version, service.instance.id.
    pub fn resource(&self) -> &[(String, String)] {
        &self.base.shared.resource
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

    /// Runs `future` as a task of this component: its panic is the component's, the drain waits for it, then aborts it.
    #[expect(clippy::disallowed_methods, reason = "this is the seam through which components spawn")]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let base = self.base.clone();
        let incarnation = base.incarnation.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tracked = self.base.tasks.track_future(async move {
            let contained = contain(future);
            if let Some(Err(failure)) = incarnation.run_until_cancelled(contained).await {
                base.task_panicked(failure);
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
        let (sender, receiver) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Nobody waits any more once the deadline has passed.
                let _ = sender.send(work());
            })
            .map_err(Blocked::NoThread)?;
        match tokio::time::timeout(deadline, receiver).await {
            Err(_) => Err(Blocked::Late(deadline)),
            Ok(Err(_)) => Err(Blocked::Panicked),
            Ok(Ok(done)) => Ok(done),
        }
    }

    /// Listens on `address` (`host:port`). The socket belongs to the runtime and survives a restart of the component.
    ///
    /// # Errors
    /// When the address cannot be resolved or is taken.
    pub async fn listen(&self, address: &str) -> Result<Arc<Bound>, BindError> {
        if let Some(kept) = self.base.sockets.lock().unwrap_or_else(PoisonError::into_inner).get(address) {
            return Ok(Arc::clone(kept));
        }
        let bound = Arc::new(Bound::bind(address).await?);
        let mut sockets = self.base.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.insert(address.to_owned(), Arc::clone(&bound));
        Ok(bound)
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
        self.emitter().emit_since(batch, since).await
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
        let batch = Batch::validate(Signal::Metrics, Bytes::from(encoded.request))
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
        tracing::warn!(component = %self.base.id, kind = %error.kind(), error = %Report(error), "the receiver had an error");
    }

    /// Counts an error that lasts and that [`Cx::report`] has told of before, so that the log tells of it once.
    pub fn count(&self, error: &C::Error) {
        self.base.count_error(error.kind());
    }

    /// Says whether the receiver works with less than it should, as without its device. Counted while it lasts.
    pub fn set_degraded(&self, degraded: bool) {
        self.base.change_degraded(|state| state.reported = degraded);
    }
}

impl<C: Exporter> Cx<C> {
    /// Counts items that the other side took the batch without.
    pub fn rejected(&self, items: u64, reason: &str) {
        if let Own::Exporter { telemetry } = &self.base.own {
            telemetry.dropped(DropReason::Rejected, items);
        }
        let dropped = DropReason::Rejected.as_str();
        self.base.emit(|| Event::ItemsDropped { id: self.base.id.clone(), items, reason: dropped });
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
