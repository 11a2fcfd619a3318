//! The `memory_limiter` processor: refuses batches, for now, while the process uses too much memory.
//!
//! What the process uses is looked at every so often, and a [`Guard`] decides: from the soft limit on nothing comes in
//! until the process uses clearly less, and between two looks no more than was left up to the hard limit. A limit in MiB is
//! one of what the process has in RAM; one in percent is one of its cgroup, where all in that cgroup count.
//!
//! Deliberately absent: a forced collection of garbage, of which there is none.

use std::time::Duration;

use tracecore::memory::{Bounds, Guard, Look, Memory, Pressure};
use tracecore::metrics::health;
use tracecore::prelude::*;

const MIB: u64 = 1 << 20;

/// The Collector's advice; a second of the fastest load is some hundred megabytes, and those are counted in between.
const CHECK_INTERVAL: Period = Period::secs(1);

/// How far the soft limit is below the hard one, in percent of that, as in the Collector.
const SPIKE_PERCENT: u64 = 20;

/// Refuses batches, for now, while the process uses too much memory.
#[processor(
    "memory_limiter",
    config = Config,
    telemetry = Health,
    error = Error,
    example = "limit_percentage: 80",
)]
struct MemoryLimiter {
    config: Config,
    /// There is one from the start on.
    guard: Option<Guard>,
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

impl MemoryLimiter {
    /// Looks at what the process uses.
    fn look(&self, guard: &Guard, cx: &Cx<Self>) {
        let Look { before, now, used } = guard.look(self.used(cx.memory()), cx.memory().held());
        cx.telemetry.pressure.set(f64::from(now as u8), ());
        match (before, now) {
            (before, now) if before == now => {}
            (_, Pressure::None) => {
                let soft = guard.bounds().soft;
                tracing::info!(component = %cx.id(), used, soft, "batches are taken again: enough memory is free");
                cx.report_status(ComponentStatus::Ok);
            }
            (_, now) => cx.report_status(ComponentStatus::RecoverableError(&self.limited(now, used, guard.bounds()))),
        }
    }

    /// What counts against the limit. What cannot be read is taken for what batches hold, which is counted.
    fn used(&self, memory: &Memory) -> u64 {
        let used = if self.config.limit_mib > 0 { memory.resident() } else { memory.used() };
        used.unwrap_or_else(|| memory.held())
    }

    fn limited(&self, pressure: Pressure, used: u64, Bounds { soft, hard }: Bounds) -> Error {
        let limit = if pressure == Pressure::Hard { hard } else { soft };
        Error::Limited { pressure, used, limit, after: self.config.check_interval.get() }
    }
}

impl Processor for MemoryLimiter {
    fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(MemoryLimiter { config, guard: None })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        let bounds = self.config.bounds(cx.memory().limit())?;
        cx.telemetry.soft_limit_bytes.set(bounds.soft as f64, ());
        cx.telemetry.hard_limit_bytes.set(bounds.hard as f64, ());
        let Config { min_gc_interval_when_soft_limited: soft, min_gc_interval_when_hard_limited: hard, .. } =
            &self.config;
        if soft.is_some() || hard.is_some() {
            tracing::warn!(component = %cx.id(), "min_gc_interval_when_soft_limited and _hard_limited have no effect: there is no garbage to collect; remove them");
        }
        let guard = Guard::new(bounds, Pressure::Soft);
        self.look(&guard, cx);
        self.guard = Some(guard);
        Ok(())
    }

    fn process(&self, batch: Batch, cx: &Cx<Self>) -> Result<Option<Batch>, Error> {
        let Some(guard) = &self.guard else { return Ok(Some(batch)) };
        // The batch is charged already: it must not be its own reason.
        let others = cx.memory().held().saturating_sub(batch.size() as u64);
        if guard.admits(others) {
            return Ok(Some(batch));
        }
        // Without pressure at the last look, what has come since is what was left up to the hard limit.
        let pressure = guard.pressure();
        let pressure = if pressure == Pressure::None { Pressure::Hard } else { pressure };
        Err(self.limited(pressure, others, guard.bounds()))
    }

    async fn background(&self, cx: &Cx<Self>) -> Result<(), Error> {
        let Some(guard) = &self.guard else { return Ok(()) };
        while cx.delay(self.config.check_interval.get()).await {
            self.look(guard, cx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
