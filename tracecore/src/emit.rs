//! From a receiver to the queues: three steps, one verdict.
//!
//! First the processors of every branch run, in the receiver's task. Then a place is reserved in the queue of every
//! exporter. Then all places are filled, without waiting: a caller that goes away cannot leave half a delivery. If a
//! queue refuses, nothing is enqueued anywhere and the caller may try again. The verdict is the only way back: a batch
//! carries no acknowledgement.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::config::{ComponentId, PipelineId};
use crate::cx::Activity;
use crate::error::ErrorKind;
use crate::events::{BatchEvent, CorrelationId, Draft, Events, ResourceEvent};
use crate::queue::{Full, Load, Outcome, Overflow, Place, Queue};
use crate::runtime::{Processed, Stage};
use crate::seam;
use crate::signal::{Batch, Signal};
use crate::telemetry::{DropReason, ExporterTelemetry, PipelineTelemetry, ReceiverTelemetry};
use crate::time::Instant;

/// How long a sender is asked to wait before it tries a full queue again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of an emitted batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every branch took it.
    Accepted,
    /// A branch refused it.
    Refused(Refusal),
}

impl Verdict {
    /// Whether every branch took the batch.
    pub fn is_accepted(self) -> bool {
        self == Verdict::Accepted
    }
}

/// Why a batch was refused, and whether sending it again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Sending it again after this long can help.
    Retryable {
        /// How long to wait.
        after: Duration,
    },
    /// Sending it again will fail the same way.
    Permanent,
}

impl Refusal {
    pub(crate) const RETRYABLE: Refusal = Refusal::Retryable { after: RETRY_AFTER };

    /// Of two refusals of one batch, the one that the sender must act on: what can still be delivered goes first.
    fn or(self, other: Option<Refusal>) -> Refusal {
        match other {
            Some(retryable @ Refusal::Retryable { .. }) => retryable,
            Some(Refusal::Permanent) | None => self,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Retryable { after } => write!(f, "refused, try again in {after:?}"),
            Refusal::Permanent => f.write_str("refused for good"),
        }
    }
}

/// The way from a receiver into its pipelines. Cheap to clone, for servers with many connections.
#[derive(Clone)]
pub struct Emitter(Arc<Source>);

struct Source {
    id: ComponentId,
    telemetry: ReceiverTelemetry,
    events: Events,
    activity: Arc<Activity>,
    first: First,
    /// The one point through which wiring is read, so that it can be replaced under way.
    route: ArcSwap<Route>,
}

/// How long a receiver takes from its start, or a restart, to its first accepted emission.
#[derive(Default)]
struct First {
    /// Whether it is still to come; an emission after it costs this one load.
    awaited: AtomicBool,
    began: Mutex<Option<Instant>>,
}

impl First {
    fn awaits(&self, start: Duration) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_sub(start);
        self.awaited.store(true, Ordering::Release);
    }

    /// How long it took, for the first one alone.
    fn came(&self) -> Option<Duration> {
        if !self.awaited.load(Ordering::Relaxed) || !self.awaited.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.began.lock().unwrap_or_else(PoisonError::into_inner).take().map(|began| began.elapsed())
    }
}

/// What follows a batch on its way, and joins what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    pub(crate) correlation: CorrelationId,
}

/// The passage of a batch in a test of what does not look at it.
#[cfg(test)]
pub(crate) const PASSAGE: Passage = Passage { correlation: CorrelationId(1) };

/// The branches that a receiver feeds.
#[derive(Default)]
pub(crate) struct Route {
    pub(crate) branches: Vec<Arc<Branch>>,
}

/// One pipeline as a receiver sees it: its processors and the queues of its exporters.
pub(crate) struct Branch {
    pub(crate) id: PipelineId,
    pub(crate) telemetry: PipelineTelemetry,
    pub(crate) processors: Vec<Arc<dyn Stage>>,
    pub(crate) exits: Vec<Exit>,
}

/// The entrance to an exporter's queue.
#[derive(Clone)]
pub(crate) struct Exit {
    pub(crate) id: ComponentId,
    pub(crate) telemetry: ExporterTelemetry,
    pub(crate) queue: Arc<Queue>,
    pub(crate) overflow: Overflow,
    pub(crate) waits_for_result: bool,
}

/// A batch that has passed a branch's processors.
struct Shaped {
    branch: Arc<Branch>,
    batch: Batch,
}

/// How much came.
#[derive(Clone, Copy)]
struct Came {
    signal: Signal,
    items: u64,
    bytes: u64,
}

impl Came {
    fn of(batch: &Batch) -> Self {
        Came { signal: batch.signal(), items: batch.items(), bytes: batch.size() as u64 }
    }
}

/// A batch with its place in a queue.
struct Reserved {
    place: Place,
    batch: Batch,
    waits_for_result: bool,
}

/// What reserving came to.
enum Reservation {
    /// A place wherever there must be one.
    Complete(Vec<Reserved>),
    /// No place in the queue of this exit now; all other places were given back.
    WaitFor(Exit),
    /// No place.
    Refused(Refusal),
}

impl Emitter {
    pub(crate) fn new(id: ComponentId, telemetry: ReceiverTelemetry, events: Events, activity: Arc<Activity>) -> Self {
        Emitter(Arc::new(Source {
            id,
            telemetry,
            events,
            activity,
            first: First::default(),
            route: ArcSwap::default(),
        }))
    }

    /// The receiver has started, in this time: its first emission is timed from the beginning of that start.
    pub(crate) fn awaits_first(&self, start: Duration) {
        self.0.first.awaits(start);
    }

    pub(crate) fn connect(&self, route: Route) {
        self.0.route.store(Arc::new(route));
    }

    /// Sends a batch into every pipeline of the receiver that carries its signal, and says what became of it. The
    /// runtime counts the outcome; an empty batch is accepted and goes nowhere.
    pub async fn emit(&self, batch: Batch) -> Verdict {
        self.emit_since(batch, None, Instant::now()).await
    }

    /// As [`Emitter::emit`], for a batch that came with an id: its events bear that id.
    pub async fn emit_correlated(&self, batch: Batch, correlation: CorrelationId) -> Verdict {
        self.emit_since(batch, Some(correlation), Instant::now()).await
    }

    /// As [`Emitter::emit`], with the latency counted from `since`.
    pub(crate) async fn emit_since(&self, batch: Batch, correlation: Option<CorrelationId>, since: Instant) -> Verdict {
        let source = &*self.0;
        let items = batch.items();
        let _working = source.activity.begin(items);
        let passage = Passage { correlation: correlation.unwrap_or_else(|| source.events.next_id()) };
        let verdict = if batch.is_empty() { Verdict::Accepted } else { source.deliver(batch, passage).await };
        let took = since.elapsed();
        source.telemetry.observe_latency(took);
        let told = |event| Draft::of(&source.id, event).about(passage.correlation).lasting(took);
        match verdict {
            Verdict::Accepted => {
                source.activity.put_out(items);
                source.telemetry.emitted(1);
                source.telemetry.mark_activity();
                if let Some(took) = source.first.came() {
                    source.telemetry.first_emission(took);
                }
                source.events.emit(|| told(BatchEvent::Accepted { items }));
            }
            Verdict::Refused(refusal) => {
                source.activity.count_error();
                source.telemetry.error(ErrorKind::Downstream);
                let retryable = refusal != Refusal::Permanent;
                source.events.emit(|| told(BatchEvent::Refused { items, retryable }));
            }
        }
        verdict
    }
}

impl Source {
    async fn deliver(&self, batch: Batch, passage: Passage) -> Verdict {
        let route = self.route.load_full();
        let (shaped, mut refusal) = match shape(&route, &batch, passage) {
            Ok(shaped) => shaped,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let came = Came::of(&batch);
        drop(batch);
        let mut handed_over = None;
        let reserved = loop {
            seam::point().await;
            match reserve(&shaped, handed_over.take(), passage, &self.events) {
                Reservation::Complete(reserved) => break reserved,
                Reservation::WaitFor(exit) => match exit.queue.room_for(exit.load(&shaped)).await {
                    Ok(place) => handed_over = Some(place),
                    Err(full) => return Verdict::Refused(exit.refusal(full, &shaped)),
                },
                Reservation::Refused(refused) => return Verdict::Refused(refused),
            }
        };
        route.count(came, &shaped);
        let results = commit(reserved, passage);
        for result in join_all(results).await {
            match result {
                Ok(Outcome::Delivered) => {}
                Ok(Outcome::Lost { retryable: false }) => refusal = Some(Refusal::Permanent.or(refusal)),
                // A sender that went away without a word: the exporter was stopped.
                Ok(Outcome::Lost { retryable: true }) | Err(_) => refusal = Some(Refusal::RETRYABLE),
            }
        }
        refusal.map_or(Verdict::Accepted, Verdict::Refused)
    }
}

/// Sends a batch that no receiver emitted, now or not at all: it waits neither for room, whatever the queues'
/// `on_overflow`, nor for the outcome. No event tells of it before it is in the queues.
///
/// # Errors
/// When a branch refuses it; then it is in no queue, unless the branch that refused did so for good.
pub(crate) fn try_emit(route: &Route, batch: &Batch, passage: Passage, events: &Events) -> Result<(), Refusal> {
    let came = Came::of(batch);
    let (shaped, refusal) = shape(route, batch, passage)?;
    let reserved = match reserve(&shaped, None, passage, events) {
        Reservation::Complete(reserved) => reserved,
        Reservation::WaitFor(_) => return Err(Refusal::RETRYABLE),
        Reservation::Refused(refused) => return Err(refused),
    };
    route.count(came, &shaped);
    drop(commit(reserved, passage));
    refusal.map_or(Ok(()), Err)
}

/// Step one: the batch as each branch's processors leave it. A branch that refuses it for good does not hold back the
/// others; one that refuses it for now does, because the sender will come again.
fn shape(route: &Route, batch: &Batch, passage: Passage) -> Result<(Vec<Shaped>, Option<Refusal>), Refusal> {
    let mut shaped = Vec::with_capacity(route.branches.len());
    let mut refusal = None;
    for branch in route.carrying(batch.signal()) {
        if branch.exits.is_empty() {
            // All its exporters are ignored: what it took would be lost.
            return Err(Refusal::RETRYABLE);
        }
        match branch.process(batch.clone(), passage) {
            Processed::Pass(batch) => shaped.push(Shaped { branch: Arc::clone(branch), batch }),
            Processed::Dropped => {}
            Processed::Refused(Refusal::Permanent) => refusal = Some(Refusal::Permanent),
            Processed::Refused(retryable) => return Err(retryable),
        }
    }
    Ok((shaped, refusal))
}

impl Route {
    fn carrying(&self, signal: Signal) -> impl Iterator<Item = &Arc<Branch>> {
        self.branches.iter().filter(move |branch| branch.id.signal() == signal)
    }

    /// Counts what came in and what goes on. Only once there is a place for it: what is refused has not come in, and its
    /// sender may bring it again.
    fn count(&self, came: Came, shaped: &[Shaped]) {
        for branch in self.carrying(came.signal) {
            branch.telemetry.received(came.items, came.bytes);
        }
        for Shaped { branch, batch } in shaped {
            branch.telemetry.delivered(batch.items(), batch.size() as u64);
        }
    }
}

impl Branch {
    fn process(&self, batch: Batch, passage: Passage) -> Processed {
        let mut batch = batch;
        for processor in &self.processors {
            match processor.process(batch, passage) {
                Processed::Pass(passed) if !passed.is_empty() => batch = passed,
                Processed::Pass(_) => return Processed::Dropped,
                other => return other,
            }
        }
        Processed::Pass(batch)
    }
}

impl Exit {
    /// What of a delivery goes into this queue: two pipelines can end in one exporter.
    fn load(&self, shaped: &[Shaped]) -> Load {
        let here = |exit: &&Exit| Arc::ptr_eq(&exit.queue, &self.queue);
        shaped
            .iter()
            .flat_map(|Shaped { branch, batch }| branch.exits.iter().filter(here).map(|_| Load::of(batch)))
            .fold(Load::default(), Load::plus)
    }

    /// What the sender hears when this queue has no place.
    fn refusal(&self, full: Full, shaped: &[Shaped]) -> Refusal {
        if full == Full::ForEver {
            tracing::warn!(
                component = %self.id,
                load = ?self.load(shaped),
                "a batch is larger than the exporter's queue: raise sending_queue.queue_size or max_bytes"
            );
            return Refusal::Permanent;
        }
        Refusal::RETRYABLE
    }
}

/// Step two: a place in the queue of every exporter, the first of them out of what was `handed_over` to this sender
/// after it waited. Holds no place when it asks to wait.
fn reserve(shaped: &[Shaped], mut handed_over: Option<Place>, passage: Passage, events: &Events) -> Reservation {
    let mut reserved = Vec::new();
    let mut dropped = Vec::new();
    for Shaped { branch, batch } in shaped {
        for exit in &branch.exits {
            let handed_over = handed_over.as_mut().and_then(|place| place.split(&exit.queue, batch));
            let place = handed_over.map_or_else(|| exit.queue.reserve(batch), Ok);
            if matches!(place, Err(Full::Now)) {
                let exhausted = ResourceEvent::Exhausted { resource: "queue" };
                events.emit(|| Draft::of(&exit.id, exhausted).about(passage.correlation));
            }
            let reason = match (place, exit.overflow) {
                (Ok(place), _) => {
                    let waits_for_result = exit.waits_for_result;
                    reserved.push(Reserved { place, batch: batch.clone(), waits_for_result });
                    continue;
                }
                (Err(Full::Now), Overflow::Block) => return Reservation::WaitFor(exit.clone()),
                (Err(Full::Now), Overflow::Drop) => DropReason::QueueFull,
                (Err(Full::Closed), Overflow::Drop) => DropReason::Stopped,
                (Err(Full::ForEver), Overflow::Drop) => DropReason::TooLarge,
                (Err(full), _) => return Reservation::Refused(exit.refusal(full, shaped)),
            };
            dropped.push((exit, batch.items(), reason));
        }
    }
    // Only now is it certain that the batch goes on without them.
    for (exit, items, reason) in dropped {
        exit.telemetry.dropped(reason, items);
        let dropped = BatchEvent::Dropped { items, reason: reason.as_str() };
        events.emit(|| Draft::of(&exit.id, dropped).about(passage.correlation));
    }
    Reservation::Complete(reserved)
}

/// Step three: fills the places, without waiting.
fn commit(reserved: Vec<Reserved>, passage: Passage) -> Vec<oneshot::Receiver<Outcome>> {
    let mut results = Vec::new();
    for Reserved { place, batch, waits_for_result } in reserved {
        let (sender, receiver) = oneshot::channel();
        place.commit(batch, passage, waits_for_result.then_some(sender));
        if waits_for_result {
            results.push(receiver);
        }
    }
    results
}
