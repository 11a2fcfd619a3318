//! The `test_sink` exporter: answers each batch as its test wants, and keeps what it took.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tracecore::prelude::*;

use crate::rig::within_ceiling;
use crate::script::{Scripts, Start, fresh_key, lock};

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Answers as a test wants.
#[exporter("test_sink", aliases = ["test_sink_alias"], config = Config, error = SinkError)]
struct TestSink {
    script: Arc<Script>,
}

/// Settings of the `test_sink` exporter.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// What a sink can answer with.
#[derive(Clone, Debug, thiserror::Error, Classify)]
pub enum SinkError {
    /// The key is nobody's.
    #[error("there is no script `{0}`")]
    #[kind(Init)]
    NoScript(String),
    /// Worth another attempt.
    #[error("the other side is away")]
    #[kind(Connect, retry)]
    Away,
    /// Worth another attempt, after a while.
    #[error("the other side is busy")]
    #[kind(Io, retry)]
    Busy {
        /// How long the other side wants to be left alone.
        #[retry_after]
        after: Duration,
    },
    /// Not worth another attempt.
    #[error("the other side refuses it")]
    #[kind(Marshal, permanent)]
    Refused,
}

/// What becomes of one attempt.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The batch is taken.
    Accept,
    /// The batch is taken without this many items.
    AcceptWithout(u64),
    /// The attempt fails.
    Fail(SinkError),
    /// The attempt waits for [`Sink::release`], then the batch is taken.
    Stall,
    /// The exporter panics.
    Panic,
    /// The attempt waits for [`Sink::release`], then the exporter panics.
    StallThenPanic,
}

type Answers = Box<dyn FnMut(&Batch) -> Answer + Send>;

struct Script {
    answers: Mutex<Answers>,
    taken: Mutex<Vec<Batch>>,
    calls: mpsc::UnboundedSender<Batch>,
    gate: Semaphore,
    start: Mutex<Start>,
    /// Closed: a stop waits until it is opened.
    stops: Semaphore,
}

/// The far end of a `test_sink`.
pub struct Sink {
    key: String,
    script: Arc<Script>,
    called: mpsc::UnboundedReceiver<Batch>,
}

impl Default for Sink {
    fn default() -> Self {
        let (calls, called) = mpsc::unbounded_channel();
        let key = fresh_key("sink");
        let script = Arc::new(Script {
            answers: Mutex::new(Box::new(|_| Answer::Accept)),
            taken: Mutex::default(),
            calls,
            gate: Semaphore::new(0),
            start: Mutex::default(),
            stops: Semaphore::new(1),
        });
        SCRIPTS.keep(&key, &script);
        Sink { key, script, called }
    }
}

impl Sink {
    /// A sink that takes everything.
    pub fn new() -> Self {
        Sink::default()
    }

    /// A sink that answers every attempt alike.
    pub fn answering(answer: Answer) -> Self {
        Sink::scripted(move |_| answer.clone())
    }

    /// A sink whose answer to each attempt is `answers`.
    pub fn scripted(answers: impl FnMut(&Batch) -> Answer + Send + 'static) -> Self {
        let sink = Sink::new();
        sink.answer(answers);
        sink
    }

    /// What it answers from now on.
    pub fn answer(&self, answers: impl FnMut(&Batch) -> Answer + Send + 'static) {
        *lock(&self.script.answers) = Box::new(answers);
    }

    /// What it does from now on when it is started.
    pub fn on_start(&self, start: Start) {
        *lock(&self.script.start) = start;
    }

    /// Lets `attempts` that stall, now or later, go on.
    pub fn release(&self, attempts: usize) {
        self.script.gate.add_permits(attempts);
    }

    /// The batch of the next attempt, as it begins.
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

    /// Makes its `stop` wait for [`Sink::let_stop`].
    pub fn hold_stop(&self) {
        self.script.stops.forget_permits(1);
    }

    /// Lets its `stop` return.
    pub fn let_stop(&self) {
        self.script.stops.add_permits(1);
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Exporter for TestSink {
    fn new(config: Config) -> Result<Self, SinkError> {
        let script = SCRIPTS.find(&config.key).ok_or(SinkError::NoScript(config.key))?;
        Ok(TestSink { script })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), SinkError> {
        let start = *lock(&self.script.start);
        match start {
            Start::Ready | Start::Degraded => Ok(()),
            Start::Fail => Err(SinkError::Away),
            Start::Hang => pending().await,
            Start::Panic => panic!("told to panic in start"),
        }
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), SinkError> {
        // The test may have gone.
        let _ = self.script.calls.send(batch.clone());
        let answer = (lock(&self.script.answers))(batch);
        match answer {
            Answer::Accept => {}
            Answer::AcceptWithout(items) => cx.rejected(items, "told to"),
            Answer::Fail(error) => return Err(error),
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
