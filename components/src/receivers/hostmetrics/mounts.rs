//! From `/proc/*/mountinfo` to the filesystems worth measuring, each once.
//!
//! Measured are filesystems on block devices, ZFS, and filesystems of the network. Left out are those that are no storage
//! (proc, tmpfs, overlay …), images that are always full (squashfs …), what is hidden beneath another mount, and all mounts
//! of a filesystem but one: bind mounts, of which a node with containers has hundreds, would count it again and again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tracecore::prelude::*;

use super::procfs::{Malformed, lines, words};

/// Types whose answers come from elsewhere, over the network or from another program, and may never come.
const REMOTE: [&[u8]; 14] = [
    b"nfs",
    b"nfs4",
    b"cifs",
    b"smb3",
    b"ceph",
    b"lustre",
    b"beegfs",
    b"gpfs",
    b"wekafs",
    b"9p",
    b"virtiofs",
    b"fuseblk",
    b"fuse.glusterfs",
    b"fuse.juicefs",
];

/// Types of read-only images: they are full by construction.
const IMAGES: [&[u8]; 4] = [b"squashfs", b"erofs", b"iso9660", b"udf"];

/// A mount, as its label and as a path to ask about.
#[derive(Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) label: MountLabel,
    /// The mount point as the host sees it.
    pub(super) path: PathBuf,
    /// Whether the answer to a question about it may never come.
    pub(super) is_remote: bool,
}

/// A mounted filesystem.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(64)]
pub(super) struct MountLabel {
    #[key("system.device")]
    device: Name,
    #[key("system.filesystem.type")]
    kind: Name,
    #[key("system.filesystem.mode")]
    mode: Name,
    #[key("system.filesystem.mountpoint")]
    pub(super) mount_point: Name,
}

/// One line of mountinfo. Blanks in its parts are written as `\040`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry<'a> {
    /// Major and minor number, the same for all mounts of a filesystem.
    filesystem: &'a [u8],
    /// What of the filesystem is mounted: `/` is all of it.
    root: &'a [u8],
    mount_point: &'a [u8],
    is_read_only: bool,
    kind: &'a [u8],
    source: &'a [u8],
}

/// The mounts to measure, and the first line that is not understood.
pub(super) fn parse(content: &[u8]) -> (Vec<Mount>, Result<(), Malformed>) {
    let mut wrong = Ok(());
    // What is mounted later at the same place hides what was there.
    let mut visible = BTreeMap::new();
    for line in lines(content) {
        match Entry::parse(line) {
            Some(entry) => drop(visible.insert(entry.mount_point, entry)),
            None => wrong = wrong.and(Err(Malformed::line(line))),
        }
    }
    let mut chosen: Vec<Entry<'_>> = Vec::new();
    for entry in visible.into_values().filter(Entry::is_storage) {
        match chosen.iter_mut().find(|other| other.filesystem == entry.filesystem) {
            Some(other) if entry.rank() < other.rank() => *other = entry,
            Some(_) => {}
            None => chosen.push(entry),
        }
    }
    (chosen.iter().map(Entry::mount).collect(), wrong)
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = words(line).skip(2);
        let (filesystem, root, mount_point, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        // Any number of optional parts, then a hyphen.
        words.find(|word| word == b"-")?;
        let kind = words.next()?;
        let (source, more_options) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // A filesystem that was remounted read-only after an error says so in its own options alone.
        let is_read_only = [options, more_options].iter().any(|options| is_option("ro", options));
        Some(Entry { filesystem, root, mount_point, is_read_only, kind, source })
    }

    fn is_storage(&self) -> bool {
        let is_local = self.source.starts_with(b"/dev/") || self.kind == b"zfs";
        self.is_remote() || (is_local && !IMAGES.contains(&self.kind))
    }

    fn is_remote(&self) -> bool {
        REMOTE.contains(&self.kind)
    }

    /// Of several mounts of a filesystem the least is shown: one of all of it, at the shortest place.
    fn rank(&self) -> (bool, usize) {
        (self.root != b"/", self.mount_point.len())
    }

    fn mount(&self) -> Mount {
        let path = PathBuf::from(OsString::from_vec(unescape(self.mount_point)));
        let label = MountLabel {
            device: Name::new(&String::from_utf8_lossy(&unescape(self.source))),
            kind: Name::new(&String::from_utf8_lossy(self.kind)),
            mode: Name::new(if self.is_read_only { "ro" } else { "rw" }),
            mount_point: Name::new(&path.to_string_lossy()),
        };
        Mount { label, path, is_remote: self.is_remote() }
    }
}

impl Mount {
    /// Where this mount is when the host's root is at `root`.
    pub(super) fn beneath(mut self, root: impl FnOnce(&Path) -> PathBuf) -> Self {
        self.path = root(&self.path);
        self
    }
}

fn is_option(option: &str, options: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|given| given == option.as_bytes())
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..] => {
                (((high - b'0') << 6) | ((middle - b'0') << 3) | (low - b'0'), after)
            }
            _ => (*first, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mounts as `device type mode mountpoint`.
    fn measured(content: &str) -> Vec<String> {
        let (mounts, wrong) = parse(content.as_bytes());
        wrong.unwrap();
        let shown = |Mount { label, .. }: Mount| {
            [label.device, label.kind, label.mode, label.mount_point].map(|name| name.as_str().to_owned()).join(" ")
        };
        mounts.into_iter().map(shown).collect()
    }

    #[test]
    fn storage_is_measured_and_the_rest_is_not() {
        let content = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
28 27 0:25 / /run rw - tmpfs tmpfs rw
29 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
30 27 0:40 / /merged rw - overlay overlay rw
31 27 0:41 / /tank ro - zfs tank rw
32 27 0:42 / /home rw - nfs4 server:/home rw,hard
33 27 0:43 / /lustre rw - lustre 10.0.0.1@o2ib:/scratch rw
";
        assert_eq!(
            measured(content),
            [
                "/dev/vda ext4 rw /",
                "server:/home nfs4 rw /home",
                "10.0.0.1@o2ib:/scratch lustre rw /lustre",
                "tank zfs ro /tank"
            ]
        );
    }

    #[test]
    fn a_filesystem_is_measured_once_where_all_of_it_is() {
        let content = "\
40 1 8:1 /sub /a rw - ext4 /dev/sda1 rw
41 1 8:1 / /mnt/disk rw - ext4 /dev/sda1 rw
42 1 8:1 / /mnt/disk/again rw - ext4 /dev/sda1 rw
43 1 8:2 /only/a/part /etc/hosts rw - xfs /dev/sda2 rw
";
        assert_eq!(measured(content), ["/dev/sda1 ext4 rw /mnt/disk", "/dev/sda2 xfs rw /etc/hosts"]);
    }

    #[test]
    fn what_is_hidden_beneath_another_mount_is_left_out() {
        let content = "\
40 1 8:1 / /mnt rw - ext4 /dev/sda1 rw
41 1 0:9 / /mnt rw - tmpfs tmpfs rw
42 1 8:1 / /other/place rw - ext4 /dev/sda1 rw
";
        assert_eq!(measured(content), ["/dev/sda1 ext4 rw /other/place"]);
    }

    #[test]
    fn a_filesystem_that_went_read_only_after_an_error_shows_it() {
        let content = "40 1 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro\n";
        assert_eq!(measured(content), ["/dev/sda1 ext4 ro /"]);
    }

    #[test]
    fn blanks_in_a_mount_point_are_unescaped() {
        let (mounts, _) = parse(b"40 1 8:1 / /my\\040disk\\134 rw - ext4 /dev/sda1 rw\n");
        assert_eq!(mounts[0].path, Path::new("/my disk\\"));
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\400"), b"\\400", "no byte");
    }

    #[test]
    fn a_line_that_is_not_understood_costs_only_itself() {
        let (mounts, wrong) = parse(b"40 1 8:1 / /x\n41 1 8:2 / / rw - ext4 /dev/sda2 rw\n");
        assert_eq!(mounts.len(), 1);
        assert_eq!(wrong, Err(Malformed::Line("40 1 8:1 / /x".to_owned())));
    }
}
