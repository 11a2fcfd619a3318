//! Of the service as a whole, and of its surface.

use super::words;
use crate::net::Exit;
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{CounterFamily, GaugeFamily, Instruments, ObservedGaugeFamily};
use crate::telemetry::labels::{ComponentState, StatusClass, SurfaceRoute};
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

const COMMAND: LabelKey = LabelKey { key: "command", values: Values::Process };
const VERSION: LabelKey = LabelKey { key: "version", values: Values::Process };
const REVISION: LabelKey = LabelKey { key: "revision", values: Values::Process };
const STATE: LabelKey = LabelKey { key: "state", values: Values::Closed(words!(ComponentState)) };
const ROUTE: LabelKey = LabelKey { key: "route", values: Values::Closed(words!(SurfaceRoute)) };
const STATUS_CLASS: LabelKey = LabelKey { key: "status_class", values: Values::Closed(words!(StatusClass)) };
const EXIT_REASON: LabelKey = LabelKey { key: "reason", values: Values::Closed(words!(Exit)) };

const BUILD_INFO: Spec<3> = Spec {
    name: "tracecore.build.info",
    help: "The build that runs; always 1.",
    unit: "1",
    labels: [COMMAND, VERSION, REVISION],
    level: Level::Basic,
    since: "0.1.0",
};

const COMPONENTS: Spec<1> = Spec {
    name: "tracecore.components",
    help: "Components by what they do now; the sum is the number of components.",
    unit: "{component}",
    labels: [STATE],
    level: Level::Normal,
    since: "0.1.0",
};

const COMPONENTS_ACTIVE: Spec<0> = Spec {
    name: "tracecore.components_active",
    help: "Components that run now.",
    unit: "{component}",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

const RESTARTS_PER_HOUR: Spec<0> = Spec {
    name: "tracecore.component.restart_count_per_hour",
    help: "Restarts of all components by the supervisor over the last hour.",
    unit: "{restart}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const STARTUP: Spec<0> = Spec {
    name: "tracecore.startup_seconds",
    help: "Time from the start of the service until it was ready.",
    unit: "s",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

const CONFIG_APPLY: Spec<0> = Spec {
    name: "tracecore.config.apply_seconds",
    help: "Time that applying the present configuration took.",
    unit: "s",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

const EVENTS_LAGGED: Spec<0> = Spec {
    name: "tracecore.events.lagged_total",
    help: "Events that subscribers missed because they were too slow.",
    unit: "{event}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const EVENTS_REFUSED: Spec<0> = Spec {
    name: "tracecore.events.refused_total",
    help: "Events that were not sent because the pipeline of telemetry.events refused them.",
    unit: "{event}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const MEMORY_HELD: Spec<0> = Spec {
    name: "tracecore.memory.held_bytes",
    help: "Memory that batches hold.",
    unit: "By",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const MEMORY_BUDGET: Spec<0> = Spec {
    name: "tracecore.memory.budget_bytes",
    help: "Memory that batches may hold; what would be above it is refused.",
    unit: "By",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const MEMORY_PRESSURE: Spec<0> = Spec {
    name: "tracecore.memory.pressure",
    help: "How near the process is to its limit of memory: 0 not, 1 above 90 %, 2 above 95 %, when batches are refused.",
    unit: "1",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const MEMORY_REFUSED: Spec<0> = Spec {
    name: "tracecore.memory.refused_total",
    help: "Items that were refused, for now, because batches held as much as they may, or the process used nearly all of its memory.",
    unit: "{item}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const SURFACE_REQUESTS: Spec<2> = Spec {
    name: "tracecore.surface.requests_total",
    help: "Requests to the surface that have ended, by what they asked for and class of the status.",
    unit: "{request}",
    labels: [ROUTE, STATUS_CLASS],
    level: Level::Normal,
    since: "0.1.0",
};

pub(in crate::telemetry) const SCRAPE_PANICS: Spec<0> = Spec {
    name: "tracecore.surface.scrape_panics_total",
    help: "Panics while the surface answered a request or a metric was read.",
    unit: "{panic}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const SERVE_EXITED: Spec<1> = Spec {
    name: "tracecore.surface.serve_exited_total",
    help: "Ends of the loop that accepts connections to the surface, by reason.",
    unit: "{exit}",
    labels: [EXIT_REASON],
    level: Level::Basic,
    since: "0.1.0",
};

const RATE_LIMITED: Spec<0> = Spec {
    name: "tracecore.surface.rate_limited_total",
    help: "Requests that the surface refused because they came too fast.",
    unit: "{request}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

/// Of the service as a whole, and of its surface.
pub(in crate::telemetry) struct ServiceFamilies {
    pub(in crate::telemetry) build_info: GaugeFamily<3>,
    pub(in crate::telemetry) components: ObservedGaugeFamily<1>,
    pub(in crate::telemetry) components_active: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) restarts_per_hour: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) startup: GaugeFamily<0>,
    pub(in crate::telemetry) config_apply: GaugeFamily<0>,
    pub(in crate::telemetry) events_lagged: CounterFamily<0>,
    pub(in crate::telemetry) events_refused: CounterFamily<0>,
    pub(in crate::telemetry) memory_held: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) memory_budget: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) memory_pressure: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) memory_refused: CounterFamily<0>,
    pub(in crate::telemetry) surface_requests: CounterFamily<2>,
    pub(in crate::telemetry) scrape_panics: CounterFamily<0>,
    pub(in crate::telemetry) serve_exited: CounterFamily<1>,
    pub(in crate::telemetry) rate_limited: CounterFamily<0>,
}

impl ServiceFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ServiceFamilies {
            build_info: make.gauge(&BUILD_INFO)?,
            components: make.observed_gauge(&COMPONENTS)?,
            components_active: make.observed_gauge(&COMPONENTS_ACTIVE)?,
            restarts_per_hour: make.observed_gauge(&RESTARTS_PER_HOUR)?,
            startup: make.gauge(&STARTUP)?,
            config_apply: make.gauge(&CONFIG_APPLY)?,
            events_lagged: make.counter(&EVENTS_LAGGED)?,
            events_refused: make.counter(&EVENTS_REFUSED)?,
            memory_held: make.observed_gauge(&MEMORY_HELD)?,
            memory_budget: make.observed_gauge(&MEMORY_BUDGET)?,
            memory_pressure: make.observed_gauge(&MEMORY_PRESSURE)?,
            memory_refused: make.counter(&MEMORY_REFUSED)?,
            surface_requests: make.counter(&SURFACE_REQUESTS)?,
            scrape_panics: make.counter(&SCRAPE_PANICS)?,
            serve_exited: make.counter(&SERVE_EXITED)?,
            rate_limited: make.counter(&RATE_LIMITED)?,
        })
    }
}
