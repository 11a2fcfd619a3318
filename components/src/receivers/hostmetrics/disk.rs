//! The `disk` scraper: `/proc/diskstats`, whole disks only.
//!
//! Left out: partitions, whose traffic is their disk's, and what is no disk (loop, RAM, floppy and optical drives).

use std::time::SystemTime;

use tracecore::prelude::*;

use super::Tick;
use super::procfs::{File, Malformed, Root, lines, number, numbers, seconds, signed, words};
use super::totals::Devices;

/// The kernel counts in sectors of 512 bytes, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;

/// The columns of `/proc/diskstats` after the name, up to the time spent with I/O.
const COLUMNS: usize = 10;

/// The column of the requests in flight: no total.
const IN_FLIGHT: usize = 8;

/// Names that a number follows, of what is no disk.
const NO_DISKS: [&[u8]; 5] = [b"loop", b"ram", b"zram", b"fd", b"sr"];

/// What the `disk` scraper measures.
#[derive(MetricSet)]
pub(super) struct DiskMetrics {
    /// Bytes moved.
    #[unit("By")]
    #[name("system.disk.io")]
    io: Counter<(Device, Direction)>,
    /// Requests completed.
    #[unit("{operation}")]
    #[name("system.disk.operations")]
    operations: Counter<(Device, Direction)>,
    /// Requests that were merged into a neighbour before they reached the disk.
    #[unit("{operation}")]
    #[name("system.disk.merged")]
    merged: Counter<(Device, Direction)>,
    /// Time that completed requests took, added up.
    #[unit("s")]
    #[name("system.disk.operation_time")]
    operation_time: Counter<(Device, Direction), f64>,
    /// Time during which at least one request was in flight.
    #[unit("s")]
    #[name("system.disk.io_time")]
    io_time: Counter<Device, f64>,
    /// Capacity of the disk.
    #[unit("By")]
    #[name("system.disk.limit")]
    limit: UpDownCounter<Device>,
}

/// A block device.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("system.device")]
#[max(64)]
pub(super) struct Device(pub(super) Name);

/// Which way the bytes went.
#[derive(Clone, Copy, Debug, Label)]
#[key("disk.io.direction")]
pub(super) enum Direction {
    Read,
    Write,
}

/// Reads the disks.
#[derive(Debug)]
pub(super) struct Disk {
    root: Root,
    diskstats: File,
    /// What is no disk is known too, so that it is judged once.
    devices: Devices<COLUMNS, Option<Known>>,
}

#[derive(Debug)]
struct Known {
    label: Device,
    size: File,
}

impl Disk {
    pub(super) fn new(root: &Root) -> Self {
        Disk { root: root.clone(), diskstats: root.file("/proc/diskstats"), devices: Devices::new() }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut DiskMetrics) {
        let Disk { root, diskstats, devices } = self;
        let scraped = diskstats.read(|content| {
            let mut wrong = Ok(());
            for line in lines(content) {
                let Some((name, columns)) = parse(line) else {
                    wrong = Err(Malformed::line(line));
                    continue;
                };
                let (known, since) = devices.update(name, columns, tick.boot, || known(root, name));
                if let Some(Known { label, size }) = known {
                    record(metrics, label, columns, since);
                    if let Some(sectors) = tick.check(size.read(sectors)) {
                        metrics.limit.set(signed(sectors.saturating_mul(SECTOR_BYTES)), label.clone());
                    }
                }
            }
            devices.end(tick.now);
            wrong
        });
        tick.check(scraped);
    }
}

/// The name, and the totals after it. Requests in flight rise and fall, and count as none.
fn parse(line: &[u8]) -> Option<(&[u8], [u64; COLUMNS])> {
    let mut words = words(line).skip(2);
    let name = words.next()?;
    let mut columns: [u64; COLUMNS] = numbers(words)?;
    columns[IN_FLIGHT] = 0;
    Some((name, columns))
}

/// What is kept for a disk; `None` if it is none.
fn known(root: &Root, name: &[u8]) -> Option<Known> {
    let no_disk = |prefix: &&[u8]| {
        name.strip_prefix(*prefix).is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    };
    if NO_DISKS.iter().any(no_disk) {
        return None;
    }
    let name = String::from_utf8_lossy(name);
    // In /sys a slash in a name, as in `cciss/c0d0`, is an exclamation mark.
    let directory = root.join("/sys/class/block").join(name.replace('/', "!"));
    let is_partition = directory.join("partition").exists();
    (!is_partition).then(|| Known { label: Device(Name::new(&name)), size: File::new(directory.join("size")) })
}

/// The content of `/sys/class/block/*/size`.
fn sectors(content: &[u8]) -> Result<u64, Malformed> {
    number(content.trim_ascii()).ok_or_else(|| Malformed::line(content))
}

fn record(metrics: &mut DiskMetrics, device: &Device, columns: [u64; COLUMNS], since: SystemTime) {
    let [reads, reads_merged, sectors_read, read_ms, writes, writes_merged, sectors_written, write_ms, _, io_ms] =
        columns;
    let directions = [
        (Direction::Read, reads, reads_merged, sectors_read, read_ms),
        (Direction::Write, writes, writes_merged, sectors_written, write_ms),
    ];
    for (direction, requests, merged, sectors, ms) in directions {
        let label = || (device.clone(), direction);
        metrics.io.set_total(sectors.saturating_mul(SECTOR_BYTES), since, label());
        metrics.operations.set_total(requests, since, label());
        metrics.merged.set_total(merged, since, label());
        metrics.operation_time.set_total(seconds(ms, 1000), since, label());
    }
    metrics.io_time.set_total(seconds(io_ms, 1000), since, device.clone());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_is_a_name_and_totals() {
        let line = b" 259       0 nvme0n1 119545 35262 14780418 99516 13619 48092 9495760 35320 7 22192 135753 5738 66 3 8 451 19";
        let totals = [119_545, 35_262, 14_780_418, 99_516, 13_619, 48_092, 9_495_760, 35_320, 0, 22_192];
        assert_eq!(parse(line), Some((&b"nvme0n1"[..], totals)));
        for line in ["", "8 0 sda", "8 0 sda 1 2 3 4 5 6 7 8 9", "8 0 sda 1 2 3 4 5 6 7 8 9 x"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn partitions_and_what_is_no_disk_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let partition = root.join("/sys/class/block/sda1");
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("partition"), "1\n").unwrap();
        for name in ["sda1", "loop0", "ram15", "zram0", "sr0", "fd0"] {
            assert!(known(&root, name.as_bytes()).is_none(), "{name}");
        }
        for name in ["sda", "nvme0n1", "dm-0", "md127", "loopy", "cciss/c0d0"] {
            let disk = known(&root, name.as_bytes()).unwrap();
            assert_eq!(disk.label.0.as_str(), name);
        }
    }
}
