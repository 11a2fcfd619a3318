//! From settings to telemetry: every family is made here, once.

use std::sync::Arc;

use super::component::States;
use super::families::Families;
use super::handles::Handles;
use super::instruments::Instruments;
use super::provider::{Identity, Provider, sdk_resource};
use super::renames::{self, RENAMES, Rename};
use super::slo::{AggregateSlo, FailureRate};
use super::{
    BuildInfo, Inner, Level, Resource, SelfTelemetry, ServiceTelemetry, SloSource, SurfaceTelemetry, TelemetryError,
    Traces, process, push,
};
use crate::config;
use crate::time::Clock;

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
    renames: &'static [Rename],
}

impl SelfTelemetryBuilder {
    pub(super) fn new(build: BuildInfo, resource: Resource) -> Self {
        let (traces, push) = (config::Traces::default(), config::Push::default());
        let (clock, level) = (Clock::system(), Level::default());
        SelfTelemetryBuilder { build, resource, clock, level, slo: None, traces, push, renames: RENAMES }
    }

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

    /// Which metrics are shown under their old names too. Default: [`RENAMES`].
    #[cfg(test)]
    pub(super) fn renames(mut self, renames: &'static [Rename]) -> Self {
        self.renames = renames;
        self
    }

    /// Makes every family. Touches nothing else: what sends runs from [`SelfTelemetry::start`] on.
    ///
    /// # Errors
    /// [`TelemetryError::Exporter`] if the SDK refuses; the others are mistakes in the constants of a family.
    pub fn build(self) -> Result<SelfTelemetry, TelemetryError> {
        let SelfTelemetryBuilder { build, resource, clock, level, slo: slo_source, traces, push, renames } = self;
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
        let provider = Provider::new(identity.resource.clone(), enabled, push, renames)?;
        let instruments = Instruments::new(provider.meter(), provider.limits(), level);
        let families = Families::new(&instruments)?;
        renames::tell(renames, &instruments)?;
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
