//! One record after the other out of a file, none of them larger than the limit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::file_format::LENGTH;

/// How much is read at once, in bytes: a batch of ordinary size.
const BUFFER: usize = 256 << 10;

/// A file that is being read.
pub(super) struct Records {
    path: PathBuf,
    input: BufReader<File>,
    lines: bool,
    max: usize,
    /// The number of the record at hand, from 1.
    number: u64,
    /// Where the record at hand begins, and the next one.
    start: u64,
    end: u64,
}

/// What comes next.
pub(super) enum Next {
    /// A record.
    Record(Vec<u8>),
    /// A record that is larger than the limit, and was passed over.
    TooLarge,
    /// The beginning of a record, and then nothing more.
    CutShort,
    /// Nothing.
    End,
}

/// Where a record stands.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    lines: bool,
    number: u64,
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { path, lines, number, offset } = self;
        let path = path.display();
        if *lines { write!(f, "{path}:{number}") } else { write!(f, "{path}: record {number} at byte {offset}") }
    }
}

impl Records {
    /// Opens a file of lines, or of frames.
    pub(super) async fn open(path: &Path, lines: bool, max: usize) -> io::Result<Self> {
        let input = BufReader::with_capacity(BUFFER, File::open(path).await?);
        Ok(Records { path: path.to_owned(), input, lines, max, number: 0, start: 0, end: 0 })
    }

    /// Where the record that came last stands.
    pub(super) fn place(&self) -> Place {
        Place { path: self.path.clone(), lines: self.lines, number: self.number, offset: self.start }
    }

    /// The next record. Empty lines are none.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        loop {
            self.start = self.end;
            self.number += 1;
            let next = if self.lines { self.line().await? } else { self.frame().await? };
            match next {
                Next::Record(record) if self.lines && record.trim_ascii().is_empty() => {}
                next => return Ok(next),
            }
        }
    }

    async fn line(&mut self) -> io::Result<Next> {
        // The line feed is not the record's.
        let limit = (self.max as u64).saturating_add(1);
        let mut line = Vec::new();
        self.end += (&mut self.input).take(limit).read_until(b'\n', &mut line).await? as u64;
        match line.last() {
            None => Ok(Next::End),
            Some(b'\n') => {
                line.pop();
                Ok(Next::Record(line))
            }
            // The last line of a file may have none.
            Some(_) if line.len() <= self.max => Ok(Next::Record(line)),
            Some(_) => {
                self.skip_line().await?;
                Ok(Next::TooLarge)
            }
        }
    }

    async fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let read = self.input.fill_buf().await?;
            let line_feed = read.iter().position(|byte| *byte == b'\n');
            let length = line_feed.map_or(read.len(), |at| at + 1);
            let done = line_feed.is_some() || read.is_empty();
            self.input.consume(length);
            self.end += length as u64;
            if done {
                return Ok(());
            }
        }
    }

    async fn frame(&mut self) -> io::Result<Next> {
        let length = self.take(LENGTH as u64).await?;
        let length = match <[u8; LENGTH]>::try_from(length.as_slice()) {
            Ok(length) => u64::from(u32::from_be_bytes(length)),
            Err(_) if length.is_empty() => return Ok(Next::End),
            Err(_) => return Ok(Next::CutShort),
        };
        if length > self.max as u64 {
            let skipped = tokio::io::copy_buf(&mut (&mut self.input).take(length), &mut tokio::io::sink()).await?;
            self.end += skipped;
            return Ok(if skipped < length { Next::CutShort } else { Next::TooLarge });
        }
        let record = self.take(length).await?;
        Ok(if (record.len() as u64) < length { Next::CutShort } else { Next::Record(record) })
    }

    /// As many bytes, or what is left. Room is made for what is there, not for what is announced.
    async fn take(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.end += (&mut self.input).take(length).read_to_end(&mut bytes).await? as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a file with these bytes, each with its place.
    async fn read(bytes: &[u8], lines: bool, max: usize) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        std::fs::write(&path, bytes).expect("a file");
        let mut records = Records::open(&path, lines, max).await.expect("it is there");
        let mut read = Vec::new();
        loop {
            let what = match records.next().await.expect("it can be read") {
                Next::End => return read,
                Next::Record(record) => String::from_utf8(record).expect("text"),
                Next::TooLarge => "too large".to_owned(),
                Next::CutShort => "cut short".to_owned(),
            };
            let place = records.place().to_string();
            read.push(format!("{}{what}", place.rsplit_once("/f").expect("the path").1));
        }
    }

    #[tokio::test]
    async fn lines_are_numbered_and_a_long_one_costs_itself() {
        assert_eq!(read(b"", true, 4).await, [""; 0]);
        assert_eq!(read(b"a\n\n \nbcde\nlonger\nf", true, 4).await, [":1a", ":4bcde", ":5too large", ":6f"]);
        assert_eq!(read(b"longer", true, 4).await, [":1too large"]);
        let long = [vec![b'x'; 3 * BUFFER], b"\nb\n".to_vec()].concat();
        assert_eq!(read(&long, true, 4).await, [":1too large", ":2b"]);
    }

    #[tokio::test]
    async fn frames_are_numbered_and_a_long_one_costs_itself() {
        let frames = b"\0\0\0\x01a\0\0\0\x05bcdef\0\0\0\x04ghij";
        let expected = [": record 1 at byte 0a", ": record 2 at byte 5too large", ": record 3 at byte 14ghij"];
        assert_eq!(read(frames, false, 4).await, expected);
        assert_eq!(read(b"", false, 4).await, [""; 0]);
        for cut in [&b"\0\0"[..], b"\0\0\0\x02a", b"\xFF\xFF\xFF\xFFabc"] {
            assert_eq!(read(cut, false, 4).await, [": record 1 at byte 0cut short"]);
        }
    }
}
