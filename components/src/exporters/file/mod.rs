//! The `file` exporter: keeps what its pipelines carry, for people and to be replayed.
//!
//! A batch is delivered once it is in the file: whole, as one line or one frame ([`crate::file_format`]). A write that
//! fails or is given up leaves nothing behind: what it wrote is cut off before the next one. Keys and defaults are those of
//! the Collector's `file` exporter, and so is it that a file without rotation is emptied at the start unless `append` is
//! set. Deliberately absent: paths that depend on the data (`group_by`).

mod rotation;
mod sink;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::sync::Mutex;
use tracecore::otlp::compression::{CompressError, Compressor, Encoding};
use tracecore::otlp::json;
use tracecore::prelude::*;

use crate::file_format::{Compression, Format, LENGTH, is_lines};

use rotation::Rotation;
use sink::Sink;

/// Writes batches to a file as OTLP, in JSON or protobuf.
#[exporter(
    "file",
    aliases = ["fileexporter"],
    config = Config,
    error = Error,
    example = "path: ./telemetry.jsonl",
)]
struct File {
    config: Config,
    compressor: Compressor,
    /// None before the start, and between an old file and a new one that could not be opened.
    sink: Mutex<Option<Sink>>,
}

/// Settings of the `file` exporter.
#[config]
struct Config {
    /// The file.
    path: PathBuf,
    /// How batches are written: uncompressed JSON a line each, anything else with their length before them.
    #[default(Format::Json)]
    format: Format,
    /// How batches are compressed, each by itself.
    #[default(Compression::None)]
    compression: Compression,
    /// When the file is put aside and a new one begun. Without this key: never.
    rotation: Option<Rotation>,
    /// Whether what the file holds at the start stays. With `rotation` it always stays.
    #[default(false)]
    append: bool,
    /// What was written is forced onto the disk with the first batch after this time, and at the stop. Without that, the
    /// system does it within half a minute, and a crash of the machine loses that much.
    #[default(Period::secs(1))]
    flush_interval: Period,
    /// Whether the folder of the file is made if it is not there.
    #[default(false)]
    create_directory: bool,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// `rotation.max_megabytes` is 0.
    #[error("rotation.max_megabytes: expected at least 1; without the key `rotation` a file is never put aside")]
    #[kind(Init)]
    NoSize,
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    #[kind(Init)]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another exporter or another program has it.
    #[error("{0} is being written by another exporter or another collector: each needs a file of its own")]
    #[kind(Init)]
    InUse(PathBuf),
    /// A write or a rename failed.
    #[error("cannot write {path}")]
    #[kind(Io, retry)]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no memory to compress it.
    #[error("cannot compress a batch")]
    #[kind(Marshal, retry)]
    Compress(#[from] CompressError),
    /// It is longer than four bytes can say.
    #[error("a batch of {0} bytes does not fit a frame of at most 4 GiB")]
    #[kind(Marshal, permanent)]
    TooLarge(usize),
}

impl Exporter for File {
    fn new(config: Config) -> Result<Self, Error> {
        if config.rotation.as_ref().is_some_and(|rotation| rotation.max_megabytes == 0) {
            return Err(Error::NoSize);
        }
        let encoding = match config.compression {
            Compression::None => Encoding::Identity,
            Compression::Zstd => Encoding::Zstd,
        };
        let compressor = Compressor::new(encoding, None).expect("every encoding has a default level");
        Ok(File { config, compressor, sink: Mutex::default() })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), Error> {
        let keeps = self.config.append || self.config.rotation.is_some();
        *self.sink.get_mut() = Some(Sink::open(&self.config, keeps).await?);
        Ok(())
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), Error> {
        let record = self.record(batch)?;
        let mut held = self.sink.lock().await;
        if let (Some(sink), Some(rotation)) = (held.as_mut(), &self.config.rotation)
            && sink.is_full(rotation, record.len())
        {
            sink.sync(&self.config).await?;
            // From here on the old file has another name: whatever fails, nothing more is written to it.
            *held = None;
            self.rotate(rotation, cx).await?;
        }
        let sink = match held.take() {
            Some(sink) => held.insert(sink),
            None => held.insert(Sink::open(&self.config, true).await?),
        };
        sink.write(&record, &self.config).await
    }

    async fn stop(&self, cx: &Cx<Self>) {
        if let Some(sink) = self.sink.lock().await.as_mut()
            && let Err(error) = sink.sync(&self.config).await
        {
            let error = tracecore::error::Report(&error);
            tracing::warn!(component = %cx.id(), %error, "what was written last may not be on the disk");
        }
    }
}

impl File {
    /// Puts the file aside, which is closed, and removes those that were put aside long ago.
    async fn rotate(&self, rotation: &Rotation, cx: &Cx<Self>) -> Result<(), Error> {
        let path = &self.config.path;
        rotation.put_aside(path, cx.now()).await.map_err(|source| self.config.failed(source))?;
        if let Err(error) = rotation.prune(path, cx.now()).await {
            tracing::warn!(component = %cx.id(), %error, path = %path.display(), "cannot remove old files");
        }
        Ok(())
    }

    /// The batch as it stands in the file.
    fn record(&self, batch: &Batch) -> Result<Vec<u8>, Error> {
        let Config { format, compression, .. } = self.config;
        if is_lines(format, compression) {
            let mut line = json::encode(batch);
            line.push(b'\n');
            return Ok(line);
        }
        let body = match format {
            Format::Json => self.compressor.compress(&[Bytes::from(json::encode(batch))])?,
            Format::Proto => self.compressor.compress(batch.parts())?,
        };
        let length = u32::try_from(body.len()).map_err(|_| Error::TooLarge(body.len()))?;
        let mut frame = Vec::with_capacity(LENGTH + body.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&body);
        Ok(frame)
    }
}

impl Config {
    fn failed(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}
