//! From a receiver to the queues: three steps, one verdict.
//!
//! First the processors of every branch run, in the receiver's task. Then a place is reserved in the queue of every
//! exporter. Then all places are filled, without waiting: a caller that goes away cannot leave half a delivery. If a
//! queue refuses, nothing is enqueued anywhere and the caller may try again. The verdict is the only way back: a batch
//! carries no acknowledgement.

mod origin;
mod route;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;

use crate::config::ComponentId;
use crate::cx::{Activity, Drain, Shared};
use crate::error::ErrorKind;
use crate::events::{BatchEvent, Draft, Events, ResourceEvent};
use crate::memory::{Memory, OverBudget};
use crate::queue::Outcome;
use crate::seam;
use crate::signal::Batch;
use crate::telemetry::{Operation, ReceiverTelemetry, ServiceTelemetry, Traces};
use crate::time::Instant;

pub use origin::Origin;
#[cfg(test)]
pub(crate) use origin::PASSAGE;
pub(crate) use origin::Passage;
pub(crate) use route::{Branch, Exit, Route};
use route::{Came, Reservation, commit, reserve, shape};

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
    traces: Traces,
    memory: Memory,
    service: ServiceTelemetry,
    activity: Arc<Activity>,
    first: First,
    drain: Arc<Drain>,
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

impl Emitter {
    pub(crate) fn new(id: ComponentId, telemetry: ReceiverTelemetry, shared: &Shared, activity: Arc<Activity>) -> Self {
        Emitter(Arc::new(Source {
            id,
            telemetry,
            events: shared.events.clone(),
            traces: shared.telemetry.traces().clone(),
            memory: shared.memory.clone(),
            service: shared.telemetry.service(),
            activity,
            first: First::default(),
            drain: Arc::clone(&shared.drain),
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
        self.emit_since(batch, Origin::default(), Instant::now()).await
    }

    /// As [`Emitter::emit`], for a batch that came with a request: what is told of it bears the id of the request's trace.
    pub async fn emit_for(&self, batch: Batch, origin: Origin) -> Verdict {
        self.emit_since(batch, origin, Instant::now()).await
    }

    /// As [`Emitter::emit_for`], with the latency counted from `since`.
    pub(crate) async fn emit_since(&self, batch: Batch, origin: Origin, since: Instant) -> Verdict {
        let source = &*self.0;
        let items = batch.items();
        let _working = source.activity.begin(items);
        let parent = origin.parent();
        let mut span = source.traces.span(Operation::Receive { component: &source.id }, parent);
        span.set_items(items);
        let passage = Passage::new(span.context().or(parent), || source.events.next_id());
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
        span.end(if verdict.is_accepted() { Ok(()) } else { Err(ErrorKind::Downstream) });
        verdict
    }
}

impl Source {
    async fn deliver(&self, batch: Batch, passage: Passage) -> Verdict {
        let items = batch.items();
        let Ok(charge) = self.memory.charge(&batch) else {
            self.service.memory_refused(items);
            let exhausted = ResourceEvent::Exhausted { resource: "memory" };
            self.events.emit(|| Draft::of(&self.id, exhausted).about(passage.correlation));
            return Verdict::Refused(Refusal::RETRYABLE);
        };
        let route = self.route.load_full();
        let came = Came::of(&batch);
        let (shaped, mut refusal) = match shape(&route, &batch, charge, passage) {
            Ok(shaped) => shaped,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        drop(batch);
        let mut handed_over = None;
        let reserved = loop {
            seam::point().await;
            match reserve(&shaped, handed_over.take(), passage, &self.events) {
                Reservation::Complete(reserved) => break reserved,
                Reservation::WaitFor(exit) => {
                    let room = exit.queue.room_for(exit.load(&shaped));
                    match self.drain.begun.run_until_cancelled(room).await {
                        Some(Ok(place)) => handed_over = Some(place),
                        Some(Err(full)) => return Verdict::Refused(exit.refusal(full, &shaped)),
                        // The service stops: its time is for what was accepted, and the sender still has this one.
                        None => return Verdict::Refused(Refusal::RETRYABLE),
                    }
                }
                Reservation::Refused(refused) => return Verdict::Refused(refused),
            }
        };
        route.count(came, &shaped);
        let results = commit(shaped, reserved, passage, &self.events);
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
/// When there is no memory for it now, or a branch refuses it; then it is in no queue, unless the branch that refused did
/// so for good.
pub(crate) fn try_emit(
    route: &Route,
    batch: Batch,
    passage: Passage,
    events: &Events,
    memory: &Memory,
) -> Result<(), Refusal> {
    let charge = memory.charge(&batch).map_err(|OverBudget| Refusal::RETRYABLE)?;
    let came = Came::of(&batch);
    let (shaped, refusal) = shape(route, &batch, charge, passage)?;
    drop(batch);
    let reserved = match reserve(&shaped, None, passage, events) {
        Reservation::Complete(reserved) => reserved,
        Reservation::WaitFor(_) => return Err(Refusal::RETRYABLE),
        Reservation::Refused(refused) => return Err(refused),
    };
    route.count(came, &shaped);
    drop(commit(shaped, reserved, passage, events));
    refusal.map_or(Ok(()), Err)
}
