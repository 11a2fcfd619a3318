//! How much memory the process may use, and how much of that is used.
//!
//! A cgroup can be limited by each of those that it is in, so the least of them counts, and at most what the machine has.
//! What is used of a cgroup's limit is what all in it use, without the files that the kernel keeps only because there is
//! room (`inactive_file`): what an orchestrator calls the working set.
//! Both versions of cgroups are read where they are mounted by default. In a container the process is often told a path
//! that exists outside only: then the limit stands at the top of what is mounted inside. Deliberately absent: mounts
//! elsewhere, which nothing in use has, and limits that change while the process runs.

use std::fs;
use std::path::{Path, PathBuf};

/// A number from which on version 1 means "no limit": it writes the largest that it can hold, in whole pages.
const UNLIMITED: u64 = 1 << 62;

/// Bytes in what `/proc/meminfo` calls a kB.
const BYTES_PER_KIB: u64 = 1024;

/// How deep a path of cgroups is followed: a pod's has six.
const MAX_DEPTH: usize = 32;

/// What was found out.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    /// The limit of this process, in bytes; `None` where nothing can be read.
    pub(super) limit: Option<u64>,
    /// The cgroup whose limit it is, if it is not the machine's.
    pub(super) group: Option<Group>,
}

/// A cgroup with a limit.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    folder: PathBuf,
    version: Version,
}

/// How the files of a version of cgroups are called.
#[derive(Debug, PartialEq)]
struct Version {
    /// Where it is mounted.
    mounted: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`, what is not counted as used. Version 1 also has the group's own share of it, without `total_`.
    reclaimable: &'static str,
}

const V1: Version = Version {
    mounted: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};

const V2: Version =
    Version { mounted: "sys/fs/cgroup", limit: "memory.max", used: "memory.current", reclaimable: "inactive_file " };

/// What this process may use.
pub(super) fn detect() -> Found {
    found_under(Path::new("/"))
}

fn found_under(root: &Path) -> Found {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let least = groups.lines().filter_map(|line| group_limit(root, line)).min_by_key(|(limit, _)| *limit);
    match (least, machine(root)) {
        (Some((limit, group)), machine) if machine.is_none_or(|machine| limit <= machine) => {
            Found { limit: Some(limit), group: Some(group) }
        }
        (_, machine) => Found { limit: machine, group: None },
    }
}

/// The limit of the cgroup that a line of `/proc/self/cgroup` names (`hierarchy:controllers:path`), and whose it is.
fn group_limit(root: &Path, line: &str) -> Option<(u64, Group)> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let version = match (hierarchy, controllers) {
        ("0", "") => V2,
        (_, controllers) if controllers.split(',').any(|controller| controller == "memory") => V1,
        _ => return None,
    };
    let top = root.join(version.mounted);
    // A path with `..` is that of a process outside of the namespace.
    let inside = path.trim_start_matches('/').split('/').filter(|name| !name.is_empty() && *name != "..");
    let group: PathBuf = top.join(inside.take(MAX_DEPTH).collect::<PathBuf>());
    let groups = group.ancestors().take_while(|group| group.starts_with(&top));
    let limits = groups.filter_map(|group| Some((number(&group.join(version.limit))?, group)));
    let (limit, folder) = limits.filter(|(limit, _)| *limit < UNLIMITED).min_by_key(|(limit, _)| *limit)?;
    Some((limit, Group { folder: folder.to_owned(), version }))
}

/// The number in a file; `max` is none.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

impl Group {
    /// How much all in the group use, in bytes; `None` where that cannot be read.
    pub(super) fn used(&self) -> Option<u64> {
        let used = number(&self.folder.join(self.version.used))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let reclaimable = stat.lines().find_map(|line| line.strip_prefix(self.version.reclaimable))?;
        Some(used.saturating_sub(reclaimable.trim().parse().ok()?))
    }
}

/// What the machine has.
fn machine(root: &Path) -> Option<u64> {
    let memory = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(BYTES_PER_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\n");
    const OF_MACHINE: Option<u64> = Some(16 << 20);

    fn under<T>(files: &[(&str, &str)], read: impl FnOnce(&Path) -> T) -> T {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(root.path())
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        under(files, |root| found_under(root).limit)
    }

    #[test]
    fn the_least_of_the_groups_around_the_process_counts() {
        let group = ("proc/self/cgroup", "0::/pod/container\n");
        let inner = ("sys/fs/cgroup/pod/container/memory.max", "8388608\n");
        let outer = ("sys/fs/cgroup/pod/memory.max", "4194304\n");
        let unlimited = ("sys/fs/cgroup/pod/container/memory.max", "max\n");
        assert_eq!(limit(&[MACHINE, group, inner]), Some(8 << 20));
        assert_eq!(limit(&[MACHINE, group, inner, outer]), Some(4 << 20));
        assert_eq!(limit(&[MACHINE, group, unlimited, outer]), Some(4 << 20));
        assert_eq!(limit(&[MACHINE, group, unlimited]), OF_MACHINE);
    }

    #[test]
    fn in_a_container_the_limit_stands_at_the_top_of_what_is_mounted() {
        let top = ("sys/fs/cgroup/memory.max", "1048576\n");
        for path in ["0::/\n", "0::/docker/0123\n", "0::/../../other\n"] {
            assert_eq!(limit(&[MACHINE, ("proc/self/cgroup", path), top]), Some(1 << 20), "{path}");
        }
    }

    #[test]
    fn version_1_is_read_and_its_way_to_say_unlimited_understood() {
        let group = ("proc/self/cgroup", "12:cpu,cpuacct:/x\n7:memory:/docker/1\n0::/docker/1\n");
        let file = "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes";
        assert_eq!(limit(&[MACHINE, group, (file, "2097152\n")]), Some(2 << 20));
        assert_eq!(limit(&[MACHINE, group, (file, "9223372036854771712\n")]), OF_MACHINE);
    }

    #[test]
    fn a_group_may_not_have_more_than_the_machine_and_what_cannot_be_read_limits_nothing() {
        let group = ("proc/self/cgroup", "0::/\n");
        assert_eq!(limit(&[MACHINE, group, ("sys/fs/cgroup/memory.max", "99999999999\n")]), OF_MACHINE);
        assert_eq!(limit(&[MACHINE, ("proc/self/cgroup", "nonsense\n0:\n\u{0}:memory\n")]), OF_MACHINE);
        assert_eq!(limit(&[("proc/meminfo", "MemTotal: much\n")]), None);
        assert_eq!(limit(&[]), None);
    }

    #[test]
    fn what_is_used_of_a_limit_is_what_all_use_that_it_is_for_without_what_the_kernel_takes_back_first() {
        let v2 = [
            MACHINE,
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/memory.max", "4194304\n"),
            ("sys/fs/cgroup/pod/memory.current", "3000000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 1000000\nactive_file 7\n"),
            ("sys/fs/cgroup/pod/container/memory.current", "5\n"),
        ];
        let used = |files: &[(&str, &str)]| under(files, |root| found_under(root).group.and_then(|group| group.used()));
        assert_eq!(used(&v2), Some(2_000_000));
        let group = "sys/fs/cgroup/memory/docker/1";
        let [max, usage, stat] =
            ["limit_in_bytes", "usage_in_bytes", "stat"].map(|file| format!("{group}/memory.{file}"));
        let v1 = [
            MACHINE,
            ("proc/self/cgroup", "7:memory:/docker/1\n"),
            (&*max, "2097152\n"),
            (&*usage, "50\n"),
            (&*stat, "inactive_file 1\ntotal_inactive_file 8\n"),
        ];
        assert_eq!(used(&v1), Some(42));
        assert_eq!(used(&v1[..4]), None, "what cannot be read is not guessed");
        assert_eq!(used(&v2[..2]), None, "the machine's limit is nobody's");
    }

    #[test]
    fn this_machine_has_some() {
        assert!(detect().limit.is_some_and(|limit| limit > 1 << 20));
    }
}
