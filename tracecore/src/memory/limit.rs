//! How much memory the process may use.
//!
//! A cgroup can be limited by each of those that it is in, so the least of them counts, and at most what the machine has.
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

/// The limit of this process, in bytes; `None` where nothing can be read.
pub(super) fn detect() -> Option<u64> {
    limit_under(Path::new("/"))
}

fn limit_under(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let of_groups = groups.lines().filter_map(|line| group_limit(root, line)).min();
    of_groups.into_iter().chain(machine(root)).min()
}

/// The limit of the cgroup that a line of `/proc/self/cgroup` names: `hierarchy:controllers:path`.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mounted, file) = match (hierarchy, controllers) {
        ("0", "") => ("sys/fs/cgroup", "memory.max"),
        (_, controllers) if controllers.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let top = root.join(mounted);
    // A path with `..` is that of a process outside of the namespace.
    let inside = path.trim_start_matches('/').split('/').filter(|name| !name.is_empty() && *name != "..");
    let group: PathBuf = top.join(inside.take(MAX_DEPTH).collect::<PathBuf>());
    let groups = group.ancestors().take_while(|group| group.starts_with(&top));
    groups.filter_map(|group| number(&group.join(file))).filter(|limit| *limit < UNLIMITED).min()
}

/// The number in a file; `max` is none.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
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

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        limit_under(root.path())
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
    fn this_machine_has_some() {
        assert!(detect().is_some_and(|limit| limit > 1 << 20));
    }
}
