//! The `cpu` scraper: where processor time goes, and how many processors there are.
//!
//! Deliberately absent: series per logical processor (`cpu.logical_number` is opt-in, and 224 of them with seven modes are
//! no budget for one metric), and the clock frequency, which the conventions know only per processor.

use tracecore::prelude::*;

use super::Tick;
use super::procfs::{File, Malformed, Root, lines, number, seconds, signed};

/// More logical processors than this are a mistake in a file: the kernel is built for at most 8,192.
const MAX_PROCESSORS: u32 = 8192;

/// What the `cpu` scraper measures.
#[derive(MetricSet)]
pub(super) struct CpuMetrics {
    /// Time that all logical processors together spent in each mode since boot. Time of guests is part of user and nice;
    /// interrupt is that of hardware and software interrupts.
    #[unit("s")]
    #[name("system.cpu.time")]
    time: Counter<CpuMode, f64>,
    /// Share of the processor time since the collection before that was spent in each mode, from 0 to 1.
    #[unit("1")]
    #[name("system.cpu.utilization")]
    utilization: Gauge<CpuMode>,
    /// Logical processors that are online.
    #[unit("{cpu}")]
    #[name("system.cpu.logical.count")]
    logical: UpDownCounter,
    /// Processor cores that have a logical processor online.
    #[unit("{cpu}")]
    #[name("system.cpu.physical.count")]
    physical: UpDownCounter,
}

/// What a processor does.
#[derive(Clone, Copy, Debug, Label)]
#[key("cpu.mode")]
pub(super) enum CpuMode {
    User,
    Nice,
    System,
    Idle,
    Iowait,
    Interrupt,
    Steal,
}

const MODES: [CpuMode; 7] =
    [CpuMode::User, CpuMode::Nice, CpuMode::System, CpuMode::Idle, CpuMode::Iowait, CpuMode::Interrupt, CpuMode::Steal];

/// Reads the processors.
#[derive(Debug)]
pub(super) struct Cpu {
    root: Root,
    ticks_per_second: u64,
    /// The totals of the collection before, in the order of [`MODES`].
    before: Option<[u64; 7]>,
    /// How many logical processors there were when the cores were counted, and the number of these.
    cores: Option<(u64, u64)>,
}

impl Cpu {
    pub(super) fn new(root: &Root) -> Self {
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        Cpu { root: root.clone(), ticks_per_second, before: None, cores: None }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut CpuMetrics) {
        if let Some(columns) = tick.stat(|stat| stat.time.clone()) {
            self.scrape_time(columns, tick, metrics);
        }
        let Some(logical) = tick.stat(|stat| Ok(stat.processors)).filter(|logical| *logical > 0) else { return };
        metrics.logical.set(signed(logical), ());
        if self.cores.is_none_or(|(counted_at, _)| counted_at != logical) {
            let counted = tick.check(count_cores(&self.root));
            self.cores = counted.map(|cores| (logical, cores));
        }
        if let Some((_, cores)) = self.cores {
            metrics.physical.set(signed(cores), ());
        }
    }

    fn scrape_time(&mut self, columns: [u64; 8], tick: &Tick, metrics: &mut CpuMetrics) {
        let totals = totals(columns, self.before);
        for (mode, total) in MODES.into_iter().zip(totals) {
            metrics.time.set_total(seconds(total, self.ticks_per_second), tick.boot, mode);
        }
        if let Some(shares) = self.before.and_then(|before| shares(totals, before)) {
            for (mode, share) in MODES.into_iter().zip(shares) {
                metrics.utilization.set(share, mode);
            }
        }
        self.before = Some(totals);
    }
}

/// The totals in the order of [`MODES`]. The kernel's idle and I/O wait may fall a little when it counts again what a
/// sleeping processor did: a total then stays where it was.
fn totals([user, nice, system, idle, iowait, irq, softirq, steal]: [u64; 8], before: Option<[u64; 7]>) -> [u64; 7] {
    let mut totals = [user, nice, system, idle, iowait, irq.saturating_add(softirq), steal];
    for (total, before) in totals.iter_mut().zip(before.unwrap_or_default()) {
        *total = before.max(*total);
    }
    totals
}

/// Each mode's share of the time since `before`; `None` if no time has passed.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn shares(totals: [u64; 7], before: [u64; 7]) -> Option<[f64; 7]> {
    let mut spent = totals;
    for (spent, before) in spent.iter_mut().zip(before) {
        *spent = spent.saturating_sub(before);
    }
    let all = spent.iter().fold(0_u64, |all, spent| all.saturating_add(*spent));
    (all > 0).then(|| spent.map(|spent| spent as f64 / all as f64))
}

/// How many cores have a logical processor online: a core is counted at the first of its processors.
fn count_cores(root: &Root) -> Result<u64, super::Error> {
    let directory = root.join("/sys/devices/system/cpu");
    let processors = File::new(directory.join("online")).read(processors)?;
    let mut cores = 0;
    for processor in processors {
        let path = directory.join(format!("cpu{processor}/topology/thread_siblings_list"));
        let siblings = File::new(path).read(self::processors)?;
        cores += u64::from(siblings.first() == Some(&processor));
    }
    Ok(cores)
}

/// The processors of a list such as `0-3,8,10-11`.
fn processors(content: &[u8]) -> Result<Vec<u32>, Malformed> {
    let list = lines(content).next().ok_or(Malformed::Missing("list of processors"))?;
    let mut processors = Vec::new();
    for range in list.split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b'-').map(|end| number::<u32>(end.trim_ascii()));
        let first = ends.next().flatten().ok_or_else(|| Malformed::line(list))?;
        let last = ends.next().unwrap_or(Some(first)).filter(|last| *last < MAX_PROCESSORS);
        processors.extend(first..=last.ok_or_else(|| Malformed::line(list))?);
    }
    Ok(processors)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_total_does_not_fall_and_shares_are_of_the_time_since() {
        let before = totals([100, 20, 300, 4000, 50, 6, 7, 8], None);
        assert_eq!(before, [100, 20, 300, 4000, 50, 13, 8]);
        let after = totals([110, 20, 300, 4030, 48, 6, 7, 8], Some(before));
        assert_eq!(after, [110, 20, 300, 4030, 50, 13, 8], "I/O wait fell from 50 to 48");
        assert_eq!(shares(after, before), Some([0.25, 0.0, 0.0, 0.75, 0.0, 0.0, 0.0]));
        assert_eq!(shares(after, after), None);
    }

    #[test]
    fn sums_of_huge_numbers_stay_at_the_end_of_their_range() {
        let huge = totals([u64::MAX; 8], None);
        assert_eq!(huge, [u64::MAX; 7]);
        assert!(shares(huge, [0; 7]).unwrap().iter().all(|share| *share <= 1.0));
    }

    #[test]
    fn a_list_of_processors_is_ranges_and_numbers() {
        assert_eq!(processors(b"0-3,8,10-11\n").unwrap(), [0, 1, 2, 3, 8, 10, 11]);
        for list in ["", "a", "1-", "-1", "0-4294967295", "3,,4"] {
            assert!(processors(list.as_bytes()).is_err(), "{list:?}");
        }
    }

    #[test]
    fn two_threads_of_a_core_count_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let cpu = root.join("/sys/devices/system/cpu");
        for (processor, siblings) in [(0, "0,2\n"), (1, "1,3\n"), (2, "0,2\n"), (3, "1,3\n")] {
            let topology = cpu.join(format!("cpu{processor}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("thread_siblings_list"), siblings).unwrap();
        }
        fs::write(cpu.join("online"), "0-3\n").unwrap();
        assert_eq!(count_cores(&root).unwrap(), 2);
        fs::write(cpu.join("online"), "0-4\n").unwrap();
        assert!(count_cores(&root).is_err(), "the fourth has no topology");
    }
}
