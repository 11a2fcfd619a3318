//! The sending queue of an exporter: bounded, in memory.
//!
//! A batch takes its place in two steps: `Queue::reserve` and `Place::commit`. The second neither waits nor fails,
//! so a batch goes to all its exporters or to none. A place is given back when its delivery is settled, not when it is
//! taken out: what is under way counts against the bound, in requests or items or bytes, and always in bytes.
//! Deliberately absent: persistence and batching.

mod breaker;
mod deliver;
mod guard;
mod settings;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::emit::Passage;
use crate::signal::Batch;
use crate::telemetry::QueueDepth;

pub(crate) use breaker::Breaker;
pub(crate) use deliver::{ErasedOutlet, Outlet};
pub use settings::{CircuitBreaker, Delivery as DeliverySettings, Overflow, RetryOnFailure, SendingQueue, Sizer};

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The exporter delivered the batch.
    Delivered,
    /// It is lost, and counted. Sending it again can help or not.
    Lost {
        /// Whether sending it again can help.
        retryable: bool,
    },
}

/// Why a batch got no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// There is none now.
    Now,
    /// There will never be one: the batch is larger than the queue.
    ForEver,
    /// The queue takes nothing more: the service stops.
    Closed,
}

/// What a batch takes, and what a queue can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    requests: u64,
    items: u64,
    bytes: u64,
}

impl Load {
    fn of(batch: &Batch) -> Self {
        Load { requests: 1, items: batch.items(), bytes: batch.size() as u64 }
    }

    fn plus(self, other: Load) -> Load {
        Load {
            requests: self.requests + other.requests,
            items: self.items.saturating_add(other.items),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn minus(self, other: Load) -> Load {
        Load {
            requests: self.requests - other.requests,
            items: self.items.saturating_sub(other.items),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn within(self, limit: Load) -> bool {
        self.requests <= limit.requests && self.items <= limit.items && self.bytes <= limit.bytes
    }
}

/// The queue between a pipeline's end and an exporter.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: Load,
    state: Mutex<State>,
    /// A batch came, or the queue was closed.
    arrived: Notify,
    /// A place was given back, or the queue was closed.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Queued>,
    used: Load,
    closed: bool,
    /// Items whose delivery the shutdown has cut off.
    cut_off: u64,
}

#[derive(Debug)]
struct Queued {
    batch: Batch,
    passage: Passage,
    result: Option<oneshot::Sender<Outcome>>,
}

impl Queue {
    pub(crate) fn new(settings: &SendingQueue) -> Arc<Self> {
        let mut limit = Load { requests: u64::MAX, items: u64::MAX, bytes: settings.max_bytes.get() };
        let size = settings.queue_size.get();
        match settings.sizer {
            Sizer::Requests => limit.requests = size,
            Sizer::Items => limit.items = size,
            Sizer::Bytes => limit.bytes = size,
        }
        Arc::new(Queue { limit, state: Mutex::default(), arrived: Notify::new(), freed: Notify::new() })
    }

    /// A place for this batch, given back if it is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, batch: &Batch) -> Result<Place, Full> {
        let load = Load::of(batch);
        if !load.within(self.limit) {
            return Err(Full::ForEver);
        }
        let mut state = self.state();
        if state.closed {
            return Err(Full::Closed);
        }
        let used = state.used.plus(load);
        if !used.within(self.limit) {
            return Err(Full::Now);
        }
        state.used = used;
        Ok(Place(Charge { queue: Some(Arc::clone(self)), load }))
    }

    /// Waits until there could be a place for this batch, or the queue is closed.
    pub(crate) async fn room_for(&self, batch: &Batch) {
        let load = Load::of(batch);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let state = self.state();
                if state.closed || state.used.plus(load).within(self.limit) {
                    return;
                }
            }
            freed.await;
        }
    }

    /// The oldest batch; `None` once the queue is closed and empty.
    pub(crate) async fn next(self: &Arc<Self>) -> Option<Taken> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(queued) = state.waiting.pop_front() {
                    let charge = Charge { queue: Some(Arc::clone(self)), load: Load::of(&queued.batch) };
                    let Queued { batch, passage, result } = queued;
                    return Some(Taken { batch, passage, result, charge: Some(charge) });
                }
                if state.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// Takes nothing more. What waits can still be taken out.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_waiters();
        self.freed.notify_waiters();
    }

    /// Remembers items whose delivery was cut off.
    pub(crate) fn cut_off(&self, items: u64) {
        self.state().cut_off += items;
    }

    /// Gives up what still waits, and says how many items that and what was cut off are.
    pub(crate) fn abandon(&self) -> u64 {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.used = waiting.iter().fold(state.used, |used, queued| used.minus(Load::of(&queued.batch)));
        std::mem::take(&mut state.cut_off) + waiting.iter().map(|queued| queued.batch.items()).sum::<u64>()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave the state half changed: each change is one statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueDepth for Queue {
    /// By the bound that is nearest.
    fn used_and_capacity(&self) -> (u64, u64) {
        let (used, limit) = (self.state().used, self.limit);
        let pairs = [(used.requests, limit.requests), (used.items, limit.items), (used.bytes, limit.bytes)];
        // Of two fractions the greater one has the greater cross product.
        let nearer =
            |(a, b): (u64, u64), (c, d): (u64, u64)| u128::from(a) * u128::from(d) >= u128::from(c) * u128::from(b);
        pairs.into_iter().reduce(|one, other| if nearer(one, other) { one } else { other }).unwrap_or_default()
    }
}

/// Room in a queue, given back when dropped.
#[derive(Debug)]
struct Charge {
    /// `None` once the room was handed on.
    queue: Option<Arc<Queue>>,
    load: Load,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let mut state = queue.state();
            state.used = state.used.minus(self.load);
            drop(state);
            queue.freed.notify_waiters();
        }
    }
}

/// A place that was reserved for a batch.
#[derive(Debug)]
pub(crate) struct Place(Charge);

impl Place {
    /// Puts the batch there. `result` hears how its delivery ends.
    pub(crate) fn commit(mut self, batch: Batch, passage: Passage, result: Option<oneshot::Sender<Outcome>>) {
        // The batch keeps the room: whoever takes it out gives it back.
        if let Some(queue) = self.0.queue.take() {
            queue.state().waiting.push_back(Queued { batch, passage, result });
            queue.arrived.notify_one();
        }
    }
}

/// A batch that was taken out; its place is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) batch: Batch,
    pub(crate) passage: Passage,
    result: Option<oneshot::Sender<Outcome>>,
    charge: Option<Charge>,
}

impl Taken {
    /// Gives the place back, and tells whoever waits how the delivery ended.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        // The place first: whoever hears of the outcome may send the next batch at once.
        self.charge = None;
        if let Some(result) = self.result.take() {
            // Nobody may wait any more: a caller can go away.
            let _ = result.send(outcome);
        }
    }
}
