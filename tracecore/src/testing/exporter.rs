//! The `test_sink` exporter: answers each attempt as its test wants, and keeps what it took.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::ceiling::within_ceiling;
use super::component;
use super::script::{Scripts, Settings, Start, Starts, lock};
use crate::component::Exporter;
use crate::cx::Cx;
use crate::error::{Classify, ErrorKind, Retry};
use crate::signal::Batch;

static SCRIPTS: Scripts<Script> = Scripts::new();

struct TestSink {
    script: Arc<Script>,
}

component! {
    /// Answers as a test wants, and keeps what it took.
    exporter Exporter "test_sink" TestSink, ExportFailure
}

/// What an attempt of a [`RecordingExporter`] can fail with.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportFailure {
    /// The key is nobody's. Kind `init`.
    #[error("there is no script `{0}`")]
    NoScript(String),
    /// Worth another attempt. Kind `connect`.
    #[error("the other side is away")]
    Away,
    /// Worth another attempt, after a while. Kind `io`.
    #[error("the other side is busy")]
    Busy {
        /// How long the other side wants to be left alone.
        after: Duration,
    },
    /// Not worth another attempt. Kind `marshal`.
    #[error("the other side refuses it")]
    Refused,
}

impl Classify for ExportFailure {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Init, ErrorKind::Connect, ErrorKind::Io, ErrorKind::Marshal];

    fn kind(&self) -> ErrorKind {
        match self {
            ExportFailure::NoScript(_) => ErrorKind::Init,
            ExportFailure::Away => ErrorKind::Connect,
            ExportFailure::Busy { .. } => ErrorKind::Io,
            ExportFailure::Refused => ErrorKind::Marshal,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            ExportFailure::NoScript(_) | ExportFailure::Away | ExportFailure::Busy { .. } => Retry::Yes,
            ExportFailure::Refused => Retry::Permanent,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ExportFailure::Busy { after } => Some(*after),
            ExportFailure::NoScript(_) | ExportFailure::Away | ExportFailure::Refused => None,
        }
    }
}

/// What becomes of one attempt of a [`RecordingExporter`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The batch is taken.
    Accept,
    /// The batch is taken without this many items.
    AcceptWithout(u64),
    /// The batch is taken after so long.
    AcceptAfter(Duration),
    /// The attempt fails.
    Fail(ExportFailure),
    /// The attempt waits for [`RecordingExporter::release`], then the batch is taken.
    Stall,
    /// The exporter panics.
    Panic,
    /// The attempt waits for [`RecordingExporter::release`], then the exporter panics.
    StallThenPanic,
}

type Answers = Box<dyn FnMut(&Batch) -> Answer + Send>;

struct Script {
    answers: Mutex<Answers>,
    taken: Mutex<Vec<Batch>>,
    calls: mpsc::UnboundedSender<Batch>,
    gate: Semaphore,
    start: Starts,
    /// Closed: a stop waits until it is opened.
    stops: Semaphore,
}

/// The far end of a `test_sink`: an exporter that keeps what it takes. Its text is the key for the YAML.
///
/// It takes everything ([`new`](Self::new)), fails ([`failing`](Self::failing), [`failing_times`](Self::failing_times)),
/// takes its time ([`slow`](Self::slow)), or answers each attempt with a closure ([`scripted`](Self::scripted)).
///
/// ```
/// use std::time::Duration;
///
/// use tracecore::testing::{ExportFailure, RecordingExporter, ScriptedReceiver, TestService, metrics, pipeline};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
/// # runtime.expect("a runtime").block_on(async {
/// let busy = ExportFailure::Busy { after: Duration::from_secs(30) };
/// let (receiver, mut exporter) = (ScriptedReceiver::new(), RecordingExporter::failing_times(1, busy));
/// let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// receiver.emit(metrics("cpu.time", 3)).await;
/// exporter.called().await;
/// assert!(exporter.taken().is_empty(), "the first attempt failed");
/// // The clock is paused: half a minute is over as soon as nothing else is left to do.
/// exporter.called().await;
/// service.stop().await;
/// assert_eq!(exporter.items(), 3);
/// # });
/// ```
pub struct RecordingExporter {
    key: String,
    script: Arc<Script>,
    called: mpsc::UnboundedReceiver<Batch>,
}

impl Default for RecordingExporter {
    fn default() -> Self {
        let (calls, called) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            answers: Mutex::new(Box::new(|_| Answer::Accept)),
            taken: Mutex::default(),
            calls,
            gate: Semaphore::new(0),
            start: Starts::default(),
            stops: Semaphore::new(1),
        });
        RecordingExporter { key: SCRIPTS.keep("sink", &script), script, called }
    }
}

impl RecordingExporter {
    /// An exporter that takes everything.
    pub fn new() -> Self {
        RecordingExporter::default()
    }

    /// An exporter that fails every attempt alike. Its failure says whether another attempt is worth it, and when.
    pub fn failing(failure: ExportFailure) -> Self {
        RecordingExporter::answering(Answer::Fail(failure))
    }

    /// An exporter that fails so many attempts, then takes everything.
    pub fn failing_times(times: usize, failure: ExportFailure) -> Self {
        let mut failures = std::iter::repeat_n(failure, times);
        RecordingExporter::scripted(move |_| failures.next().map_or(Answer::Accept, Answer::Fail))
    }

    /// An exporter that takes everything, and so long for each attempt. For a paused clock: see [`testing`](super#time).
    pub fn slow(delay: Duration) -> Self {
        RecordingExporter::answering(Answer::AcceptAfter(delay))
    }

    /// An exporter that answers every attempt alike.
    pub fn answering(answer: Answer) -> Self {
        RecordingExporter::scripted(move |_| answer.clone())
    }

    /// An exporter whose answer to each attempt is `answers`.
    pub fn scripted(answers: impl FnMut(&Batch) -> Answer + Send + 'static) -> Self {
        let exporter = RecordingExporter::new();
        exporter.answer(answers);
        exporter
    }

    /// What it answers from now on.
    pub fn answer(&self, answers: impl FnMut(&Batch) -> Answer + Send + 'static) {
        *lock(&self.script.answers) = Box::new(answers);
    }

    /// What it does from now on when it is started.
    pub fn on_start(&self, start: Start) {
        self.script.start.set(start);
    }

    /// Waits until its `start` is called. Every call is told once, those of the past first.
    ///
    /// # Panics
    /// When it is not.
    pub async fn start_begins(&self) {
        self.script.start.begins().await;
    }

    /// Lets `attempts` that stall, now or later, go on.
    pub fn release(&self, attempts: usize) {
        self.script.gate.add_permits(attempts);
    }

    /// The batch of the next attempt, as it begins. Every attempt is told once, those of the past first.
    ///
    /// # Panics
    /// When none comes.
    pub async fn called(&mut self) -> Batch {
        within_ceiling(self.called.recv()).await.expect("the script holds the other end")
    }

    /// Every batch that it took.
    pub fn taken(&self) -> Vec<Batch> {
        lock(&self.script.taken).clone()
    }

    /// How many items it took.
    pub fn items(&self) -> u64 {
        lock(&self.script.taken).iter().map(Batch::items).sum()
    }

    /// Makes its `stop` wait for [`RecordingExporter::let_stop`].
    pub fn hold_stop(&self) {
        self.script.stops.forget_permits(1);
    }

    /// Lets its `stop` return.
    pub fn let_stop(&self) {
        self.script.stops.add_permits(1);
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for RecordingExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Exporter for TestSink {
    fn new(settings: Settings) -> Result<Self, ExportFailure> {
        let script = SCRIPTS.find(&settings.key).ok_or(ExportFailure::NoScript(settings.key))?;
        Ok(TestSink { script })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), ExportFailure> {
        match self.script.start.begin() {
            Start::Ready | Start::Degraded => Ok(()),
            Start::Fail => Err(ExportFailure::Away),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
        }
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), ExportFailure> {
        // The test may have gone.
        let _ = self.script.calls.send(batch.clone());
        let answer = (lock(&self.script.answers))(batch);
        match answer {
            Answer::Accept => {}
            Answer::AcceptWithout(items) => cx.rejected(items, "told to"),
            Answer::AcceptAfter(delay) => tokio::time::sleep(delay).await,
            Answer::Fail(failure) => return Err(failure),
            Answer::Stall => self.script.gate.acquire().await.expect("it is never closed").forget(),
            Answer::Panic => panic!("told to panic on {} items", batch.items()),
            Answer::StallThenPanic => {
                self.script.gate.acquire().await.expect("it is never closed").forget();
                panic!("told to panic on {} items", batch.items());
            }
        }
        lock(&self.script.taken).push(batch.clone());
        Ok(())
    }

    async fn stop(&self, _: &Cx<Self>) {
        let _permit = self.script.stops.acquire().await;
    }
}
