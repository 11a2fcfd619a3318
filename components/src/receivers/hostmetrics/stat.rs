//! `/proc/stat`: processor time, processes, and when the machine booted. Several scrapers need it; it is read once.

use std::time::{Duration, SystemTime};

use super::procfs::{Malformed, lines, number, numbers, words};

/// How many columns of processor time there are: user, nice, system, idle, iowait, irq, softirq and steal. Time of guests,
/// in the columns after these, is part of user and nice.
const COLUMNS: usize = 8;

/// What `/proc/stat` says, each part by itself: one that is wrong does not cost the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The columns of the line of all processors together, in ticks.
    pub(super) time: Result<[u64; COLUMNS], Malformed>,
    /// How many logical processors are online.
    pub(super) processors: u64,
    /// How often a process or a thread was created since boot.
    pub(super) created: Result<u64, Malformed>,
    /// When the machine booted.
    pub(super) boot: Result<SystemTime, Malformed>,
}

impl Stat {
    /// Parses the file. The long list of interrupts in it is skipped.
    pub(super) fn parse(content: &[u8]) -> Self {
        let mut stat = Stat {
            time: Err(Malformed::Missing("cpu")),
            processors: 0,
            created: Err(Malformed::Missing("processes")),
            boot: Err(Malformed::Missing("btime")),
        };
        for line in lines(content) {
            let mut words = words(line);
            let Some(key) = words.next() else { continue };
            let malformed = || Malformed::line(line);
            match key {
                b"cpu" => stat.time = numbers(words).ok_or_else(malformed),
                b"processes" => stat.created = words.next().and_then(number).ok_or_else(malformed),
                b"btime" => stat.boot = words.next().and_then(number).and_then(after_epoch).ok_or_else(malformed),
                _ if key.starts_with(b"cpu") => stat.processors += 1,
                _ => {}
            }
        }
        stat
    }
}

fn after_epoch(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &[u8] = b"\
cpu  100 20 300 4000 50 6 7 8 90 10
cpu0 50 10 150 2000 25 3 4 4 45 5
cpu1 50 10 150 2000 25 3 3 4 45 5
intr 461360 0 0 18446744073709551615
ctxt 673268
btime 1795360737
processes 17863
procs_running 2
procs_blocked 0
softirq 320569 0 48586 4 9888 103078 0 352 71341 148 87172
";

    #[test]
    fn stat_gives_time_processors_creations_and_boot() {
        let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_360_737);
        let expected =
            Stat { time: Ok([100, 20, 300, 4000, 50, 6, 7, 8]), processors: 2, created: Ok(17_863), boot: Ok(boot) };
        assert_eq!(Stat::parse(STAT), expected);
    }

    #[test]
    fn a_wrong_part_costs_only_itself() {
        let stat = Stat::parse(b"cpu  1 2 3\ncpu0 x\nprocesses 5\nbtime 18446744073709551615\n");
        assert_eq!(stat.time, Err(Malformed::Line("cpu  1 2 3".to_owned())));
        assert_eq!((stat.processors, stat.created), (1, Ok(5)));
        assert_eq!(stat.boot, Err(Malformed::Line("btime 18446744073709551615".to_owned())));

        let empty = Stat::parse(b"");
        assert_eq!(empty.time, Err(Malformed::Missing("cpu")));
        assert_eq!(empty.created, Err(Malformed::Missing("processes")));
        assert_eq!(empty.boot, Err(Malformed::Missing("btime")));
    }
}
