//! The `test_source` receiver: does what its test tells it, one command after the other.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::ceiling::within_ceiling;
use super::component;
use super::script::{Scripts, Settings, Start, Starts};
use crate::component::Receiver;
use crate::cx::Cx;
use crate::emit::Verdict;
use crate::error::{Classify, ErrorKind};
use crate::signal::Batch;
use crate::status::ComponentStatus;

/// How long a thread may block: longer than a test takes, so that only the test ends it.
const MOST_BLOCKED: Duration = Duration::from_secs(60);

static SCRIPTS: Scripts<Script> = Scripts::new();

struct TestSource {
    script: Arc<Script>,
}

component! {
    /// Does what a test tells it.
    receiver Receiver "test_source" TestSource, ReceiveFailure
}

/// What a scripted receiver can be told to fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveFailure {
    /// The key is nobody's. Kind `init`.
    #[error("there is no script `{0}`")]
    NoScript(String),
    /// It was told to. Kind `connect`.
    #[error("told to fail")]
    Told,
}

impl Classify for ReceiveFailure {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Init, ErrorKind::Connect];

    fn kind(&self) -> ErrorKind {
        match self {
            ReceiveFailure::NoScript(_) => ErrorKind::Init,
            ReceiveFailure::Told => ErrorKind::Connect,
        }
    }
}

/// What a [`ScriptedReceiver`] can be told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Emit a batch and say what became of it.
    Emit(Batch, oneshot::Sender<Verdict>),
    /// Emit a batch from a task beside `run`.
    EmitBeside(Batch, oneshot::Sender<Verdict>),
    /// Emit a batch from a task beside `run`, once it is told to.
    EmitLater(oneshot::Receiver<()>, Batch, oneshot::Sender<Verdict>),
    /// Spawn a task that never ends, and let go of the sender when it is aborted.
    Linger(oneshot::Sender<()>),
    /// Spawn a task that panics.
    PanicBeside,
    /// Say whether it is degraded.
    Degraded(bool),
    /// Say that a person must mend something.
    PermanentError,
    /// Say that the collector must not go on.
    FatalError,
    /// Panic.
    Panic,
    /// Return an error from `run`.
    Fail,
    /// Return from `run` without having been asked to.
    End,
    /// Work on a thread of its own, and wait for it, until the sender is gone or a minute is over.
    Block(std::sync::mpsc::Receiver<()>),
    /// Do nothing more, not even stop.
    IgnoreShutdown,
}

struct Script {
    commands: mpsc::UnboundedSender<Command>,
    /// Survives the incarnations: what one did not get to, the next one does.
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Command>>,
    start: Starts,
}

/// The far end of a `test_source`: a receiver that emits what a test gives it. Its text is the key for the YAML.
///
/// ```
/// use tracecore::emit::Verdict;
/// use tracecore::testing::{RecordingExporter, ScriptedReceiver, TestService, metrics, pipeline};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// assert_eq!(receiver.emit(metrics("cpu.time", 3)).await, Verdict::Accepted);
/// service.stop().await;
/// assert_eq!(exporter.items(), 3);
/// # });
/// ```
#[derive(Clone)]
pub struct ScriptedReceiver {
    key: String,
    script: Arc<Script>,
}

impl Default for ScriptedReceiver {
    fn default() -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let script = Arc::new(Script { commands, told: told.into(), start: Starts::default() });
        ScriptedReceiver { key: SCRIPTS.keep("source", &script), script }
    }
}

impl ScriptedReceiver {
    /// A receiver that starts, and waits to be told something.
    pub fn new() -> Self {
        ScriptedReceiver::default()
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

    /// Tells it something. It does one thing after the other, over all its restarts.
    pub fn tell(&self, command: Command) {
        self.script.commands.send(command).expect("the script holds the other end");
    }

    /// Emits a batch; the verdict comes later.
    pub fn send(&self, batch: Batch) -> oneshot::Receiver<Verdict> {
        let (reply, verdict) = oneshot::channel();
        self.tell(Command::Emit(batch, reply));
        verdict
    }

    /// Emits a batch and waits for its verdict.
    ///
    /// # Panics
    /// When none comes: the receiver does not run, or ended before.
    pub async fn emit(&self, batch: Batch) -> Verdict {
        within_ceiling(self.send(batch)).await.expect("the receiver lives until the verdict")
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for ScriptedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Receiver for TestSource {
    fn new(settings: Settings) -> Result<Self, ReceiveFailure> {
        let script = SCRIPTS.find(&settings.key).ok_or(ReceiveFailure::NoScript(settings.key))?;
        Ok(TestSource { script })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), ReceiveFailure> {
        match self.script.start.begin() {
            Start::Ready => {}
            Start::Fail => return Err(ReceiveFailure::Told),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
            Start::Degraded => cx.report_status(ComponentStatus::RecoverableError(&ReceiveFailure::Told)),
        }
        Ok(())
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), ReceiveFailure> {
        let mut told = self.script.told.lock().await;
        while let Some(Some(command)) = cx.until_shutdown(told.recv()).await {
            match command {
                Command::Emit(batch, reply) => {
                    // The test may have gone.
                    let _ = reply.send(cx.emit(batch).await);
                }
                Command::EmitBeside(batch, reply) => {
                    let emitter = cx.emitter().clone();
                    cx.spawn("emit", async move {
                        let _ = reply.send(emitter.emit(batch).await);
                    });
                }
                Command::EmitLater(when, batch, reply) => {
                    let emitter = cx.emitter().clone();
                    cx.spawn("emit", async move {
                        if when.await.is_ok() {
                            let _ = reply.send(emitter.emit(batch).await);
                        }
                    });
                }
                Command::Linger(held) => cx.spawn("linger", async move {
                    let _held = held;
                    pending::<()>().await;
                }),
                Command::PanicBeside => cx.spawn("panic", async { panic!("told to panic in a task") }),
                Command::Degraded(true) => cx.report_status(ComponentStatus::RecoverableError(&ReceiveFailure::Told)),
                Command::Degraded(false) => cx.report_status(ComponentStatus::Ok),
                Command::PermanentError => cx.report_status(ComponentStatus::PermanentError(&ReceiveFailure::Told)),
                Command::FatalError => cx.report_status(ComponentStatus::FatalError(&ReceiveFailure::Told)),
                Command::Panic => panic!("told to panic"),
                Command::Fail => return Err(ReceiveFailure::Told),
                Command::End => return Ok(()),
                Command::Block(held) => {
                    // How it ended is told as events of the task.
                    let _ = cx.blocking("block", MOST_BLOCKED, move || held.recv()).await;
                }
                Command::IgnoreShutdown => pending().await,
            }
        }
        Ok(())
    }
}
