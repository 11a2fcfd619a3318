//! Files put aside: when, under what name, and for how long they stay.
//!
//! `data.json` becomes `data-2022-09-14T05-02-14.173.json`, in the same folder. No file is ever overwritten, and none is
//! removed whose name this exporter would not have given.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use tokio::fs;
use tracecore::prelude::*;

/// When the file is put aside, and how long what was put aside stays.
#[config]
pub(super) struct Rotation {
    /// The file is put aside before it would become larger than this, in MiB.
    #[default(100)]
    pub(super) max_megabytes: u64,
    /// After how many days a file that was put aside is removed, by the time in its name. 0: never.
    #[default(0)]
    max_days: u64,
    /// How many files that were put aside stay at most. 0: all of them.
    #[default(100)]
    max_backups: usize,
    /// Whether their names have the host's local time and not UTC.
    #[default(false)]
    localtime: bool,
}

/// How the time stands in a name.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// How many names, a millisecond apart, are tried before giving up. More than that are taken only on a broken clock.
const NAMES_TRIED: u64 = 1000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Rotation {
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_megabytes.saturating_mul(1 << 20)
    }

    /// Gives the file at `path` the name of this moment.
    pub(super) async fn put_aside(&self, path: &Path, now: SystemTime) -> io::Result<()> {
        for later in 0..NAMES_TRIED {
            let aside = self.aside(path, now + Duration::from_millis(later))?;
            if !fs::try_exists(&aside).await? {
                return fs::rename(path, aside).await;
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name of this second is taken"))
    }

    /// Removes what is too old or too much.
    pub(super) async fn prune(&self, path: &Path, now: SystemTime) -> io::Result<()> {
        let mut aside = self.all(path).await?;
        // The newest first.
        aside.sort_by(|(one, _), (other, _)| other.cmp(one));
        let oldest = Duration::checked_mul(DAY, u32::try_from(self.max_days).unwrap_or(u32::MAX))
            .filter(|age| !age.is_zero())
            .and_then(|age| now.checked_sub(age));
        for (i, (time, file)) in aside.into_iter().enumerate() {
            let too_many = self.max_backups > 0 && i >= self.max_backups;
            if too_many || oldest.is_some_and(|oldest| time < oldest) {
                fs::remove_file(file).await?;
            }
        }
        Ok(())
    }

    /// The files that were put aside, with their times.
    async fn all(&self, path: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut found = Vec::new();
        let mut folder = fs::read_dir(folder(path)).await?;
        while let Some(entry) = folder.next_entry().await? {
            if let Some(time) = entry.file_name().to_str().and_then(|name| self.time_of(path, name)) {
                found.push((time, entry.path()));
            }
        }
        Ok(found)
    }

    fn zone(&self) -> TimeZone {
        if self.localtime { TimeZone::system() } else { TimeZone::UTC }
    }

    fn aside(&self, path: &Path, now: SystemTime) -> io::Result<PathBuf> {
        let (stem, extension) = parts(path);
        let now = self.zone().to_datetime(Timestamp::try_from(now).map_err(io::Error::other)?);
        Ok(folder(path).join(format!("{stem}-{}{extension}", now.strftime(TIME))))
    }

    /// The time in the name of a file that was put aside; `None` for any other file.
    fn time_of(&self, path: &Path, name: &str) -> Option<SystemTime> {
        let (stem, extension) = parts(path);
        let time = name.strip_prefix(&*stem)?.strip_prefix('-')?.strip_suffix(&*extension)?;
        let time = self.zone().to_timestamp(DateTime::strptime(TIME, time).ok()?).ok()?;
        SystemTime::try_from(time).ok()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `data` and `.json`.
fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    (stem, extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(max_days: u64, max_backups: usize) -> Rotation {
        Rotation { max_megabytes: 1, max_days, max_backups, localtime: false }
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().expect("a time").try_into().expect("not that long ago")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_put_aside_has_the_time_in_its_name_and_takes_no_others_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = at("2022-09-14T05:02:14.173Z");
        for (name, first, second) in [
            ("data.json", "data-2022-09-14T05-02-14.173.json", "data-2022-09-14T05-02-14.174.json"),
            ("plain", "plain-2022-09-14T05-02-14.173", "plain-2022-09-14T05-02-14.174"),
        ] {
            let path = folder.path().join(name);
            for expected in [first, second] {
                std::fs::write(&path, expected).expect("a file");
                rotation(0, 0).put_aside(&path, now).await.expect("a free name");
                let kept = std::fs::read_to_string(folder.path().join(expected)).expect("put aside");
                assert_eq!(kept, expected);
            }
        }
        let local = Rotation { localtime: true, ..rotation(0, 0) };
        let aside = local.aside(Path::new("data.json"), now).expect("a name");
        assert_eq!(local.time_of(Path::new("data.json"), &aside.to_string_lossy()[2..]), Some(now), "{aside:?}");
    }

    #[tokio::test]
    async fn removes_what_is_too_old_or_too_much_and_nothing_else() {
        let old = "data-2022-09-10T00-00-00.000.json";
        let middle = "data-2022-09-13T00-00-00.000.json";
        let new = "data-2022-09-14T00-00-00.000.json";
        let others = ["data-old.json", "data.json", "other-2022-09-10T00-00-00.000.json"];
        let now = at("2022-09-14T05:00:00Z");
        for (rotation, expected) in [
            (rotation(0, 0), vec![old, middle, new]),
            (rotation(0, 2), vec![middle, new]),
            (rotation(3, 0), vec![middle, new]),
            (rotation(1, 0), vec![new]),
            (rotation(1, 1), vec![new]),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            for name in [old, middle, new].iter().chain(&others) {
                std::fs::write(folder.path().join(name), "").expect("a file");
            }
            rotation.prune(&folder.path().join("data.json"), now).await.expect("all are ours");
            let mut expected: Vec<&str> = expected.into_iter().chain(others).collect();
            expected.sort_unstable();
            assert_eq!(names(folder.path()), expected);
        }
    }
}
