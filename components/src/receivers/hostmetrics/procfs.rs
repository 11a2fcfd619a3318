//! Reading the small text files of `/proc` and `/sys`.
//!
//! A file is read whole into a buffer that it keeps, and parsed as bytes: no line is copied. Files are opened anew for
//! each collection, so that nothing is pinned. Deliberately absent: any meaning of what the files say.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Error;

/// The most that is read of one file, in bytes. `/proc/stat` and `mountinfo` of very large machines stay below 1 MiB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// How much of a line an error shows, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// Where the host's files are.
#[derive(Clone, Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    /// The host whose root directory is here.
    pub(super) fn new(path: &Path) -> Self {
        Root(path.to_owned())
    }

    /// The path beneath the root of what the host calls `path`.
    pub(super) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The file that the host calls `path`.
    pub(super) fn file(&self, path: impl AsRef<Path>) -> File {
        File::new(self.join(path))
    }

    /// The file `name` of the process whose network and mounts are the host's. That is this one, unless the host's root is
    /// mounted into a container: then the container's own are of no interest, and the host's first process has them.
    pub(super) fn namespace_file(&self, name: &str) -> File {
        let process = if self.0 == Path::new("/") { "self" } else { "1" };
        self.file(Path::new("/proc").join(process).join(name))
    }
}

/// A file that is read again and again.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    content: Vec<u8>,
}

impl File {
    /// The file at this path.
    pub(super) fn new(path: PathBuf) -> Self {
        File { path, content: Vec::new() }
    }

    /// Reads the file and hands its content to `parse`.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 4 MiB, or is not what `parse` expects.
    pub(super) fn read<T>(&mut self, parse: impl FnOnce(&[u8]) -> Result<T, Malformed>) -> Result<T, Error> {
        self.fill().map_err(|source| Error::Read { path: self.path.clone(), source })?;
        parse(&self.content).map_err(|source| self.malformed(source))
    }

    /// The error of a file whose content is not understood.
    pub(super) fn malformed(&self, source: Malformed) -> Error {
        Error::Parse { path: self.path.clone(), source }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.content.clear();
        let read = fs::File::open(&self.path)?.take(MAX_FILE_BYTES).read_to_end(&mut self.content)?;
        // What may have been cut off is not guessed at.
        if u64::try_from(read).is_ok_and(|read| read < MAX_FILE_BYTES) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::FileTooLarge))
        }
    }
}

/// What is not understood in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// This line.
    #[error("unexpected `{0}`")]
    Line(String),
    /// What should be there and is not.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

impl Malformed {
    /// The error of a line, of which the start is kept to be shown.
    pub(super) fn line(line: &[u8]) -> Self {
        Malformed::Line(String::from_utf8_lossy(line).trim().chars().take(MAX_SHOWN_CHARS).collect())
    }
}

/// The lines, without their ends; empty ones are left out.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line, whatever blanks stand between them.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The number that a word is. Numbers that do not fit are none.
pub(super) fn number<T: FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The numbers that the next words are; `None` if there are too few, or one is no number.
pub(super) fn numbers<'a, const N: usize>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for slot in &mut numbers {
        *slot = number(words.next()?)?;
    }
    Some(numbers)
}

/// What the kernel counts unsigned, as the instruments take it. Beyond their range it stays at its end.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A part of a whole, from 0 to 1; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a ratio of byte counts needs no more than 53 bits")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Seconds from a count of `per_second`ths.
#[expect(clippy::cast_precision_loss, reason = "53 bits of milliseconds are 285,000 years")]
pub(super) fn seconds(count: u64, per_second: u64) -> f64 {
    count as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_host_stays_beneath_the_root() {
        let root = Root::new(Path::new("/hostfs"));
        assert_eq!(root.join("/proc/stat"), Path::new("/hostfs/proc/stat"));
        assert_eq!(root.join("/"), Path::new("/hostfs/"));
        assert_eq!(Root::new(Path::new("/")).join("/proc/stat"), Path::new("/proc/stat"));
    }

    #[test]
    fn in_a_container_the_first_process_has_the_hosts_namespaces() {
        assert_eq!(Root::new(Path::new("/hostfs")).namespace_file("net/dev").path, Path::new("/hostfs/proc/1/net/dev"));
        assert_eq!(Root::new(Path::new("/")).namespace_file("net/dev").path, Path::new("/proc/self/net/dev"));
    }

    #[test]
    fn a_number_is_read_whole_or_not_at_all() {
        assert_eq!(number::<u64>(b"18446744073709551615"), Some(u64::MAX));
        for word in ["18446744073709551616", "-1", "1x", "", "\u{661}"] {
            assert_eq!(number::<u64>(word.as_bytes()), None, "{word}");
        }
        assert_eq!(numbers(words(b" 1\t22  3 ")), Some([1, 22, 3]));
        assert_eq!(numbers::<4>(words(b" 1\t22  3 ")), None);
        assert_eq!(numbers::<2>(words(b"1 two")), None);
        assert_eq!((signed(7), signed(u64::MAX)), (7, i64::MAX));
        assert_eq!((ratio(1, 4), ratio(1, 0)), (0.25, 0.0));
    }

    #[test]
    fn a_file_that_is_missing_or_too_large_is_an_error_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let missing = root.file("/proc/stat").read(|_| Ok(())).unwrap_err();
        assert_eq!(missing.to_string(), format!("cannot read {}", root.join("/proc/stat").display()));

        fs::File::create(root.join("large")).unwrap().set_len(MAX_FILE_BYTES).unwrap();
        assert!(matches!(root.file("/large").read(|_| Ok(())), Err(Error::Read { .. })));
    }

    #[test]
    fn a_long_line_is_cut_in_its_error() {
        let Malformed::Line(shown) = Malformed::line(&[b'x'; 5000]) else { panic!("the error is of a line") };
        assert_eq!(shown.len(), MAX_SHOWN_CHARS);
    }
}
