//! The `sim_source` receiver: emits when it is told to, and fails in every way in which a receiver can.
//!
//! Beside the kit's `test_source` it has callers that go away, batches whose correlation id the test chooses, and a task
//! that can panic while `run` waits.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, oneshot};
use tracecore::emit::Emitter;
use tracecore::prelude::*;
use tracecore::testing::{Scripts, Start};

use crate::faults::lock;
use crate::ledger::{BatchId, Ledger};

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Emits what a simulation wants.
#[receiver("sim_source", signals = [Metrics], config = Config, error = SourceError)]
struct SimSource {
    script: Arc<Script>,
}

/// Settings of the `sim_source` receiver.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// What a `sim_source` can fail with.
#[derive(Debug, thiserror::Error, Classify)]
enum SourceError {
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
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Emit(BatchId),
    Panic,
    Fail,
    End,
}

struct Script {
    orders: mpsc::UnboundedSender<Order>,
    /// Survives the incarnations, as clients survive a server.
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Order>>,
    start: Mutex<Start>,
    leaves: Notify,
    task_panics: Notify,
    /// Emits in tasks beside `run`, as a server does; otherwise in `run`, one after the other, as a scraper does.
    beside: bool,
    ledger: Arc<Ledger>,
    /// Held by everything that runs: what is left of it after the stop has leaked.
    held: Arc<()>,
}

/// The far end of a `sim_source`. Its text is the key for the YAML.
pub(crate) struct Source {
    key: String,
    script: Arc<Script>,
}

impl Source {
    pub(crate) fn new(beside: bool, start: Start, ledger: &Arc<Ledger>) -> Self {
        let (orders, told) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            orders,
            told: told.into(),
            start: Mutex::new(start),
            leaves: Notify::new(),
            task_panics: Notify::new(),
            beside,
            ledger: Arc::clone(ledger),
            held: Arc::default(),
        });
        Source { key: SCRIPTS.keep("sim", &script), script }
    }

    pub(crate) fn order(&self, order: Order) {
        self.script.orders.send(order).expect("the script holds the other end");
    }

    pub(crate) fn on_start(&self, start: Start) {
        *lock(&self.script.start) = start;
    }

    /// One caller goes away: of an emission that waits, or of the next one that does.
    pub(crate) fn caller_leaves(&self) {
        self.script.leaves.notify_one();
    }

    /// Its task panics; if it does not run, once it does.
    pub(crate) fn panic_task(&self) {
        self.script.task_panics.notify_one();
    }

    /// How many of its emissions, tasks and lives there are now.
    pub(crate) fn held(&self) -> usize {
        Arc::strong_count(&self.script.held) - 1
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Script {
    async fn emit(self: Arc<Self>, emitter: Emitter, id: BatchId) {
        let _held = Arc::clone(&self.held);
        let batch = self.ledger.begin(id);
        let verdict = tokio::select! {
            biased;
            verdict = emitter.emit_for(batch, id.origin()) => Some(verdict),
            () = self.leaves.notified() => None,
        };
        self.ledger.end(id, verdict);
    }
}

impl Receiver for SimSource {
    fn new(config: Config) -> Result<Self, SourceError> {
        let script = SCRIPTS.find(&config.key).ok_or(SourceError::NoScript(config.key))?;
        Ok(SimSource { script })
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), SourceError> {
        let start = *lock(&self.script.start);
        match start {
            Start::Ready | Start::Degraded => Ok(()),
            Start::Fail => Err(SourceError::Told),
            Start::Hang => std::future::pending().await,
            Start::Panic => panic!("told to panic in start"),
        }
    }

    async fn run(self, cx: Cx<Self>) -> Result<(), SourceError> {
        let script = self.script;
        let _held = Arc::clone(&script.held);
        let saboteur = Arc::clone(&script);
        // It ends with `run`, or the stop would have to abort it.
        let (_runs, ended) = oneshot::channel::<Infallible>();
        cx.spawn("saboteur", async move {
            let _held = Arc::clone(&saboteur.held);
            tokio::select! {
                biased;
                () = saboteur.task_panics.notified() => panic!("told to panic in a task"),
                _ = ended => {}
            }
        });
        let mut told = script.told.lock().await;
        while let Some(Some(order)) = cx.until_shutdown(told.recv()).await {
            match order {
                Order::Emit(id) => {
                    let emission = Arc::clone(&script).emit(cx.emitter().clone(), id);
                    if script.beside {
                        cx.spawn("emit", emission);
                    } else {
                        emission.await;
                    }
                }
                Order::Panic => panic!("told to panic"),
                Order::Fail => return Err(SourceError::Told),
                Order::End => return Ok(()),
            }
        }
        Ok(())
    }
}
