//! The `test_processor` processor: what its test gives it to do.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tracecore::prelude::*;

use crate::rig::within_ceiling;
use crate::script::{Scripts, Start, fresh_key, lock};

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Does with each batch what a test wants.
#[processor("test_processor", config = Config, error = FilterError)]
struct TestProcessor {
    script: Arc<Script>,
}

/// Settings of the `test_processor` processor.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// What a filter can fail with.
#[derive(Clone, Debug, thiserror::Error, Classify)]
pub enum FilterError {
    /// The key is nobody's.
    #[error("there is no script `{0}`")]
    #[kind(Init)]
    NoScript(String),
    /// Worth another attempt.
    #[error("told to fail for now")]
    #[kind(Read, retry)]
    ForNow,
    /// Not worth another attempt.
    #[error("told to fail for good")]
    #[kind(Parse, permanent)]
    ForGood,
}

/// What its `background` can be told.
#[derive(Clone, Copy, Debug)]
pub enum Background {
    /// Panic.
    Panic,
    /// Return an error.
    Fail,
}

type Process = Box<dyn FnMut(Batch) -> Result<Option<Batch>, FilterError> + Send>;

struct Script {
    process: Mutex<Process>,
    start: Mutex<Start>,
    commands: mpsc::UnboundedSender<Background>,
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Background>>,
    lives: mpsc::UnboundedSender<()>,
}

/// The far end of a `test_processor`.
pub struct Filter {
    key: String,
    script: Arc<Script>,
    lived: mpsc::UnboundedReceiver<()>,
}

impl Filter {
    /// A processor that does this. It panics if `process` does.
    pub fn new(process: impl FnMut(Batch) -> Result<Option<Batch>, FilterError> + Send + 'static) -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let (lives, lived) = mpsc::unbounded_channel();
        let (key, start) = (fresh_key("filter"), Mutex::default());
        let process: Mutex<Process> = Mutex::new(Box::new(process));
        let script = Arc::new(Script { process, start, commands, told: told.into(), lives });
        SCRIPTS.keep(&key, &script);
        Filter { key, script, lived }
    }

    /// What it does from now on when it is started.
    pub fn on_start(&self, start: Start) {
        *lock(&self.script.start) = start;
    }

    /// Tells its `background` something.
    pub fn tell(&self, command: Background) {
        self.script.commands.send(command).expect("the script holds the other end");
    }

    /// Waits until its `background` begins a life.
    pub async fn background_begins(&mut self) {
        within_ceiling(self.lived.recv()).await.expect("the script holds the other end");
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Processor for TestProcessor {
    fn new(config: Config) -> Result<Self, FilterError> {
        let script = SCRIPTS.find(&config.key).ok_or(FilterError::NoScript(config.key))?;
        Ok(TestProcessor { script })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), FilterError> {
        let start = *lock(&self.script.start);
        match start {
            Start::Ready | Start::Degraded => Ok(()),
            Start::Fail => Err(FilterError::ForNow),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
        }
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, FilterError> {
        (lock(&self.script.process))(batch)
    }

    async fn background(&self, cx: &Cx<Self>) -> Result<(), FilterError> {
        // The test may have gone.
        let _ = self.script.lives.send(());
        let mut told = self.script.told.lock().await;
        match cx.until_shutdown(told.recv()).await {
            Some(Some(Background::Panic)) => panic!("told to panic in the background"),
            Some(Some(Background::Fail)) => Err(FilterError::ForNow),
            Some(None) | None => Ok(()),
        }
    }
}
