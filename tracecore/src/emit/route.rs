//! What a batch goes through: the pipelines of a receiver, and the three steps into their exporters' queues.

use std::iter::repeat_n;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Passage, Refusal};
use crate::config::{ComponentId, PipelineId};
use crate::events::{BatchEvent, Draft, Events, ResourceEvent};
use crate::memory::Charge;
use crate::queue::{Full, Load, Outcome, Overflow, Place, Queue};
use crate::runtime::{Processed, Stage, process};
use crate::signal::{Batch, Signal};
use crate::telemetry::{DropReason, ExporterTelemetry, PipelineTelemetry};

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
    /// Exporters that could not start and are ignored: what would be theirs is counted as dropped.
    pub(crate) ignored: Vec<Exit>,
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
pub(super) struct Shaped {
    branch: Arc<Branch>,
    batch: Batch,
    charge: Charge,
}

/// How much came.
#[derive(Clone, Copy)]
pub(super) struct Came {
    signal: Signal,
    items: u64,
    bytes: u64,
}

impl Came {
    pub(super) fn of(batch: &Batch) -> Self {
        Came { signal: batch.signal(), items: batch.items(), bytes: batch.size() as u64 }
    }
}

/// A place in a queue.
pub(super) struct Reserved {
    place: Place,
    /// For which of the shaped batches, and by which exit of its branch: their positions.
    shaped: usize,
    exit: usize,
}

/// What reserving came to.
pub(super) enum Reservation {
    /// A place wherever there must be one.
    Complete(Vec<Reserved>),
    /// No place in the queue of this exit now; all other places were given back.
    WaitFor(Exit),
    /// No place.
    Refused(Refusal),
}

/// Step one: the batch as each branch's processors leave it. A branch that refuses it for good does not hold back the
/// others; one that refuses it for now does, because the sender will come again. One that has no exporter left does
/// neither, and what no branch at all would take is refused for now.
pub(super) fn shape(
    route: &Route,
    batch: &Batch,
    charge: Charge,
    passage: Passage,
) -> Result<(Vec<Shaped>, Option<Refusal>), Refusal> {
    let mut shaped: Vec<Shaped> = Vec::with_capacity(route.branches.len());
    let mut refusal = None;
    let mut ends = route.carrying(batch.signal()).map(|branch| !branch.exits.is_empty()).peekable();
    if ends.peek().is_some() && !ends.any(|ends| ends) {
        return Err(Refusal::RETRYABLE);
    }
    for branch in route.carrying(batch.signal()) {
        if branch.exits.is_empty() {
            // For the exporters that are ignored alone: its processors have nothing to do, and must not refuse.
            shaped.push(Shaped { branch: Arc::clone(branch), batch: batch.clone(), charge: charge.nothing() });
            continue;
        }
        match process(&branch.processors, batch.clone(), passage) {
            Processed::Pass(batch) => {
                shaped.push(Shaped { branch: Arc::clone(branch), batch, charge: charge.nothing() });
            }
            Processed::Dropped => {}
            Processed::Refused(Refusal::Permanent) => refusal = Some(Refusal::Permanent),
            Processed::Refused(retryable) => return Err(retryable),
        }
    }
    let charges = charge.share(shaped.len());
    for (Shaped { branch, batch: made, charge }, own) in shaped.iter_mut().zip(charges) {
        *charge = if branch.processors.is_empty() { own } else { own.remade(batch, made) };
    }
    Ok((shaped, refusal))
}

impl Route {
    fn carrying(&self, signal: Signal) -> impl Iterator<Item = &Arc<Branch>> {
        self.branches.iter().filter(move |branch| branch.id.signal() == signal)
    }

    /// Counts what came in and what goes on. Only once there is a place for it: what is refused has not come in, and its
    /// sender may bring it again.
    pub(super) fn count(&self, came: Came, shaped: &[Shaped]) {
        for branch in self.carrying(came.signal) {
            branch.telemetry.received(came.items, came.bytes);
        }
        for Shaped { branch, batch, .. } in shaped.iter().filter(|shaped| !shaped.branch.exits.is_empty()) {
            branch.telemetry.delivered(batch.items(), batch.size() as u64);
        }
    }
}

impl Exit {
    /// What of a delivery goes into this queue: two pipelines can end in one exporter.
    pub(super) fn load(&self, shaped: &[Shaped]) -> Load {
        let here = |exit: &&Exit| Arc::ptr_eq(&exit.queue, &self.queue);
        shaped
            .iter()
            .flat_map(|Shaped { branch, batch, .. }| branch.exits.iter().filter(here).map(|_| Load::of(batch)))
            .fold(Load::default(), Load::plus)
    }

    /// Counts what does not go to this exporter.
    fn lose(&self, items: u64, reason: DropReason, passage: Passage, events: &Events) {
        self.telemetry.dropped(reason, items);
        let dropped = BatchEvent::Dropped { items, reason: reason.as_str() };
        events.emit(|| Draft::of(&self.id, dropped).about(passage.correlation));
    }

    /// What the sender hears when this queue has no place.
    pub(super) fn refusal(&self, full: Full, shaped: &[Shaped]) -> Refusal {
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
pub(super) fn reserve(
    shaped: &[Shaped],
    mut handed_over: Option<Place>,
    passage: Passage,
    events: &Events,
) -> Reservation {
    let mut reserved = Vec::new();
    let mut dropped = Vec::new();
    for (index, Shaped { branch, batch, .. }) in shaped.iter().enumerate() {
        dropped.extend(branch.ignored.iter().map(|exit| (exit, batch.items(), DropReason::Ignored)));
        for (number, exit) in branch.exits.iter().enumerate() {
            let handed_over = handed_over.as_mut().and_then(|place| place.split(&exit.queue, batch));
            let place = handed_over.map_or_else(|| exit.queue.reserve(batch), Ok);
            if matches!(place, Err(Full::Now)) {
                let exhausted = ResourceEvent::Exhausted { resource: "queue" };
                events.emit(|| Draft::of(&exit.id, exhausted).about(passage.correlation));
            }
            let reason = match (place, exit.overflow) {
                (Ok(place), _) => {
                    reserved.push(Reserved { place, shaped: index, exit: number });
                    continue;
                }
                (Err(Full::Now), Overflow::Block) => return Reservation::WaitFor(exit.clone()),
                (Err(Full::Now), Overflow::Drop) => DropReason::QueueFull,
                (Err(Full::Closed(reason)), Overflow::Drop) => reason,
                (Err(Full::ForEver), Overflow::Drop) => DropReason::TooLarge,
                (Err(full), _) => return Reservation::Refused(exit.refusal(full, shaped)),
            };
            dropped.push((exit, batch.items(), reason));
        }
    }
    // Only now is it certain that the batch goes on without them.
    for (exit, items, reason) in dropped {
        exit.lose(items, reason, passage, events);
    }
    Reservation::Complete(reserved)
}

/// Step three: fills the places, without waiting.
pub(super) fn commit(
    shaped: Vec<Shaped>,
    reserved: Vec<Reserved>,
    passage: Passage,
    events: &Events,
) -> Vec<oneshot::Receiver<Outcome>> {
    let mut results = Vec::new();
    let mut reserved = reserved.into_iter();
    for (index, Shaped { branch, batch, charge }) in shaped.into_iter().enumerate() {
        let items = batch.items();
        let takers = reserved.as_slice().iter().take_while(|reserved| reserved.shaped == index).count();
        // The last one gets the batch itself: one exporter, the common case, costs no further reference.
        let batches = repeat_n(batch, takers).zip(charge.share(takers));
        for (Reserved { place, exit, .. }, (batch, charge)) in reserved.by_ref().take(takers).zip(batches) {
            let exit = &branch.exits[exit];
            let result = exit.waits_for_result.then(|| {
                let (sender, receiver) = oneshot::channel();
                results.push(receiver);
                sender
            });
            if !place.commit(batch, charge, passage, result) {
                // The stop has counted what was in the queue, between the reservation and this moment.
                exit.lose(items, DropReason::Shutdown, passage, events);
            }
        }
    }
    results
}
