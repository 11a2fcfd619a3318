//! Two limits on what a process uses, and who may still come in.
//!
//! What is used is looked at every so often. Between two looks what batches hold is counted, so that no more comes in than
//! was left up to the hard limit. Invariant: something always goes on. An allocator can keep what was freed, and then the
//! process stays large though nothing waits in it; so under pressure a batch is still admitted while the others hold next
//! to nothing, because to refuse it could free nothing.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How far below the soft limit what is used must fall before there is no pressure any more, in percent of it: less would
/// open and close at every look.
const HYSTERESIS_PERCENT: u64 = 5;

/// What batches may hold under pressure, in percent of the hard limit: next to nothing, and enough for some requests.
const FLOOR_PERCENT: u64 = 2;

/// So many percent of an amount, without overflow.
pub(super) fn percent(of: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below the soft limit.
    #[default]
    None,
    /// Above the soft limit.
    Soft,
    /// Above the hard limit, or since then not below the soft one.
    Hard,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pressure::None => "no",
            Pressure::Soft => "soft",
            Pressure::Hard => "hard",
        })
    }
}

/// The two limits, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From here on the process is under pressure.
    pub soft: u64,
    /// What must not be used.
    pub hard: u64,
}

impl Bounds {
    /// Where a process stands that uses so much and stood there.
    fn pressure(self, used: u64, before: Pressure) -> Pressure {
        let relief = self.soft - percent(self.soft, HYSTERESIS_PERCENT);
        match used {
            used if used >= self.hard => Pressure::Hard,
            used if used >= self.soft => before.max(Pressure::Soft),
            used if used > relief => before.min(Pressure::Soft),
            _ => Pressure::None,
        }
    }
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Where the process stood at the look before.
    pub before: Pressure,
    /// Where it stands now.
    pub now: Pressure,
    /// What it uses, in bytes.
    pub used: u64,
}

/// Decides by the two limits whether a batch may come in.
#[derive(Debug)]
pub struct Guard {
    bounds: Bounds,
    /// From which pressure on batches are refused.
    sheds: Pressure,
    /// More than this batches must not hold until the next look, without the one that comes.
    most_held: AtomicU64,
    pressure: AtomicU8,
}

impl Guard {
    /// One that has not looked yet, and admits all until then. It refuses from the pressure `sheds` on.
    pub fn new(bounds: Bounds, sheds: Pressure) -> Self {
        Guard { bounds, sheds, most_held: AtomicU64::new(u64::MAX), pressure: AtomicU8::new(Pressure::None as u8) }
    }

    /// The two limits.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Where the process stood at the last look.
    pub fn pressure(&self) -> Pressure {
        let pressure = self.pressure.load(Ordering::Relaxed);
        [Pressure::None, Pressure::Soft, Pressure::Hard]
            .into_iter()
            .find(|all| *all as u8 == pressure)
            .unwrap_or_default()
    }

    /// Looks at a process that uses so much, of which batches hold so much. One looks at a time.
    pub fn look(&self, used: u64, held: u64) -> Look {
        let before = self.pressure();
        let now = self.bounds.pressure(used, before);
        let most_held = if now < self.sheds {
            held.saturating_add(self.bounds.hard.saturating_sub(used))
        } else {
            percent(self.bounds.hard, FLOOR_PERCENT)
        };
        self.most_held.store(most_held, Ordering::Relaxed);
        self.pressure.store(now as u8, Ordering::Relaxed);
        Look { before, now, used }
    }

    /// Whether a batch may come in while others hold so much.
    pub fn admits(&self, others: u64) -> bool {
        others <= self.most_held.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Pressure::{Hard, None, Soft};
    use super::*;

    const BOUNDS: Bounds = Bounds { soft: 8000, hard: 10_000 };

    #[test]
    fn pressure_goes_when_clearly_less_is_used_and_not_before() {
        let guard = Guard::new(BOUNDS, Soft);
        let mut before = None;
        for (used, now) in [
            (7900, None),
            (8000, Soft),
            (7900, Soft),
            (7601, Soft),
            (7600, None),
            (7900, None),
            (10_000, Hard),
            (8000, Hard),
            (7999, Soft),
            (7600, None),
            (u64::MAX, Hard),
            (0, None),
        ] {
            assert_eq!(guard.look(used, 0), Look { before, now, used });
            assert_eq!(guard.pressure(), now);
            before = now;
        }
    }

    #[test]
    fn between_two_looks_batches_may_take_what_is_left_up_to_the_hard_limit() {
        let guard = Guard::new(BOUNDS, Soft);
        assert!(guard.admits(u64::MAX), "nothing is known yet");
        guard.look(7000, 2000);
        assert!(guard.admits(5000) && !guard.admits(5001));
        guard.look(7000, u64::MAX);
        assert!(guard.admits(u64::MAX));
    }

    #[test]
    fn under_pressure_next_to_nothing_is_admitted_from_the_pressure_on_that_it_sheds_at() {
        for (sheds, used, admitted) in [(Soft, 8000, 200), (Soft, 12_000, 200), (Hard, 8000, 9000), (Hard, 10_000, 200)]
        {
            let guard = Guard::new(BOUNDS, sheds);
            guard.look(used, 7000);
            assert!(guard.admits(admitted) && !guard.admits(admitted + 1), "{sheds} at {used}");
        }
    }
}
