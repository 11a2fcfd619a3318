//! The three figures that say whether the service does its work: failed calls, full queues, restarts.
//!
//! They are read at collection, in a walk over what is registered: no allocation, no work between two collections.
//! The rates move with the collections: one scraped less than every two minutes stands at 0.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::windowed_rate::WindowedRate;
use crate::time::{Duration, Instant};

/// What a failure rate looks back on.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// What the restart count looks back on.
const RESTART_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Restarts this close together are kept as one entry: 360 entries at most, each leaves the hour this much early.
const RESTART_SLOT: Duration = Duration::from_secs(10);

/// Export calls since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Those that failed.
    pub failed: u64,
    /// All, the failed ones too.
    pub total: u64,
}

/// Where the service-level gauges take their values.
pub trait SloSource: Send + Sync + 'static {
    /// The calls of all exporters, a shared one counted once.
    fn exporter_calls(&self) -> Calls;

    /// How full the fullest queue is, from 0 to 1.
    fn queue_depth_ratio(&self) -> f64;

    /// Restarts over the last hour.
    fn restarts_last_hour(&self) -> u64;
}

/// A service in which nothing ever happens: for tests, and where no pipeline runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroSlo;

impl SloSource for ZeroSlo {
    fn exporter_calls(&self) -> Calls {
        Calls::default()
    }

    fn queue_depth_ratio(&self) -> f64 {
        0.0
    }

    fn restarts_last_hour(&self) -> u64 {
        0
    }
}

/// How full a queue is. Read at each collection, so it should be a load or two.
pub trait QueueDepth: Send + Sync + 'static {
    /// What is used of the capacity, and the capacity, in the same unit.
    fn used_and_capacity(&self) -> (u64, u64);
}

/// The calls of one exporter.
#[derive(Debug, Default)]
pub(super) struct CallCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl CallCounts {
    pub(super) fn succeed(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// `total` is made of the `failed` that is given beside it, so that a share of the two is never above 1.
    pub(super) fn calls(&self) -> Calls {
        let failed = self.failed();
        Calls { failed, total: failed + self.succeeded() }
    }
}

/// The real source: what was registered with one [`super::SelfTelemetry`].
#[derive(Default)]
pub(super) struct AggregateSlo {
    exporters: RwLock<Vec<Arc<CallCounts>>>,
    queues: RwLock<BTreeMap<String, Weak<dyn QueueDepth>>>,
    restarts: Mutex<RollingCount>,
}

impl AggregateSlo {
    pub(super) fn add_exporter(&self, counts: Arc<CallCounts>) {
        self.exporters.write().unwrap_or_else(PoisonError::into_inner).push(counts);
    }

    /// A queue of the same id takes the place of the one before; a queue that is gone is forgotten.
    pub(super) fn set_queue(&self, id: &str, queue: Weak<dyn QueueDepth>) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, queue| queue.strong_count() > 0);
        queues.insert(id.to_owned(), queue);
    }

    pub(super) fn restarted(&self) {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now());
    }
}

impl SloSource for AggregateSlo {
    fn exporter_calls(&self) -> Calls {
        let exporters = self.exporters.read().unwrap_or_else(PoisonError::into_inner);
        exporters.iter().map(|counts| counts.calls()).fold(Calls::default(), |sum, calls| Calls {
            failed: sum.failed + calls.failed,
            total: sum.total + calls.total,
        })
    }

    fn queue_depth_ratio(&self) -> f64 {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.values().filter_map(Weak::upgrade).map(|queue| depth(queue.used_and_capacity())).fold(0.0, f64::max)
    }

    fn restarts_last_hour(&self) -> u64 {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).total(Instant::now())
    }
}

fn depth((used, capacity): (u64, u64)) -> f64 {
    if capacity == 0 { 0.0 } else { used as f64 / capacity as f64 }
}

/// The share of failed calls over the last minute, one for all exporters and one for each.
pub(super) struct FailureRate {
    origin: Instant,
    rate: Mutex<WindowedRate>,
}

impl FailureRate {
    pub(super) fn new() -> Self {
        // A sample a second, one that is just due, and the anchor.
        const SAMPLES: usize = 62;
        FailureRate { origin: Instant::now(), rate: Mutex::new(WindowedRate::with_capacity(RATE_WINDOW, SAMPLES)) }
    }

    /// Takes the calls as they stand now. Time goes in whole seconds: a server that scrapes once a minute, some
    /// milliseconds early or late, must find its last scrape a window old, and the one before not past two.
    pub(super) fn observe(&self, calls: Calls) -> f64 {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.origin + Duration::from_secs(self.origin.elapsed().as_secs());
        rate.observe(now, calls.failed, calls.total)
    }
}

/// How often something happened over the last hour.
#[derive(Debug, Default)]
struct RollingCount(VecDeque<(Instant, u64)>);

impl RollingCount {
    fn add(&mut self, now: Instant) {
        self.forget(now);
        match self.0.back_mut() {
            Some((first, count)) if now.saturating_duration_since(*first) < RESTART_SLOT => *count += 1,
            _ => self.0.push_back((now, 1)),
        }
    }

    fn total(&mut self, now: Instant) -> u64 {
        self.forget(now);
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(first, _)| now.saturating_duration_since(*first) >= RESTART_WINDOW) {
            self.0.pop_front();
        }
    }
}
