//! Of a processor.

use super::{KIND, LATENCY_SECONDS, words};
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{CounterFamily, HistogramFamily, Instruments};
use crate::telemetry::labels::ProcessorDropReason;
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

const PROCESSOR_ID: LabelKey = LabelKey { key: "component_id", values: Values::Processors };
const DROP_REASON: LabelKey = LabelKey { key: "reason", values: Values::Closed(words!(ProcessorDropReason)) };

const ITEMS_IN: Spec<1> = Spec {
    name: "tracecore.processor.items_in_total",
    help: "Items given to the processor.",
    unit: "{item}",
    labels: [PROCESSOR_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const ITEMS_OUT: Spec<1> = Spec {
    name: "tracecore.processor.items_out_total",
    help: "Items that the processor passed on.",
    unit: "{item}",
    labels: [PROCESSOR_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const DROPPED: Spec<2> = Spec {
    name: "tracecore.processor.dropped_total",
    help: "Items that the processor let go, by reason.",
    unit: "{item}",
    labels: [PROCESSOR_ID, DROP_REASON],
    level: Level::Basic,
    since: "0.1.0",
};

const REFUSED: Spec<1> = Spec {
    name: "tracecore.processor.refused_total",
    help: "Items that the processor refused for now: their sender may bring them again.",
    unit: "{item}",
    labels: [PROCESSOR_ID],
    level: Level::Basic,
    since: "0.1.0",
};

const LATENCY: Spec<1> = Spec {
    name: "tracecore.processor.latency_seconds",
    help: "Time that the processor took for a batch, failed ones too.",
    unit: "s",
    labels: [PROCESSOR_ID],
    level: Level::Normal,
    since: "0.1.0",
};

const ERRORS: Spec<2> = Spec {
    name: "tracecore.processor.errors_total",
    help: "Errors of the processor, by kind.",
    unit: "{error}",
    labels: [KIND, PROCESSOR_ID],
    level: Level::Basic,
    since: "0.1.0",
};

/// Of a processor.
pub(in crate::telemetry) struct ProcessorFamilies {
    pub(in crate::telemetry) items_in: CounterFamily<1>,
    pub(in crate::telemetry) items_out: CounterFamily<1>,
    pub(in crate::telemetry) dropped: CounterFamily<2>,
    pub(in crate::telemetry) refused: CounterFamily<1>,
    pub(in crate::telemetry) latency: HistogramFamily<1>,
    pub(in crate::telemetry) errors: CounterFamily<2>,
}

impl ProcessorFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ProcessorFamilies {
            items_in: make.counter(&ITEMS_IN)?,
            items_out: make.counter(&ITEMS_OUT)?,
            dropped: make.counter(&DROPPED)?,
            refused: make.counter(&REFUSED)?,
            latency: make.histogram(&LATENCY, &LATENCY_SECONDS)?,
            errors: make.counter(&ERRORS)?,
        })
    }
}
