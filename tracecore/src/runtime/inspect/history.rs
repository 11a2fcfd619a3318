//! What the components had done by moments of the last minutes, so that rates can be told of a window.
//!
//! Invariant: however long the service runs and whoever asks, there are at most `retention / SLOT + 3` samples, each of
//! 24 bytes a component. Sampling a hundred components takes half a microsecond every ten seconds (measured).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cx::Totals;
use crate::time::{Duration, Instant};

/// How long after a sample the next one is taken: a window of a minute is then off by a sixth at most, and the default
/// retention makes 93 samples.
pub(super) const SLOT: Duration = Duration::from_secs(10);

/// Samples beside those of the retention: the zero of the start, the one that the window begins in, and one for a
/// remainder.
const SPARE_SAMPLES: usize = 3;

/// The samples, oldest first.
#[derive(Debug)]
pub(super) struct History {
    capacity: usize,
    samples: Mutex<VecDeque<Sample>>,
}

/// What every component had done by a moment, by its place on the board. One that came later had done nothing.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) totals: Vec<Totals>,
}

impl History {
    /// That of a service which began now and has done nothing yet.
    pub(super) fn new(began: Instant, retention: Duration) -> Self {
        let slots = usize::try_from(retention.as_secs() / SLOT.as_secs()).unwrap_or(usize::MAX);
        let samples = VecDeque::from([Sample { at: began, totals: Vec::new() }]);
        History { capacity: slots.saturating_add(SPARE_SAMPLES), samples: Mutex::new(samples) }
    }

    /// Takes a sample, in the place of the oldest if there are as many as there may be.
    pub(super) fn record(&self, at: Instant, totals: impl Iterator<Item = Totals>) {
        let mut samples = self.samples();
        let oldest = if samples.len() >= self.capacity { samples.pop_front() } else { None };
        let mut room = oldest.map(|sample| sample.totals).unwrap_or_default();
        room.clear();
        room.extend(totals);
        samples.push_back(Sample { at, totals: room });
    }

    /// The newest sample that is at least a window old, or the oldest there is.
    pub(super) fn anchor(&self, now: Instant, window: Duration) -> Option<Sample> {
        let samples = self.samples();
        let old_enough = |sample: &&Sample| now.saturating_duration_since(sample.at) >= window;
        samples.iter().rev().find(old_enough).or_else(|| samples.front()).cloned()
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_secs(900);

    fn done(items: u64) -> impl Iterator<Item = Totals> {
        std::iter::once(Totals { items_in: items, ..Totals::default() })
    }

    /// The seconds at which the anchor of a window lies, `now` seconds after the start.
    fn anchor(history: &History, began: Instant, now: u64, window: u64) -> u64 {
        let now = began + Duration::from_secs(now);
        let anchor = history.anchor(now, Duration::from_secs(window)).expect("there is always one");
        anchor.at.duration_since(began).as_secs()
    }

    #[test]
    fn a_window_begins_at_the_newest_sample_that_is_as_old() {
        let began = Instant::now();
        let history = History::new(began, RETENTION);
        assert_eq!(anchor(&history, began, 3, 60), 0, "before the first sample, at the start");
        for slot in 1..=12 {
            history.record(began + slot * SLOT, done(u64::from(slot)));
        }
        assert_eq!(anchor(&history, began, 120, 60), 60);
        assert_eq!(anchor(&history, began, 129, 60), 60);
        assert_eq!(anchor(&history, began, 130, 60), 70);
        assert_eq!(anchor(&history, began, 125, 1), 120);
        assert_eq!(anchor(&history, began, 125, 900), 0, "the service is younger than the window");
    }

    #[test]
    fn the_samples_of_the_retention_are_kept_and_no_others() {
        let began = Instant::now();
        let history = History::new(began, RETENTION);
        for slot in 1..=1_000 {
            history.record(began + slot * SLOT, done(u64::from(slot)));
            assert!(history.samples().len() <= 93);
        }
        for age in [0, 1, 9] {
            assert_eq!(anchor(&history, began, 10_000 + age, 900), 9_100, "{age} s after a sample");
        }
    }
}
