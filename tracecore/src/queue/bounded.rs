//! The queue itself: the [`State`] behind a lock, and whoever waits on it.
//!
//! A sender that found no room stands in line, first come, first served; its place is made for it and handed over, so
//! that nobody can take the room between its waking and its coming. Everything that is held gives itself back when it
//! is dropped: a place, a turn in the line, the keeping of the time, batches under way. Nobody is woken while the lock is
//! held, and no batch is merged or cut.

use std::sync::{Arc, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::sync::{Mutex, MutexGuard, now, sleep_until};
use super::taken::{Source, Taken};
use crate::emit::Passage;
use crate::memory::Charge;
use crate::queue::lanes::{Cut, Lanes, Merging, Run, Waiting, Way};
use crate::queue::load::{Fill, Load};
use crate::queue::reply::Reply;
use crate::queue::state::{Admitted, Next, State, Ticket, Wake};
use crate::queue::{Full, Outcome, Partition, SendingQueue};
use crate::seam;
use crate::signal::Batch;
use crate::telemetry::{DropReason, QueueDepth};

/// The queue between a pipeline's end and an exporter.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State<Queued, oneshot::Sender<Place>>>,
    merging: Option<Merging>,
    /// What of a client's metadata keeps its batches apart from those of others.
    metadata_keys: Vec<String>,
    /// There is something to take, a time to keep, or the queue was closed.
    arrived: Notify,
}

#[derive(Debug)]
struct Queued {
    batch: Batch,
    charge: Charge,
    passage: Passage,
    reply: Option<Reply>,
}

impl Queue {
    pub(crate) fn new(settings: &SendingQueue) -> Arc<Self> {
        let merging = settings.batch.as_ref().map(|batch| Merging::of(batch, settings.sizer));
        let Partition { metadata_keys, metadata_cardinality_limit: clients } =
            settings.batch.as_ref().map(|batch| batch.partition.clone()).unwrap_or_default();
        let state = Mutex::new(State::new(Load::limit(settings), Lanes::new(merging, clients.get(), now)));
        Arc::new(Queue { state, merging, metadata_keys, arrived: Notify::new() })
    }

    /// A place for this batch, given back if it is dropped. It never waits, and never overtakes who does: while
    /// somebody waits in [`room_for`](Queue::room_for) there is no place. All senders into a queue have its one
    /// `on_overflow`, so a queue that refuses or drops has nobody in line.
    pub(crate) fn reserve(self: &Arc<Self>, batch: &Batch) -> Result<Place, Full> {
        let load = Load::of(batch);
        let (reserved, wake) = {
            let mut state = self.state();
            match state.reserve(load) {
                Err(Full::Now) => (Err(Full::Now), state.press()),
                reserved => (reserved, Wake::Nobody),
            }
        };
        self.rouse(wake);
        reserved.map(|()| Place::new(self, load))
    }

    /// Waits in line for a place of this load, which can be that of several batches: see [`Place::split`]. Whoever
    /// lets go of the place has had its turn.
    ///
    /// # Errors
    /// [`Full::ForEver`] and [`Full::Closed`]; never [`Full::Now`].
    pub(crate) async fn room_for(self: &Arc<Self>, load: Load) -> Result<Place, Full> {
        let (turn, handed_over, wake) = {
            let mut state = self.state();
            match state.reserve(load) {
                Ok(()) => return Ok(Place::new(self, load)),
                Err(Full::Now) => {}
                Err(never) => return Err(never),
            }
            let (sender, handed_over) = oneshot::channel();
            let wake = state.press();
            (Turn { queue: self, ticket: state.line_up(load, sender) }, handed_over, wake)
        };
        self.rouse(wake);
        let place = handed_over.await;
        // Others may come between the handing over and the sender's going on.
        seam::point().await;
        drop(turn);
        // Only a queue that closes lets go of a sender in line.
        place.map_err(|_| Full::Closed(self.state().closed_for()))
    }

    /// What goes out next: the oldest batch, or those that are merged; `None` once the queue is closed and empty and every
    /// promised place was filled or given back.
    pub(crate) async fn next(self: &Arc<Self>) -> Option<Taken> {
        let mut keeper: Option<Keeper<'_>> = None;
        loop {
            seam::point().await;
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            // A statement of its own, so that the lock is let go of before anything else is done.
            let next = {
                let mut state = self.state();
                if let Some(keeper) = keeper.take() {
                    keeper.ends(&mut state);
                }
                state.take()
            };
            match next {
                Next::Run { run, more } => {
                    self.rouse(if more { Wake::One } else { Wake::Nobody });
                    return Some(self.taken(run));
                }
                Next::Ended => return None,
                Next::Nothing => arrived.await,
                Next::Keep(due) => {
                    keeper = Some(Keeper { queue: Some(self) });
                    tokio::select! {
                        biased;
                        () = arrived => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }

    fn taken(self: &Arc<Self>, Run { batches, cut }: Run<Queued>) -> Taken {
        let source = |Waiting { load, batch: Queued { batch, charge, passage, reply }, .. }| Source {
            batch,
            charge,
            passage,
            reply,
            load,
        };
        let mut taken = Taken::new(self, batches.into_iter().map(source).collect());
        if let (Some(cut), Some(merging)) = (cut, &self.merging) {
            self.cut(&mut taken, cut, merging);
        }
        taken
    }

    /// Cuts off what is too much of the last batch, and puts it back in pieces that need not be cut again.
    fn cut(&self, taken: &mut Taken, Cut { lane, room, max }: Cut, merging: &Merging) {
        let mut rest = Rest { queue: self, lane, waiting: Vec::new() };
        let Some(last) = taken.last() else { return };
        let mut pieces = last.batch.split(merging.pieces_of(room));
        // A resource without items is not worth a request of its own.
        let first = pieces.find(|piece| !piece.is_empty());
        pieces.then(merging.pieces_of(max));
        let others: Vec<Batch> = pieces.filter(|piece| !piece.is_empty()).collect();
        let mut back = |Source { batch, charge, passage, reply, load }: Source| {
            let size = merging.size(&batch);
            rest.waiting.push(Waiting { load, size, batch: Queued { batch, charge, passage, reply } });
        };
        match first {
            // An item that is larger than the room; alone it goes out all the same.
            Some(first) if merging.size(&first) > room.get() && taken.len() > 1 => {
                taken.pop().into_iter().for_each(back);
            }
            Some(first) => taken.cut_last(first, others).into_iter().for_each(&mut back),
            None => {}
        }
    }

    /// Takes nothing more, and says why to who asks: the first reason holds. What waits, and what fills a promised place,
    /// can still be taken out.
    pub(crate) fn close(&self, reason: DropReason) {
        let sent_away = self.state().close(reason);
        // Each hears it by the loss of its sender.
        sent_away.for_each(drop);
        self.rouse(Wake::All);
    }

    /// What of their metadata batches have in common that are merged.
    pub(super) fn metadata_keys(&self) -> &[String] {
        &self.metadata_keys
    }

    /// Gives back the room of batches that were taken out.
    pub(super) fn settle(self: &Arc<Self>, load: Load) {
        let admitted = self.state().settle(load);
        self.hand_over(admitted);
    }

    /// Whether these items, which were taken out, are the caller's to tell of.
    pub(super) fn claim(&self, items: u64) -> bool {
        self.state().claim(items)
    }

    /// The last count: closes, gives up what still waits, and says how many items the caller must tell of: those, and
    /// all that consumers have taken out and not claimed, were they cut off or still held by a blocked thread.
    pub(crate) fn abandon(&self) -> u64 {
        self.close(DropReason::Shutdown);
        let (batches, items) = self.state().abandon();
        batches.for_each(drop);
        items
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

    /// The last to have gone to wait is woken first: what it needs is still in the caches, and the timekeeper sleeps on.
    fn rouse(&self, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::One => self.arrived.notify_last(),
            Wake::All => self.arrived.notify_waiters(),
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

    /// Puts the batch there. `result` hears how its delivery ends, and until then the batch has its charge. Whether it came
    /// before the last count: what comes later is lost, and the caller must tell of it.
    #[must_use = "what comes too late is told of by nobody else"]
    pub(crate) fn commit(
        mut self,
        batch: Batch,
        charge: Charge,
        passage: Passage,
        result: Option<oneshot::Sender<Outcome>>,
    ) -> bool {
        // The batch keeps the room: whoever takes it out gives it back.
        let Some(queue) = self.queue.take() else { return false };
        let way = Way::of(&batch, passage.is_own(), &queue.metadata_keys);
        let size = queue.merging.as_ref().map_or(0, |merging| merging.size(&batch));
        let batch = Queued { batch, charge, passage, reply: result.map(Reply::to) };
        // A statement of its own: what came too late is dropped, and its sender told, without the lock.
        let filled = queue.state().fill(way, Waiting { load: self.load, size, batch });
        let in_time = filled.is_ok();
        // Too late, it was the last that a consumer waited for.
        queue.rouse(filled.unwrap_or(Wake::All));
        in_time
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
                queue.rouse(Wake::All);
            }
        }
    }
}

/// The consumer that keeps the time. If it goes away, another must.
struct Keeper<'a> {
    /// `None` once it has ended.
    queue: Option<&'a Queue>,
}

impl Keeper<'_> {
    /// It looks at the queue itself.
    fn ends(mut self, state: &mut State<Queued, oneshot::Sender<Place>>) {
        self.queue = None;
        // Whoever must keep the time next follows from what it finds.
        let _ = state.unkeep();
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let wake = queue.state().unkeep();
            queue.rouse(wake);
        }
    }
}

/// What was cut off, put back when this is dropped.
struct Rest<'a> {
    queue: &'a Queue,
    lane: usize,
    waiting: Vec<Waiting<Queued>>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        // A statement of its own: what comes too late is dropped without the lock.
        let put_back = self.queue.state().put_back(self.lane, waiting);
        self.queue.rouse(put_back.unwrap_or(Wake::All));
    }
}
