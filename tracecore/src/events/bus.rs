//! The bus: from emitters to the mailboxes of subscribers.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use super::filter::Filter;
use super::kinds::Group;
use super::meta::{CorrelationId, Draft, Meta, Occurrence};
use crate::seam;
use crate::time::Clock;

/// The bus. Cheap to clone; each service has its own.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Bus>);

#[derive(Debug)]
struct Bus {
    /// The groups that somebody listens to, so that an emitter of others takes no lock and makes no event.
    wanted: AtomicU32,
    subscribers: Mutex<Vec<Arc<Mailbox>>>,
    /// Events that subscribers have missed.
    lagged: AtomicU64,
    origin: OnceLock<Origin>,
    /// Where correlation ids begin: random, so that those of two collectors differ.
    first_id: u128,
    /// How many were given.
    ids: AtomicU64,
    /// Nobody can listen.
    switched_off: bool,
}

impl Default for Bus {
    fn default() -> Self {
        let first_id = u128::from(seam::random()) << 64 | u128::from(seam::random());
        Bus {
            wanted: AtomicU32::new(0),
            subscribers: Mutex::default(),
            lagged: AtomicU64::new(0),
            origin: OnceLock::new(),
            first_id,
            ids: AtomicU64::new(0),
            switched_off: false,
        }
    }
}

/// What all events of a service have in common.
#[derive(Debug)]
struct Origin {
    clock: Clock,
    node: Arc<str>,
    process_id: u32,
}

/// What a subscriber has not read yet.
#[derive(Debug)]
struct Mailbox {
    filter: Filter,
    /// `None`: it must miss nothing.
    capacity: Option<NonZeroUsize>,
    letters: Mutex<Letters>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Letters {
    unread: VecDeque<Arc<Occurrence>>,
    /// How many were thrown away since the subscriber last asked.
    missed: u64,
    /// The bus is gone, or was never on.
    closed: bool,
}

impl Events {
    /// A bus on which nobody can listen: every subscription is closed from the start. Nothing of tracecore depends on
    /// who listens, and with this a test can say so.
    pub fn switched_off() -> Self {
        let mut bus = Bus::default();
        bus.switched_off = true;
        Events(Arc::new(bus))
    }

    /// Tells every subscriber who wants it. `make` is called only if somebody listens to events of this group.
    pub fn emit<G: Group>(&self, make: impl FnOnce() -> Draft<G>) {
        if self.0.wanted.load(Ordering::Relaxed) & G::BIT != 0 {
            self.tell(make());
        }
    }

    #[cold]
    fn tell<G: Group>(&self, draft: Draft<G>) {
        let Draft { event, component, correlation, duration } = draft;
        let origin = self.origin();
        let subscribers = self.0.subscribers();
        let meta = Meta {
            // Under the lock: the later event has the later time.
            time: origin.clock.now(),
            node: Arc::clone(&origin.node),
            process_id: origin.process_id,
            component,
            correlation,
            duration,
        };
        let occurrence = Arc::new(Occurrence { meta, event: event.into() });
        for mailbox in subscribers.iter().filter(|mailbox| mailbox.filter.accepts(&occurrence)) {
            if !mailbox.put(Arc::clone(&occurrence)) {
                self.0.lagged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Every event that `filter` accepts from now on; all are kept until they are read. For tests, and for subscribers
    /// that never wait for anything else.
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        self.add(filter, None)
    }

    /// As [`Events::subscribe`], keeping at most `capacity` events: of more, the oldest are lost, and the subscriber is
    /// told how many.
    pub fn subscribe_bounded(&self, filter: Filter, capacity: NonZeroUsize) -> Subscription {
        self.add(filter, Some(capacity))
    }

    fn add(&self, filter: Filter, capacity: Option<NonZeroUsize>) -> Subscription {
        let letters = Mutex::new(Letters { closed: self.0.switched_off, ..Letters::default() });
        let mailbox = Arc::new(Mailbox { filter, capacity, letters, came: Notify::new() });
        if !self.0.switched_off {
            let mut subscribers = self.0.subscribers();
            subscribers.push(Arc::clone(&mailbox));
            self.0.count_wanted(&subscribers);
        }
        Subscription { mailbox, bus: Arc::downgrade(&self.0) }
    }

    /// How many events subscribers have missed.
    pub fn lagged(&self) -> u64 {
        self.0.lagged.load(Ordering::Relaxed)
    }

    /// An id for a batch that had none.
    pub(crate) fn next_id(&self) -> CorrelationId {
        let given = self.0.ids.fetch_add(1, Ordering::Relaxed);
        CorrelationId(self.0.first_id.wrapping_add(u128::from(given)).max(1))
    }

    /// An id for a batch of events, which no batch of another kind has.
    pub(crate) fn next_id_of_events(&self) -> CorrelationId {
        let given = self.0.ids.fetch_add(1, Ordering::Relaxed);
        CorrelationId((self.0.half_of_events() << 64 | u128::from(given)).max(1))
    }

    /// Whether a batch of this id is one of events.
    pub(crate) fn is_of_events(&self, CorrelationId(id): CorrelationId) -> bool {
        id >> 64 == self.0.half_of_events()
    }

    /// Says where the events of this bus come from. Only the first word counts.
    pub(crate) fn set_origin(&self, clock: Clock, node: &str) {
        let _ = self.0.origin.set(Origin { clock, node: node.into(), process_id: std::process::id() });
    }

    fn origin(&self) -> &Origin {
        self.0.origin.get_or_init(|| Origin {
            clock: Clock::system(),
            node: "unknown".into(),
            process_id: std::process::id(),
        })
    }
}

impl Bus {
    /// The upper half of the ids of batches of events: the other ids begin with its complement.
    fn half_of_events(&self) -> u128 {
        !self.first_id >> 64
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_wanted(&self, subscribers: &[Arc<Mailbox>]) {
        let wanted = subscribers.iter().fold(0, |bits, mailbox| bits | mailbox.filter.bits());
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for mailbox in self.subscribers().iter() {
            mailbox.letters().closed = true;
            mailbox.came.notify_one();
        }
    }
}

impl Mailbox {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it had room: the oldest gives way to the newest.
    fn put(&self, occurrence: Arc<Occurrence>) -> bool {
        let mut letters = self.letters();
        let full = self.capacity.is_some_and(|capacity| letters.unread.len() >= capacity.get());
        if full {
            letters.unread.pop_front();
            letters.missed += 1;
        }
        letters.unread.push_back(occurrence);
        drop(letters);
        self.came.notify_one();
        !full
    }
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The subscriber was too slow, and this many events are lost to it. More may follow.
    #[error("{0} events were missed")]
    Missed(u64),
    /// The bus is gone or switched off, and everything was read.
    #[error("no more events will come")]
    Closed,
}

/// The events since it was made. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    mailbox: Arc<Mailbox>,
    bus: Weak<Bus>,
}

impl Subscription {
    /// The next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Gap::Missed`] once for each time that events were lost, in the place where they would have come;
    /// [`Gap::Closed`] once the bus is gone.
    pub async fn next(&mut self) -> Result<Arc<Occurrence>, Gap> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.mailbox.came.notified().await;
        }
    }

    /// The next event, if it has come.
    pub fn try_next(&mut self) -> Option<Result<Arc<Occurrence>, Gap>> {
        let mut letters = self.mailbox.letters();
        let missed = std::mem::take(&mut letters.missed);
        if missed > 0 {
            return Some(Err(Gap::Missed(missed)));
        }
        match letters.unread.pop_front() {
            Some(occurrence) => Some(Ok(occurrence)),
            None => letters.closed.then_some(Err(Gap::Closed)),
        }
    }

    /// Waits for the first event that `wanted` accepts, past all others; `None` once the bus is gone.
    pub async fn wait_for(&mut self, wanted: &Filter) -> Option<Arc<Occurrence>> {
        loop {
            match self.next().await {
                Ok(occurrence) if wanted.accepts(&occurrence) => return Some(occurrence),
                Ok(_) | Err(Gap::Missed(_)) => {}
                Err(Gap::Closed) => return None,
            }
        }
    }

    /// What it listens to.
    pub fn filter(&self) -> &Filter {
        &self.mailbox.filter
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            let mut subscribers = bus.subscribers();
            subscribers.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            bus.count_wanted(&subscribers);
        }
    }
}
