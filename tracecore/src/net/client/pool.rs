//! How many connections there are and how many are in use, and who hears of it.
//!
//! The pool of HTTP/1 is hyper's. It tells nobody of its life, so the connections are counted where they are made
//! ([`super::connect`]) and the checkouts around each request; HTTP/2 does the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::ConnectFailure;
use crate::time::Instant;

/// The connections of a pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolHealth {
    /// Connections that requests have. One counts once, however many share it.
    pub active: usize,
    /// Connections that wait for one.
    pub idle: usize,
}

/// Where the owner of a client counts. Called where the request is sent, and on the tasks of connections: count and return.
pub trait PoolObserver: Send + Sync + 'static {
    /// The pool was made; it has no connection yet.
    fn pool_created(&self) {}

    /// A connection was made, in this time. Each is followed by one [`PoolObserver::connection_closed`].
    fn connection_opened(&self, _took: Duration) {}

    /// A connection was not made, after this time.
    fn connection_failed(&self, _why: ConnectFailure, _took: Duration) {}

    /// A connection ended, after this time: idle for too long, broken, closed by the other side, or with the client.
    fn connection_closed(&self, _lived: Duration) {}

    /// A request has its connection, a new or a kept one, alone or with others (HTTP/2), after this time. Each is followed by one
    /// [`PoolObserver::released`].
    fn acquired(&self, _took: Duration) {}

    /// A request needs its connection no more; it had it for this time.
    fn released(&self, _held: Duration) {}

    /// The connections after each of the four changes above.
    fn pool_health(&self, _health: PoolHealth) {}
}

/// Counts nothing.
impl PoolObserver for () {}

/// The numbers of one pool.
pub(super) struct Pool {
    pub(super) observer: Arc<dyn PoolObserver>,
    open: AtomicUsize,
    active: AtomicUsize,
}

impl Pool {
    pub(super) fn new(observer: Arc<dyn PoolObserver>) -> Arc<Self> {
        observer.pool_created();
        Arc::new(Pool { observer, open: AtomicUsize::new(0), active: AtomicUsize::new(0) })
    }

    /// The numbers stand for nothing else, so relaxed order is enough. Of a request whose connection has just broken,
    /// the connection is gone first: hence the saturation.
    pub(super) fn health(&self) -> PoolHealth {
        let (open, active) = (self.open.load(Ordering::Relaxed), self.active.load(Ordering::Relaxed));
        PoolHealth { active, idle: open.saturating_sub(active) }
    }

    fn changed(&self) {
        self.observer.pool_health(self.health());
    }
}

/// A connection that a request has, alone or together with others.
pub(super) struct Checkout {
    pool: Arc<Pool>,
    /// The requests that share the connection; nothing where none can.
    streams: Option<Arc<AtomicUsize>>,
    since: Instant,
}

impl Checkout {
    /// A connection that no other request has.
    pub(super) fn new(pool: Arc<Pool>, took: Duration) -> Self {
        Checkout::begin(pool, None, took)
    }

    /// A connection on which there can be `streams` of others.
    pub(super) fn shared(pool: Arc<Pool>, streams: Arc<AtomicUsize>, took: Duration) -> Self {
        Checkout::begin(pool, Some(streams), took)
    }

    fn begin(pool: Arc<Pool>, streams: Option<Arc<AtomicUsize>>, took: Duration) -> Self {
        // However many share a connection, it is one.
        if streams.as_ref().is_none_or(|streams| streams.fetch_add(1, Ordering::Relaxed) == 0) {
            pool.active.fetch_add(1, Ordering::Relaxed);
        }
        pool.observer.acquired(took);
        pool.changed();
        Checkout { pool, streams, since: Instant::now() }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.streams.as_ref().is_none_or(|streams| streams.fetch_sub(1, Ordering::Relaxed) == 1) {
            self.pool.active.fetch_sub(1, Ordering::Relaxed);
        }
        self.pool.observer.released(self.since.elapsed());
        self.pool.changed();
    }
}

/// An attempt to connect: told of as failed unless it has succeeded, also when nobody waits for it any more.
pub(super) struct Attempt {
    pool: Arc<Pool>,
    began: Instant,
    failure: Option<ConnectFailure>,
}

impl Attempt {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Attempt { pool, began: Instant::now(), failure: Some(ConnectFailure::Abandoned) }
    }

    pub(super) fn failed(&mut self, why: ConnectFailure) {
        self.failure = Some(why);
    }

    pub(super) fn succeeded(mut self) -> Open {
        self.failure = None;
        Open::new(Arc::clone(&self.pool), self.began.elapsed())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(failure) = self.failure {
            self.pool.observer.connection_failed(failure, self.began.elapsed());
        }
    }
}

/// A connection that is open.
pub(super) struct Open {
    pool: Arc<Pool>,
    since: Instant,
}

impl Open {
    pub(super) fn new(pool: Arc<Pool>, took: Duration) -> Self {
        pool.open.fetch_add(1, Ordering::Relaxed);
        pool.observer.connection_opened(took);
        pool.changed();
        Open { pool, since: Instant::now() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.pool.open.fetch_sub(1, Ordering::Relaxed);
        self.pool.observer.connection_closed(self.since.elapsed());
        self.pool.changed();
    }
}
