//! Of an exporter, its queue and its breaker.

use super::{KIND, LATENCY_SECONDS, words};
use crate::error::ErrorKind;
use crate::telemetry::TelemetryError;
use crate::telemetry::exporter::NO_KIND;
use crate::telemetry::instruments::{CounterFamily, GaugeFamily, HistogramFamily, Instruments, ObservedGaugeFamily};
use crate::telemetry::labels::{BreakerState, DropReason};
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

/// The kinds of failed calls, and that of one that succeeded.
const CALL_KINDS: [&str; ErrorKind::ALL.len() + 1] = {
    let mut kinds = [NO_KIND; ErrorKind::ALL.len() + 1];
    let mut at = 0;
    while at < ErrorKind::ALL.len() {
        kinds[at] = ErrorKind::ALL[at].as_str();
        at += 1;
    }
    kinds
};

const EXPORTER_ID: LabelKey = LabelKey { key: "component_id", values: Values::Exporters };
const RESULT: LabelKey = LabelKey { key: "result", values: Values::Follows(&["success", "failure"]) };
/// A success has no kind: its `kind` is the empty string, which Prometheus takes for the label's absence.
const CALL_KIND: LabelKey = LabelKey { key: "kind", values: Values::Closed(&CALL_KINDS) };
const DROP_REASON: LabelKey = LabelKey { key: "reason", values: Values::Closed(words!(DropReason)) };
const BREAKER_TO: LabelKey = LabelKey { key: "to", values: Values::Closed(words!(BreakerState)) };

const CALLS: Spec<3> = Spec {
    name: "tracecore.exporter.calls_total",
    help: "Export calls by result; a failed one also by kind.",
    unit: "{call}",
    labels: [RESULT, CALL_KIND, EXPORTER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const ERRORS: Spec<2> = Spec {
    name: "tracecore.exporter.errors_total",
    help: "Errors of the exporter beside its calls (starts, tasks, what it reports), by kind.",
    unit: "{error}",
    labels: [KIND, EXPORTER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const DROPPED: Spec<2> = Spec {
    name: "tracecore.exporter.dropped_total",
    help: "Items that the exporter or its queue gave up, by reason.",
    unit: "{item}",
    labels: [EXPORTER_ID, DROP_REASON],
    level: Level::Basic,
    since: "0.1.0",
};

const FAILURE_RATE: Spec<0> = Spec {
    name: "tracecore.exporter.failure_rate",
    help: "Share of all export calls that failed over the last 60 seconds; 0 without calls.",
    unit: "1",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const FAILURE_RATE_BY_COMPONENT: Spec<1> = Spec {
    name: "tracecore.exporter.failure_rate_by_component",
    help: "Share of the exporter's calls that failed over the last 60 seconds; 0 without calls.",
    unit: "1",
    labels: [EXPORTER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const QUEUE_DEPTH: Spec<0> = Spec {
    name: "tracecore.queue.depth_ratio",
    help: "How full the fullest sending queue is now, from 0 to 1; 0 without queues.",
    unit: "1",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const DURATION: Spec<1> = Spec {
    name: "tracecore.exporter.export_duration_seconds",
    help: "Time that an export call took, failed ones too.",
    unit: "s",
    labels: [EXPORTER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const RETRIES: Spec<1> = Spec {
    name: "tracecore.exporter.retries_total",
    help: "Export calls that tried a batch again.",
    unit: "{retry}",
    labels: [EXPORTER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const BREAKER_STATE: Spec<1> = Spec {
    name: "tracecore.breaker.state",
    help: "The exporter's circuit breaker: 0 closed, 1 open, 2 half_open.",
    unit: "1",
    labels: [EXPORTER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const BREAKER_TRANSITIONS: Spec<2> = Spec {
    name: "tracecore.breaker.transitions_total",
    help: "Changes of the exporter's circuit breaker, by the state it went to.",
    unit: "{transition}",
    labels: [EXPORTER_ID, BREAKER_TO],
    level: Level::Normal,
    since: "0.1.0",
};

/// Of an exporter, its queue and its breaker.
pub(in crate::telemetry) struct ExporterFamilies {
    pub(in crate::telemetry) calls: CounterFamily<3>,
    pub(in crate::telemetry) errors: CounterFamily<2>,
    pub(in crate::telemetry) dropped: CounterFamily<2>,
    pub(in crate::telemetry) failure_rate: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) failure_rate_by_component: ObservedGaugeFamily<1>,
    pub(in crate::telemetry) queue_depth: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) duration: HistogramFamily<1>,
    pub(in crate::telemetry) retries: CounterFamily<1>,
    pub(in crate::telemetry) breaker_state: GaugeFamily<1>,
    pub(in crate::telemetry) breaker_transitions: CounterFamily<2>,
}

impl ExporterFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ExporterFamilies {
            calls: make.counter(&CALLS)?,
            errors: make.counter(&ERRORS)?,
            dropped: make.counter(&DROPPED)?,
            failure_rate: make.observed_gauge(&FAILURE_RATE)?,
            failure_rate_by_component: make.observed_gauge(&FAILURE_RATE_BY_COMPONENT)?,
            queue_depth: make.observed_gauge(&QUEUE_DEPTH)?,
            duration: make.histogram(&DURATION, &LATENCY_SECONDS)?,
            retries: make.counter(&RETRIES)?,
            breaker_state: make.gauge(&BREAKER_STATE)?,
            breaker_transitions: make.counter(&BREAKER_TRANSITIONS)?,
        })
    }
}
