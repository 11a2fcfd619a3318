//! Running a configuration: start, supervise, stop.
//!
//! With `queue`, `net` and `cx` the only place that spawns and selects. Start: the surface first, then exporters,
//! processors, receivers. Stop: ready goes false, receivers end and their emits return, queues drain until the deadline,
//! exporters stop, then the pipeline that sends events, the surface last. Every step has its deadline, so a stop always
//! ends.

mod backoff;
mod board;
mod boot;
mod builder;
mod failure;
mod fused;
mod inspect;
mod mirror;
mod pressure;
mod service;
mod spec;
mod stage;
mod stop;
mod supervise;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::emit::Refusal;
use crate::signal::Batch;

pub use crate::cx::Resources;
pub(crate) use backoff::{Backoff, Restarts};
pub(crate) use board::{Board, Place};
pub use builder::{BuildError, Builder};
pub(crate) use failure::{Failure, contain};
pub(crate) use fused::process;
pub use service::{RunError, Running, Service, StartError};
pub(crate) use spec::{
    ExporterSpec, ProcessorSpec, ReceiverSpec, construct, specify_exporter, specify_processor, specify_receiver, start,
};
pub(crate) use stage::Stage;
pub(crate) use supervise::give_up;

/// How long a component's `start` may take: long enough for a slow name server, short enough for an operator to see.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// How often a component with `on_start_error: probe` looks whether what it needs has appeared. Soon enough for a driver
/// that is loaded after the collector, seldom enough to cost nothing where it never is.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a component's `stop` may take.
const STOP_DEADLINE: Duration = Duration::from_secs(1);
/// How long a stop waits for what it has aborted: an aborted task ends when it next yields, so longer would not help.
const ABORT_GRACE: Duration = Duration::from_millis(100);

/// What the service does when a component cannot start: the key `on_start_error` of every component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStartError {
    /// The service does not start.
    #[default]
    Fail,
    /// The service starts without it, is not ready, and tries again after a back-off.
    Retry,
    /// The service starts and stays without it.
    Ignore,
    /// The service starts and is ready; the component waits until what it needs (a device, an endpoint) appears.
    Probe,
}

/// What a processor made of a batch.
pub(crate) enum Processed {
    /// It goes on.
    Pass(Batch),
    /// It was dropped on purpose.
    Dropped,
    /// It was refused.
    Refused(Refusal),
}

/// Held by what has not started yet: the service is ready once every one of them is gone.
pub(crate) type Readiness = mpsc::Sender<std::convert::Infallible>;
