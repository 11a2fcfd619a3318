//! Of a pipeline.

use super::words;
use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{CounterFamily, Instruments};
use crate::telemetry::labels::Direction;
use crate::telemetry::level::Level;
use crate::telemetry::spec::{LabelKey, Spec, Values};

const PIPELINE_ID: LabelKey = LabelKey { key: "pipeline_id", values: Values::Pipelines };
const DIRECTION: LabelKey = LabelKey { key: "direction", values: Values::Closed(words!(Direction)) };

const ITEMS: Spec<2> = Spec {
    name: "tracecore.pipeline.items_total",
    help: "Items that came into and went out of the pipeline.",
    unit: "{item}",
    labels: [PIPELINE_ID, DIRECTION],
    level: Level::Normal,
    since: "0.1.0",
};

const BYTES: Spec<2> = Spec {
    name: "tracecore.pipeline.bytes_total",
    help: "Encoded bytes that came into and went out of the pipeline.",
    unit: "By",
    labels: [PIPELINE_ID, DIRECTION],
    level: Level::Normal,
    since: "0.1.0",
};

/// Of a pipeline.
pub(in crate::telemetry) struct PipelineFamilies {
    pub(in crate::telemetry) items: CounterFamily<2>,
    pub(in crate::telemetry) bytes: CounterFamily<2>,
}

impl PipelineFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(PipelineFamilies { items: make.counter(&ITEMS)?, bytes: make.counter(&BYTES)? })
    }
}
