//! From a typed component to what the runtime holds: settings that were read once, and boxed loops made from them.
//!
//! Each trait here has one generic implementor. A receiver's incarnation, an exporter's consumer and a processor's
//! background are boxed once each; a batch is never boxed.

use std::future::pending;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::failure::{Failure, contain, contain_call, contain_fallible};
use super::{OnStartError, Processed, START_DEADLINE};
use crate::component::{Component, Exporter, Processor, Receiver};
use crate::config::{ConfigErrors, Node, Period};
use crate::cx::{Base, Cx};
use crate::emit::{Passage, Refusal};
use crate::error::{Classify, ErrorKind, Retry};
use crate::events::{BatchEvent, Draft};
use crate::queue::{DeliverySettings, ErasedOutlet, Outlet, Queue};
use crate::signal::Batch;
use crate::status::State;
use crate::telemetry::StopReason;
use crate::telemetry::{ProcessorDropReason, ProcessorTelemetry};
use crate::time::Instant;

/// A configured receiver.
pub(crate) trait ReceiverSpec: Send + Sync {
    /// Constructs it once and throws it away: whether its settings go together.
    fn check(&self) -> Result<(), Failure>;

    /// One life of it: `new`, `start`, then `run`. Calls `started` in between.
    fn live(&self, base: Base, started: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>>;
}

/// A configured processor.
pub(crate) trait ProcessorSpec: Send + Sync {
    /// Constructs it once and throws it away: whether its settings go together.
    fn check(&self) -> Result<(), Failure>;

    /// The processor's place in one pipeline.
    fn stage(&self, base: Base, telemetry: ProcessorTelemetry) -> Arc<dyn Stage>;
}

/// A configured exporter.
pub(crate) trait ExporterSpec: Send + Sync {
    /// Constructs it once and throws it away: whether its settings go together.
    fn check(&self) -> Result<(), Failure>;

    /// The time limit of one attempt where the settings have none.
    fn timeout(&self) -> Period;

    /// The far end of the exporter's queue.
    fn outlet(
        &self,
        base: Base,
        queue: Arc<Queue>,
        settings: DeliverySettings,
        on_start_error: OnStartError,
    ) -> Arc<dyn ErasedOutlet>;
}

/// Settings of a component of type `C`.
struct Spec<C: Component> {
    config: C::Config,
    component: PhantomData<fn() -> C>,
}

impl<C: Component> Spec<C> {
    fn read(settings: &Node, path: &str) -> Result<Box<Self>, ConfigErrors> {
        let config = settings.deserialize(path)?;
        Ok(Box::new(Spec { config, component: PhantomData }))
    }
}

pub(crate) fn specify_receiver<C: Receiver>(
    settings: &Node,
    path: &str,
) -> Result<Box<dyn ReceiverSpec>, ConfigErrors> {
    Ok(Spec::<C>::read(settings, path)?)
}

pub(crate) fn specify_processor<C: Processor>(
    settings: &Node,
    path: &str,
) -> Result<Box<dyn ProcessorSpec>, ConfigErrors> {
    Ok(Spec::<C>::read(settings, path)?)
}

pub(crate) fn specify_exporter<C: Exporter>(
    settings: &Node,
    path: &str,
) -> Result<Box<dyn ExporterSpec>, ConfigErrors> {
    Ok(Spec::<C>::read(settings, path)?)
}

/// Constructs a component. A constructor that panics is a failure like any other.
pub(crate) fn construct<C, E: Classify>(new: impl FnOnce() -> Result<C, E>) -> Result<C, Failure> {
    contain_call(|| new().map_err(Failure::from))?
}

/// Starts a component within its deadline.
pub(crate) async fn start<E: Classify>(starting: impl Future<Output = Result<(), E>>) -> Result<(), Failure> {
    // The start is let go of within the boundary as well, if it takes too long.
    let started = contain(async {
        let late = || Failure::new(ErrorKind::Init, format!("did not start within {START_DEADLINE:?}"));
        timeout(START_DEADLINE, starting).await.map_or_else(|_| Err(late()), |started| started.map_err(Failure::from))
    });
    started.await?
}

impl<C: Receiver> ReceiverSpec for Spec<C> {
    fn check(&self) -> Result<(), Failure> {
        construct(|| C::new(self.config.clone())).map(drop)
    }

    fn live(&self, base: Base, started: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), Failure>> {
        let config = self.config.clone();
        Box::pin(async move {
            let mut receiver = construct(|| C::new(config))?;
            let shutdown = base.shutdown.clone();
            let cx = Cx::new(base);
            // A stop does not wait for a start.
            let Some(begun) = shutdown.run_until_cancelled(start(receiver.start(&cx))).await else { return Ok(()) };
            begun?;
            started();
            contain_fallible(receiver.run(cx)).await
        })
    }
}

impl<C: Processor> ProcessorSpec for Spec<C> {
    fn check(&self) -> Result<(), Failure> {
        construct(|| C::new(self.config.clone())).map(drop)
    }

    fn stage(&self, base: Base, telemetry: ProcessorTelemetry) -> Arc<dyn Stage> {
        Arc::new(Place::<C> {
            config: self.config.clone(),
            base,
            telemetry,
            instance: ArcSwapOption::empty(),
            replacing: Mutex::new(()),
            replaced: Notify::new(),
        })
    }
}

impl<C: Exporter> ExporterSpec for Spec<C> {
    fn check(&self) -> Result<(), Failure> {
        construct(|| C::new(self.config.clone())).map(drop)
    }

    fn timeout(&self) -> Period {
        C::TIMEOUT
    }

    fn outlet(
        &self,
        base: Base,
        queue: Arc<Queue>,
        settings: DeliverySettings,
        on_start_error: OnStartError,
    ) -> Arc<dyn ErasedOutlet> {
        Arc::new(Outlet::<C>::new(self.config.clone(), base, queue, settings, on_start_error))
    }
}

/// A processor's place in one pipeline.
pub(crate) trait Stage: Send + Sync {
    /// Makes and starts the instance.
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Shows the batch to the instance. A panic costs this batch and the instance, which is made anew.
    fn process(&self, batch: Batch, passage: Passage) -> Processed;

    /// Whether there is an instance: a panic takes it, and its replacement can need a start that waits.
    fn has_instance(&self) -> bool;

    /// Waits until there is not the instance any more that there is now.
    fn gone(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Runs the instance's background until shutdown. Without an instance nothing happens: see [`Stage::gone`].
    fn background(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Says that the processor works, unless its instance is gone.
    fn is_well(&self);

    /// Tidies up.
    fn stop(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// What outlives the instance.
    fn base(&self) -> &Base;
}

struct Place<C: Processor> {
    config: C::Config,
    base: Base,
    telemetry: ProcessorTelemetry,
    instance: ArcSwapOption<Instance<C>>,
    /// Held while an instance that panicked is replaced, so that one panic makes one replacement.
    replacing: Mutex<()>,
    /// The instance is gone, or another.
    replaced: Notify,
}

struct Instance<C: Component> {
    component: C,
    cx: Cx<C>,
}

impl<C: Processor> Place<C> {
    /// Refuses a batch for good, and counts it.
    fn lose(&self, items: u64, reason: ProcessorDropReason, passage: Passage) -> Processed {
        self.telemetry.dropped(reason, items);
        let dropped = BatchEvent::Dropped { items, reason: reason.as_str() };
        self.base.shared.events.emit(|| Draft::of(&self.base.id, dropped).about(passage.correlation));
        Processed::Refused(Refusal::Permanent)
    }

    fn failed(&self, items: u64, failure: &Failure, passage: Passage) -> Processed {
        self.base.count_error(failure.kind);
        self.base.remember(failure.kind, &failure.message);
        let component = &self.base.id;
        match failure.retry {
            Retry::Permanent => {
                tracing::warn!(%component, kind = %failure.kind, error = %failure, "cannot process a batch");
                self.lose(items, ProcessorDropReason::Error, passage)
            }
            Retry::Yes => {
                // The sender brings it again, and again: one line for each time would bury the log.
                tracing::debug!(%component, kind = %failure.kind, error = %failure, "a batch is refused for now");
                self.telemetry.refused(items);
                Processed::Refused(failure.retry_after.map_or(Refusal::RETRYABLE, |after| Refusal::Retryable { after }))
            }
        }
    }

    /// Replaces an instance that panicked. If its start needs no waiting, the next batch finds the new one; otherwise
    /// its supervisor starts it, and what comes before that must come again.
    fn replace(&self, panicked: &Arc<Instance<C>>, panic: &Failure) {
        let _one_at_a_time = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is(panicked) {
            return;
        }
        self.base.stopped(StopReason::Crashed);
        self.base.supervised_after(State::RecoverableError, panic);
        self.base.restarted(panic.kind);
        self.base.end_incarnation();
        let began = Instant::now();
        if matches!(self.make().now_or_never(), Some(Ok(()))) {
            self.base.started(began.elapsed());
        } else {
            self.instance.store(None);
        }
        self.replaced.notify_waiters();
    }

    /// Whether this is the instance.
    fn is(&self, instance: &Arc<Instance<C>>) -> bool {
        self.instance.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, instance))
    }

    async fn make(&self) -> Result<(), Failure> {
        let mut component = construct(|| C::new(self.config.clone()))?;
        let cx = Cx::new(self.base.clone());
        start(component.start(&cx)).await?;
        self.instance.store(Some(Arc::new(Instance { component, cx })));
        Ok(())
    }
}

impl<C: Processor> Stage for Place<C> {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move { self.make().await })
    }

    fn process(&self, batch: Batch, passage: Passage) -> Processed {
        let items = batch.items();
        let _working = self.base.activity.begin(items);
        let began = Instant::now();
        self.telemetry.received(items);
        let Some(instance) = self.instance.load_full() else {
            // `on_start_error: retry` is still trying: what comes before that must come again.
            return Processed::Refused(Refusal::RETRYABLE);
        };
        let processed = contain_call(|| instance.component.process(batch, &instance.cx).map_err(Failure::from));
        self.telemetry.observe_latency(began.elapsed());
        match processed {
            Ok(Ok(Some(batch))) => {
                self.telemetry.sent(batch.items());
                self.base.activity.put_out(batch.items());
                let filtered = items.saturating_sub(batch.items());
                if filtered > 0 {
                    self.telemetry.dropped(ProcessorDropReason::Filtered, filtered);
                }
                Processed::Pass(batch)
            }
            Ok(Ok(None)) => {
                self.telemetry.dropped(ProcessorDropReason::Filtered, items);
                Processed::Dropped
            }
            Ok(Err(failure)) => self.failed(items, &failure, passage),
            Err(panic) => {
                self.base.count_error(ErrorKind::Panic);
                self.base.remember(panic.kind, &panic.message);
                tracing::error!(component = %self.base.id, items, error = %panic, "the processor panicked: one batch is lost");
                self.replace(&instance, &panic);
                self.lose(items, ProcessorDropReason::Panic, passage)
            }
        }
    }

    fn has_instance(&self) -> bool {
        self.instance.load().is_some()
    }

    fn gone(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(instance) = self.instance.load_full() else { return };
            loop {
                let replaced = self.replaced.notified();
                tokio::pin!(replaced);
                replaced.as_mut().enable();
                if !self.is(&instance) {
                    return;
                }
                replaced.await;
            }
        })
    }

    fn background(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            match self.instance.load_full() {
                Some(instance) => contain_fallible(instance.component.background(&instance.cx)).await,
                None => pending().await,
            }
        })
    }

    fn is_well(&self) {
        let _none_is_lost_meanwhile = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_instance() {
            self.base.supervised(State::Ok);
        }
    }

    fn stop(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(instance) = self.instance.swap(None)
                && let Err(panic) = contain(instance.component.stop(&instance.cx)).await
            {
                tracing::warn!(component = %self.base.id, error = %panic, "the processor could not stop cleanly");
            }
        })
    }

    fn base(&self) -> &Base {
        &self.base
    }
}
