//! A ratio of two growing totals over a rolling window.
//!
//! Five contracts, each with a test of its name: the anchor is the newest sample at least one window old; without one
//! the rate is 0 (warming up); no new events is 0, never NaN; a total that fell was reset, which is 0 and a new start;
//! a sample older than two windows is forgotten, and there are never more than the capacity.
//!
//! Observers may be many and irregular (two Prometheus servers, someone with `curl`): a sample is only kept when it is
//! a slot younger than the last one kept, so that no rate of observation can push the anchor out of the ring.
//! Deliberately absent: a lock (the owner has one) and a timer (an observation is what moves the window).

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

/// Samples that one window keeps unless told otherwise: 128 KiB, a slot of 15 ms in a window of a minute.
const DEFAULT_CAPACITY: usize = 4096;

/// The least that works: the anchor and the one that follows it.
const MIN_CAPACITY: usize = 2;

/// A sample this many windows old says nothing about now.
const PRUNE_WINDOWS: u32 = 2;

/// The ratio of `numerator` to `denominator` gained over the last window.
#[derive(Debug)]
pub struct WindowedRate {
    window: Duration,
    slot: Duration,
    /// Oldest first. The front is the anchor once it is a window old; nothing older is kept.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    numerator: u64,
    denominator: u64,
}

impl WindowedRate {
    /// A rate over `window`, with room for 4096 samples. Nothing is allocated after this.
    pub fn new(window: Duration) -> Self {
        WindowedRate::with_capacity(window, DEFAULT_CAPACITY)
    }

    /// A rate over `window` that keeps at most `capacity` samples of 32 bytes, at least two.
    pub fn with_capacity(window: Duration, capacity: usize) -> Self {
        let capacity = capacity.max(MIN_CAPACITY);
        // One sample is the anchor; the rest share the window. Rounded up, so that they can never be more.
        let slots = u32::try_from(capacity - 1).unwrap_or(u32::MAX);
        let slot = (window / slots).saturating_add(Duration::from_nanos(1));
        WindowedRate { window, slot, samples: VecDeque::with_capacity(capacity) }
    }

    /// Takes both totals as they stand at `now` and gives the ratio of what they gained since the anchor.
    pub fn observe(&mut self, now: Instant, numerator: u64, denominator: u64) -> f64 {
        if self.samples.back().is_some_and(|last| numerator < last.numerator || denominator < last.denominator) {
            self.samples.clear();
        }
        self.forget(now);
        let rate = self.anchor(now).map_or(0.0, |anchor| {
            ratio(numerator.saturating_sub(anchor.numerator), denominator.saturating_sub(anchor.denominator))
        });
        self.keep(Sample { at: now, numerator, denominator });
        rate
    }

    /// Drops what can no longer be an anchor: the next one is old enough too, or it is past two windows.
    fn forget(&mut self, now: Instant) {
        while self.samples.get(1).is_some_and(|next| age(now, next) >= self.window) {
            self.samples.pop_front();
        }
        if self.samples.front().is_some_and(|first| age(now, first) > self.window.saturating_mul(PRUNE_WINDOWS)) {
            self.samples.pop_front();
        }
    }

    fn anchor(&self, now: Instant) -> Option<Sample> {
        self.samples.front().copied().filter(|first| age(now, first) >= self.window)
    }

    fn keep(&mut self, sample: Sample) {
        if self.samples.back().is_none_or(|last| age(sample.at, last) >= self.slot) {
            self.samples.push_back(sample);
        }
    }
}

fn age(now: Instant, sample: &Sample) -> Duration {
    now.saturating_duration_since(sample.at)
}

fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    /// Feeds `(seconds, numerator, denominator)` and gives the last rate.
    fn feed(rate: &mut WindowedRate, start: Instant, samples: &[(u64, u64, u64)]) -> f64 {
        samples.iter().fold(f64::NAN, |_, &(at, numerator, denominator)| {
            rate.observe(start + Duration::from_secs(at), numerator, denominator)
        })
    }

    #[test]
    fn windowed_rate_anchors_on_the_newest_sample_at_least_a_window_old() {
        let mut rate = WindowedRate::new(WINDOW);
        // At 90 s the samples of 0, 20 and 30 s are old enough; 30 s is the newest of them.
        let got = feed(&mut rate, Instant::now(), &[(0, 0, 0), (20, 5, 10), (30, 8, 20), (31, 8, 21), (90, 9, 40)]);
        assert!((got - 1.0 / 20.0).abs() < f64::EPSILON, "{got}");
    }

    #[test]
    fn windowed_rate_is_zero_while_warming_up() {
        let mut rate = WindowedRate::new(WINDOW);
        let start = Instant::now();
        assert_eq!(feed(&mut rate, start, &[(0, 0, 0), (30, 5, 10), (59, 9, 20)]), 0.0);
        assert_eq!(feed(&mut rate, start, &[(60, 10, 20)]), 0.5);
    }

    #[test]
    fn windowed_rate_is_zero_and_not_nan_without_events() {
        let mut rate = WindowedRate::new(WINDOW);
        let start = Instant::now();
        assert_eq!(feed(&mut rate, start, &[(0, 0, 0), (60, 0, 0), (120, 0, 0)]), 0.0);
        assert_eq!(feed(&mut rate, start, &[(180, 5, 10), (200, 5, 10), (260, 5, 10)]), 0.0, "an old burst is gone");
    }

    #[test]
    fn windowed_rate_is_zero_after_a_reset_and_starts_anew() {
        let mut rate = WindowedRate::new(WINDOW);
        let start = Instant::now();
        assert_eq!(feed(&mut rate, start, &[(0, 50, 100), (60, 60, 120)]), 0.5);
        assert_eq!(feed(&mut rate, start, &[(61, 0, 3)]), 0.0, "reset");
        // Without a new start, 130 - 120 events since the anchor of before the reset would give a rate here.
        assert_eq!(feed(&mut rate, start, &[(120, 65, 130)]), 0.0, "warming up again");
        assert_eq!(feed(&mut rate, start, &[(121, 65, 133)]), 0.5);
    }

    #[test]
    fn windowed_rate_forgets_what_is_past_two_windows_and_keeps_to_its_capacity() {
        let mut rate = WindowedRate::new(WINDOW);
        let start = Instant::now();
        assert_eq!(feed(&mut rate, start, &[(0, 0, 0), (121, 5, 10)]), 0.0, "two windows are too long ago");
        assert_eq!(feed(&mut rate, start, &[(240, 10, 20)]), 0.5, "just within two windows");

        let mut rate = WindowedRate::new(WINDOW);
        let reserved = rate.samples.capacity();
        for millis in 0..200_000 {
            let got = rate.observe(start + Duration::from_millis(millis), millis, 2 * millis);
            let want = if millis < 60_000 { 0.0 } else { 0.5 };
            assert!(got == want, "a thousand observations a second broke the window: {got} at {millis} ms");
            assert!(rate.samples.len() <= DEFAULT_CAPACITY);
        }
        assert_eq!(rate.samples.capacity(), reserved, "allocated");
    }

    /// The contracts, word for word, over the whole history.
    struct Model {
        window: Duration,
        slot: Duration,
        kept: Vec<(Instant, u64, u64)>,
    }

    impl Model {
        fn observe(&mut self, now: Instant, numerator: u64, denominator: u64) -> f64 {
            if self.kept.last().is_some_and(|&(_, n, d)| numerator < n || denominator < d) {
                self.kept.clear();
            }
            let old_enough = |&&(at, ..): &&(Instant, u64, u64)| now - at >= self.window && now - at <= self.window * 2;
            let rate = match self.kept.iter().rfind(old_enough) {
                Some(&(_, n, d)) if denominator > d => (numerator - n) as f64 / (denominator - d) as f64,
                _ => 0.0,
            };
            if self.kept.last().is_none_or(|&(at, ..)| now - at >= self.slot) {
                self.kept.push((now, numerator, denominator));
            }
            rate
        }
    }

    proptest! {
        #[test]
        fn windowed_rate_agrees_with_the_model(
            capacity in 0_usize..40,
            steps in prop::collection::vec((0_u64..20_000, 0_u64..5, 0_u64..5, 0_u8..20), 1..200),
        ) {
            let mut rate = WindowedRate::with_capacity(WINDOW, capacity);
            let mut model = Model { window: WINDOW, slot: rate.slot, kept: Vec::new() };
            let (mut now, mut failed, mut calls) = (Instant::now(), 0, 0);
            for (millis, failures, successes, dice) in steps {
                now += Duration::from_millis(millis);
                (failed, calls) = if dice == 0 { (0, 0) } else { (failed + failures, calls + failures + successes) };
                let got = rate.observe(now, failed, calls);
                prop_assert_eq!(got, model.observe(now, failed, calls));
                prop_assert!((0.0..=1.0).contains(&got));
                prop_assert!(rate.samples.len() <= capacity.max(MIN_CAPACITY));
            }
        }
    }
}
