//! A service: built from a configuration, started, stopped.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::inspect::serve_surface;
use super::mirror::Mirrors;
use super::spec::Stage;
use super::stop;
use super::supervise::{Announce, FirstStart, start_until, supervise};
use super::{Board, OnStartError, Place, Readiness, contain};
use crate::component::Role;
use crate::config::{ComponentId, Config, ConfigErrors, PipelineId};
use crate::cx::{Activity, Base, Drain, Fatal, Own, Resources, Shared, measured};
use crate::emit::{Branch, Emitter, Exit, Route};
use crate::error::ErrorKind;
use crate::events::{ConfigEvent, Draft, Events, ServiceEvent};
use crate::graph::{Graph, Plan, PlannedExporter, PlannedPipeline};
use crate::net::BindError;
use crate::queue::{ErasedOutlet, Queue};
use crate::registry::Registry;
use crate::status::{State, Status};
use crate::surface::Serving;
use crate::telemetry::{BuildInfo, Resource, SelfTelemetry, TelemetryError};
use crate::time::{Clock, Instant};

/// A service that is built and not started. Building touches nothing: no socket, no file, no task.
pub struct Service {
    config: Config,
    graph: Graph,
    plan: Plan,
    shared: Shared,
}

/// What a service is built with, besides its configuration.
pub struct Builder {
    build: BuildInfo,
    clock: Clock,
    resource: Option<Resource>,
    telemetry: Option<SelfTelemetry>,
    events_enabled: bool,
}

/// Why a service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The self-telemetry cannot be set up.
    #[error("cannot set up self-telemetry")]
    Telemetry(#[from] TelemetryError),
}

/// Why a service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The telemetry surface cannot be served.
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

impl Default for Builder {
    fn default() -> Self {
        Builder {
            build: BuildInfo::new("tracecore", env!("CARGO_PKG_VERSION"), ""),
            clock: Clock::system(),
            resource: None,
            telemetry: None,
            events_enabled: true,
        }
    }
}

impl Builder {
    /// What the program says of itself.
    pub fn build_info(mut self, build: BuildInfo) -> Self {
        self.build = build;
        self
    }

    /// The wall clock that components see.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The attributes that identify this process.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The self-telemetry to use, in place of one of its own.
    pub fn telemetry(mut self, telemetry: SelfTelemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Whether anybody can listen to its events; yes, unless told otherwise. What the service does is the same.
    pub fn events_enabled(mut self, enabled: bool) -> Self {
        self.events_enabled = enabled;
        self
    }

    /// Wires the configuration, reads all settings and constructs every component once. This is all that `validate`
    /// does.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn build(self, config: Config, registry: &Registry) -> Result<Service, BuildError> {
        let graph = Graph::new(&config, registry)?;
        let plan = graph.plan()?;
        let resource = self.resource.unwrap_or_else(|| Resource::detect(&self.build));
        let attributes = resource.attributes().to_vec().into();
        let node = resource.get("host.name").unwrap_or_default().to_owned();
        let version = self.build.version;
        let telemetry = match self.telemetry {
            Some(telemetry) => telemetry,
            None => SelfTelemetry::builder(self.build, resource)
                .clock(self.clock.clone())
                .level(config.telemetry.level)
                .traces(config.telemetry.traces.clone())
                .push(config.telemetry.push.clone())
                .build()?,
        };
        let events = if self.events_enabled { Events::default() } else { Events::switched_off() };
        events.set_origin(self.clock.clone(), &node);
        let shared = Shared {
            clock: self.clock,
            telemetry,
            events,
            fatal: Arc::default(),
            resources: Resources::default(),
            restart_budget: NonZeroU32::new(config.service.restart_budget),
            resource: attributes,
            version,
            drain: Arc::new(Drain::default()),
            stop: CancellationToken::new(),
        };
        Ok(Service { config, graph, plan, shared })
    }
}

impl Service {
    /// A builder.
    pub fn builder() -> Builder {
        Builder::default()
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
    telemetry_settings: crate::config::Telemetry,
    pub(super) board: Arc<Board>,
    pub(super) shared: Shared,
    pub(super) surface: Option<Serving>,
    pub(super) exporters: Vec<Outgoing>,
    pub(super) stages: Vec<Arc<dyn Stage>>,
    pub(super) receivers: Vec<Base>,
    /// The starts and consumers of exporters.
    pub(super) consumers: JoinSet<()>,
    /// The starts and backgrounds of processors.
    pub(super) backgrounds: JoinSet<()>,
    /// The supervisors of receivers.
    pub(super) supervisors: JoinSet<()>,
    /// What takes samples for the surface.
    pub(super) sampler: JoinSet<()>,
    /// What tells events to others.
    pub(super) mirrors: Mirrors,
    /// Of the pipeline that sends the events of the stop.
    pub(super) last: Last,
    unready: Option<mpsc::Receiver<std::convert::Infallible>>,
    /// When the start began.
    began: Instant,
}

/// Beside the exporters that are [`Outgoing::last`], what stops after all else.
#[derive(Default)]
pub(super) struct Last {
    pub(super) stages: Vec<Arc<dyn Stage>>,
    pub(super) consumers: JoinSet<()>,
    pub(super) backgrounds: JoinSet<()>,
}

/// What feeds a pipeline and where it ends, as positions among the receivers and the exporters of the service.
struct Ends {
    receivers: Vec<usize>,
    exporters: Vec<usize>,
}

/// A running exporter.
pub(super) struct Outgoing {
    pub(super) base: Base,
    pub(super) exit: Exit,
    /// Cuts off the batches that its consumers have under way: the drain's time is over.
    pub(super) cut: CancellationToken,
    /// It could not start, and the service stays without it.
    ignored: bool,
    /// It sends the events of the stop, so it stops after all others.
    pub(super) last: bool,
    pub(super) outlet: Arc<dyn ErasedOutlet>,
}

/// A component whose first start the boot waits for.
struct Pending {
    base: Base,
    first: oneshot::Receiver<FirstStart>,
}

impl Pending {
    /// Whether it runs, or will: false if it is ignored.
    async fn wait(self) -> Result<bool, StartError> {
        let message = match self.first.await {
            Ok(FirstStart::Started | FirstStart::TriedAgain) => return Ok(true),
            Ok(FirstStart::Ignored) => return Ok(false),
            Ok(FirstStart::Fatal(failure)) => failure.message,
            Err(_) => "its task ended".to_owned(),
        };
        Err(StartError::Component { role: self.base.role(), id: self.base.id.clone(), message })
    }
}

impl Running {
    fn new(config: Config, shared: Shared) -> Self {
        Running {
            drain_timeout: config.service.drain_timeout.get(),
            mirrors: Mirrors::new(config.telemetry.events.clone()),
            last: Last::default(),
            telemetry_settings: config.telemetry,
            board: Arc::default(),
            shared,
            surface: None,
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

    async fn boot(&mut self, plan: Plan) -> Result<(), StartError> {
        self.shared.telemetry.start();
        self.mirrors.listen(&self.shared);
        let (readiness, unready) = mpsc::channel(1);
        self.unready = Some(unready);
        let Running { telemetry_settings, shared, board, sampler, .. } = self;
        shared.telemetry.register_components(board);
        self.surface = serve_surface(telemetry_settings, shared, board, sampler).await?;
        let sends_events = plan.pipelines.iter().find(|pipeline| Some(&pipeline.id) == self.mirrors.pipeline());
        let last = sends_events.map(|pipeline| pipeline.exporters.clone()).unwrap_or_default();
        self.start_exporters(plan.exporters, &last, &readiness).await?;
        let (branches, feeds) = self.start_processors(plan.pipelines, &readiness).await?;
        if let Some(branch) = branches.iter().find(|branch| Some(&branch.id) == self.mirrors.pipeline()) {
            self.mirrors.connect(branch, &self.shared);
        }
        let mut pending = Vec::new();
        for (index, planned) in plan.receivers.into_iter().enumerate() {
            let fed = feeds.iter().zip(&branches).filter(|(feed, _)| feed.receivers.contains(&index));
            let route = Route { branches: fed.map(|(_, branch)| Arc::clone(branch)).collect() };
            pending.push(self.start_receiver(planned, route, readiness.clone()));
        }
        for (branch, feed) in branches.iter().zip(&feeds) {
            self.board.add_pipeline(branch.id.clone(), self.members(branch, feed));
        }
        for pending in pending {
            pending.wait().await?;
        }
        let components =
            (self.exporters.len() + self.stages.len() + self.last.stages.len() + self.receivers.len()) as u64;
        let applied = ConfigEvent::Applied { components, pipelines: branches.len() as u64 };
        let took = self.began.elapsed();
        self.shared.telemetry.service().config_applied(took);
        self.shared.events.emit(|| Draft::new(applied).lasting(took));
        Ok(())
    }

    /// All that takes part in a pipeline, in the order in which a batch meets it.
    fn members(&self, branch: &Branch, ends: &Ends) -> Vec<Base> {
        let receivers = ends.receivers.iter().filter_map(|index| self.receivers.get(*index)).cloned();
        let processors = branch.processors.iter().map(|stage| stage.base().clone());
        // One that is ignored too: without it the pipeline is not well.
        let exporters = ends.exporters.iter().filter_map(|index| self.exporters.get(*index));
        let exporters = exporters.map(|exporter| exporter.base.clone());
        receivers.chain(processors).chain(exporters).collect()
    }

    /// Starts the exporters, of which those at the positions `last` stop after all others.
    async fn start_exporters(
        &mut self,
        plan: Vec<PlannedExporter>,
        last: &[usize],
        readiness: &Readiness,
    ) -> Result<(), StartError> {
        let mut pending = Vec::new();
        for (index, PlannedExporter { planned, delivery }) in plan.into_iter().enumerate() {
            let last = last.contains(&index);
            let id = planned.unit.id.clone();
            let telemetry = self.shared.telemetry.exporter(id.as_str(), planned.unit.entry.kinds);
            let own = Own::Exporter { telemetry: telemetry.clone() };
            let base = Base::new(id.clone(), self.shared.clone(), own, Arc::default());
            let queue = Queue::new(&delivery.sending_queue);
            self.shared.telemetry.register_queue(id.as_str(), &queue);
            let exit = Exit {
                id,
                telemetry,
                queue: Arc::clone(&queue),
                overflow: delivery.sending_queue.overflow(),
                waits_for_result: delivery.sending_queue.waits_for_result(),
            };
            let consumers = delivery.sending_queue.num_consumers.get();
            let outlet = planned.spec.outlet(base.clone(), Arc::clone(&queue), delivery, planned.on_start_error);
            let cut = CancellationToken::new();
            let breaker = Some(outlet.breaker());
            self.board.add(Place { base: base.clone(), queue: Some(queue), breaker, pipeline: None });
            self.exporters.push(Outgoing {
                base: base.clone(),
                exit: exit.clone(),
                cut: cut.clone(),
                ignored: false,
                last,
                outlet: Arc::clone(&outlet),
            });
            let (announce, first) = Announce::new(readiness.clone());
            pending.push(Pending { base: base.clone(), first });
            let tasks = if last { &mut self.last.consumers } else { &mut self.consumers };
            tasks.spawn(async move {
                let start = || Arc::clone(&outlet).start();
                let starting = start_until(&base, planned.on_start_error, announce, start);
                if base.shared.drain.begun.run_until_cancelled(starting).await == Some(true) {
                    let consumer = || keep_consuming(base.clone(), Arc::clone(&outlet), cut.clone());
                    (0..consumers).map(|_| consumer()).collect::<JoinSet<()>>().join_all().await;
                }
            });
        }
        for (pending, exporter) in pending.into_iter().zip(&mut self.exporters) {
            exporter.ignored = !pending.wait().await?;
        }
        Ok(())
    }

    /// Starts the processors of all pipelines; the branches that they make, and what feeds and what ends each.
    async fn start_processors(
        &mut self,
        plan: Vec<PlannedPipeline>,
        readiness: &Readiness,
    ) -> Result<(Vec<Arc<Branch>>, Vec<Ends>), StartError> {
        let mut pending = Vec::new();
        let mut branches = Vec::new();
        let mut feeds = Vec::new();
        for pipeline in plan {
            let mut processors = Vec::new();
            let (stages, backgrounds) = if Some(&pipeline.id) == self.mirrors.pipeline() {
                (&mut self.last.stages, &mut self.last.backgrounds)
            } else {
                (&mut self.stages, &mut self.backgrounds)
            };
            for planned in pipeline.processors {
                let id = planned.unit.id.clone();
                let telemetry = self.shared.telemetry.processor(id.as_str(), planned.unit.entry.kinds);
                let own = Own::Processor { telemetry: telemetry.clone() };
                let base = Base::new(id, self.shared.clone(), own, Arc::default());
                self.board.add(Place {
                    base: base.clone(),
                    queue: None,
                    breaker: None,
                    pipeline: Some(pipeline.id.clone()),
                });
                let stage = planned.spec.stage(base.clone(), telemetry);
                processors.push(Arc::clone(&stage));
                stages.push(Arc::clone(&stage));
                let (announce, first) = Announce::new(readiness.clone());
                pending.push(Pending { base: base.clone(), first });
                backgrounds.spawn(run_stage(base, planned.on_start_error, announce, stage));
            }
            let exits = pipeline.exporters.iter().map(|index| &self.exporters[*index]);
            let exits = exits.filter(|exporter| !exporter.ignored).map(|exporter| exporter.exit.clone()).collect();
            let telemetry = self.shared.telemetry.pipeline(&pipeline.id.to_string());
            branches.push(Arc::new(Branch { id: pipeline.id, telemetry, processors, exits }));
            feeds.push(Ends { receivers: pipeline.receivers, exporters: pipeline.exporters });
        }
        for pending in pending {
            pending.wait().await?;
        }
        Ok((branches, feeds))
    }

    fn start_receiver(
        &mut self,
        planned: crate::graph::Planned<Box<dyn super::ReceiverSpec>>,
        route: Route,
        readiness: Readiness,
    ) -> Pending {
        let id = planned.unit.id.clone();
        let telemetry = self.shared.telemetry.receiver(id.as_str(), planned.unit.entry.kinds);
        let mut measures = false;
        (planned.unit.entry.data)(&mut |_| measures = true);
        if measures {
            // The runtime counts this kind when a label of the receiver's data reaches its cap.
            self.shared.telemetry.receiver(id.as_str(), &[ErrorKind::Cardinality]);
        }
        let activity = Arc::<Activity>::default();
        let emitter = Emitter::new(id.clone(), telemetry.clone(), &self.shared, Arc::clone(&activity));
        emitter.connect(route);
        let base = Base::new(id, self.shared.clone(), Own::Receiver { telemetry, emitter }, activity);
        self.receivers.push(base.clone());
        self.board.add(Place { base: base.clone(), queue: None, breaker: None, pipeline: None });
        let (announce, first) = Announce::new(readiness);
        let pending = Pending { base: base.clone(), first };
        let live = move |base: Base, started: Box<dyn FnOnce() + Send>| planned.spec.live(base, started);
        self.supervisors.spawn(supervise(base, planned.on_start_error, announce, live));
        pending
    }

    /// Waits until every component has started (or is ignored), and says so on the surface.
    pub async fn ready(&mut self) {
        if let Some(unready) = &mut self.unready {
            // Nothing is ever sent: it ends when the last component lets go. A caller may go away and come back.
            while unready.recv().await.is_some() {}
            self.unready = None;
            if let Some(surface) = &self.surface {
                surface.health().ready();
            }
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

    /// Stops everything, in order. What is not delivered within `service.drain_timeout` is counted as dropped.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.drain_timeout;
        stop::stop(self, deadline).await;
    }
}

/// Starts a processor and supervises its background.
async fn run_stage(base: Base, policy: OnStartError, announce: Announce, stage: Arc<dyn Stage>) {
    let starting = start_until(&base, policy, announce, || Arc::clone(&stage).start());
    // A stop does not wait for a start.
    if base.shutdown.run_until_cancelled(starting).await == Some(true) {
        super::supervise::keep(&base, || Arc::clone(&stage).background()).await;
    }
}

/// Runs a consumer of an exporter's queue until the queue is closed and empty, or it is cut off. What panics outside of
/// the exporter's calls costs one batch, which is counted as cut off, and the consumer goes on.
async fn keep_consuming(base: Base, outlet: Arc<dyn ErasedOutlet>, cut: CancellationToken) {
    loop {
        let consuming = contain(measured(&base.telemetry, Arc::clone(&outlet).consume()));
        match cut.run_until_cancelled(consuming).await {
            Some(Err(panic)) => {
                base.count_error(panic.kind);
                tracing::error!(component = %base.id, error = %panic, "a consumer of the queue panicked and goes on");
            }
            Some(Ok(())) | None => return,
        }
    }
}
