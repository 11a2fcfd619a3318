//! A service: built from a configuration, started, stopped.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::mirror::Mirrors;
use super::stage::Stage;
use super::{Board, Builder, stop};
use crate::component::Role;
use crate::config::{ComponentId, Config, ConfigError, HealthCheck, PipelineId, Telemetry};
use crate::cx::{Base, Fatal, Resources, Shared};
use crate::emit::Exit;
use crate::events::{Draft, Events, ServiceEvent};
use crate::graph::{Graph, Plan};
use crate::net::BindError;
use crate::queue::ErasedOutlet;
use crate::status::{State, Status};
use crate::surface::{Health, Serving};
use crate::telemetry::{LogLevel, SelfTelemetry};
use crate::time::Instant;

/// A service that is built and not started. Building touches nothing: no socket, no file, no task.
pub struct Service {
    pub(super) config: Config,
    pub(super) graph: Graph,
    pub(super) plan: Plan,
    pub(super) shared: Shared,
}

/// Why a service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The telemetry surface, or a `health_check`, cannot be served.
    #[error(transparent)]
    Surface(#[from] BindError),
    /// A component cannot start and its `on_start_error` is `fail`.
    #[error("the {role} `{id}` cannot start: {message}")]
    Component {
        /// What it does.
        role: Role,
        /// Which one.
        id: ComponentId,
        /// Why.
        message: String,
    },
}

/// Why a service ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A component reported an error with which the service cannot go on.
    #[error("the {role} `{id}` cannot go on, and the collector with it: {message}")]
    Fatal {
        /// What it does.
        role: Role,
        /// Which one.
        id: ComponentId,
        /// Why.
        message: String,
    },
}

impl Service {
    /// A builder.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What of its configuration works and is hardly meant.
    pub fn warnings(&self) -> &[ConfigError] {
        &self.config.warnings
    }

    /// What the surface is served with, if it is.
    pub fn surface(&self) -> Option<&Telemetry> {
        Some(&self.config.telemetry).filter(|telemetry| telemetry.enabled)
    }

    /// The level of the log that the configuration asks for, for who has set up the log.
    pub fn log_level(&self) -> Option<LogLevel> {
        self.config.log_level
    }

    /// The wiring.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The self-telemetry.
    pub fn telemetry(&self) -> &SelfTelemetry {
        &self.shared.telemetry
    }

    /// The bus. Who subscribes before the start misses nothing.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// How many worker threads the configuration asks for.
    pub fn workers(&self) -> Option<NonZeroUsize> {
        self.config.service.workers
    }

    /// Starts everything, in order. The service that comes back may still wait for components whose `on_start_error`
    /// is `retry`: see [`Running::ready`].
    ///
    /// # Errors
    /// When a port is taken, or a component whose `on_start_error` is `fail` does not start. What had started is
    /// stopped again.
    pub async fn start(self) -> Result<Running, StartError> {
        let mut running = Running::new(self.config, self.shared);
        match running.boot(self.plan).await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    /// Starts everything, runs until `stop` is done, and stops everything. A stop during the start is honoured.
    ///
    /// # Errors
    /// As [`Service::start`], and when a component reports an error with which the service cannot go on.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut running = Running::new(self.config, self.shared);
        let plan = self.plan;
        let asked = running.shared.stop.clone();
        let outcome = tokio::select! {
            biased;
            () = stop => Ok(()),
            () = asked.cancelled() => Ok(()),
            failed = async {
                match running.boot(plan).await {
                    Ok(()) => {
                        running.ready().await;
                        std::future::pending().await
                    }
                    Err(error) => error,
                }
            } => Err(RunError::from(failed)),
        };
        let fatal = Arc::clone(&running.shared.fatal);
        running.stop().await;
        match fatal.get() {
            Some(Fatal { role, id, message }) if outcome.is_ok() => {
                Err(RunError::Fatal { role: *role, id: id.clone(), message: message.to_string() })
            }
            _ => outcome,
        }
    }
}

/// A service that has started.
pub struct Running {
    drain_timeout: Duration,
    pub(super) telemetry_settings: Telemetry,
    pub(super) health_check_settings: Vec<HealthCheck>,
    pub(super) board: Arc<Board>,
    pub(super) shared: Shared,
    /// What the surface and every `health_check` say.
    pub(super) health: Health,
    pub(super) surface: Option<Serving>,
    pub(super) health_checks: Vec<Serving>,
    pub(super) exporters: Vec<Outgoing>,
    pub(super) stages: Vec<Arc<dyn Stage>>,
    pub(super) receivers: Vec<Base>,
    /// The starts and consumers of exporters.
    pub(super) consumers: JoinSet<()>,
    /// The starts and backgrounds of processors.
    pub(super) backgrounds: JoinSet<()>,
    /// The supervisors of receivers.
    pub(super) supervisors: JoinSet<()>,
    /// What takes samples for the surface, and looks at the memory.
    pub(super) sampler: JoinSet<()>,
    /// What tells events to others.
    pub(super) mirrors: Mirrors,
    /// Of the pipeline that sends the events of the stop.
    pub(super) last: Last,
    pub(super) unready: Option<mpsc::Receiver<std::convert::Infallible>>,
    /// When the start began.
    pub(super) began: Instant,
}

/// Beside the exporters that are [`Outgoing::last`], what stops after all else.
#[derive(Default)]
pub(super) struct Last {
    pub(super) stages: Vec<Arc<dyn Stage>>,
    pub(super) consumers: JoinSet<()>,
    pub(super) backgrounds: JoinSet<()>,
}

/// A running exporter.
pub(super) struct Outgoing {
    pub(super) base: Base,
    pub(super) exit: Exit,
    /// Cuts off the batches that its consumers have under way: the drain's time is over.
    pub(super) cut: CancellationToken,
    /// It could not start, and the service stays without it.
    pub(super) ignored: bool,
    /// It sends the events of the stop, so it stops after all others.
    pub(super) last: bool,
    pub(super) outlet: Arc<dyn ErasedOutlet>,
}

impl Running {
    fn new(config: Config, shared: Shared) -> Self {
        Running {
            drain_timeout: config.service.drain_timeout.get(),
            mirrors: Mirrors::new(config.telemetry.events.clone()),
            last: Last::default(),
            telemetry_settings: config.telemetry,
            health_check_settings: config.health_checks,
            board: Arc::default(),
            shared,
            health: Health::new(),
            surface: None,
            health_checks: Vec::new(),
            exporters: Vec::new(),
            stages: Vec::new(),
            receivers: Vec::new(),
            consumers: JoinSet::new(),
            backgrounds: JoinSet::new(),
            supervisors: JoinSet::new(),
            sampler: JoinSet::new(),
            unready: None,
            began: Instant::now(),
        }
    }

    /// Ends the present life of the receiver of this id as a panic in one of its tasks does.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn panic_in(&self, id: &str) {
        for base in self.receivers.iter().filter(|base| base.id.as_str() == id) {
            base.task_failed(super::Failure::panic(&"told to panic"));
        }
    }

    /// Waits until every component has started (or is ignored), and says so on the surface.
    pub async fn ready(&mut self) {
        if let Some(unready) = &mut self.unready {
            // Nothing is ever sent: it ends when the last component lets go. A caller may go away and come back.
            while unready.recv().await.is_some() {}
            self.unready = None;
            self.health.ready();
            let took = self.began.elapsed();
            self.shared.telemetry.service().ready(took);
            self.shared.events.emit(|| Draft::new(ServiceEvent::Ready {}).lasting(took));
            tracing::info!(?took, "tracecore running");
        }
    }

    /// The bus.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// How everything together is: as its worst component.
    pub fn state(&self) -> State {
        self.board.state()
    }

    /// How each pipeline is: as its worst component.
    pub fn pipelines(&self) -> Vec<(PipelineId, State)> {
        self.board.pipelines()
    }

    /// How a component is, now and with every change; `None` if there is none of this id. Of a processor that is in
    /// several pipelines, the one in the first.
    pub fn watch(&self, role: Role, id: &ComponentId) -> Option<watch::Receiver<Status>> {
        self.board.watch(role, id)
    }

    /// What its components hold of the things that there is a limited number of. It can be asked after the stop too.
    pub fn resources(&self) -> &Resources {
        &self.shared.resources
    }

    /// The self-telemetry.
    pub fn telemetry(&self) -> &SelfTelemetry {
        &self.shared.telemetry
    }

    /// Where the surface listens, if it is enabled.
    pub fn surface_address(&self) -> Option<std::net::SocketAddr> {
        self.surface.as_ref().map(Serving::local_addr)
    }

    /// Where each `health_check` listens, in the order of the configuration.
    pub fn health_check_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.health_checks.iter().map(Serving::local_addr).collect()
    }

    /// Stops everything, in order. What is not delivered within `service.drain_timeout` is counted as dropped.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.drain_timeout;
        stop::stop(self, deadline).await;
    }
}
