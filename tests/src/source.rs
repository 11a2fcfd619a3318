//! The `test_source` receiver: does what its test tells it, one command after the other.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tracecore::prelude::*;

use crate::rig::within_ceiling;
use crate::script::{Scripts, Start, fresh_key, lock};

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Does what a test tells it.
#[receiver("test_source", aliases = ["test_source_alias"], config = Config, error = SourceError)]
struct TestSource {
    script: Arc<Script>,
}

/// Settings of the `test_source` receiver.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// What a source can be told to fail with.
#[derive(Debug, thiserror::Error, Classify)]
pub enum SourceError {
    /// The key is nobody's.
    #[error("there is no script `{0}`")]
    #[kind(Init)]
    NoScript(String),
    /// It was told to.
    #[error("told to fail")]
    #[kind(Connect)]
    Told,
}

/// What a source can be told.
#[derive(Debug)]
pub enum Command {
    /// Emit a batch and say what became of it.
    Emit(Batch, oneshot::Sender<Verdict>),
    /// Emit a batch from a task beside `run`.
    EmitBeside(Batch, oneshot::Sender<Verdict>),
    /// Spawn a task that never ends, and let go of the sender when it is aborted.
    Linger(oneshot::Sender<()>),
    /// Spawn a task that panics.
    PanicBeside,
    /// Say whether it is degraded.
    Degraded(bool),
    /// Panic.
    Panic,
    /// Return an error from `run`.
    Fail,
    /// Return from `run` without having been asked to.
    End,
    /// Do nothing more, not even stop.
    IgnoreShutdown,
}

struct Script {
    commands: mpsc::UnboundedSender<Command>,
    /// Survives the incarnations: what one did not get to, the next one does.
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Command>>,
    start: Mutex<Start>,
}

/// The far end of a `test_source`.
#[derive(Clone)]
pub struct Source {
    key: String,
    script: Arc<Script>,
}

impl Default for Source {
    fn default() -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let (key, start) = (fresh_key("source"), Mutex::default());
        let script = Arc::new(Script { commands, told: told.into(), start });
        SCRIPTS.keep(&key, &script);
        Source { key, script }
    }
}

impl Source {
    /// A source that starts.
    pub fn new() -> Self {
        Source::default()
    }

    /// What it does from now on when it is started.
    pub fn on_start(&self, start: Start) {
        *lock(&self.script.start) = start;
    }

    /// Tells it something.
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
    pub async fn emit(&self, batch: Batch) -> Verdict {
        within_ceiling(self.send(batch)).await.expect("the source lives until the verdict")
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Receiver for TestSource {
    fn new(config: Config) -> Result<Self, SourceError> {
        let script = SCRIPTS.find(&config.key).ok_or(SourceError::NoScript(config.key))?;
        Ok(TestSource { script })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), SourceError> {
        let start = *lock(&self.script.start);
        match start {
            Start::Ready => {}
            Start::Fail => return Err(SourceError::Told),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
            Start::Degraded => cx.set_degraded(true),
        }
        Ok(())
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), SourceError> {
        let mut told = self.script.told.lock().await;
        while let Some(Some(command)) = cx.until_shutdown(told.recv()).await {
            match command {
                Command::Emit(batch, reply) => {
                    let _ = reply.send(cx.emit(batch).await);
                }
                Command::EmitBeside(batch, reply) => {
                    let emitter = cx.emitter().clone();
                    cx.spawn(async move {
                        let _ = reply.send(emitter.emit(batch).await);
                    });
                }
                Command::Linger(held) => cx.spawn(async move {
                    let _held = held;
                    pending::<()>().await;
                }),
                Command::PanicBeside => cx.spawn(async { panic!("told to panic in a task") }),
                Command::Degraded(degraded) => cx.set_degraded(degraded),
                Command::Panic => panic!("told to panic"),
                Command::Fail => return Err(SourceError::Told),
                Command::End => return Ok(()),
                Command::IgnoreShutdown => pending().await,
            }
        }
        Ok(())
    }
}
