//! How long a receiver has been degraded, in one word.
//!
//! The top bit says whether it is degraded now. The rest, modulo 2^63 nanoseconds (292 years), is the time degraded so
//! far while it is healthy, and the moment minus that time while it is degraded. Both turns are then the same step,
//! `now - word`, and so is the reading of an open interval: a setter and a scrape can never see half of a change.
//!
//! A setter may have read the clock just before a scrape did and close its interval just after, some nanoseconds short
//! of what was shown. Prometheus would take that for a restart of the counter, so what was shown is a floor.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::{Duration, Instant};

const DEGRADED: u64 = 1 << 63;
const NANOS: u64 = !DEGRADED;

/// A stopwatch that runs while its owner is degraded. Lock-free.
#[derive(Debug)]
pub(super) struct DegradedTime {
    origin: Instant,
    word: AtomicU64,
    /// The most that a scrape was given, in nanoseconds.
    shown: AtomicU64,
}

impl DegradedTime {
    /// Healthy, with nothing counted.
    pub(super) fn new() -> Self {
        DegradedTime { origin: Instant::now(), word: AtomicU64::new(0), shown: AtomicU64::new(0) }
    }

    /// Starts or stops the stopwatch; saying the same twice changes nothing.
    pub(super) fn set(&self, degraded: bool) {
        // The clock is read after the word, inside the step: it cannot stand before the moment that the word holds.
        let turn = |word: u64| {
            let turns = (word & DEGRADED != 0) != degraded;
            turns.then(|| self.since(word) | if degraded { DEGRADED } else { 0 })
        };
        // `Err` is the word that already says what was asked for.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, turn);
    }

    /// The time degraded so far, with the open interval. It never falls.
    pub(super) fn total(&self) -> Duration {
        let word = self.word.load(Ordering::Acquire);
        let total = if word & DEGRADED == 0 { word } else { self.since(word) };
        Duration::from_nanos(self.shown.fetch_max(total, Ordering::AcqRel).max(total))
    }

    fn since(&self, word: u64) -> u64 {
        let now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        now.wrapping_sub(word) & NANOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_closed_intervals_and_the_open_one() {
        let time = DegradedTime::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(time.total(), Duration::ZERO);

        time.set(true);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(time.total(), Duration::from_secs(3), "open");
        time.set(false);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(time.total(), Duration::from_secs(3), "closed");

        time.set(true);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(time.total(), Duration::from_secs(5), "open again");
    }

    #[tokio::test(start_paused = true)]
    async fn saying_it_twice_does_not_start_over() {
        let time = DegradedTime::new();
        time.set(true);
        tokio::time::advance(Duration::from_secs(4)).await;
        time.set(true);
        tokio::time::advance(Duration::from_secs(4)).await;
        time.set(false);
        time.set(false);
        assert_eq!(time.total(), Duration::from_secs(8));
    }

    #[test]
    fn never_falls_under_contention() {
        const TURNS: usize = 20_000;
        let time = DegradedTime::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..TURNS).for_each(|turn| time.set(turn % 2 == 0)));
            }
            let mut last = Duration::ZERO;
            for _ in 0..TURNS {
                let total = time.total();
                assert!(total >= last, "{total:?} after {last:?}");
                last = total;
            }
        });
        assert!(time.total() <= time.origin.elapsed());
    }
}
