//! Of a component of any role: its life and its tasks.

use super::words;
use crate::component::Role;
use crate::metrics::buckets_rise;
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{
    CounterFamily, GaugeFamily, HistogramFamily, Instruments, ObservedCounterFamily, UpDownCounterFamily,
};
use crate::telemetry::labels::{InitErrorReason, StopReason};
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

/// Upper edges in seconds, the powers of ten from a microsecond: a poll should take far less than a millisecond.
const POLL_EDGES: [f64; 7] = [0.000_001, 0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0];
const _: () = assert!(buckets_rise(&POLL_EDGES));

const COMPONENT_ID: LabelKey = LabelKey { key: "component_id", values: Values::Components };
const ROLE: LabelKey = LabelKey { key: "role", values: Values::Follows(words!(Role)) };
const STOP_REASON: LabelKey = LabelKey { key: "reason", values: Values::Closed(words!(StopReason)) };
const INIT_ERROR_REASON: LabelKey = LabelKey { key: "reason", values: Values::Closed(words!(InitErrorReason)) };

const STARTS: Spec<2> = Spec {
    name: "tracecore.component.starts_total",
    help: "Starts of the component, restarts too.",
    unit: "{start}",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Normal,
    since: "0.1.0",
};

const STOPPED: Spec<3> = Spec {
    name: "tracecore.component.stopped_total",
    help: "Ends of the component, by reason.",
    unit: "{stop}",
    labels: [COMPONENT_ID, ROLE, STOP_REASON],
    level: Level::Normal,
    since: "0.1.0",
};

const RESTARTS: Spec<2> = Spec {
    name: "tracecore.component.restarts_total",
    help: "Restarts of the component by the supervisor.",
    unit: "{restart}",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Basic,
    since: "0.1.0",
};

const START_SECONDS: Spec<2> = Spec {
    name: "tracecore.component.start_seconds",
    help: "Time that the component's last start took.",
    unit: "s",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Normal,
    since: "0.1.0",
};

const HEALTH_CHECKS_FAILED: Spec<2> = Spec {
    name: "tracecore.health_checks_failed_total",
    help: "Health checks of the component, or of the backend behind it, that failed.",
    unit: "{check}",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Basic,
    since: "0.1.0",
};

const INIT_ERRORS: Spec<3> = Spec {
    name: "tracecore.selftelemetry.init_errors_total",
    help: "Components that run without metrics of their own, by reason.",
    unit: "{error}",
    labels: [COMPONENT_ID, ROLE, INIT_ERROR_REASON],
    level: Level::Basic,
    since: "0.1.0",
};

const TASKS: Spec<2> = Spec {
    name: "tracecore.component.tasks",
    help: "Tasks of the component that run now.",
    unit: "{task}",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Detailed,
    since: "0.1.0",
};

const POLLS: Spec<2> = Spec {
    name: "tracecore.component.polls_total",
    help: "Polls of the component's tasks.",
    unit: "{poll}",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Detailed,
    since: "0.1.0",
};

const POLL_SECONDS: Spec<2> = Spec {
    name: "tracecore.component.poll_seconds_total",
    help: "Time that the polls of the component's tasks took together.",
    unit: "s",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Detailed,
    since: "0.1.0",
};

const POLL_DURATION: Spec<2> = Spec {
    name: "tracecore.component.poll_duration_seconds",
    help: "Time that one poll of a task of the component took.",
    unit: "s",
    labels: [COMPONENT_ID, ROLE],
    level: Level::Detailed,
    since: "0.1.0",
};

/// Of a component of any role: its life and its tasks.
pub(in crate::telemetry) struct ComponentFamilies {
    pub(in crate::telemetry) starts: CounterFamily<2>,
    pub(in crate::telemetry) stopped: CounterFamily<3>,
    pub(in crate::telemetry) restarts: CounterFamily<2>,
    pub(in crate::telemetry) start_seconds: GaugeFamily<2>,
    pub(in crate::telemetry) health_checks_failed: CounterFamily<2>,
    pub(in crate::telemetry) init_errors: CounterFamily<3>,
    pub(in crate::telemetry) tasks: UpDownCounterFamily<2>,
    pub(in crate::telemetry) polls: CounterFamily<2>,
    pub(in crate::telemetry) poll_seconds: ObservedCounterFamily<2>,
    pub(in crate::telemetry) poll_duration: HistogramFamily<2>,
}

impl ComponentFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ComponentFamilies {
            starts: make.counter(&STARTS)?,
            stopped: make.counter(&STOPPED)?,
            restarts: make.counter(&RESTARTS)?,
            start_seconds: make.gauge(&START_SECONDS)?,
            health_checks_failed: make.counter(&HEALTH_CHECKS_FAILED)?,
            init_errors: make.counter(&INIT_ERRORS)?,
            tasks: make.up_down_counter(&TASKS)?,
            polls: make.counter(&POLLS)?,
            poll_seconds: make.observed_counter(&POLL_SECONDS)?,
            poll_duration: make.histogram(&POLL_DURATION, &POLL_EDGES)?,
        })
    }
}
