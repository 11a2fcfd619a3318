//! The `load` scraper: load averages and uptime, as `uptime` shows them.

use tracecore::prelude::*;

use super::Tick;
use super::procfs::{File, Malformed, Root, number, words};

/// What the `load` scraper measures. The conventions have no load average: its names are those of the Collector.
#[derive(MetricSet)]
pub(super) struct LoadMetrics {
    /// Threads that run, wait to run or are blocked in the kernel, on average over the last minute.
    #[unit("{thread}")]
    #[name("system.cpu.load_average.1m")]
    one_minute: Gauge,
    /// Threads that run, wait to run or are blocked in the kernel, on average over the last 5 minutes.
    #[unit("{thread}")]
    #[name("system.cpu.load_average.5m")]
    five_minutes: Gauge,
    /// Threads that run, wait to run or are blocked in the kernel, on average over the last 15 minutes.
    #[unit("{thread}")]
    #[name("system.cpu.load_average.15m")]
    fifteen_minutes: Gauge,
    /// Time since the machine booted.
    #[unit("s")]
    #[name("system.uptime")]
    uptime: Gauge,
}

/// Reads the load.
#[derive(Debug)]
pub(super) struct Load {
    loadavg: File,
    uptime: File,
}

impl Load {
    pub(super) fn new(root: &Root) -> Self {
        Load { loadavg: root.file("/proc/loadavg"), uptime: root.file("/proc/uptime") }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut LoadMetrics) {
        if let Some([one, five, fifteen]) = tick.check(self.loadavg.read(first_values)) {
            metrics.one_minute.set(one, ());
            metrics.five_minutes.set(five, ());
            metrics.fifteen_minutes.set(fifteen, ());
        }
        if let Some([uptime]) = tick.check(self.uptime.read(first_values)) {
            metrics.uptime.set(uptime, ());
        }
    }
}

/// The first values of a file; each is finite and not negative.
fn first_values<const N: usize>(content: &[u8]) -> Result<[f64; N], Malformed> {
    let mut values = [0.0; N];
    let mut words = words(content);
    for value in &mut values {
        let read = words.next().and_then(number::<f64>).filter(|value| value.is_finite() && *value >= 0.0);
        *value = read.ok_or_else(|| Malformed::line(content))?;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_of_a_file_are_finite_numbers() {
        assert_eq!(first_values(b"1.87 1.42 0.63 2/97 17862\n"), Ok([1.87, 1.42, 0.63]));
        for content in ["", "1.0 2.0", "1.0 NaN 2.0", "inf 1 1", "-1 0 0", "a b c"] {
            assert!(first_values::<3>(content.as_bytes()).is_err(), "{content:?}");
        }
    }
}
