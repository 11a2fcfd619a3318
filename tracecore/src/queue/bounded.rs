//! The queue itself: the [`State`] behind a lock, and whoever waits on it.
//!
//! A sender that found no room stands in line, first come, first served; its place is made for it and handed over, so
//! that nobody can take the room between its waking and its coming. Everything that is held gives itself back when it
//! is dropped: a place, a turn in the line, a batch under way. Nobody is woken while the lock is held.

use std::sync::{Arc, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::sync::{Mutex, MutexGuard};
use crate::emit::Passage;
use crate::queue::load::{Fill, Load};
use crate::queue::state::{Admitted, Next, State, Ticket};
use crate::queue::{Full, Outcome, SendingQueue};
use crate::seam;
use crate::signal::Batch;
use crate::telemetry::QueueDepth;

/// The queue between a pipeline's end and an exporter.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State<Queued, oneshot::Sender<Place>>>,
    /// A batch came, or the queue was closed.
    arrived: Notify,
}

#[derive(Debug)]
struct Queued {
    batch: Batch,
    passage: Passage,
    result: Option<oneshot::Sender<Outcome>>,
}

impl Queue {
    pub(crate) fn new(settings: &SendingQueue) -> Arc<Self> {
        Arc::new(Queue { state: Mutex::new(State::new(Load::limit(settings))), arrived: Notify::new() })
    }

    /// A place for this batch, given back if it is dropped. It never waits, and never overtakes who does: while
    /// somebody waits in [`room_for`](Queue::room_for) there is no place. All senders into a queue have its one
    /// `on_overflow`, so a queue that refuses or drops has nobody in line.
    pub(crate) fn reserve(self: &Arc<Self>, batch: &Batch) -> Result<Place, Full> {
        let load = Load::of(batch);
        self.state().reserve(load)?;
        Ok(Place::new(self, load))
    }

    /// Waits in line for a place of this load, which can be that of several batches: see [`Place::split`]. Whoever
    /// lets go of the place has had its turn.
    ///
    /// # Errors
    /// [`Full::ForEver`] and [`Full::Closed`]; never [`Full::Now`].
    pub(crate) async fn room_for(self: &Arc<Self>, load: Load) -> Result<Place, Full> {
        let (turn, handed_over) = {
            let mut state = self.state();
            match state.reserve(load) {
                Ok(()) => return Ok(Place::new(self, load)),
                Err(Full::Now) => {}
                Err(never) => return Err(never),
            }
            let (sender, handed_over) = oneshot::channel();
            (Turn { queue: self, ticket: state.line_up(load, sender) }, handed_over)
        };
        let place = handed_over.await;
        // Others may come between the handing over and the sender's going on.
        seam::point().await;
        drop(turn);
        // Only a queue that closes lets go of a sender in line.
        place.map_err(|_| Full::Closed)
    }

    /// The oldest batch; `None` once the queue is closed and empty and every promised place was filled or given back.
    pub(crate) async fn next(self: &Arc<Self>) -> Option<Taken> {
        loop {
            seam::point().await;
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            // A statement of its own, so that the lock is let go of before anything else is done.
            let next = self.state().take();
            match next {
                Next::Batch(load, Queued { batch, passage, result }) => {
                    return Some(Taken { batch, passage, result, room: Some(Room { queue: Arc::clone(self), load }) });
                }
                Next::Ended => return None,
                Next::Nothing => arrived.await,
            }
        }
    }

    /// Takes nothing more. What waits, and what fills a promised place, can still be taken out.
    pub(crate) fn close(&self) {
        let sent_away = self.state().close();
        // Each hears it by the loss of its sender.
        sent_away.for_each(drop);
        self.arrived.notify_waiters();
    }

    /// Remembers items whose delivery was cut off.
    pub(crate) fn cut_off(&self, items: u64) {
        self.state().cut_off(items);
    }

    /// Gives up what still waits, and says how many items that and what was cut off are. It comes last: a place that
    /// is filled afterwards is counted by nobody.
    pub(crate) fn abandon(self: &Arc<Self>) -> u64 {
        let (batches, items, admitted) = self.state().abandon();
        batches.for_each(drop);
        self.hand_over(admitted);
        items
    }

    /// How many items are promised, waiting or under way. After everything was abandoned: what an exporter holds that blocks
    /// its thread.
    pub(crate) fn unsettled(&self) -> u64 {
        self.state().used_and_limit().0.items
    }

    /// Tells those who were admitted. A place whose sender has gone meanwhile is dropped, and admits the next.
    fn hand_over(self: &Arc<Self>, Admitted(admitted): Admitted<oneshot::Sender<Place>>) {
        for (load, sender) in admitted {
            drop(sender.send(Place::new(self, load)));
        }
    }

    /// What is promised, waiting and under way.
    #[cfg(test)]
    pub(super) fn used(&self) -> Load {
        self.state().used_and_limit().0
    }

    /// How full it is, by the bound that is nearest.
    pub(crate) fn fill(&self) -> Fill {
        let (used, limit) = self.state().used_and_limit();
        used.fill(limit)
    }

    /// One batch needs one consumer. The last batch of a closed queue needs all of them: the others then end.
    fn tell_consumers(&self, closed: bool) {
        if closed {
            self.arrived.notify_waiters();
        } else {
            self.arrived.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<Queued, oneshot::Sender<Place>>> {
        // The lock is held for one step of the state, and no step panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueDepth for Queue {
    fn used_and_capacity(&self) -> (u64, u64) {
        let Fill { used, capacity, .. } = self.fill();
        (used, capacity)
    }
}

/// A sender's turn in the line. If it goes away, those behind it move up.
struct Turn<'a> {
    queue: &'a Arc<Queue>,
    ticket: Ticket,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let admitted = self.queue.state().leave(self.ticket);
        self.queue.hand_over(admitted);
    }
}

/// A place that was promised: given back when it is dropped unfilled.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` once it was filled.
    queue: Option<Arc<Queue>>,
    load: Load,
}

impl Place {
    fn new(queue: &Arc<Queue>, load: Load) -> Self {
        Place { queue: Some(Arc::clone(queue)), load }
    }

    /// A place of its own for this batch, out of this one; `None` if this one is in another queue or has no such room.
    pub(crate) fn split(&mut self, queue: &Arc<Queue>, batch: &Batch) -> Option<Place> {
        let load = Load::of(batch);
        if !self.queue.as_ref().is_some_and(|own| Arc::ptr_eq(own, queue)) || !load.within(self.load) {
            return None;
        }
        queue.state().split();
        self.load = self.load.minus(load);
        Some(Place::new(queue, load))
    }

    /// Puts the batch there. `result` hears how its delivery ends.
    pub(crate) fn commit(mut self, batch: Batch, passage: Passage, result: Option<oneshot::Sender<Outcome>>) {
        // The batch keeps the room: whoever takes it out gives it back.
        if let Some(queue) = self.queue.take() {
            let closed = {
                let mut state = queue.state();
                state.fill(self.load, Queued { batch, passage, result });
                state.is_closed()
            };
            queue.tell_consumers(closed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let (admitted, closed) = {
                let mut state = queue.state();
                (state.forgo(self.load), state.is_closed())
            };
            queue.hand_over(admitted);
            if closed {
                queue.tell_consumers(closed);
            }
        }
    }
}

/// Room that a batch under way takes, given back when dropped.
#[derive(Debug)]
struct Room {
    queue: Arc<Queue>,
    load: Load,
}

impl Drop for Room {
    fn drop(&mut self) {
        let admitted = self.queue.state().settle(self.load);
        self.queue.hand_over(admitted);
    }
}

/// A batch that was taken out; its place is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) batch: Batch,
    pub(crate) passage: Passage,
    result: Option<oneshot::Sender<Outcome>>,
    room: Option<Room>,
}

impl Taken {
    /// Gives the place back, and tells whoever waits how the delivery ended.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        // The place first: whoever hears of the outcome may send the next batch at once.
        self.room = None;
        if let Some(result) = self.result.take() {
            // Nobody may wait any more: a caller can go away.
            let _ = result.send(outcome);
        }
    }
}
