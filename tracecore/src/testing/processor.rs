//! The `test_processor` processor: does with each batch what its test's closure does.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::ceiling::within_ceiling;
use super::component;
use super::script::{Scripts, Settings, Start, Starts, lock};
use crate::component::Processor;
use crate::cx::Cx;
use crate::error::{Classify, ErrorKind, Retry};
use crate::signal::Batch;

static SCRIPTS: Scripts<Script> = Scripts::new();

struct TestProcessor {
    script: Arc<Script>,
}

component! {
    /// Does with each batch what a test wants.
    processor Processor "test_processor" TestProcessor, ProcessFailure
}

/// What a scripted processor can fail with.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessFailure {
    /// The key is nobody's. Kind `init`.
    #[error("there is no script `{0}`")]
    NoScript(String),
    /// Worth another attempt. Kind `read`.
    #[error("told to fail for now")]
    ForNow,
    /// Not worth another attempt. Kind `parse`.
    #[error("told to fail for good")]
    ForGood,
}

impl Classify for ProcessFailure {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Init, ErrorKind::Read, ErrorKind::Parse];

    fn kind(&self) -> ErrorKind {
        match self {
            ProcessFailure::NoScript(_) => ErrorKind::Init,
            ProcessFailure::ForNow => ErrorKind::Read,
            ProcessFailure::ForGood => ErrorKind::Parse,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            ProcessFailure::NoScript(_) | ProcessFailure::ForNow => Retry::Yes,
            ProcessFailure::ForGood => Retry::Permanent,
        }
    }
}

/// What the `background` of a [`ScriptedProcessor`] can be told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Background {
    /// Panic.
    Panic,
    /// Return an error.
    Fail,
    /// Do nothing more, not even stop.
    IgnoreShutdown,
}

type Process = Box<dyn FnMut(Batch) -> Result<Option<Batch>, ProcessFailure> + Send>;

struct Script {
    process: Mutex<Process>,
    start: Starts,
    commands: mpsc::UnboundedSender<Background>,
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Background>>,
    lives: mpsc::UnboundedSender<()>,
}

/// The far end of a `test_processor`: a processor that is a closure. Its text is the key for the YAML.
///
/// ```
/// use tracecore::testing::{RecordingExporter, ScriptedProcessor, ScriptedReceiver, TestService, logs};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let processor = ScriptedProcessor::new(|batch| Ok((batch.items() > 1).then_some(batch)));
/// let service = TestService::start(&format!(
///     "
/// receivers:
///   test_source:
///     key: {receiver}
/// processors:
///   test_processor:
///     key: {processor}
/// exporters:
///   test_sink:
///     key: {exporter}
/// service:
///   pipelines:
///     logs:
///       receivers: [test_source]
///       processors: [test_processor]
///       exporters: [test_sink]
/// "
/// ))
/// .await;
/// receiver.emit(logs("dropped", 1)).await;
/// receiver.emit(logs("kept", 2)).await;
/// service.stop().await;
/// assert_eq!(exporter.items(), 2);
/// # });
/// ```
pub struct ScriptedProcessor {
    key: String,
    script: Arc<Script>,
    lived: mpsc::UnboundedReceiver<()>,
}

impl ScriptedProcessor {
    /// A processor that does this with each batch. It panics if `process` does.
    pub fn new(process: impl FnMut(Batch) -> Result<Option<Batch>, ProcessFailure> + Send + 'static) -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let (lives, lived) = mpsc::unbounded_channel();
        let process: Mutex<Process> = Mutex::new(Box::new(process));
        let script = Arc::new(Script { process, start: Starts::default(), commands, told: told.into(), lives });
        ScriptedProcessor { key: SCRIPTS.keep("filter", &script), script, lived }
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

    /// Tells its `background` something.
    pub fn tell(&self, command: Background) {
        self.script.commands.send(command).expect("the script holds the other end");
    }

    /// Waits until its `background` begins a life.
    ///
    /// # Panics
    /// When it does not.
    pub async fn background_begins(&mut self) {
        within_ceiling(self.lived.recv()).await.expect("the script holds the other end");
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for ScriptedProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Processor for TestProcessor {
    fn new(settings: Settings) -> Result<Self, ProcessFailure> {
        let script = SCRIPTS.find(&settings.key).ok_or(ProcessFailure::NoScript(settings.key))?;
        Ok(TestProcessor { script })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), ProcessFailure> {
        match self.script.start.begin() {
            Start::Ready | Start::Degraded => Ok(()),
            Start::Fail => Err(ProcessFailure::ForNow),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
        }
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, ProcessFailure> {
        (lock(&self.script.process))(batch)
    }

    async fn background(&self, cx: &Cx<Self>) -> Result<(), ProcessFailure> {
        // The test may have gone.
        let _ = self.script.lives.send(());
        let mut told = self.script.told.lock().await;
        match cx.until_shutdown(told.recv()).await {
            Some(Some(Background::Panic)) => panic!("told to panic in the background"),
            Some(Some(Background::Fail)) => Err(ProcessFailure::ForNow),
            Some(Some(Background::IgnoreShutdown)) => pending().await,
            Some(None) | None => Ok(()),
        }
    }
}
