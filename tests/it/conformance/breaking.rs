//! Components of which each breaks one rule of the contract.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use tracecore::prelude::*;
use tracecore::testing::{metrics, name_of};

/// Measures what it has not declared.
#[receiver("breaks_data", signals = [Metrics], data = Ticks)]
struct BreaksData;

/// What is declared.
#[derive(MetricSet)]
struct Ticks {
    /// Ticks since the start.
    #[unit("{tick}")]
    ticks: Counter,
}

impl Receiver for BreaksData {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(BreaksData)
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        cx.data.ticks.add(1, ());
        cx.emit(metrics("not.declared", 1)).await;
        cx.shutdown_requested().await;
        Ok(())
    }
}

/// Spawns where it is constructed.
#[receiver("breaks_constructor")]
struct BreaksConstructor;

impl Receiver for BreaksConstructor {
    #[expect(clippy::disallowed_methods, reason = "it does what must not be done")]
    fn new(_: NoConfig) -> Result<Self, Never> {
        tokio::spawn(async {});
        Ok(BreaksConstructor)
    }

    async fn run(self, cx: Cx<Self>) -> Result<(), Never> {
        cx.shutdown_requested().await;
        Ok(())
    }
}

/// Goes on when it is asked to stop.
#[receiver("breaks_stop")]
struct BreaksStop;

impl Receiver for BreaksStop {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(BreaksStop)
    }

    async fn run(self, _: Cx<Self>) -> Result<(), Never> {
        pending().await
    }
}

/// Has no second life, as if its port were never given back.
#[receiver("breaks_restart", error = Taken)]
struct BreaksRestart;

/// It has started before.
#[derive(Debug, thiserror::Error, Classify)]
#[error("it is taken")]
#[kind(Init)]
struct Taken;

impl Receiver for BreaksRestart {
    fn new(_: NoConfig) -> Result<Self, Taken> {
        Ok(BreaksRestart)
    }

    async fn start(&mut self, _: &Cx<Self>) -> Result<(), Taken> {
        // The first life in each of the services that show a rule: its start, its stop, its restart.
        static LIVES: AtomicU64 = AtomicU64::new(0);
        let before = LIVES.fetch_add(1, Ordering::Relaxed);
        if before < 3 { Ok(()) } else { Err(Taken) }
    }

    async fn run(self, cx: Cx<Self>) -> Result<(), Taken> {
        cx.shutdown_requested().await;
        Ok(())
    }
}

/// Takes it for granted that a metric has a name.
#[processor("breaks_on_bare", signals = [Metrics])]
struct BreaksOnBare;

impl Processor for BreaksOnBare {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(BreaksOnBare)
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        assert!(!name_of(&batch).is_empty(), "a metric has a name");
        Ok(Some(batch))
    }
}

/// Fails in a way that it does not declare.
#[exporter("breaks_kinds", error = Undeclared)]
struct BreaksKinds;

/// Says that it has no kinds.
#[derive(Debug)]
struct Undeclared;

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not declared")
    }
}

impl std::error::Error for Undeclared {}

impl Classify for Undeclared {
    const KINDS: &'static [tracecore::error::ErrorKind] = &[];

    fn kind(&self) -> tracecore::error::ErrorKind {
        tracecore::error::ErrorKind::Marshal
    }
}

impl Exporter for BreaksKinds {
    fn new(_: NoConfig) -> Result<Self, Undeclared> {
        Ok(BreaksKinds)
    }

    async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), Undeclared> {
        Err(Undeclared)
    }
}

/// Has an example that lacks a setting.
#[processor("breaks_example", config = Config)]
struct BreaksExample {
    config: Config,
}

/// Settings of which one has no default.
#[config]
struct Config {
    /// Whether batches go on.
    passes: bool,
}

impl Processor for BreaksExample {
    fn new(config: Config) -> Result<Self, Never> {
        Ok(BreaksExample { config })
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        Ok(self.config.passes.then_some(batch))
    }
}
