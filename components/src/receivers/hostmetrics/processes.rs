//! The `processes` scraper: how many processes there are, and how many were created.
//!
//! Processes are counted by listing `/proc`, about a microsecond each, and no file of theirs is opened. Deliberately absent:
//! `process.state`. A process's state stands in a file of its own, and thousands of files are too dear for one label; what
//! the kernel counts itself (`procs_running`, `procs_blocked`) are threads.

use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags, RawDir};
use tracecore::prelude::*;

use super::procfs::{File, Malformed, Root, number, signed};
use super::{Error, Tick};

/// Room for a few hundred entries of `/proc` at a time, in bytes.
const ENTRIES_BYTES: usize = 16 << 10;

/// What the `processes` scraper measures.
#[derive(MetricSet)]
pub(super) struct ProcessesMetrics {
    /// Processes that exist, in whatever state, the kernel's threads among them.
    #[unit("{process}")]
    #[name("system.process.count")]
    count: UpDownCounter,
    /// Processes and threads created since boot.
    #[unit("{process}")]
    #[name("system.process.created")]
    created: Counter,
    /// Processes and threads that can exist at once: the smaller of pid_max and threads-max.
    #[unit("{thread}")]
    #[name("system.process.limit")]
    limit: UpDownCounter,
}

/// Counts the processes.
#[derive(Debug)]
pub(super) struct Processes {
    root: Root,
    limits: [File; 2],
    entries: Box<[MaybeUninit<u8>]>,
}

impl Processes {
    pub(super) fn new(root: &Root) -> Self {
        Processes {
            root: root.clone(),
            limits: ["pid_max", "threads-max"].map(|name| root.file(format!("/proc/sys/kernel/{name}"))),
            entries: Box::new_uninit_slice(ENTRIES_BYTES),
        }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut ProcessesMetrics) {
        if let Some(created) = tick.stat(|stat| stat.created.clone()) {
            metrics.created.set_total(created, tick.boot, ());
        }
        let counted = self.count().map_err(|source| Error::Processes { path: self.root.join("/proc"), source });
        if let Some(count) = tick.check(counted) {
            metrics.count.set(signed(count), ());
        }
        let [pids, threads] = self.limits.each_mut().map(|file| tick.check(file.read(limit)));
        if let (Some(pids), Some(threads)) = (pids, threads) {
            metrics.limit.set(signed(pids.min(threads)), ());
        }
    }

    /// How many entries of `/proc` are numbers.
    fn count(&mut self) -> Result<u64, std::io::Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(self.root.join("/proc"), flags, Mode::empty())?;
        let mut entries = RawDir::new(proc, &mut self.entries);
        let mut count = 0;
        while let Some(entry) = entries.next() {
            count += u64::from(entry?.file_name().to_bytes().iter().all(u8::is_ascii_digit));
        }
        Ok(count)
    }
}

fn limit(content: &[u8]) -> Result<u64, Malformed> {
    number(content.trim_ascii()).ok_or_else(|| Malformed::line(content))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn an_entry_of_proc_that_is_a_number_is_a_process() {
        let directory = tempfile::tempdir().unwrap();
        let proc = directory.path().join("proc");
        // More than fit into the buffer at once.
        for pid in 1..=800 {
            fs::create_dir_all(proc.join(pid.to_string())).unwrap();
        }
        fs::create_dir(proc.join("sys")).unwrap();
        fs::write(proc.join("stat"), "").unwrap();
        assert_eq!(Processes::new(&Root::new(directory.path())).count().unwrap(), 800);
        assert!(Processes::new(&Root::new(Path::new("/nowhere"))).count().is_err());
    }
}
