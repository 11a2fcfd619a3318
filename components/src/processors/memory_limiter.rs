//! The `memory_limiter` processor: refuses batches, for now, while the process uses too much memory.
//!
//! What the process uses is looked at every so often; what batches hold is counted byte by byte, so that between two looks
//! no more comes in than there is left up to the hard limit. From the soft limit on nothing comes in until the process
//! uses clearly less. Invariant: something always goes on. An allocator can keep what was freed, and then the process
//! stays large though nothing waits in it; so what comes is taken as long as all batches together hold next to nothing,
//! because refusing it could free nothing.
//!
//! Deliberately absent: a forced collection of garbage, of which there is none.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracecore::memory::Memory;
use tracecore::metrics::health;
use tracecore::prelude::*;

const MIB: u64 = 1 << 20;

/// The Collector's advice; a second of the fastest load is some hundred megabytes, and those are counted in between.
const CHECK_INTERVAL: Period = Period::secs(1);

/// How far the soft limit is below the hard one, in percent of that, as in the Collector.
const SPIKE_PERCENT: u64 = 20;

/// How far below the soft limit what the process uses must fall before batches come in again, in percent of it: less
/// would open and close at every look.
const HYSTERESIS_PERCENT: u64 = 5;

/// What batches may hold under pressure, in percent of the hard limit: next to nothing, and enough for some requests.
const FLOOR_PERCENT: u64 = 5;

/// Refuses batches, for now, while the process uses too much memory.
#[processor("memory_limiter", config = Config, telemetry = Health, error = Error)]
struct MemoryLimiter {
    config: Config,
    bounds: Option<Bounds>,
    /// More than this batches must not hold, without the one that comes.
    most_held: AtomicU64,
    pressure: Mutex<Pressure>,
}

/// Settings of the `memory_limiter` processor.
#[config]
struct Config {
    /// Time between two looks at what the process uses.
    #[default(CHECK_INTERVAL)]
    check_interval: Period,
    /// The hard limit of what the process uses, in MiB; 0 for none. It comes before `limit_percentage`.
    #[default(0)]
    limit_mib: u64,
    /// How far the soft limit, from which on batches are refused, is below the hard one, in MiB; 0 for a fifth of it.
    #[default(0)]
    spike_limit_mib: u64,
    /// The hard limit, in percent of what the process may use: of its cgroup, or of the machine.
    #[default(0)]
    limit_percentage: u64,
    /// How far the soft limit is below a hard one in percent, in percent of the same.
    #[default(0)]
    spike_limit_percentage: u64,
    /// Understood and without effect: there is no garbage to collect.
    min_gc_interval_when_soft_limited: Option<Delay>,
    /// Understood and without effect: there is no garbage to collect.
    min_gc_interval_when_hard_limited: Option<Delay>,
}

/// How the process stands.
#[derive(MetricSet)]
struct Health {
    /// Whether batches are refused: 0 no, 1 above the soft limit, 2 above the hard limit.
    #[unit("1")]
    pressure: health::Gauge,
    /// The soft limit, from which on batches are refused.
    #[unit("By")]
    soft_limit_bytes: health::Gauge,
    /// The hard limit, up to which batches are taken between two looks.
    #[unit("By")]
    hard_limit_bytes: health::Gauge,
}

/// Why a batch is refused, or the processor cannot be made.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// Neither limit is given.
    #[error("`limit_mib` or `limit_percentage` is needed")]
    #[kind(Init)]
    NoLimit,
    /// More than there is.
    #[error("`{0}` is in percent: at most 100")]
    #[kind(Init)]
    Percentage(&'static str),
    /// There would be no soft limit.
    #[error("`{0}` must be below `{1}`: the soft limit is what is between them")]
    #[kind(Init)]
    Spike(&'static str, &'static str),
    /// There is nothing that a percentage could be of.
    #[error("cannot find out how much memory there is: give `limit_mib` in place of `limit_percentage`")]
    #[kind(Init)]
    Unknown,
    /// The process uses too much.
    #[error("the process is above its {pressure} limit of memory: it uses {used} bytes of {limit}")]
    #[kind(Downstream, retry)]
    Limited {
        pressure: Pressure,
        used: u64,
        limit: u64,
        #[retry_after]
        after: Duration,
    },
}

/// Where the process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Pressure {
    #[default]
    None,
    Soft,
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

/// The limits, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    soft: u64,
    hard: u64,
}

impl Config {
    /// The limits where this much memory can be used.
    fn bounds(&self, total: Option<u64>) -> Result<Bounds, Error> {
        let (hard, spike) = if self.limit_mib > 0 {
            (self.limit_mib.saturating_mul(MIB), self.spike_limit_mib.saturating_mul(MIB))
        } else {
            let total = total.ok_or(Error::Unknown)?;
            (percent(total, self.limit_percentage), percent(total, self.spike_limit_percentage))
        };
        let spike = if spike == 0 { percent(hard, SPIKE_PERCENT) } else { spike };
        Ok(Bounds { soft: hard.saturating_sub(spike), hard })
    }

    fn check(&self) -> Result<(), Error> {
        let percentages =
            [("limit_percentage", self.limit_percentage), ("spike_limit_percentage", self.spike_limit_percentage)];
        for (key, percentage) in percentages {
            if percentage > 100 {
                return Err(Error::Percentage(key));
            }
        }
        match (self.limit_mib, self.limit_percentage) {
            (0, 0) => Err(Error::NoLimit),
            (0, limit) if self.spike_limit_percentage >= limit => {
                Err(Error::Spike("spike_limit_percentage", "limit_percentage"))
            }
            (0, _) => Ok(()),
            (limit, _) if self.spike_limit_mib >= limit => Err(Error::Spike("spike_limit_mib", "limit_mib")),
            _ => Ok(()),
        }
    }
}

/// So many percent of an amount, without overflow.
fn percent(of: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

impl Bounds {
    /// Where the process stands that uses so much and stood there.
    fn pressure(self, used: u64, before: Pressure) -> Pressure {
        let relief = self.soft - percent(self.soft, HYSTERESIS_PERCENT);
        match used {
            used if used >= self.hard => Pressure::Hard,
            used if used >= self.soft => Pressure::Soft,
            used if used > relief => before.min(Pressure::Soft),
            _ => Pressure::None,
        }
    }

    /// What batches may hold until the next look: without pressure, what they hold and all that is left.
    fn most_held(self, pressure: Pressure, used: u64, held: u64) -> u64 {
        match pressure {
            Pressure::None => held.saturating_add(self.hard.saturating_sub(used)),
            Pressure::Soft | Pressure::Hard => percent(self.hard, FLOOR_PERCENT),
        }
    }
}

impl MemoryLimiter {
    /// Looks at what the process uses.
    fn look(&self, bounds: Bounds, cx: &Cx<Self>) {
        let (used, held) = used_and_held(cx.memory());
        let (before, now) = {
            let mut pressure = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *pressure;
            *pressure = bounds.pressure(used, before);
            (before, *pressure)
        };
        self.most_held.store(bounds.most_held(now, used, held), Ordering::Relaxed);
        cx.telemetry.pressure.set(f64::from(now as u8), ());
        match (before, now) {
            (before, now) if before == now => {}
            (_, Pressure::None) => {
                tracing::info!(component = %cx.id(), used, soft = bounds.soft, "batches are taken again: enough memory is free");
                cx.report_status(ComponentStatus::Ok);
            }
            (_, now) => cx.report_status(ComponentStatus::RecoverableError(&self.limited(now, used, bounds))),
        }
    }

    fn limited(&self, pressure: Pressure, used: u64, Bounds { soft, hard }: Bounds) -> Error {
        let limit = if pressure == Pressure::Hard { hard } else { soft };
        Error::Limited { pressure, used, limit, after: self.config.check_interval.get() }
    }
}

/// What cannot be read is taken for what batches hold, which is counted.
fn used_and_held(memory: &Memory) -> (u64, u64) {
    let held = memory.held();
    (memory.resident().unwrap_or(held), held)
}

impl Processor for MemoryLimiter {
    fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(MemoryLimiter { config, bounds: None, most_held: AtomicU64::new(u64::MAX), pressure: Mutex::default() })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        let bounds = self.config.bounds(cx.memory().limit())?;
        self.bounds = Some(bounds);
        cx.telemetry.soft_limit_bytes.set(bounds.soft as f64, ());
        cx.telemetry.hard_limit_bytes.set(bounds.hard as f64, ());
        let Config { min_gc_interval_when_soft_limited: soft, min_gc_interval_when_hard_limited: hard, .. } =
            &self.config;
        if soft.is_some() || hard.is_some() {
            tracing::warn!(component = %cx.id(), "min_gc_interval_when_soft_limited and _hard_limited have no effect: there is no garbage to collect; remove them");
        }
        self.look(bounds, cx);
        Ok(())
    }

    fn process(&self, batch: Batch, cx: &Cx<Self>) -> Result<Option<Batch>, Error> {
        // The batch is charged already: it must not be its own reason.
        let others = cx.memory().held().saturating_sub(batch.size() as u64);
        let most_held = self.most_held.load(Ordering::Relaxed);
        if others <= most_held {
            return Ok(Some(batch));
        }
        let Some(bounds) = self.bounds else { return Ok(Some(batch)) };
        let pressure = *self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        // Without pressure at the last look, what has come since is what was left up to the hard limit.
        let pressure = if pressure == Pressure::None { Pressure::Hard } else { pressure };
        Err(self.limited(pressure, others, bounds))
    }

    async fn background(&self, cx: &Cx<Self>) -> Result<(), Error> {
        let Some(bounds) = self.bounds else { return Ok(()) };
        while cx.delay(self.config.check_interval.get()).await {
            self.look(bounds, cx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { soft: 80, hard: 100 };

    fn config() -> Config {
        Config {
            check_interval: CHECK_INTERVAL,
            limit_mib: 0,
            spike_limit_mib: 0,
            limit_percentage: 0,
            spike_limit_percentage: 0,
            min_gc_interval_when_soft_limited: None,
            min_gc_interval_when_hard_limited: None,
        }
    }

    #[test]
    fn limits_are_those_of_the_collector() {
        let total = Some(1000 * MIB);
        let bounds = |config: Config| config.bounds(total).map(|Bounds { soft, hard }| (soft / MIB, hard / MIB));
        assert_eq!(bounds(Config { limit_mib: 300, spike_limit_mib: 150, ..config() }).unwrap(), (150, 300));
        assert_eq!(bounds(Config { limit_mib: 300, ..config() }).unwrap(), (240, 300), "a fifth");
        let both = Config { limit_mib: 300, limit_percentage: 50, ..config() };
        assert_eq!(bounds(both).unwrap(), (240, 300), "the number comes first");
        let percentages = Config { limit_percentage: 75, spike_limit_percentage: 15, ..config() };
        assert_eq!(bounds(percentages).unwrap(), (600, 750));
        assert!(matches!(Config { limit_percentage: 75, ..config() }.bounds(None), Err(Error::Unknown)));
    }

    #[test]
    fn limits_that_make_no_sense_name_their_keys() {
        for (config, message) in [
            (config(), "`limit_mib` or `limit_percentage` is needed"),
            (Config { limit_percentage: 101, ..config() }, "`limit_percentage` is in percent"),
            (
                Config { limit_mib: 5, spike_limit_percentage: 101, ..config() },
                "`spike_limit_percentage` is in percent",
            ),
            (Config { limit_mib: 5, spike_limit_mib: 5, ..config() }, "`spike_limit_mib` must be below `limit_mib`"),
            (
                Config { limit_percentage: 5, spike_limit_percentage: 9, ..config() },
                "`spike_limit_percentage` must be below `limit_percentage`",
            ),
        ] {
            let error = MemoryLimiter::new(config).err().expect("it makes no sense");
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn pressure_goes_when_clearly_less_is_used_and_not_before() {
        use Pressure::{Hard, None, Soft};
        let mut pressure = None;
        for (used, expected) in [
            (79, None),
            (80, Soft),
            (79, Soft),
            (77, Soft),
            (76, None),
            (79, None),
            (100, Hard),
            (99, Soft),
            (78, Soft),
            (0, None),
        ] {
            pressure = BOUNDS.pressure(used, pressure);
            assert_eq!(pressure, expected, "at {used}");
        }
    }

    #[test]
    fn between_two_looks_batches_may_take_what_is_left_up_to_the_hard_limit() {
        assert_eq!(BOUNDS.most_held(Pressure::None, 70, 20), 50);
        assert_eq!(BOUNDS.most_held(Pressure::None, 70, u64::MAX), u64::MAX);
        assert_eq!(BOUNDS.most_held(Pressure::Soft, 90, 80), 5);
        assert_eq!(BOUNDS.most_held(Pressure::Hard, 110, 80), 5);
    }
}
