//! The `memory` scraper: `/proc/meminfo`.

use tracecore::prelude::*;

use super::Tick;
use super::procfs::{File, Malformed, Root, lines, number, ratio, signed, words};

/// What the `memory` scraper measures.
#[derive(MetricSet)]
pub(super) struct MemoryMetrics {
    /// Memory by what it is used for. Used is what is not available (MemTotal - MemAvailable), so the states overlap and
    /// do not add up to the limit: much of what is cached is available.
    #[unit("By")]
    #[name("system.memory.usage")]
    usage: UpDownCounter<MemoryState>,
    /// Share of the memory by what it is used for, from 0 to 1.
    #[unit("1")]
    #[name("system.memory.utilization")]
    utilization: Gauge<MemoryState>,
    /// Memory that the kernel manages (MemTotal).
    #[unit("By")]
    #[name("system.memory.limit")]
    limit: UpDownCounter,
    /// Memory that programs can still get without swapping, as the kernel estimates it (MemAvailable).
    #[unit("By")]
    #[name("system.memory.linux.available")]
    available: UpDownCounter,
    /// Memory of tmpfs and of shared mappings (Shmem).
    #[unit("By")]
    #[name("system.memory.linux.shared")]
    shared: UpDownCounter,
    /// Memory of the kernel's own caches.
    #[unit("By")]
    #[name("system.memory.linux.slab.usage")]
    slab: UpDownCounter<SlabState>,
    /// Huge pages of the default size in the pool (HugePages_Total).
    #[unit("{page}")]
    #[name("system.memory.linux.hugepages.limit")]
    hugepages_limit: UpDownCounter,
    /// Huge pages of the pool by whether they are in use.
    #[unit("{page}")]
    #[name("system.memory.linux.hugepages.usage")]
    hugepages: UpDownCounter<HugepageState>,
    /// Free huge pages that are promised already (HugePages_Rsvd).
    #[unit("{page}")]
    #[name("system.memory.linux.hugepages.reserved")]
    hugepages_reserved: UpDownCounter,
    /// Huge pages beyond the size of the pool (HugePages_Surp).
    #[unit("{page}")]
    #[name("system.memory.linux.hugepages.surplus")]
    hugepages_surplus: UpDownCounter,
    /// Size of a huge page of the default size (Hugepagesize).
    #[unit("By")]
    #[name("system.memory.linux.hugepages.page_size")]
    hugepage_size: UpDownCounter,
}

/// What memory is used for.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.memory.state")]
pub(super) enum MemoryState {
    Used,
    Free,
    Buffers,
    Cached,
}

/// Whether the kernel can give a cache's memory back.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.memory.linux.slab.state")]
pub(super) enum SlabState {
    Reclaimable,
    Unreclaimable,
}

/// Whether a huge page is in use.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.memory.linux.hugepages.state")]
pub(super) enum HugepageState {
    Used,
    Free,
}

/// Reads the memory.
#[derive(Debug)]
pub(super) struct Memory {
    meminfo: File,
}

/// The lines of `/proc/meminfo` that are used: bytes, or a number of huge pages. Kernels leave out what they do not have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meminfo {
    total: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
    buffers: Option<u64>,
    cached: Option<u64>,
    shared: Option<u64>,
    slab_reclaimable: Option<u64>,
    slab_unreclaimable: Option<u64>,
    hugepages: Option<u64>,
    hugepages_free: Option<u64>,
    hugepages_reserved: Option<u64>,
    hugepages_surplus: Option<u64>,
    hugepage_size: Option<u64>,
    /// The first line that is wrong. The others count.
    wrong: Option<Malformed>,
}

impl Memory {
    pub(super) fn new(root: &Root) -> Self {
        Memory { meminfo: root.file("/proc/meminfo") }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut MemoryMetrics) {
        let Some(meminfo) = tick.check(self.meminfo.read(|content| Ok(Meminfo::parse(content)))) else { return };
        meminfo.record(metrics);
        if let Some(wrong) = meminfo.wrong {
            tick.errors.push(self.meminfo.malformed(wrong));
        }
    }
}

impl Meminfo {
    fn parse(content: &[u8]) -> Self {
        let mut meminfo = Meminfo::default();
        for line in lines(content) {
            let mut words = words(line);
            let place = match words.next().unwrap_or_default() {
                b"MemTotal:" => &mut meminfo.total,
                b"MemFree:" => &mut meminfo.free,
                b"MemAvailable:" => &mut meminfo.available,
                b"Buffers:" => &mut meminfo.buffers,
                b"Cached:" => &mut meminfo.cached,
                b"Shmem:" => &mut meminfo.shared,
                b"SReclaimable:" => &mut meminfo.slab_reclaimable,
                b"SUnreclaim:" => &mut meminfo.slab_unreclaimable,
                b"HugePages_Total:" => &mut meminfo.hugepages,
                b"HugePages_Free:" => &mut meminfo.hugepages_free,
                b"HugePages_Rsvd:" => &mut meminfo.hugepages_reserved,
                b"HugePages_Surp:" => &mut meminfo.hugepages_surplus,
                b"Hugepagesize:" => &mut meminfo.hugepage_size,
                _ => continue,
            };
            let unit = if line.ends_with(b" kB") { 1024 } else { 1 };
            *place = words.next().and_then(number).and_then(|value: u64| value.checked_mul(unit));
            if place.is_none() {
                meminfo.wrong.get_or_insert_with(|| Malformed::line(line));
            }
        }
        if meminfo.total.is_none() {
            meminfo.wrong.get_or_insert(Malformed::Missing("MemTotal"));
        }
        meminfo
    }

    fn record(&self, metrics: &mut MemoryMetrics) {
        let used = self.total.zip(self.available).map(|(total, available)| total.saturating_sub(available));
        let states = [
            (MemoryState::Used, used),
            (MemoryState::Free, self.free),
            (MemoryState::Buffers, self.buffers),
            (MemoryState::Cached, self.cached),
        ];
        for (state, bytes) in states {
            set(&mut metrics.usage, bytes, state);
            if let Some((bytes, total)) = bytes.zip(self.total) {
                metrics.utilization.set(ratio(bytes, total), state);
            }
        }
        set(&mut metrics.limit, self.total, ());
        set(&mut metrics.available, self.available, ());
        set(&mut metrics.shared, self.shared, ());
        set(&mut metrics.slab, self.slab_reclaimable, SlabState::Reclaimable);
        set(&mut metrics.slab, self.slab_unreclaimable, SlabState::Unreclaimable);
        let hugepages_used = self.hugepages.zip(self.hugepages_free).map(|(all, free)| all.saturating_sub(free));
        set(&mut metrics.hugepages_limit, self.hugepages, ());
        set(&mut metrics.hugepages, hugepages_used, HugepageState::Used);
        set(&mut metrics.hugepages, self.hugepages_free, HugepageState::Free);
        set(&mut metrics.hugepages_reserved, self.hugepages_reserved, ());
        set(&mut metrics.hugepages_surplus, self.hugepages_surplus, ());
        set(&mut metrics.hugepage_size, self.hugepage_size, ());
    }
}

fn set<L: Label>(metric: &mut UpDownCounter<L>, value: Option<u64>, label: L) {
    if let Some(value) = value {
        metric.set(signed(value), label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes_and_pages_stay_pages() {
        let meminfo =
            Meminfo::parse(b"MemTotal:       24684092 kB\nMemFree: 1 kB\nHugePages_Total:      12\nZswap: x kB\n");
        assert_eq!((meminfo.total, meminfo.free), (Some(24_684_092 * 1024), Some(1024)));
        assert_eq!((meminfo.hugepages, meminfo.available), (Some(12), None));
        assert_eq!(meminfo.wrong, None, "lines that are not used may say anything");
    }

    #[test]
    fn a_wrong_line_costs_its_value_alone() {
        for (line, value) in [("Cached:  many kB", "many"), ("Cached: 18446744073709551615 kB", "too large")] {
            let meminfo = Meminfo::parse(format!("MemTotal: 5 kB\n{line}\nBuffers: 2 kB\n").as_bytes());
            assert_eq!((meminfo.cached, meminfo.buffers), (None, Some(2048)), "{value}");
            assert_eq!(meminfo.wrong, Some(Malformed::Line(line.to_owned())));
        }
        assert_eq!(Meminfo::parse(b"").wrong, Some(Malformed::Missing("MemTotal")));
    }
}
