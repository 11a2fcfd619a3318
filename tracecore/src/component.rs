//! The three roles of a component, and what the runtime knows about each before it runs.
//!
//! An author writes a struct with `#[receiver]`, `#[processor]` or `#[exporter]` and the trait of that role. `new` is
//! pure: it neither does I/O nor spawns, so that `validate` can construct everything and touch nothing. `start` may do
//! I/O and has a deadline. A restart is `new` again with the same settings. Deliberately absent: object safety; the
//! runtime boxes the loop around a component, never a call to it.

use std::fmt;
use std::future::{Future, ready};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::config::Period;
use crate::cx::Cx;
use crate::error::Classify;
use crate::metrics::MetricSet;
use crate::metrics::data::Data;
use crate::metrics::health::Health;
use crate::signal::edit::{Edit, Nothing};
use crate::signal::{Batch, Metadata, Signal};

/// What a component does in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Brings batches in.
    Receiver,
    /// Changes or drops batches on their way.
    Processor,
    /// Sends batches out.
    Exporter,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Receiver, Role::Processor, Role::Exporter];

    /// The word for it, as in `component_role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Receiver => "receiver",
            Role::Processor => "processor",
            Role::Exporter => "exporter",
        }
    }

    /// The section of the configuration that holds components of this role.
    pub const fn section(self) -> &'static str {
        match self {
            Role::Receiver => "receivers",
            Role::Processor => "processors",
            Role::Exporter => "exporters",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a component's settings and metrics may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// May change in any release.
    Development,
    /// Changes are announced one release ahead.
    Beta,
    /// Changes only with a new major version.
    Stable,
}

impl Stability {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stability::Development => "development",
            Stability::Beta => "beta",
            Stability::Stable => "stable",
        }
    }
}

/// What the attribute on the struct declares. The macros write it; authors do not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared as a component",
    note = "add `#[receiver(\"…\")]`, `#[processor(\"…\")]` or `#[exporter(\"…\")]` to it"
)]
pub trait Component: Sized + Send + Sync + 'static {
    /// What it does.
    const ROLE: Role;
    /// Its type in a configuration.
    const NAME: &'static str;
    /// Other names that a configuration may use, with a warning.
    const ALIASES: &'static [&'static str];
    /// What it can carry.
    const SIGNALS: &'static [Signal];
    /// The first paragraph of its documentation.
    const SUMMARY: &'static str;
    /// How much it may still change.
    const STABILITY: Stability;
    /// The release that brought it.
    const SINCE: &'static str;
    /// The least settings that it works with, as YAML: what it has no default for. Empty if it needs none.
    const EXAMPLE: &'static str;

    /// Its settings, `NoConfig` if it has none.
    type Config: DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;
    /// What it measures, `NoData` if nothing.
    type Data: MetricSet<End = Data>;
    /// Its own health beyond what the runtime counts for it, `NoTelemetry` if nothing.
    type Telemetry: MetricSet<End = Health>;
    /// What can go wrong, `Never` if nothing.
    type Error: Classify;
}

/// The settings of a component that has none: `clock:` with nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// A component that brings batches in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is declared as a receiver and does not implement `Receiver`",
    label = "write `impl Receiver for {Self}` with `new` and `run`"
)]
pub trait Receiver: Component {
    /// The receiver with these settings. Neither does I/O nor spawns.
    ///
    /// # Errors
    /// When settings that are each valid do not go together.
    fn new(config: Self::Config) -> Result<Self, Self::Error>;

    /// Opens what it reads from. "Ready" waits for it; it has a deadline.
    ///
    /// # Errors
    /// When it cannot; what then happens is the setting `on_start_error`.
    fn start(&mut self, cx: &Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = cx;
        ready(Ok(()))
    }

    /// Receives until shutdown is asked for, then returns `Ok`. What it must tidy up, it does before it returns.
    ///
    /// # Errors
    /// Only what it cannot survive: the runtime restarts it after a back-off. A refused batch is not an error.
    fn run(self, cx: Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A component that changes or drops batches on their way. One instance per pipeline.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is declared as a processor and does not implement `Processor`",
    label = "write `impl Processor for {Self}` with `new` and `process`"
)]
pub trait Processor: Component {
    /// The processor with these settings. Neither does I/O nor spawns.
    ///
    /// # Errors
    /// When settings that are each valid do not go together.
    fn new(config: Self::Config) -> Result<Self, Self::Error>;

    /// Loads what it needs before the first batch. "Ready" waits for it; it has a deadline.
    ///
    /// # Errors
    /// When it cannot; what then happens is the setting `on_start_error`.
    fn start(&mut self, cx: &Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = cx;
        ready(Ok(()))
    }

    /// Whether all that it does to a batch is to edit it. Then it has [`edit`](Processor::edit) instead of `process`, and
    /// goes over the bytes in one pass with those before and behind it that do the same.
    const EDITS: bool = false;

    /// The batch as it goes on, or `None` to drop it on purpose. Called in the receiver's task: it must not block.
    ///
    /// # Errors
    /// The batch is refused; whether the sender may try again is the error's [`Classify::retry`].
    fn process(&self, batch: Batch, cx: &Cx<Self>) -> Result<Option<Batch>, Self::Error> {
        const { assert!(Self::EDITS, "a processor has `process`, or `EDITS` and `edit`") };
        let _ = cx;
        let edited = batch.edit(&mut *self.edit(batch.signal(), batch.metadata()));
        Ok(Some(edited))
    }

    /// What it does to each batch of `signal` that came with this metadata. What it drops is counted.
    fn edit<'a>(&'a self, signal: Signal, metadata: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        const { assert!(!Self::EDITS, "a processor with `EDITS` has `edit`") };
        let _ = (signal, metadata);
        Box::new(Nothing)
    }

    /// Refreshes what `process` reads, for as long as the pipeline runs. Supervised like a receiver.
    ///
    /// # Errors
    /// Only what it cannot survive: the runtime runs it again after a back-off.
    fn background(&self, cx: &Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        cx.shutdown_requested_ok()
    }

    /// Tidies up after the last batch, within the deadline of the shutdown. An instance that panicked is dropped without.
    fn stop(&self, cx: &Cx<Self>) -> impl Future<Output = ()> + Send {
        let _ = cx;
        ready(())
    }
}

/// A component that sends batches out. The runtime gives it its queue, its retries and its time limit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is declared as an exporter and does not implement `Exporter`",
    label = "write `impl Exporter for {Self}` with `new` and `export`"
)]
pub trait Exporter: Component {
    /// The time limit of one attempt, unless the setting `timeout` says otherwise. That of the Collector by default.
    const TIMEOUT: Period = Period::secs(5);

    /// The exporter with these settings. Neither does I/O nor spawns.
    ///
    /// # Errors
    /// When settings that are each valid do not go together.
    fn new(config: Self::Config) -> Result<Self, Self::Error>;

    /// Whether it can send `signal` with its settings. Asked for each signal of its pipelines, where the configuration is
    /// read.
    ///
    /// # Errors
    /// When it cannot: the configuration is refused.
    fn can_send(&self, signal: Signal) -> Result<(), Self::Error> {
        let _ = signal;
        Ok(())
    }

    /// Opens what it writes to. "Ready" waits for it; it has a deadline.
    ///
    /// # Errors
    /// When it cannot; what then happens is the setting `on_start_error`.
    fn start(&mut self, cx: &Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = cx;
        ready(Ok(()))
    }

    /// Delivers one batch. Several calls may be under way at once.
    ///
    /// # Errors
    /// The runtime tries again while the error's [`Classify::retry`] and the setting `retry_on_failure` allow it.
    fn export(&self, batch: &Batch, cx: &Cx<Self>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Tidies up after the last batch, within the deadline of the shutdown. An instance that panicked is dropped without.
    fn stop(&self, cx: &Cx<Self>) -> impl Future<Output = ()> + Send {
        let _ = cx;
        ready(())
    }
}
