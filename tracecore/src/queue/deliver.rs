//! The far end of a queue: consumers that call the exporter, try again, and replace it when it panics.
//!
//! No batch is given up without an attempt but by a shutdown, or with its exporter: the time for which the circuit breaker
//! holds a batch back is not counted as time in which it was tried. Of batches that were merged, none is given up for
//! another: what the backend refuses for good, or the exporter panics on, is tried again in halves, down to the one batch
//! that is at fault. A backend that refuses all is so called at most twice as often as without merging.
//!
//! What became of a batch is told by who has claimed it. A stop counts what nobody has claimed by its end; a call that
//! succeeds after that is told of by nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::guard::Guard;
use super::{Breaker, Claim, DeliverySettings, Outcome, Queue, Taken};
use crate::component::{Component, Exporter};
use crate::cx::{Attempt, Base, Cx, Own};
use crate::emit::Passage;
use crate::error::{ErrorKind, Retry};
use crate::events::{BatchEvent, Draft, ExportEvent, Group, RetryEvent, micros};
use crate::runtime::{Failure, OnStartError, PROBE_INTERVAL, Restarts, construct, contain, give_up, start};
use crate::seam;
use crate::signal::Batch;
use crate::status::State;
use crate::telemetry::{DropReason, ExporterTelemetry, Operation, StopReason};
use crate::time::{Duration, Instant};

/// How often a batch under which the exporter panicked is tried in all.
const PANICS_PER_BATCH: u32 = 2;

/// An exporter behind its queue, its type erased. Consumers are boxed once each.
pub(crate) trait ErasedOutlet: Send + Sync {
    /// Makes and starts the exporter.
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Delivers batches until the queue is closed and empty.
    fn consume(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Tidies up.
    fn stop(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// What decides whether the exporter is called, for a status page.
    fn breaker(&self) -> Arc<Breaker>;
}

/// An exporter behind its queue.
pub(crate) struct Outlet<C: Exporter> {
    config: C::Config,
    base: Base,
    queue: Arc<Queue>,
    settings: DeliverySettings,
    on_start_error: OnStartError,
    guard: Guard,
    instance: ArcSwapOption<Instance<C>>,
    /// Held while an instance that panicked is replaced, so that one panic makes one replacement.
    replacing: Mutex<Restarts>,
    /// It has delivered something since it was last made anew.
    worked: AtomicBool,
}

struct Instance<C: Component> {
    exporter: C,
    cx: Cx<C>,
}

/// What is delivered at once.
struct Shipment<'a> {
    taken: &'a Taken,
    /// How many of the batches that were taken it is.
    batches: usize,
    batch: &'a Batch,
    passage: Passage,
}

/// How the attempts with a batch ended.
enum End {
    Delivered(Claim),
    /// It cannot be delivered.
    Failed(Failure, DropReason),
    /// There is no exporter any more, or the stop has counted the batch.
    Stopped,
}

impl<C: Exporter> Outlet<C> {
    pub(crate) fn new(
        config: C::Config,
        base: Base,
        queue: Arc<Queue>,
        settings: DeliverySettings,
        on_start_error: OnStartError,
    ) -> Self {
        let replacing = Mutex::new(Restarts::new(base.shared.restart_budget));
        let guard = Guard::new(&settings.circuit_breaker, base.clone());
        Outlet {
            config,
            base,
            queue,
            settings,
            on_start_error,
            guard,
            instance: ArcSwapOption::empty(),
            replacing,
            worked: AtomicBool::new(false),
        }
    }

    fn telemetry(&self) -> &ExporterTelemetry {
        match &self.base.own {
            Own::Exporter { telemetry } => telemetry,
            Own::Receiver { .. } | Own::Processor { .. } => unreachable!("an outlet is made for an exporter"),
        }
    }

    /// The exporter. While one that panicked is replaced, nobody uses it: they wait. `None` once it was stopped.
    async fn instance(&self) -> Option<Arc<Instance<C>>> {
        if let Some(instance) = self.instance.load_full() {
            return Some(instance);
        }
        drop(self.replacing.lock().await);
        self.instance.load_full()
    }

    async fn make(&self) -> Result<(), Failure> {
        let mut exporter = construct(|| C::new(self.config.clone()))?;
        let cx = Cx::new(self.base.clone());
        start(exporter.start(&cx)).await?;
        self.instance.store(Some(Arc::new(Instance { exporter, cx })));
        Ok(())
    }

    /// Tells what happens to a batch.
    fn tell<G: Group>(&self, passage: Passage, event: impl FnOnce() -> Draft<G>) {
        self.base.shared.events.emit(|| event().about(passage.correlation));
    }

    fn draft<G: Group>(&self, event: G) -> Draft<G> {
        Draft::of(&self.base.id, event)
    }

    /// Counts a batch that will not be delivered.
    fn lose(&self, batch: &Batch, passage: Passage, reason: DropReason) {
        let items = batch.items();
        self.telemetry().dropped(reason, items);
        self.tell(passage, || self.draft(BatchEvent::Dropped { items, reason: reason.as_str() }));
    }

    /// Delivers what was taken out of the queue, or gives it up. What it leaves unsettled was cut off.
    async fn work_off(&self, taken: &mut Taken) {
        let mut together = taken.len();
        // How long what is at hand was tried, together with others too, and what comes after it.
        let mut tried = Duration::ZERO;
        let mut after = Vec::new();
        loop {
            let events = &self.base.shared.events;
            let own = |of_events| if of_events { events.next_id_of_events() } else { events.next_id() };
            let passage = taken.passage(together, own);
            let batch = taken.merged(together);
            if together > 1 {
                self.tell(passage, || self.draft(taken.told_as_merged(together, batch.items())));
            }
            let shipment = Shipment { taken, batches: together, batch: &batch, passage };
            let (claim, outcome) = match self.deliver(&shipment, &mut tried).await {
                End::Delivered(claim) => (claim, Outcome::Delivered),
                End::Failed(failure, DropReason::Permanent | DropReason::Panic) if together > 1 => {
                    let (items, batches) = (batch.items(), together);
                    tracing::warn!(component = %self.base.id, items, batches, kind = %failure.kind, error = %failure, "a merged batch is refused and tried again in halves");
                    after.push((together - together / 2, tried));
                    together /= 2;
                    continue;
                }
                End::Failed(failure, reason) => {
                    let Some(claim) = taken.claim(together) else { return };
                    (claim, self.give_up(&batch, passage, &failure, reason))
                }
                End::Stopped if self.base.status.state() == State::PermanentError => {
                    let Some(claim) = taken.claim(together) else { return };
                    self.lose(&batch, passage, DropReason::Stopped);
                    (claim, Outcome::Lost { retryable: true })
                }
                // It was stopped, which happens only once the drain is over.
                End::Stopped => return,
            };
            drop(batch);
            taken.settle(claim, outcome);
            match after.pop() {
                Some(next) => (together, tried) = next,
                None => return,
            }
        }
    }

    /// Tries a batch until it is delivered or cannot be. It has been tried for `tried` already.
    async fn deliver(&self, shipment: &Shipment<'_>, tried: &mut Duration) -> End {
        let passage = shipment.passage;
        let (began, before) = (Instant::now(), *tried);
        let mut backoff = self.settings.retry_on_failure.backoff();
        let mut panics = 0;
        let mut held_back = Duration::ZERO;
        for attempt in 1.. {
            seam::point().await;
            let pass = self.guard.pass(passage).await;
            held_back += pass.waited();
            // After the breaker, which can take long: the exporter may have been replaced meanwhile.
            let Some(instance) = self.instance().await else { break };
            let failure = match self.attempt(&instance, shipment, attempt).await {
                Ok(claim) => {
                    pass.answered();
                    return claim.map_or(End::Stopped, End::Delivered);
                }
                Err(failure) => failure,
            };
            *tried = before + began.elapsed().saturating_sub(held_back);
            if failure.kind == ErrorKind::Panic {
                pass.ignored();
                self.replace(&instance, &failure).await;
                panics += 1;
                if panics == PANICS_PER_BATCH {
                    return End::Failed(failure, DropReason::Panic);
                }
                continue;
            }
            if failure.retry == Retry::Permanent {
                pass.answered();
                return End::Failed(failure, DropReason::Permanent);
            }
            pass.failed();
            self.base.undelivered(&failure);
            if self.settings.retry_on_failure.gives_up_after(*tried) {
                self.tell(passage, || {
                    self.draft(RetryEvent::Exhausted { attempts: attempt }).lasting(before + began.elapsed())
                });
                return End::Failed(failure, DropReason::RetryExhausted);
            }
            let own = backoff.wait();
            let asked = self.settings.retry_on_failure.granted(failure.retry_after.unwrap_or_default());
            let wait = own.max(asked);
            tracing::warn!(component = %self.base.id, kind = %failure.kind, error = %failure, ?wait, "cannot deliver a batch, trying again");
            let strategy = if asked > own { "server" } else { "exponential" };
            self.tell(passage, || self.draft(RetryEvent::Backoff { attempt, delay_us: micros(wait), strategy }));
            self.wait(wait).await;
        }
        End::Stopped
    }

    /// Calls the exporter. What it delivers is the caller's to settle, unless the stop has counted it.
    async fn attempt(
        &self,
        instance: &Instance<C>,
        &Shipment { taken, batches, batch, passage }: &Shipment<'_>,
        attempt: u64,
    ) -> Result<Option<Claim>, Failure> {
        let items = batch.items();
        self.tell(passage, || self.draft(ExportEvent::Started { items, attempt }));
        if attempt > 1 {
            self.telemetry().retried();
        }
        let traces = self.base.shared.telemetry.traces();
        let mut span = traces.span(Operation::Export { component: &self.base.id }, passage.span);
        span.set_items(items);
        let began = Instant::now();
        let limit = self.settings.timeout.get();
        let call = Attempt { span: span.context().or(passage.span), timeout: limit };
        // A call is let go of within the boundary as well, if it takes too long.
        let exported = contain(async {
            let late = || Failure::new(ErrorKind::Io, format!("not delivered within {limit:?} (timeout)"));
            let exported = timeout(limit, call.run(instance.exporter.export(batch, &instance.cx))).await;
            exported.map_or_else(|_| Err(late()), |exported| exported.map_err(Failure::from))
        });
        let result = exported.await.unwrap_or_else(Err).map(|()| taken.claim(batches));
        let took = began.elapsed();
        match &result {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.telemetry().observe_export(took);
                self.telemetry().call_succeeded();
                self.base.activity.put_out(items);
                self.base.delivered();
                self.worked.store(true, Ordering::Relaxed);
                self.tell(passage, || self.draft(ExportEvent::Succeeded { items, attempt }).lasting(took));
            }
            Err(failure) => {
                self.telemetry().observe_export(took);
                self.telemetry().call_failed(failure.kind);
                self.base.activity.count_error();
                let (kind, retryable) = (failure.kind, failure.retry != Retry::Permanent);
                self.tell(passage, || self.draft(ExportEvent::Failed { kind, retryable, attempt }).lasting(took));
            }
        }
        span.end(result.as_ref().map(|_| ()).map_err(|failure| failure.kind));
        result
    }

    fn give_up(&self, batch: &Batch, passage: Passage, failure: &Failure, reason: DropReason) -> Outcome {
        self.lose(batch, passage, reason);
        self.base.remember(failure.kind, &failure.message);
        let items = batch.items();
        tracing::error!(component = %self.base.id, items, kind = %failure.kind, error = %failure, reason = reason.as_str(), "a batch is lost");
        Outcome::Lost { retryable: reason == DropReason::RetryExhausted }
    }

    /// Waits before the next attempt. A shutdown ends the wait, so that a batch has another attempt before the
    /// deadline; later waits are cut to half of what is left.
    async fn wait(&self, wait: Duration) {
        let drain = &self.base.shared.drain;
        match drain.deadline() {
            None => {
                drain.begun.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                tokio::time::sleep(wait.min(left / 2).max(MIN_WAIT)).await;
            }
        }
    }

    /// Makes a new exporter in the place of one that panicked, trying until it starts or its restart budget is used up.
    async fn replace(&self, panicked: &Arc<Instance<C>>, panic: &Failure) {
        let mut restarts = self.replacing.lock().await;
        let current = self.instance.load_full();
        if current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, panicked)) {
            return;
        }
        self.instance.store(None);
        self.base.stopped(StopReason::Crashed);
        if self.worked.swap(false, Ordering::Relaxed) {
            restarts.healthy();
        }
        let mut failure = panic.clone();
        let mut starts = Restarts::start_backoff();
        let mut due = restarts.wait();
        loop {
            let Some(wait) = due else {
                give_up(&self.base, &failure);
                self.base.let_go();
                // What comes is refused, or dropped if the queue's policy says so.
                return self.queue.close(DropReason::Stopped);
            };
            self.base.supervised_after(State::RecoverableError, &failure);
            tracing::error!(component = %self.base.id, error = %failure, ?wait, "the exporter failed and is made anew");
            self.wait(wait).await;
            self.base.end_incarnation();
            self.base.restarted(failure.kind);
            let began = Instant::now();
            match self.make().await {
                Ok(()) => return self.base.started(began.elapsed()),
                Err(not_started) => {
                    self.base.count_error(not_started.kind);
                    failure = not_started;
                    // Who writes `retry` or `probe` wants it tried for ever; the budget is for panics.
                    due = match self.on_start_error {
                        OnStartError::Retry => Some(starts.wait()),
                        OnStartError::Probe => Some(PROBE_INTERVAL),
                        OnStartError::Fail | OnStartError::Ignore => restarts.wait(),
                    };
                }
            }
        }
    }
}

/// The shortest wait during a shutdown, so that retries do not spin.
const MIN_WAIT: Duration = Duration::from_millis(10);

impl<C: Exporter> ErasedOutlet for Outlet<C> {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move { self.make().await })
    }

    fn consume(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Some(mut taken) = self.queue.next().await {
                let _working = self.base.activity.begin(taken.items());
                self.work_off(&mut taken).await;
            }
        })
    }

    fn stop(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(instance) = self.instance.swap(None)
                && let Err(panic) = contain(instance.exporter.stop(&instance.cx)).await
            {
                tracing::warn!(component = %self.base.id, error = %panic, "the exporter could not stop cleanly");
            }
        })
    }

    fn breaker(&self) -> Arc<Breaker> {
        Arc::clone(self.guard.breaker())
    }
}
