//! Of a receiver that serves clients.

use super::{LATENCY_SECONDS, RECEIVER_ID, words};
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{CounterFamily, HistogramFamily, Instruments, UpDownCounterFamily};
use crate::telemetry::labels::StatusClass;
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

const RECEIVER: LabelKey = LabelKey { key: "receiver", values: Values::Receivers };
const STATUS_CLASS: LabelKey = LabelKey { key: "status_class", values: Values::Closed(words!(StatusClass)) };

const REQUESTS: Spec<2> = Spec {
    name: "tracecore.ingest.requests_total",
    help: "Requests that the receiver answered, by class of the status.",
    unit: "{request}",
    labels: [RECEIVER, STATUS_CLASS],
    level: Level::Normal,
    since: "0.1.0",
};

const DURATION: Spec<1> = Spec {
    name: "tracecore.ingest.duration_seconds",
    help: "Time from a request to its answer.",
    unit: "s",
    labels: [RECEIVER],
    level: Level::Normal,
    since: "0.1.0",
};

const CONNECTIONS: Spec<1> = Spec {
    name: "tracecore.receiver.connections_active",
    help: "Connections of clients that are open now.",
    unit: "{connection}",
    labels: [RECEIVER_ID],
    level: Level::Normal,
    since: "0.1.0",
};

/// Of a receiver that serves clients.
pub(in crate::telemetry) struct IngestFamilies {
    pub(in crate::telemetry) requests: CounterFamily<2>,
    pub(in crate::telemetry) duration: HistogramFamily<1>,
    pub(in crate::telemetry) connections: UpDownCounterFamily<1>,
}

impl IngestFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(IngestFamilies {
            requests: make.counter(&REQUESTS)?,
            duration: make.histogram(&DURATION, &LATENCY_SECONDS)?,
            connections: make.up_down_counter(&CONNECTIONS)?,
        })
    }
}
