//! Totals that the kernel counts, and since when.
//!
//! The kernel's totals begin at boot, unless a device came later, was replaced, or has a counter that wrapped. A total
//! that fell would otherwise look like a spike to everything that takes rates: it begins anew instead, at the collection
//! before, when the old total was last seen.

use std::time::SystemTime;

/// Devices by name, each with its last totals and with what its scraper keeps for it.
#[derive(Debug)]
pub(super) struct Devices<const N: usize, T> {
    known: Vec<Device<N, T>>,
    /// Where the device was that the kernel listed last: the next one most likely follows it.
    cursor: usize,
    /// When the list was last read to its end.
    listed: Option<SystemTime>,
}

#[derive(Debug)]
struct Device<const N: usize, T> {
    name: Box<[u8]>,
    totals: [u64; N],
    since: SystemTime,
    is_listed: bool,
    kept: T,
}

impl<const N: usize, T> Devices<N, T> {
    pub(super) fn new() -> Self {
        Devices { known: Vec::new(), cursor: 0, listed: None }
    }

    /// Takes over the totals of one device; `keep` makes what is kept for a new one. Gives that, and since when the
    /// totals count.
    pub(super) fn update(
        &mut self,
        name: &[u8],
        totals: [u64; N],
        boot: SystemTime,
        keep: impl FnOnce() -> T,
    ) -> (&mut T, SystemTime) {
        let since = self.listed.unwrap_or(boot);
        let length = self.known.len();
        let found = (self.cursor..length).chain(0..self.cursor.min(length)).find(|at| *self.known[*at].name == *name);
        let at = found.unwrap_or(length);
        self.cursor = at + 1;
        if found.is_none() {
            self.known.push(Device { name: name.into(), totals, since, is_listed: true, kept: keep() });
        }
        let device = &mut self.known[at];
        if totals.iter().zip(&device.totals).any(|(new, old)| new < old) {
            device.since = since;
        }
        device.totals = totals;
        device.is_listed = true;
        (&mut device.kept, device.since)
    }

    /// Ends a list that was read whole at `now`: a device that was not on it is gone.
    pub(super) fn end(&mut self, now: SystemTime) {
        self.known.retain_mut(|device| std::mem::take(&mut device.is_listed));
        self.cursor = 0;
        self.listed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOOT: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(minute: u64) -> SystemTime {
        BOOT + Duration::from_secs(60 * minute)
    }

    #[test]
    fn totals_count_from_boot_until_they_fall() {
        let mut devices = Devices::new();
        assert_eq!(devices.update(b"sda", [5, 5], BOOT, || ()).1, BOOT);
        devices.end(at(1));
        assert_eq!(devices.update(b"sda", [5, 9], BOOT, || ()).1, BOOT);
        devices.end(at(2));
        assert_eq!(devices.update(b"sda", [6, 8], BOOT, || ()).1, at(2), "one total fell: a wrap, or another disk");
        devices.end(at(3));
        assert_eq!(devices.update(b"sda", [7, 9], BOOT, || ()).1, at(2));
    }

    #[test]
    fn a_device_that_came_later_counts_from_the_collection_before() {
        let mut devices = Devices::new();
        devices.update(b"eth0", [1], BOOT, || "eth0");
        devices.end(at(1));
        assert_eq!(devices.update(b"eth1", [1], BOOT, || "eth1"), (&mut "eth1", at(1)));
        devices.end(at(2));
        assert_eq!(devices.update(b"eth0", [0], BOOT, || "again"), (&mut "again", at(2)), "it had gone");
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let mut devices = Devices::new();
        for name in [b"a", b"b", b"c"] {
            devices.update(name, [], BOOT, || name);
        }
        devices.end(at(1));
        for name in [b"c", b"a", b"b"] {
            assert_eq!(*devices.update(name, [], BOOT, || b"?").0, name);
        }
    }
}
