//! What a component is doing now, and has done since it was made.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::{Duration, Instant};

/// What a component is doing, and has done: three atomic adds and a store for each batch, one more for what goes out.
///
/// The totals stand beside the instruments of the self-telemetry because those cannot be read back.
#[derive(Debug)]
pub(crate) struct Activity {
    origin: Instant,
    under_way: AtomicU64,
    /// Microseconds from the origin to the end of the last work, plus one; 0 for none.
    last: AtomicU64,
    items_in: AtomicU64,
    items_out: AtomicU64,
    errors: AtomicU64,
}

/// What a component has done since it was made, over all its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Items that came to it: a receiver tried to emit them, a processor was shown them, an exporter's consumer took
    /// them out of the queue.
    pub(crate) items_in: u64,
    /// Items that left it: emitted and accepted, passed on, delivered.
    pub(crate) items_out: u64,
    /// Errors, of any kind.
    pub(crate) errors: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Activity {
            origin: Instant::now(),
            under_way: AtomicU64::new(0),
            last: AtomicU64::new(0),
            items_in: AtomicU64::new(0),
            items_out: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }
}

impl Activity {
    /// Work on a batch of this many items begins; it ends with the guard.
    pub(crate) fn begin(&self, items: u64) -> Working<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.items_in.fetch_add(items, Ordering::Relaxed);
        Working(self)
    }

    /// This many items have left the component as they should.
    pub(crate) fn put_out(&self, items: u64) {
        self.items_out.fetch_add(items, Ordering::Relaxed);
    }

    /// The component had an error.
    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The totals now. They are read one after the other: a batch under way may stand in one and not yet in another.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            items_in: self.items_in.load(Ordering::Relaxed),
            items_out: self.items_out.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    /// Whether there is work under way, or was within `window`.
    pub(crate) fn is_busy(&self, window: Duration) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0 || self.idle_for().is_some_and(|idle| idle < window)
    }

    /// How long ago its last work ended; `None` if it never worked.
    fn idle_for(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.origin.elapsed().saturating_sub(Duration::from_micros(last)))
    }
}

/// Work under way.
pub(crate) struct Working<'a>(&'a Activity);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.last.store(now.saturating_add(1), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn busy_is_who_works_or_did_within_the_window() {
        let window = Duration::from_secs(15);
        let activity = Activity::default();
        assert!(!activity.is_busy(window), "it never worked");
        let working = activity.begin(1);
        tokio::time::advance(4 * window).await;
        assert!(activity.is_busy(window), "it works");
        drop(working);
        tokio::time::advance(window - Duration::from_millis(1)).await;
        assert!(activity.is_busy(window));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!activity.is_busy(window));
    }
}
