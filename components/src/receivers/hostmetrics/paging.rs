//! The `paging` scraper: page faults, swapping and swap space.
//!
//! Deliberately absent: `system.paging.operations` of minor faults. The kernel's `pgpgin` and `pgpgout`, which are often
//! shown under that name, are kilobytes of all block I/O.

use tracecore::prelude::*;

use super::Tick;
use super::disk::Device;
use super::procfs::{File, Malformed, Root, lines, number, ratio, signed, words};

/// What the `paging` scraper measures.
#[derive(MetricSet)]
pub(super) struct PagingMetrics {
    /// Page faults since boot. A major one had to wait for a disk.
    #[unit("{fault}")]
    #[name("system.paging.faults")]
    faults: Counter<FaultType>,
    /// Pages swapped since boot.
    #[unit("{operation}")]
    #[name("system.paging.operations")]
    operations: Counter<(FaultType, Direction)>,
    /// Swap space by whether it is in use.
    #[unit("By")]
    #[name("system.paging.usage")]
    usage: UpDownCounter<(Device, PagingState)>,
    /// Share of the swap space by whether it is in use, from 0 to 1.
    #[unit("1")]
    #[name("system.paging.utilization")]
    utilization: Gauge<(Device, PagingState)>,
}

/// Whether a fault had to wait for a disk.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.paging.fault.type")]
pub(super) enum FaultType {
    Major,
    Minor,
}

/// Whether pages came into memory or left it.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.paging.direction")]
pub(super) enum Direction {
    In,
    Out,
}

/// Whether swap space is in use.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.paging.state")]
pub(super) enum PagingState {
    Used,
    Free,
}

/// Reads what pages are moved.
#[derive(Debug)]
pub(super) struct Paging {
    vmstat: File,
    swaps: File,
    /// The swap areas of the collection before: their names are used again.
    known: Vec<Device>,
}

/// The lines of `/proc/vmstat` that are used.
#[derive(Debug, PartialEq, Eq)]
struct Vmstat {
    faults: u64,
    major_faults: u64,
    swapped_in: u64,
    swapped_out: u64,
}

impl Paging {
    pub(super) fn new(root: &Root) -> Self {
        Paging { vmstat: root.file("/proc/vmstat"), swaps: root.file("/proc/swaps"), known: Vec::new() }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut PagingMetrics) {
        if let Some(vmstat) = tick.check(self.vmstat.read(Vmstat::parse)) {
            let minor = vmstat.faults.saturating_sub(vmstat.major_faults);
            metrics.faults.set_total(vmstat.major_faults, tick.boot, FaultType::Major);
            metrics.faults.set_total(minor, tick.boot, FaultType::Minor);
            metrics.operations.set_total(vmstat.swapped_in, tick.boot, (FaultType::Major, Direction::In));
            metrics.operations.set_total(vmstat.swapped_out, tick.boot, (FaultType::Major, Direction::Out));
        }
        let Paging { swaps, known, .. } = self;
        let scraped = swaps.read(|content| {
            let mut wrong = Ok(());
            for line in lines(content).skip(1) {
                match parse_swap(line) {
                    Some((name, size, used)) => record(metrics, &device(known, name), size, used),
                    None => wrong = Err(Malformed::line(line)),
                }
            }
            wrong
        });
        tick.check(scraped);
    }
}

impl Vmstat {
    fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let [mut faults, mut major_faults, mut swapped_in, mut swapped_out] = [None; 4];
        for line in lines(content) {
            let mut words = words(line);
            let place = match words.next().unwrap_or_default() {
                b"pgfault" => &mut faults,
                b"pgmajfault" => &mut major_faults,
                b"pswpin" => &mut swapped_in,
                b"pswpout" => &mut swapped_out,
                _ => continue,
            };
            *place = Some(words.next().and_then(number).ok_or_else(|| Malformed::line(line))?);
        }
        Ok(Vmstat {
            faults: faults.ok_or(Malformed::Missing("pgfault"))?,
            major_faults: major_faults.ok_or(Malformed::Missing("pgmajfault"))?,
            // A kernel without swap has none of these, and swaps nothing.
            swapped_in: swapped_in.unwrap_or_default(),
            swapped_out: swapped_out.unwrap_or_default(),
        })
    }
}

/// The name of a swap area, and its size and what is used of it, in bytes.
fn parse_swap(line: &[u8]) -> Option<(&[u8], u64, u64)> {
    let mut words = words(line);
    let name = words.next()?;
    let mut kilobytes = words.skip(1).map(|word| number::<u64>(word)?.checked_mul(1024));
    Some((name, kilobytes.next()??, kilobytes.next()??))
}

fn device(known: &mut Vec<Device>, name: &[u8]) -> Device {
    if let Some(device) = known.iter().find(|device| device.0.as_str().as_bytes() == name) {
        return device.clone();
    }
    let device = Device(Name::new(&String::from_utf8_lossy(name)));
    known.push(device.clone());
    device
}

fn record(metrics: &mut PagingMetrics, device: &Device, size: u64, used: u64) {
    for (state, bytes) in [(PagingState::Used, used), (PagingState::Free, size.saturating_sub(used))] {
        metrics.usage.set(signed(bytes), (device.clone(), state));
        metrics.utilization.set(ratio(bytes, size), (device.clone(), state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_swapped_pages_are_found_among_the_rest() {
        let vmstat = Vmstat::parse(b"nr_free_pages 9\npswpin 1\npswpout 2\npgfault 100\npgmajfault 7\npgfault_x y\n");
        let expected = Vmstat { faults: 100, major_faults: 7, swapped_in: 1, swapped_out: 2 };
        assert_eq!(vmstat, Ok(expected));
        assert_eq!(Vmstat::parse(b"pgfault 1\n"), Err(Malformed::Missing("pgmajfault")));
        assert!(Vmstat::parse(b"pgfault 1\npgmajfault 1\npswpin many\n").is_err());
    }

    #[test]
    fn a_swap_area_is_a_name_and_kilobytes() {
        let line = b"/dev/nvme0n1p3                          partition\t8388604\t\t1024\t\t-2";
        assert_eq!(parse_swap(line), Some((&b"/dev/nvme0n1p3"[..], 8_388_604 * 1024, 1024 * 1024)));
        for line in ["/swap file", "/swap file 1", "/swap file x 1", "/swap file 18446744073709551615 1"] {
            assert_eq!(parse_swap(line.as_bytes()), None, "{line}");
        }
    }
}
