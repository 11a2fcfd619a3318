//! The `filesystem` scraper: how full the mounted filesystems are.
//!
//! A filesystem on a local device answers at once and is asked in place. One that is remote (NFS, Lustre …) may never
//! answer: it is asked on a thread of its own with a deadline, and is not asked again before that thread is back. So a
//! server that hangs costs its own series and one thread, whatever the number of collections.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracecore::prelude::*;

use super::mounts::{self, Mount, MountLabel};
use super::procfs::{File, Root, ratio, signed};
use super::{Error, Tick};

/// How long a collection waits for a remote filesystem. A healthy one answers in milliseconds.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// What the `filesystem` scraper measures.
#[derive(MetricSet)]
pub(super) struct FilesystemMetrics {
    /// Space of the filesystem by state; the states add up to the limit. Reserved space is for root alone.
    #[unit("By")]
    #[name("system.filesystem.usage")]
    usage: UpDownCounter<(MountLabel, FilesystemState)>,
    /// Share of the space of the filesystem by state, from 0 to 1.
    #[unit("1")]
    #[name("system.filesystem.utilization")]
    utilization: Gauge<(MountLabel, FilesystemState)>,
    /// Capacity of the filesystem.
    #[unit("By")]
    #[name("system.filesystem.limit")]
    limit: UpDownCounter<MountLabel>,
}

/// What space is there for.
#[derive(Clone, Copy, Debug, Label)]
#[key("system.filesystem.state")]
pub(super) enum FilesystemState {
    Used,
    Free,
    Reserved,
}

/// Reads the filesystems.
#[derive(Debug)]
pub(super) struct Filesystem {
    root: Root,
    mountinfo: File,
    /// The content of mountinfo that `mounts` is made from.
    parsed: Vec<u8>,
    mounts: Vec<Arc<Mount>>,
}

/// A question to a remote filesystem. Whoever waits for its answer holds it, and while anybody does, no other is asked.
#[derive(Clone, Debug)]
pub(super) struct Question(Arc<Mount>);

/// The space of a filesystem, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    total: u64,
    /// For everybody.
    free: u64,
    /// For root alone.
    reserved: u64,
}

impl Filesystem {
    pub(super) fn new(root: &Root) -> Self {
        let mountinfo = root.namespace_file("mountinfo");
        Filesystem { root: root.clone(), mountinfo, parsed: Vec::new(), mounts: Vec::new() }
    }

    /// Measures what is local, and gives the questions to ask of what is remote.
    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut FilesystemMetrics) -> Vec<Question> {
        if !self.update(tick) {
            return Vec::new();
        }
        let mut questions = Vec::new();
        for mount in &self.mounts {
            if !mount.is_remote {
                record(metrics, tick, &mount.label, Space::of(&mount.path));
            } else if Arc::strong_count(mount) > 1 {
                tick.errors.push(Error::Stuck { mount_point: mount.label.mount_point.clone() });
            } else {
                questions.push(Question(mount.clone()));
            }
        }
        questions
    }

    /// Reads which mounts there are; false if that cannot be known. They are parsed only when they have changed.
    fn update(&mut self, tick: &mut Tick) -> bool {
        let Filesystem { root, mountinfo, parsed, mounts } = self;
        let read = mountinfo.read(|content| {
            if parsed == content {
                return Ok(Ok(()));
            }
            let (found, wrong) = mounts::parse(content);
            let beneath = found.into_iter().map(|mount| mount.beneath(|path| root.join(path)));
            // One that was there before is kept, and with it the knowledge that it has not answered yet.
            let keep = |mount: Mount| {
                mounts.iter().find(|known| ***known == mount).cloned().unwrap_or_else(|| Arc::new(mount))
            };
            let kept = beneath.map(keep).collect();
            *mounts = kept;
            // After a mistake it is parsed anew each time, so that the mistake is seen each time.
            parsed.clear();
            if wrong.is_ok() {
                parsed.extend_from_slice(content);
            }
            Ok(wrong)
        });
        let Some(wrong) = tick.check(read) else { return false };
        tick.check(wrong.map_err(|wrong| self.mountinfo.malformed(wrong)));
        true
    }
}

impl Question {
    /// Asks. Does not come back before the filesystem has answered.
    pub(super) fn ask(self) -> io::Result<Space> {
        Space::of(&self.0.path)
    }

    /// Records what came of the question.
    pub(super) fn record(
        &self,
        answer: Result<io::Result<Space>, Blocked>,
        tick: &mut Tick,
        metrics: &mut FilesystemMetrics,
    ) {
        match answer {
            Ok(space) => record(metrics, tick, &self.0.label, space),
            Err(Blocked::Late(_)) => tick.errors.push(Error::Stuck { mount_point: self.0.label.mount_point.clone() }),
            Err(source) => tick.errors.push(Error::NotAsked { mount_point: self.0.label.mount_point.clone(), source }),
        }
    }
}

impl Space {
    /// The space of the filesystem that is mounted at `path`.
    fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        // What is free for everybody is part of what is free at all. A filesystem that says otherwise has nothing reserved.
        let reserved = stat.f_bfree.saturating_sub(stat.f_bavail);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail), reserved: bytes(reserved) })
    }

    fn used(self) -> u64 {
        self.total.saturating_sub(self.free).saturating_sub(self.reserved)
    }
}

fn record(metrics: &mut FilesystemMetrics, tick: &mut Tick, label: &MountLabel, space: io::Result<Space>) {
    let mount_point = || label.mount_point.clone();
    let failed = |source| Error::Filesystem { mount_point: mount_point(), source };
    let Some(space) = tick.check(space.map_err(failed)) else { return };
    metrics.limit.set(signed(space.total), label.clone());
    let states = [
        (FilesystemState::Used, space.used()),
        (FilesystemState::Free, space.free),
        (FilesystemState::Reserved, space.reserved),
    ];
    for (state, bytes) in states {
        metrics.usage.set(signed(bytes), (label.clone(), state));
        metrics.utilization.set(ratio(bytes, space.total), (label.clone(), state));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use tracecore::metrics::data::Maker;

    use super::*;

    #[test]
    fn the_states_add_up_to_the_limit() {
        let space = Space::of(Path::new("/")).unwrap();
        assert_eq!(space.used() + space.free + space.reserved, space.total);
        assert!(space.total > 0);
    }

    /// A host with one remote filesystem that is mounted at `/far`.
    fn host_with_a_remote_filesystem() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        fs::create_dir_all(root.join("/proc/1")).unwrap();
        fs::create_dir(root.join("/far")).unwrap();
        fs::write(root.join("/proc/1/mountinfo"), "40 1 0:42 / /far rw - nfs4 server:/ rw\n").unwrap();
        (directory, root)
    }

    #[test]
    fn a_remote_filesystem_is_asked_again_only_once_it_has_answered() {
        let (_directory, root) = host_with_a_remote_filesystem();
        let mut metrics = FilesystemMetrics::make(&Maker { start: 0 });
        let mut filesystem = Filesystem::new(&root);
        let mut collect = || {
            let mut tick = Tick::at(SystemTime::UNIX_EPOCH, &root);
            (filesystem.scrape(&mut tick, &mut metrics), tick.errors)
        };

        let (unanswered, errors) = collect();
        assert_eq!((unanswered.len(), errors.len()), (1, 0));
        fs::write(
            root.join("/proc/1/mountinfo"),
            "40 1 0:42 / /far rw - nfs4 server:/ rw\n50 1 0:1 / /x rw - proc p rw\n",
        )
        .unwrap();
        let (questions, errors) = collect();
        assert!(questions.is_empty(), "although the mounts were read anew");
        assert!(matches!(&errors[..], [Error::Stuck { mount_point }] if mount_point.as_str() == "/far"), "{errors:?}");

        for question in unanswered {
            question.ask().unwrap();
        }
        let (questions, errors) = collect();
        assert_eq!((questions.len(), errors.len()), (1, 0));
    }

    #[test]
    fn what_came_of_a_question_is_told_with_its_mount_point() {
        let (_directory, root) = host_with_a_remote_filesystem();
        let mut metrics = FilesystemMetrics::make(&Maker { start: 0 });
        let mut tick = Tick::at(SystemTime::UNIX_EPOCH, &root);
        let questions = Filesystem::new(&root).scrape(&mut tick, &mut metrics);
        questions[0].record(Err(Blocked::Late(ANSWER_DEADLINE)), &mut tick, &mut metrics);
        questions[0].record(Err(Blocked::Panicked), &mut tick, &mut metrics);
        let told: Vec<String> = tick.errors.iter().map(ToString::to_string).collect();
        let stuck = "the filesystem at /far does not answer: it is left out until it does";
        assert_eq!(told, [stuck, "cannot ask the filesystem at /far"]);
    }

    #[test]
    fn a_filesystem_that_cannot_be_measured_is_an_error_with_its_mount_point() {
        let (_directory, root) = host_with_a_remote_filesystem();
        fs::remove_dir(root.join("/far")).unwrap();
        let mut metrics = FilesystemMetrics::make(&Maker { start: 0 });
        let mut tick = Tick::at(SystemTime::UNIX_EPOCH, &root);
        for question in Filesystem::new(&root).scrape(&mut tick, &mut metrics) {
            question.record(Ok(question.clone().ask()), &mut tick, &mut metrics);
        }
        let [error] = &tick.errors[..] else { panic!("one error, not {:?}", tick.errors) };
        assert_eq!(error.to_string(), "cannot measure the filesystem at /far");
    }
}
