//! What the kernel knows of this process, read at collection.
//!
//! What cannot be read has no series in that scrape. Each reading is one small file or one call; only the count of open
//! files walks a directory, on kernels before 6.2, and that walk has a bound. Deliberately absent: other systems than
//! Linux, which have no `/proc` and so no series, and processes that this one started.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::families::Families;

/// Where the kernel tells of processes.
const PROC: &str = "/proc";

/// Open files that are counted by listing them, some 10 ms of work; past it the number is not shown.
const MAX_LISTED_FDS: usize = 65_536;

/// The fields of `/proc/self/stat`, counted from the state, which is the third: proc_pid_stat(5).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// Makes the series.
pub(super) fn observe(families: &Families) {
    let (families, process) = (&families.process, Arc::new(Process::at(PROC)));
    let reading = |read: fn(&Process) -> Option<f64>| {
        let process = Arc::clone(&process);
        move || read(&process)
    };
    families.cpu_seconds.bind_fallible([], reading(Process::cpu_seconds));
    families.resident_memory.bind_fallible([], reading(Process::resident_bytes));
    families.virtual_memory.bind_fallible([], reading(|process| process.stat(VIRTUAL_BYTES)));
    families.threads.bind_fallible([], reading(|process| process.stat(THREADS)));
    families.start_time.bind_fallible([], reading(Process::start_unix_seconds));
    families.open_fds.bind_fallible([], reading(Process::open_fds));
    // Without a limit there is no number.
    families.max_fds.bind_fallible([], || getrlimit(Resource::Nofile).current.map(|most| most as f64));
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

    /// A field of `/proc/self/stat`.
    fn stat(&self, field: usize) -> Option<f64> {
        self.stats([field]).map(|[value]| value)
    }

    /// Several fields of one reading.
    fn stats<const N: usize>(&self, fields: [usize; N]) -> Option<[f64; N]> {
        let stat = fs::read(self.root.join("self/stat")).ok()?;
        // The name of the program, in parentheses, is the second field. It can hold any byte, a `)` and a space too.
        let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
        let mut values = [0.0; N];
        for (value, field) in values.iter_mut().zip(fields) {
            *value = rest.split_ascii_whitespace().nth(field)?.parse::<u64>().ok()? as f64;
        }
        Some(values)
    }

    fn cpu_seconds(&self) -> Option<f64> {
        let [user, system] = self.stats([USER_TICKS, SYSTEM_TICKS])?;
        Some((user + system) / clock_ticks_per_second() as f64)
    }

    fn resident_bytes(&self) -> Option<f64> {
        Some(self.stat(RESIDENT_PAGES)? * page_size() as f64)
    }

    fn start_unix_seconds(&self) -> Option<f64> {
        if let Some(started) = self.started.get() {
            return Some(*started);
        }
        let machine = fs::read_to_string(self.root.join("stat")).ok()?;
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>().ok()?;
        let after = self.stat(START_TICKS)? / clock_ticks_per_second() as f64;
        Some(*self.started.get_or_init(|| booted as f64 + after))
    }

    fn open_fds(&self) -> Option<f64> {
        let folder = self.root.join("self/fd");
        // Since Linux 6.2 the directory's size is the number of its entries; before, it is 0.
        let counted = fs::metadata(&folder).ok()?.size();
        if counted > 0 {
            return Some(counted as f64);
        }
        let listed = fs::read_dir(&folder).ok()?.take(MAX_LISTED_FDS + 1).count();
        // One of them is the directory that is being read.
        (1..=MAX_LISTED_FDS).contains(&listed).then(|| (listed - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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

    const STAT: &str =
        "7 (a) b) S 1 7 7 0 -1 4194304 102 0 0 0 250 50 0 0 20 0 12 0 1500 3133440 416 18446744073709551615 1";

    #[test]
    fn fields_are_counted_from_the_end_of_a_name_with_parentheses_and_spaces() {
        let (_root, process) = process(&[("self/stat", STAT), ("stat", "cpu 1 2\nbtime 1000\nprocesses 5\n")]);
        let ticks = clock_ticks_per_second() as f64;
        assert_eq!(process.cpu_seconds(), Some(300.0 / ticks));
        assert_eq!(process.stat(THREADS), Some(12.0));
        assert_eq!(process.stat(VIRTUAL_BYTES), Some(3_133_440.0));
        assert_eq!(process.resident_bytes(), Some(416.0 * page_size() as f64));
        assert_eq!(process.start_unix_seconds(), Some(1000.0 + 1500.0 / ticks));
    }

    #[test]
    fn what_cannot_be_read_has_no_value() {
        for (stat, machine) in
            [("", ""), ("7 (a", "btime"), ("7 (a) S 1", "btime x"), ("7 (a) \u{e9}", "cpu"), (")", "btime -1")]
        {
            let (_root, process) = process(&[("self/stat", stat), ("stat", machine)]);
            let read = [Process::cpu_seconds, Process::resident_bytes, Process::start_unix_seconds, Process::open_fds];
            assert_eq!(read.map(|read| read(&process)), [None; 4], "{stat:?}");
        }
        let nowhere = Process::at(Path::new("/nonexistent"));
        assert_eq!((nowhere.stat(THREADS), nowhere.open_fds()), (None, None));
    }

    #[test]
    fn the_real_process_grows_with_what_it_opens() {
        let process = Process::at(PROC);
        assert!(process.resident_bytes().unwrap() > page_size() as f64);
        assert!(process.stat(VIRTUAL_BYTES) > process.resident_bytes());
        assert!(process.start_unix_seconds().unwrap() > 1.0e9);
        assert!(process.cpu_seconds().unwrap() >= 0.0);
        // Other tests of this process open files too: many of our own outweigh them.
        let before = process.open_fds().unwrap();
        let files: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(process.open_fds().unwrap() >= before + 400.0);
        drop(files);
    }
}
