//! The `file` receiver: replays what the `file` exporter, here or in the Collector, has kept.
//!
//! The files are read once, one after the other in the order of their names, as fast as the pipelines take them; then it
//! idles. A batch that is refused for now waits and is sent again. What cannot be read costs itself and nothing else: it
//! is counted, and told of with its file and place. Deliberately absent: following files that grow.

mod records;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use glob::{Pattern, PatternError, glob};
use tracecore::otlp::compression::{DecompressError, Encoding, decompress};
use tracecore::otlp::json::{self, JsonError};
use tracecore::prelude::*;
use tracecore::signal::WireError;

use crate::file_format::{Compression, Format, is_lines};

use records::{Next, Place, Records};

/// The largest request that is read by default: sixteen times the largest that a gRPC server takes by default.
const MAX_RECORD_SIZE: ByteSize = ByteSize::mib(64);

/// How long finding the files may take: a folder on a dead network filesystem would hold it for ever.
const SEARCH_DEADLINE: Duration = Duration::from_secs(30);

/// How many errors of one file are told of each; the others are counted.
const TOLD: u64 = 10;

/// Replays files of OTLP, in JSON or protobuf.
#[receiver(
    "file",
    aliases = ["otlpjsonfile"],
    config = Config,
    error = Error,
    example = "include: [./telemetry.jsonl]",
)]
struct File {
    config: Config,
}

/// Settings of the `file` receiver.
#[config]
struct Config {
    /// The files, as paths with `*`, `?`, `[…]` and `**`.
    include: Vec<String>,
    /// Which of them are left out, in the same way.
    #[default]
    exclude: Vec<String>,
    /// How the requests are written: uncompressed JSON a line each, anything else with their length before them.
    #[default(Format::Json)]
    format: Format,
    /// How the requests are compressed, each by itself.
    #[default(Compression::None)]
    compression: Compression,
    /// What the files hold. JSON says so itself, protobuf does not: there it is needed, and a file holds one signal.
    signal: Option<Kept>,
    /// The largest request that is read, also when decompressed; larger ones are passed over.
    #[default(MAX_RECORD_SIZE)]
    max_record_size: ByteSize,
}

/// A signal.
#[config]
#[derive(Copy)]
enum Kept {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// `include` names nothing.
    #[error("include: expected at least one path")]
    #[kind(Init)]
    NothingIncluded,
    /// A path that is no pattern.
    #[error("`{0}` is not a path with wildcards")]
    #[kind(Init)]
    Pattern(String, #[source] PatternError),
    /// Protobuf without `signal`.
    #[error("signal: protobuf does not say what it holds; write `signal: traces`, `metrics` or `logs`")]
    #[kind(Init)]
    NoSignal,
    /// The files cannot be listed.
    #[error("cannot look for the files")]
    #[kind(Enumerate)]
    Search(#[source] Blocked),
    /// There is no such file.
    #[error("no file matches `{0}`")]
    #[kind(Enumerate)]
    NoFile(String),
    /// A file cannot be opened or read.
    #[error("cannot read {0}")]
    #[kind(Read)]
    Read(PathBuf, #[source] io::Error),
    /// A request is too large.
    #[error("{0}: larger than max_record_size")]
    #[kind(Parse)]
    TooLarge(Place),
    /// The file ends in the middle of a request.
    #[error("{0}: cut short")]
    #[kind(Parse)]
    CutShort(Place),
    /// It is not compressed as it should be.
    #[error("{0}")]
    #[kind(Parse)]
    Compressed(Place, #[source] DecompressError),
    /// It is JSON of no signal, or no JSON.
    #[error("{0}: not OTLP/JSON: expected an object with `resourceSpans`, `resourceMetrics` or `resourceLogs`")]
    #[kind(Parse)]
    NoRequest(Place),
    /// It is no OTLP/JSON.
    #[error("{0}")]
    #[kind(Parse)]
    Json(Place, #[source] JsonError),
    /// It is no OTLP protobuf.
    #[error("{0}")]
    #[kind(Parse)]
    Proto(Place, #[source] WireError),
}

impl Receiver for File {
    fn new(config: Config) -> Result<Self, Error> {
        if config.include.is_empty() {
            return Err(Error::NothingIncluded);
        }
        for pattern in config.include.iter().chain(&config.exclude) {
            Pattern::new(pattern).map_err(|error| Error::Pattern(pattern.clone(), error))?;
        }
        if config.format == Format::Proto && config.signal.is_none() {
            return Err(Error::NoSignal);
        }
        Ok(File { config })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Error> {
        let (include, exclude) = (self.config.include.clone(), self.config.exclude.clone());
        let search = cx.blocking("file_search", SEARCH_DEADLINE, move || search(&include, &exclude)).await;
        let Search { files, problems } = search.map_err(Error::Search)?;
        problems.iter().for_each(|problem| cx.report(problem));
        for file in files {
            match self.replay(&file, &mut cx).await {
                Ok(Replay::Whole(requests)) => {
                    tracing::info!(component = %cx.id(), file = %file.display(), requests, "replayed a file");
                }
                Ok(Replay::Stopped) => return Ok(()),
                Err(error) => cx.report(&Error::Read(file, error)),
            }
        }
        cx.shutdown_requested().await;
        Ok(())
    }
}

/// How far a file was replayed.
enum Replay {
    /// To its end: this many requests.
    Whole(u64),
    /// As far as a shutdown let it.
    Stopped,
}

impl File {
    async fn replay(&self, file: &Path, cx: &mut Cx<Self>) -> io::Result<Replay> {
        let lines = is_lines(self.config.format, self.config.compression);
        let mut records = Records::open(file, lines, self.max_record()).await?;
        let (mut requests, mut errors) = (0, 0);
        loop {
            let Some(next) = cx.until_shutdown(records.next()).await else { return Ok(Replay::Stopped) };
            let read = match next? {
                Next::End => return Ok(Replay::Whole(requests)),
                Next::TooLarge => Err(Error::TooLarge(records.place())),
                Next::CutShort => Err(Error::CutShort(records.place())),
                Next::Record(record) => self.decode(record, &records),
            };
            match read {
                Ok(batch) => {
                    requests += 1;
                    if !deliver(&batch, cx).await {
                        return Ok(Replay::Stopped);
                    }
                }
                Err(error) => {
                    errors += 1;
                    if errors <= TOLD { cx.report(&error) } else { cx.count(&error) }
                }
            }
        }
    }

    fn decode(&self, record: Vec<u8>, records: &Records) -> Result<Batch, Error> {
        let mut record = Bytes::from(record);
        if self.config.compression == Compression::Zstd {
            let whole = decompress(Encoding::Zstd, &record, self.max_record());
            record = whole.map_err(|error| Error::Compressed(records.place(), error))?;
        }
        let told = self.config.signal.map(|signal| match signal {
            Kept::Traces => Signal::Traces,
            Kept::Metrics => Signal::Metrics,
            Kept::Logs => Signal::Logs,
        });
        match self.config.format {
            Format::Proto => {
                let signal = told.expect("checked when the receiver was made");
                Batch::validate(signal, record).map_err(|error| Error::Proto(records.place(), error))
            }
            Format::Json => {
                let signal = told.or_else(|| json::signal_of(&record));
                let signal = signal.ok_or_else(|| Error::NoRequest(records.place()))?;
                json::decode(signal, &record).map_err(|error| Error::Json(records.place(), error))
            }
        }
    }

    fn max_record(&self) -> usize {
        usize::try_from(self.config.max_record_size.get()).unwrap_or(usize::MAX)
    }
}

/// Sends a batch until it is taken or refused for good, which the runtime counts; false if a shutdown came first.
async fn deliver(batch: &Batch, cx: &mut Cx<File>) -> bool {
    loop {
        match cx.emit(batch.clone()).await {
            Verdict::Accepted | Verdict::Refused(Refusal::Permanent) => return true,
            Verdict::Refused(Refusal::Retryable { after }) => {
                if !cx.delay(after).await {
                    return false;
                }
            }
        }
    }
}

/// The files to replay, and what is wrong with some of them.
struct Search {
    files: Vec<PathBuf>,
    problems: Vec<Error>,
}

fn search(include: &[String], exclude: &[String]) -> Search {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let excluded: Vec<Pattern> = exclude.iter().filter_map(|pattern| Pattern::new(pattern).ok()).collect();
    for pattern in include {
        let before = files.len();
        // Every pattern was checked when the receiver was made.
        for found in glob(pattern).into_iter().flatten() {
            match found {
                Ok(file) if file.is_dir() => {}
                Ok(file) => files.push(file),
                Err(error) => problems.push(Error::Read(error.path().to_owned(), error.into())),
            }
        }
        if files.len() == before {
            problems.push(Error::NoFile(pattern.clone()));
        }
    }
    files.retain(|file| !excluded.iter().any(|pattern| pattern.matches_path(file)));
    files.sort();
    files.dedup();
    Search { files, problems }
}
