//! The open file: whole records, and nothing of one that failed.

use std::fs::TryLockError;
use std::io::{self, SeekFrom};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tracecore::time::Instant;

use super::rotation::Rotation;
use super::{Config, Error};
use crate::file_format::is_lines;

/// A file that is being written. What is appended goes to its end.
pub(super) struct Sink {
    file: File,
    /// The bytes of whole records.
    size: u64,
    /// Part of a record may stand behind them.
    torn: bool,
    synced: Instant,
    unsynced: bool,
}

impl Sink {
    /// Opens the file, which keeps what it holds or not.
    pub(super) async fn open(config: &Config, keeps: bool) -> Result<Self, Error> {
        let failed = |source| Error::Open { path: config.path.clone(), source };
        if config.create_directory
            && let Some(folder) = config.path.parent()
        {
            fs::create_dir_all(folder).await.map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).read(true).open(&config.path).await.map_err(failed)?;
        let file = locked(file).await.map_err(failed)?.ok_or_else(|| Error::InUse(config.path.clone()))?;
        if !keeps {
            // Only now that it is known to be ours.
            file.set_len(0).await.map_err(failed)?;
        }
        let size = file.metadata().await.map_err(failed)?.len();
        let mut sink = Sink { file, size, torn: false, synced: Instant::now(), unsynced: false };
        if is_lines(config.format, config.compression) {
            sink.end_last_line().await.map_err(failed)?;
        }
        Ok(sink)
    }

    /// Whether `more` bytes would make the file larger than it may become. An empty one takes whatever comes.
    pub(super) fn is_full(&self, rotation: &Rotation, more: usize) -> bool {
        self.size > 0 && self.size.saturating_add(more as u64) > rotation.max_bytes()
    }

    /// Appends a record. If it fails, or nobody waits for it any more, the next one takes its place.
    pub(super) async fn write(&mut self, record: &[u8], config: &Config) -> Result<(), Error> {
        self.append(record).await.map_err(|source| config.failed(source))?;
        if self.synced.elapsed() >= config.flush_interval.get() { self.sync(config).await } else { Ok(()) }
    }

    async fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.size).await?;
        }
        self.torn = true;
        self.file.write_all(record).await?;
        self.file.flush().await?;
        self.torn = false;
        self.unsynced = true;
        self.size += record.len() as u64;
        Ok(())
    }

    /// Forces what was written onto the disk, without what is torn.
    pub(super) async fn sync(&mut self, config: &Config) -> Result<(), Error> {
        self.force().await.map_err(|source| config.failed(source))
    }

    async fn force(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.size).await?;
            self.torn = false;
        }
        if self.unsynced {
            self.file.sync_data().await?;
            self.unsynced = false;
        }
        self.synced = Instant::now();
        Ok(())
    }

    /// A collector that was killed may have left half a line, on which the next must not go on.
    async fn end_last_line(&mut self) -> io::Result<()> {
        if self.size == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1)).await?;
        self.file.read_exact(&mut last).await?;
        if last == *b"\n" { Ok(()) } else { self.append(b"\n").await }
    }
}

/// The file, if nobody else has it. Where the filesystem has no locks, everybody may have it.
async fn locked(file: File) -> io::Result<Option<File>> {
    let file = file.into_std().await;
    match file.try_lock() {
        Ok(()) => Ok(Some(File::from_std(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(File::from_std(file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tracecore::prelude::Period;

    use super::*;
    use crate::file_format::{Compression, Format};

    #[tokio::test]
    async fn a_write_that_is_given_up_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            path: folder.path().join("f"),
            format: Format::Json,
            compression: Compression::None,
            rotation: None,
            append: false,
            flush_interval: Period::minutes(60),
            create_directory: false,
        };
        let mut sink = Sink::open(&config, false).await.expect("a new file");
        sink.write(b"first\n", &config).await.expect("room");
        let large = vec![b'x'; 8 << 20];
        let mut expected = b"first\n".to_vec();
        // Its caller goes away while it is under way; on a busy machine it may have come to its end before.
        while sink.write(&large, &config).now_or_never().is_some() {
            expected.extend(&large);
        }
        sink.write(b"second\n", &config).await.expect("room");
        expected.extend(b"second\n");
        while sink.write(&large, &config).now_or_never().is_some() {
            expected.extend(&large);
        }
        sink.sync(&config).await.expect("a disk");
        assert!(std::fs::read(&config.path).expect("the file") == expected, "whole records, and nothing of a torn one");
    }
}
