//! A processor's place in one pipeline: its instance, which a panic replaces, and its accounts.

use std::future::pending;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::Processed;
use super::failure::{Failure, contain, contain_call, contain_fallible};
use super::spec::{construct, start};
use crate::component::{Component, Processor};
use crate::cx::{Base, Cx};
use crate::emit::{Passage, Refusal};
use crate::error::{ErrorKind, Retry};
use crate::events::{BatchEvent, Draft};
use crate::signal::edit::Edit;
use crate::signal::{Batch, Metadata, Signal};
use crate::status::State;
use crate::telemetry::{ProcessorDropReason, ProcessorTelemetry, StopReason};
use crate::time::{Duration, Instant};

/// A processor's place in one pipeline.
pub(crate) trait Stage: Send + Sync {
    /// Makes and starts the instance.
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Shows the batch to the instance. A panic costs this batch and the instance, which is made anew.
    fn process(&self, batch: Batch, passage: Passage) -> Processed;

    /// Whether the processor only edits, so that its pass over a batch can be one with those of its neighbours.
    fn edits(&self) -> bool;

    /// The instance, of a processor that edits.
    fn editor(&self) -> Option<Arc<dyn Editor>>;

    /// Counts a batch that a pass of several processors showed to this one: how many items came to it and how many it let
    /// go, and its share of the time.
    fn edited(&self, items: u64, filtered: u64, took: Duration);

    /// Counts a batch on which this instance panicked in a pass of several processors: as [`Stage::process`] does.
    fn panicked(&self, editor: &dyn Editor, items: u64, took: Duration, panic: &Failure, passage: Passage)
    -> Processed;

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

/// An instance of a processor that edits.
pub(crate) trait Editor: Send + Sync {
    /// What it does to a batch of this signal that came with this metadata.
    fn edit<'a>(&'a self, signal: Signal, metadata: Option<&'a Metadata>) -> Box<dyn Edit + 'a>;
}

pub(super) struct Place<C: Processor> {
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

impl<C: Processor> Editor for Instance<C> {
    fn edit<'a>(&'a self, signal: Signal, metadata: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        self.component.edit(signal, metadata)
    }
}

impl<C: Processor> Place<C> {
    pub(super) fn new(config: C::Config, base: Base, telemetry: ProcessorTelemetry) -> Self {
        Place {
            config,
            base,
            telemetry,
            instance: ArcSwapOption::empty(),
            replacing: Mutex::new(()),
            replaced: Notify::new(),
        }
    }

    /// Counts what the processor passed on, and what it let go.
    fn passed(&self, items: u64, filtered: u64) {
        self.telemetry.sent(items);
        self.base.activity.put_out(items);
        if filtered > 0 {
            self.telemetry.dropped(ProcessorDropReason::Filtered, filtered);
        }
    }

    fn lose_to(&self, panic: &Failure, instance: *const (), items: u64, passage: Passage) -> Processed {
        self.base.count_error(ErrorKind::Panic);
        self.base.remember(panic.kind, &panic.message);
        tracing::error!(component = %self.base.id, items, error = %panic, "the processor panicked: one batch is lost");
        self.replace(instance, panic);
        self.lose(items, ProcessorDropReason::Panic, passage)
    }

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
    fn replace(&self, panicked: *const (), panic: &Failure) {
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

    /// Whether the instance is the one at this address.
    fn is(&self, instance: *const ()) -> bool {
        self.instance.load().as_ref().is_some_and(|current| ptr::addr_eq(Arc::as_ptr(current), instance))
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
                self.passed(batch.items(), items.saturating_sub(batch.items()));
                Processed::Pass(batch)
            }
            Ok(Ok(None)) => {
                self.telemetry.dropped(ProcessorDropReason::Filtered, items);
                Processed::Dropped
            }
            Ok(Err(failure)) => self.failed(items, &failure, passage),
            Err(panic) => self.lose_to(&panic, Arc::as_ptr(&instance).cast(), items, passage),
        }
    }

    fn edits(&self) -> bool {
        C::EDITS
    }

    fn editor(&self) -> Option<Arc<dyn Editor>> {
        self.instance.load_full().map(|instance| instance as Arc<dyn Editor>)
    }

    fn edited(&self, items: u64, filtered: u64, took: Duration) {
        let _worked = self.base.activity.begin(items);
        self.telemetry.received(items);
        self.telemetry.observe_latency(took);
        self.passed(items.saturating_sub(filtered), filtered);
    }

    fn panicked(
        &self,
        editor: &dyn Editor,
        items: u64,
        took: Duration,
        panic: &Failure,
        passage: Passage,
    ) -> Processed {
        let _worked = self.base.activity.begin(items);
        self.telemetry.received(items);
        self.telemetry.observe_latency(took);
        self.lose_to(panic, ptr::from_ref(editor).cast(), items, passage)
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
                if !self.is(Arc::as_ptr(&instance).cast()) {
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
