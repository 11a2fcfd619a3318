//! What the collector says about itself: its own metrics, and its log.
//!
//! One [`SelfTelemetry`] belongs to one service and is handed down; nothing here is global, so that services and tests
//! run side by side. Components report through handles ([`ReceiverTelemetry`] and its siblings) whose calls are one
//! bound add each: they cannot fail and allocate nothing. Every series that can be known stands at its resting value
//! from the start, so that no alert fires at boot and no first error is lost to `increase()`. What is above the
//! [`Level`] has no series, and its handles work as before.
//!
//! The OpenTelemetry SDK is behind `instruments`, `provider`, `traces` and `push`; none of its types is in a public
//! signature. What is sent, the collector's own traces and the push of its metrics, is off without an endpoint.
//! The one lock that a handle's call can meet is the SDK's own, around the buckets of a histogram.
//! Deliberately absent: a series that goes away (a component's stays until the process ends).

mod breaker;
mod component;
pub(crate) mod declared;
mod degraded;
mod exporter;
mod families;
mod handles;
mod ingest;
mod instruments;
mod kinds;
mod labels;
mod level;
mod logging;
mod observed;
mod otlp;
mod outbound;
mod pipeline;
mod process;
mod processor;
mod provider;
mod push;
mod receiver;
mod resource;
mod service;
mod slo;
mod spec;
mod surface;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traces;
mod windowed_rate;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use prometheus::proto::MetricFamily;

pub use self::breaker::BreakerTelemetry;
pub use self::component::{ComponentStates, ComponentTelemetry};
pub use self::exporter::ExporterTelemetry;
pub use self::ingest::IngestTelemetry;
pub use self::labels::{
    BreakerState, ComponentState, Direction, DropReason, InitErrorReason, ProcessorDropReason, StatusClass, StopReason,
    SurfaceRoute,
};
pub use self::level::Level;
pub use self::logging::init_logging;
pub use self::pipeline::PipelineTelemetry;
pub use self::processor::ProcessorTelemetry;
pub use self::receiver::ReceiverTelemetry;
pub use self::resource::{BuildInfo, Resource};
pub use self::service::ServiceTelemetry;
pub use self::slo::{Calls, QueueDepth, SloSource, ZeroSlo};
pub use self::surface::SurfaceTelemetry;
pub use self::traces::{Operation, Span, SpanContext, Traces};
pub use self::windowed_rate::WindowedRate;

use self::component::States;
use self::families::Families;
use self::handles::Handles;
use self::instruments::Instruments;
use self::outbound::Outbound;
use self::provider::{Identity, Provider, sdk_resource};
use self::slo::{AggregateSlo, FailureRate};
use crate::component::Role;
use crate::config;
use crate::error::ErrorKind;
use crate::time::{Clock, Duration, Instant};

/// How long what is left of the collector's own telemetry may take to be sent at the end of a service: a backend that
/// works needs milliseconds, and one that does not must not hold up the exit.
pub const FLUSH_BUDGET: Duration = Duration::from_millis(500);

/// What can go wrong when the telemetry is set up or taken down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The name of a metric is not `[a-z][a-z0-9_.]*`.
    #[error("`{name}` is not a metric name: use lower-case words with dots or underscores between them")]
    Name {
        /// The name.
        name: &'static str,
    },
    /// The key of a label is not `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("metric `{name}`: `{key}` is not a label key: use letters, digits and underscores")]
    LabelKey {
        /// The name of the metric.
        name: &'static str,
        /// The key.
        key: &'static str,
    },
    /// The unit of a metric is not ASCII or too long.
    #[error("metric `{name}`: `{unit}` is not a unit: use at most 63 ASCII characters of UCUM")]
    Unit {
        /// The name of the metric.
        name: &'static str,
        /// The unit.
        unit: &'static str,
    },
    /// The buckets of a histogram are not ascending or not finite.
    #[error("metric `{name}`: the bucket edges must be finite and ascending")]
    Buckets {
        /// The name of the metric.
        name: &'static str,
    },
    /// A metric of this name exists, and it is another one.
    #[error("metric `{name}` exists with another type, help, unit, labels or buckets")]
    Conflict {
        /// The name.
        name: &'static str,
    },
    /// The exporter could not be set up.
    #[error("cannot set up the metrics exporter")]
    Exporter(#[source] Box<dyn Error + Send + Sync>),
    /// The exporter could not be taken down.
    #[error("cannot shut down the metrics exporter")]
    Shutdown(#[source] Box<dyn Error + Send + Sync>),
    /// The process has a log already.
    #[error("cannot set up the log")]
    Logging(#[source] Box<dyn Error + Send + Sync>),
}

/// The collector's own metrics. Cheap to clone.
#[derive(Clone)]
pub struct SelfTelemetry(Arc<Inner>);

struct Inner {
    build: BuildInfo,
    resource: Resource,
    clock: Clock,
    provider: Provider,
    instruments: Instruments,
    families: Families,
    slo: Arc<AggregateSlo>,
    slo_source: Arc<dyn SloSource>,
    states: States,
    surface: SurfaceTelemetry,
    service: ServiceTelemetry,
    components: [Handles<ComponentTelemetry>; Role::ALL.len()],
    traces: Traces,
    outbound: Option<Outbound>,
    receivers: Handles<ReceiverTelemetry>,
    processors: Handles<ProcessorTelemetry>,
    exporters: Handles<ExporterTelemetry>,
    ingests: Handles<IngestTelemetry>,
    breakers: Handles<BreakerTelemetry>,
    pipelines: Handles<PipelineTelemetry>,
}

/// Settings of a [`SelfTelemetry`].
#[must_use]
pub struct SelfTelemetryBuilder {
    build: BuildInfo,
    resource: Resource,
    clock: Clock,
    level: Level,
    slo: Option<Arc<dyn SloSource>>,
    traces: config::Traces,
    push: config::Push,
}

impl SelfTelemetryBuilder {
    /// The wall clock. Default: the machine's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How much is recorded. What is not has no series; handles work, and cost next to nothing. Default:
    /// [`Level::Normal`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Where the service-level gauges take their values. Default: what is registered here.
    pub fn slo_source(mut self, source: Arc<dyn SloSource>) -> Self {
        self.slo = Some(source);
        self
    }

    /// Where the collector's own traces go. Default: nowhere, and there are none.
    pub fn traces(mut self, traces: config::Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Where these metrics are pushed, beside being gathered. Default: nowhere.
    pub fn push(mut self, push: config::Push) -> Self {
        self.push = push;
        self
    }

    /// Makes every family. Touches nothing else: what sends runs from [`SelfTelemetry::start`] on.
    ///
    /// # Errors
    /// [`TelemetryError::Exporter`] if the SDK refuses; the others are mistakes in the constants of a family.
    pub fn build(self) -> Result<SelfTelemetry, TelemetryError> {
        let SelfTelemetryBuilder { build, resource, clock, level, slo: slo_source, traces, push } = self;
        let enabled = level > Level::None;
        let identity = Identity { build: &build, resource: &sdk_resource(&resource) };
        let mut outbound = None;
        let traces = match traces.endpoint.filter(|_| enabled) {
            Some(url) => {
                let outbound = outbound.get_or_insert_default();
                Traces::new(&url, traces.sampling_ratio, identity, clock.clone(), outbound)
            }
            None => Traces::default(),
        };
        let push = push
            .endpoint
            .filter(|_| enabled)
            .map(|url| push::push(&url, push.interval, identity, outbound.get_or_insert_default()));
        let provider = Provider::new(identity.resource.clone(), enabled, push)?;
        let instruments = Instruments::new(provider.meter(), provider.limits(), level);
        let families = Families::new(&instruments)?;
        families.service.build_info.bind([build.command, build.version, build.revision], 1.0);
        let slo = Arc::new(AggregateSlo::default());
        let slo_source = slo_source.unwrap_or_else(|| Arc::clone(&slo) as Arc<dyn SloSource>);
        observe_slo(&families, Arc::clone(&slo_source));
        process::observe(&families);
        let states = States::default();
        states.observe(&families);
        Ok(SelfTelemetry(Arc::new(Inner {
            build,
            resource,
            clock,
            provider,
            states,
            surface: SurfaceTelemetry::new(&families),
            service: ServiceTelemetry::new(&families),
            components: Default::default(),
            traces,
            outbound,
            instruments,
            families,
            slo,
            slo_source,
            receivers: Handles::default(),
            processors: Handles::default(),
            exporters: Handles::default(),
            ingests: Handles::default(),
            breakers: Handles::default(),
            pipelines: Handles::default(),
        })))
    }
}

fn observe_slo(families: &Families, source: Arc<dyn SloSource>) {
    let (rate, calls) = (FailureRate::new(), Arc::clone(&source));
    families.exporter.failure_rate.bind([], move || rate.observe(calls.exporter_calls()));
    let queues = Arc::clone(&source);
    families.exporter.queue_depth.bind([], move || queues.queue_depth_ratio());
    families.service.restarts_per_hour.bind([], move || source.restarts_last_hour() as f64);
}

impl SelfTelemetry {
    /// Metrics of a service, recorded and gathered.
    ///
    /// # Errors
    /// As [`SelfTelemetryBuilder::build`].
    pub fn new(build: BuildInfo, resource: Resource) -> Result<Self, TelemetryError> {
        SelfTelemetry::builder(build, resource).build()
    }

    /// The same with settings.
    pub fn builder(build: BuildInfo, resource: Resource) -> SelfTelemetryBuilder {
        let (traces, push) = (config::Traces::default(), config::Push::default());
        SelfTelemetryBuilder {
            build,
            resource,
            clock: Clock::system(),
            level: Level::default(),
            slo: None,
            traces,
            push,
        }
    }

    /// Metrics that nobody will ask for.
    pub fn noop() -> Self {
        let build = BuildInfo::new("tracecore", env!("CARGO_PKG_VERSION"), "");
        let resource = Resource::detect(&build);
        let disabled = SelfTelemetry::builder(build, resource).level(Level::None).build();
        disabled.expect("without an exporter only the constants of a family can be wrong, and a test makes them all")
    }

    /// The build that runs.
    pub fn build_info(&self) -> &BuildInfo {
        &self.0.build
    }

    /// The attributes of this process, for exported data too.
    pub fn resource(&self) -> &Resource {
        &self.0.resource
    }

    /// How much is recorded.
    pub fn level(&self) -> Level {
        self.0.instruments.level()
    }

    /// The handle of the service as a whole.
    pub fn service(&self) -> ServiceTelemetry {
        self.0.service.clone()
    }

    /// What the component `id` has in common with those of every role. The handles of its role make it too.
    pub fn component(&self, id: &str, role: Role) -> ComponentTelemetry {
        let polls = self.0.instruments.shows(Level::Detailed);
        self.0.components[role as usize].get(id, || ComponentTelemetry::new(&self.0.families, id, role, polls))
    }

    /// The handle of the receiver `id` (`type` or `type/name`); the series of `kinds` are shown at 0.
    pub fn receiver(&self, id: &str, kinds: &[ErrorKind]) -> ReceiverTelemetry {
        let inner = &*self.0;
        let make = || {
            self.component(id, Role::Receiver);
            ReceiverTelemetry::new(&inner.families, id, inner.clock.clone())
        };
        let handle = inner.receivers.get(id, make);
        handle.declare(kinds);
        handle
    }

    /// The handle of the processor `id`; the series of `kinds` are shown at 0.
    pub fn processor(&self, id: &str, kinds: &[ErrorKind]) -> ProcessorTelemetry {
        let inner = &*self.0;
        let make = || {
            self.component(id, Role::Processor);
            ProcessorTelemetry::new(&inner.families, id)
        };
        let handle = inner.processors.get(id, make);
        handle.declare(kinds);
        handle
    }

    /// The handle of the exporter `id`; the series of `kinds` are shown at 0.
    pub fn exporter(&self, id: &str, kinds: &[ErrorKind]) -> ExporterTelemetry {
        let inner = &*self.0;
        let make = || {
            self.component(id, Role::Exporter);
            ExporterTelemetry::new(&inner.families, &inner.slo, id)
        };
        let handle = inner.exporters.get(id, make);
        handle.declare(kinds);
        handle
    }

    /// What the receiver `id` says as a server; one that serves nobody does not ask for it.
    pub fn ingest(&self, id: &str) -> IngestTelemetry {
        self.0.ingests.get(id, || IngestTelemetry::new(&self.0.families, id))
    }

    /// The handle of the circuit breaker of the exporter `id`.
    pub fn breaker(&self, id: &str) -> BreakerTelemetry {
        self.0.breakers.get(id, || BreakerTelemetry::new(&self.0.families, id))
    }

    /// The handle of the pipeline `id` (`signal` or `signal/name`).
    pub fn pipeline(&self, id: &str) -> PipelineTelemetry {
        self.0.pipelines.get(id, || PipelineTelemetry::new(&self.0.families, id))
    }

    /// The handle of the telemetry surface.
    pub fn surface(&self) -> SurfaceTelemetry {
        self.0.surface.clone()
    }

    /// Where the spans of the collector's own traces are made.
    pub fn traces(&self) -> &Traces {
        &self.0.traces
    }

    /// What the service-level gauges read.
    pub fn slo_source(&self) -> &dyn SloSource {
        &*self.0.slo_source
    }

    /// Watches the queue of the exporter `id` for as long as somebody else holds it, in place of an earlier one.
    pub fn register_queue<Q: QueueDepth>(&self, id: &str, queue: &Arc<Q>) {
        let queue = Arc::downgrade(queue);
        self.0.slo.set_queue(id, queue);
    }

    /// Reads what the components do from `source`, for as long as somebody else holds it, in place of an earlier one.
    pub fn register_components<C: ComponentStates>(&self, source: &Arc<C>) {
        let source = Arc::downgrade(source);
        self.0.states.set(source);
    }

    /// Counts a restart by the supervisor.
    pub fn component_restarted(&self, id: &str, role: Role) {
        self.component(id, role).restarted();
        self.0.slo.restarted();
    }

    /// Counts that a component's own metrics could not be made, so that it runs without them. This never fails.
    ///
    /// Unlike the other counters it has no series before: what it counts happens before the first scrape, so an alert
    /// looks for a value above 0 and not for an increase.
    pub fn record_init_error(&self, id: &str, role: Role, reason: InitErrorReason) {
        self.0.families.component.init_errors.bind([id, role.as_str(), reason.as_str()]).add(1);
    }

    /// Where a component's own metrics are made.
    pub(crate) fn instruments(&self) -> &Instruments {
        &self.0.instruments
    }

    /// Collects: every family once, sorted by name, its series sorted by their label values. Empty if disabled or shut
    /// down.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.0.provider.gather()
    }

    /// Runs what sends traces and metrics, on the runtime of the caller. Without an endpoint there is nothing to run. A
    /// second call does nothing.
    pub fn start(&self) {
        if let Some(outbound) = &self.0.outbound {
            outbound.start();
        }
    }

    /// Sends what is left of traces and metrics until `deadline` and ends what [`SelfTelemetry::start`] runs. To be called
    /// before [`SelfTelemetry::shutdown`], when nothing counts any more; see [`FLUSH_BUDGET`].
    pub async fn stop(&self, deadline: Instant) {
        if let Some(outbound) = &self.0.outbound {
            outbound.stop(deadline).await;
        }
    }

    /// Ends collection. Handles stay valid and go nowhere; a second call does nothing.
    ///
    /// # Errors
    /// [`TelemetryError::Shutdown`] if the SDK cannot; there is nothing to do but to log it.
    pub fn shutdown(&self) -> Result<(), TelemetryError> {
        self.0.provider.shutdown()
    }
}

impl fmt::Debug for SelfTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfTelemetry").field("build", &self.0.build).finish_non_exhaustive()
    }
}
