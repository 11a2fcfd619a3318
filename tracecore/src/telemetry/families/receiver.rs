//! Of a receiver.

use super::{KIND, LATENCY_SECONDS, RECEIVER_ID};
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{CounterFamily, GaugeFamily, HistogramFamily, Instruments, ObservedCounterFamily};
use crate::telemetry::level::Level;
use crate::telemetry::spec::Spec;

const EMISSIONS: Spec<1> = Spec {
    name: "tracecore.receiver.emissions_total",
    help: "Emissions of the receiver that its pipelines accepted.",
    unit: "{emission}",
    labels: [RECEIVER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const ERRORS: Spec<2> = Spec {
    name: "tracecore.receiver.errors_total",
    help: "Errors of the receiver, by kind.",
    unit: "{error}",
    labels: [KIND, RECEIVER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const LATENCY: Spec<1> = Spec {
    name: "tracecore.receiver.collection_latency_seconds",
    help: "Time from the start of a collection to its verdict, failed ones too.",
    unit: "s",
    labels: [RECEIVER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const DEGRADED: Spec<1> = Spec {
    name: "tracecore.receiver.degraded_seconds_total",
    help: "Time that the receiver has been degraded, the present spell included.",
    unit: "s",
    labels: [RECEIVER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const LAST_ACTIVITY: Spec<1> = Spec {
    name: "tracecore.receiver.last_activity_unix_seconds",
    help: "When the receiver was last active, in Unix time; its start until then.",
    unit: "s",
    labels: [RECEIVER_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const FIRST_EMISSION: Spec<1> = Spec {
    name: "tracecore.component.first_emission_seconds",
    help: "Time from the receiver's last start to the first emission that was accepted after it.",
    unit: "s",
    labels: [RECEIVER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

/// Of a receiver.
pub(in crate::telemetry) struct ReceiverFamilies {
    pub(in crate::telemetry) emissions: CounterFamily<1>,
    pub(in crate::telemetry) errors: CounterFamily<2>,
    pub(in crate::telemetry) latency: HistogramFamily<1>,
    pub(in crate::telemetry) degraded: ObservedCounterFamily<1>,
    pub(in crate::telemetry) last_activity: GaugeFamily<1>,
    pub(in crate::telemetry) first_emission: GaugeFamily<1>,
}

impl ReceiverFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ReceiverFamilies {
            emissions: make.counter(&EMISSIONS)?,
            errors: make.counter(&ERRORS)?,
            latency: make.histogram(&LATENCY, &LATENCY_SECONDS)?,
            degraded: make.observed_counter(&DEGRADED)?,
            last_activity: make.gauge(&LAST_ACTIVITY)?,
            first_emission: make.gauge(&FIRST_EMISSION)?,
        })
    }
}
