//! What the collector says about itself: its own metrics, its traces and its log.
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
mod builder;
mod component;
pub(crate) mod declared;
mod degraded;
mod error;
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
mod renames;
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

use std::fmt;
use std::sync::Arc;

use prometheus::proto::MetricFamily;

pub use self::breaker::BreakerTelemetry;
pub use self::builder::SelfTelemetryBuilder;
pub use self::component::{ComponentStates, ComponentTelemetry};
pub use self::error::TelemetryError;
pub use self::exporter::ExporterTelemetry;
pub use self::ingest::IngestTelemetry;
pub use self::labels::{
    BreakerState, ComponentState, Direction, DropReason, InitErrorReason, ProcessorDropReason, StatusClass, StopReason,
    SurfaceRoute,
};
pub use self::level::Level;
pub use self::logging::{Log, LogLevel, init_logging};
pub use self::pipeline::PipelineTelemetry;
pub(crate) use self::process::resident_bytes;
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
use self::provider::Provider;
use self::slo::AggregateSlo;
use crate::component::Role;
use crate::error::ErrorKind;
use crate::memory::Memory;
use crate::time::{Clock, Duration, Instant};

/// How long what is left of the collector's own telemetry may take to be sent at the end of a service: a backend that
/// works needs milliseconds, and one that does not must not hold up the exit.
pub const FLUSH_BUDGET: Duration = Duration::from_millis(500);

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
        SelfTelemetryBuilder::new(build, resource)
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

    /// Shows what batches hold of `memory`.
    pub fn register_memory(&self, memory: &Memory) {
        let families = &self.0.families.service;
        let (held, budget, pressure) = (memory.clone(), memory.clone(), memory.clone());
        families.memory_held.bind([], move || held.held() as f64);
        families.memory_budget.bind([], move || budget.budget() as f64);
        families.memory_pressure.bind([], move || f64::from(pressure.pressure() as u8));
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
