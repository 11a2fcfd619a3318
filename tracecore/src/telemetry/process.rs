//! What the kernel knows of this process, read at collection.
//!
//! What cannot be read has no series in that scrape. Each reading is one small file or one call; only the count of open
//! files walks a directory, on kernels before 6.2, and that walk has a bound. Deliberately absent: other systems than
//! Linux, which have no `/proc` and so no series, and processes that this one started.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::process::{Resource, getrlimit};

use super::families::Families;

/// Where the kernel tells of processes.
const PROC: &str = "/proc";

/// Open files that are counted by listing them, some 10 ms of work; past it the number is not shown.
const MAX_LISTED_FDS: usize = 65_536;

/// Ticks of `/proc/self/stat` in a second: `USER_HZ`, which the kernel has kept at 100 for programs whatever its own
/// clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// The fields of `/proc/self/stat`, counted from the state, which is the third: proc_pid_stat(5).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;

/// Bytes in what `/proc/self/status` calls a kB.
const BYTES_PER_KIB: f64 = 1024.0;

/// Makes the series.
pub(super) fn observe(families: &Families) {
    let (families, process) = (&families.process, Arc::new(Process::at(PROC)));
    let reading = |read: fn(&Process) -> Option<f64>| {
        let process = Arc::clone(&process);
        move || read(&process)
    };
    families.cpu_seconds.bind_fallible([], reading(Process::cpu_seconds));
    families.resident_memory.bind_fallible([], reading(Process::resident_bytes));
    families.virtual_memory.bind_fallible([], reading(Process::virtual_bytes));
    families.threads.bind_fallible([], reading(Process::threads));
    families.start_time.bind_fallible([], reading(Process::start_unix_seconds));
    families.open_fds.bind_fallible([], reading(Process::open_fds));
    // Without a limit there is no number.
    families.max_fds.bind_fallible([], || getrlimit(Resource::Nofile).current.map(|most| most as f64));
}

/// How much of this process is in RAM, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    Process::at(PROC).resident_bytes().map(|bytes| bytes as u64)
}

/// This process, as the kernel shows it under a root.
struct Process {
    root: PathBuf,
    /// When it started never changes, and `/proc/stat`, which says when the machine did, is long on a large one.
    started: OnceLock<f64>,
}

impl Process {
    fn at(root: impl Into<PathBuf>) -> Self {
        Process { root: root.into(), started: OnceLock::new() }
    }

    fn cpu_seconds(&self) -> Option<f64> {
        let [user, system] = self.seconds([USER_TICKS, SYSTEM_TICKS])?;
        Some(user + system)
    }

    fn start_unix_seconds(&self) -> Option<f64> {
        if let Some(started) = self.started.get() {
            return Some(*started);
        }
        let machine = fs::read_to_string(self.root.join("stat")).ok()?;
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>().ok()?;
        let [after] = self.seconds([START_TICKS])?;
        Some(*self.started.get_or_init(|| booted as f64 + after))
    }

    fn resident_bytes(&self) -> Option<f64> {
        Some(self.status("VmRSS:")? * BYTES_PER_KIB)
    }

    fn virtual_bytes(&self) -> Option<f64> {
        Some(self.status("VmSize:")? * BYTES_PER_KIB)
    }

    fn threads(&self) -> Option<f64> {
        self.status("Threads:")
    }

    /// Fields of `/proc/self/stat` that are in ticks.
    fn seconds<const N: usize>(&self, fields: [usize; N]) -> Option<[f64; N]> {
        let stat = fs::read(self.root.join("self/stat")).ok()?;
        // The name of the program, in parentheses, is the second field. It can hold any byte, a `)` and a space too.
        let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
        let mut seconds = [0.0; N];
        for (seconds, field) in seconds.iter_mut().zip(fields) {
            let ticks: u64 = rest.split_ascii_whitespace().nth(field)?.parse().ok()?;
            *seconds = ticks as f64 / TICKS_PER_SECOND;
        }
        Some(seconds)
    }

    /// The number in a line of `/proc/self/status`.
    fn status(&self, key: &str) -> Option<f64> {
        let status = fs::read(self.root.join("self/status")).ok()?;
        // The name of the program is in the first line, its line ends written as `\n` and the other bytes as they are.
        let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()))?;
        let number: u64 = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
        Some(number as f64)
    }

    fn open_fds(&self) -> Option<f64> {
        let folder = self.root.join("self/fd");
        // Since Linux 6.2 the directory's size is the number of its entries; before, it is 0.
        let counted = fs::metadata(&folder).ok()?.size();
        if counted > 0 { Some(counted as f64) } else { listed(&folder) }
    }
}

/// The entries of a folder of open files, but for the one that reads it.
fn listed(folder: &Path) -> Option<f64> {
    let entries = fs::read_dir(folder).ok()?.take(MAX_LISTED_FDS + 1).count();
    (1..=MAX_LISTED_FDS).contains(&entries).then(|| (entries - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(files: &[(&str, &str)]) -> (tempfile::TempDir, Process) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let process = Process::at(root.path());
        (root, process)
    }

    const STAT: &str = "7 (a) b) S 1 7 7 0 -1 4194304 102 0 0 0 250 50 0 0 20 0 12 0 1500 3133440 416 1";
    const STATUS: &str =
        "Name:\tThreads: 5\nVmPeak:\t  9 kB\nVmSize:\t    3060 kB\nVmRSS:\t    1664 kB\nThreads:\t12\n";

    #[test]
    fn fields_are_found_whatever_the_name_of_the_program_is() {
        let machine = "cpu 1 2\nbtime 1000\nprocesses 5\n";
        let (_root, process) = process(&[("self/stat", STAT), ("self/status", STATUS), ("stat", machine)]);
        assert_eq!(process.cpu_seconds(), Some(3.0));
        assert_eq!(process.start_unix_seconds(), Some(1015.0));
        assert_eq!(process.resident_bytes(), Some(1_703_936.0));
        assert_eq!(process.virtual_bytes(), Some(3_133_440.0));
        assert_eq!(process.threads(), Some(12.0));
    }

    #[test]
    fn what_cannot_be_read_has_no_value() {
        let read = |process: &Process| {
            [
                process.cpu_seconds(),
                process.start_unix_seconds(),
                process.resident_bytes(),
                process.virtual_bytes(),
                process.threads(),
                process.open_fds(),
            ]
        };
        for (stat, status, machine) in [
            ("", "", ""),
            ("7 (a", "VmRSS:", "btime"),
            ("7 (a) S 1", "VmRSS: kB\nVmSize: -1 kB\nThreads: 1.5", "btime x"),
            ("7 (a) \u{e9}", "VmRSS: \u{e9}", "cpu"),
            (")", "\n\n", "btime -1"),
        ] {
            let (_root, process) = process(&[("self/stat", stat), ("self/status", status), ("stat", machine)]);
            assert_eq!(read(&process), [None; 6], "{stat:?} {status:?}");
        }
        assert_eq!(read(&Process::at("/nonexistent")), [None; 6]);
    }

    #[test]
    fn files_are_listed_where_the_kernel_does_not_count_them() {
        // The size of this folder is not the number of its files, as before Linux 6.2 that of the kernel's own was 0.
        let (root, process) = process(&[("self/stat", STAT)]);
        fs::create_dir(root.path().join("self/fd")).unwrap();
        (0..4).for_each(|fd| fs::write(root.path().join(format!("self/fd/{fd}")), "").unwrap());
        assert_eq!(listed(&process.root.join("self/fd")), Some(3.0), "without the one that reads them");
    }

    #[test]
    fn the_real_process_grows_with_what_it_opens() {
        let process = Process::at(PROC);
        assert!(process.resident_bytes().unwrap() > 0.0);
        assert!(process.virtual_bytes() > process.resident_bytes());
        assert!(process.threads().unwrap() >= 1.0);
        assert!(process.start_unix_seconds().unwrap() > 1.0e9);
        assert!(process.cpu_seconds().unwrap() >= 0.0);
        // Other tests of this process open files too: many of our own outweigh them.
        let before = process.open_fds().unwrap();
        let files: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(process.open_fds().unwrap() >= before + 400.0);
        drop(files);
    }
}
