//! Waits that grow.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::seam;
use crate::time::Instant;

/// Exponential back-off with jitter, so that a thousand nodes do not come back at the same instant.
#[derive(Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    next: Duration,
    max: Duration,
    multiplier: f64,
    jitter: f64,
}

impl Backoff {
    /// Waits from `initial` to `max`, each `multiplier` times the one before, give or take the share `jitter`.
    pub(crate) fn new(initial: Duration, max: Duration, multiplier: f64, jitter: f64) -> Self {
        Backoff { initial, next: initial, max, multiplier, jitter }
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let nominal = self.next;
        self.next = scaled(nominal, self.multiplier).min(self.max);
        let unit = seam::random() as f64 / u64::MAX as f64;
        scaled(nominal, 1.0 + self.jitter * (2.0 * unit - 1.0))
    }

    /// Begins again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }
}

/// The first wait before a restart: short, because most panics are of one moment.
const FIRST_RESTART: Duration = Duration::from_millis(250);
/// The longest wait before a restart.
const LAST_RESTART: Duration = Duration::from_secs(30);
/// A component that has lived this long since its last restart begins again with the shortest wait.
const HEALTHY: Duration = Duration::from_secs(60);

/// The waits between the restarts of one component, and how many it may have.
#[derive(Debug)]
pub(crate) struct Restarts {
    backoff: Backoff,
    last: Option<Instant>,
    /// `None`: as many as it takes.
    budget: Option<NonZeroU32>,
    /// Restarts in a row, without a sign of health between them.
    in_a_row: u32,
}

impl Restarts {
    pub(crate) fn new(budget: Option<NonZeroU32>) -> Self {
        Restarts { backoff: Restarts::start_backoff(), last: None, budget, in_a_row: 0 }
    }

    /// The waits between starts that fail: the same, without a bound on their number.
    pub(crate) fn start_backoff() -> Backoff {
        Backoff::new(FIRST_RESTART, LAST_RESTART, 2.0, 0.2)
    }

    /// How long to wait before the restart that is due now; `None` once the budget is used up.
    pub(crate) fn wait(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= HEALTHY) {
            self.healthy();
        }
        if self.budget.is_some_and(|budget| self.in_a_row >= budget.get()) {
            return None;
        }
        self.in_a_row += 1;
        let wait = self.backoff.wait();
        self.last = Some(now + wait);
        Some(wait)
    }

    /// It did its work: what comes now is no crash loop.
    pub(crate) fn healthy(&mut self) {
        self.backoff.reset();
        self.in_a_row = 0;
    }
}

/// `duration` times `factor`, saturating.
fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_stay_within_the_jitter() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 2.0, 0.5);
        for nominal in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.wait().as_millis();
            assert!((nominal / 2..=nominal * 3 / 2).contains(&wait), "{wait} ms for {nominal} ms");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(150));
    }

    #[test]
    fn waits_differ_by_chance_and_are_the_same_under_the_same_seed() {
        let waits = || {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(9), 2.0, 0.5);
            [(); 5].map(|()| backoff.wait())
        };
        assert_ne!(waits(), waits());
        let seeded = |seed| {
            let _simulation = seam::Simulation::seeded(seed);
            waits()
        };
        assert_eq!(seeded(7), seeded(7));
        assert_ne!(seeded(7), seeded(8));
    }
}
