//! What the collector says about itself: every family, once.
//!
//! The names are a contract with dashboards and alerts. A test holds the exposed surface against
//! `golden/self_metrics.txt`.

use super::TelemetryError;
use super::instruments::{
    CounterFamily, GaugeFamily, HistogramFamily, Instruments, ObservedCounterFamily, ObservedGaugeFamily, Spec,
};
use super::labels::{DropReason, InitErrorReason, ProcessorDropReason};
use crate::component::Role;
use crate::error::ErrorKind;
use crate::metrics::buckets_rise;
use crate::net::Exit;

/// Components, or pipelines, that have series of their own: a node runs tens, a gateway hundreds.
pub(super) const MAX_COMPONENTS: usize = 1024;

/// Upper edges in seconds, 1-2-5 from 100 µs to 10 s.
const LATENCY_SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const _: () = assert!(buckets_rise(&LATENCY_SECONDS));

/// Success and failure, in and out.
const TWO: usize = 2;
const KINDS: usize = ErrorKind::ALL.len();

const RECEIVER_EMISSIONS: Spec<1> = Spec {
    name: "tracecore.receiver.emissions_total",
    help: "Emissions of the receiver that its pipelines accepted.",
    unit: "{emission}",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const RECEIVER_ERRORS: Spec<2> = Spec {
    name: "tracecore.receiver.errors_total",
    help: "Errors of the receiver, by kind.",
    unit: "{error}",
    labels: ["kind", "component_id"],
    max_series: MAX_COMPONENTS * KINDS,
};

const RECEIVER_LATENCY: Spec<1> = Spec {
    name: "tracecore.receiver.collection_latency_seconds",
    help: "Time from the start of a collection to its verdict, failed ones too.",
    unit: "s",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const RECEIVER_DEGRADED: Spec<1> = Spec {
    name: "tracecore.receiver.degraded_seconds_total",
    help: "Time that the receiver has been degraded, the present spell included.",
    unit: "s",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const RECEIVER_LAST_ACTIVITY: Spec<1> = Spec {
    name: "tracecore.receiver.last_activity_unix_seconds",
    help: "When the receiver was last active, in Unix time; its start until then.",
    unit: "s",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const PROCESSOR_IN: Spec<1> = Spec {
    name: "tracecore.processor.items_in_total",
    help: "Items given to the processor.",
    unit: "{item}",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const PROCESSOR_OUT: Spec<1> = Spec {
    name: "tracecore.processor.items_out_total",
    help: "Items that the processor passed on.",
    unit: "{item}",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const PROCESSOR_DROPPED: Spec<2> = Spec {
    name: "tracecore.processor.dropped_total",
    help: "Items that the processor let go, by reason.",
    unit: "{item}",
    labels: ["component_id", "reason"],
    max_series: MAX_COMPONENTS * ProcessorDropReason::ALL.len(),
};

const PROCESSOR_LATENCY: Spec<1> = Spec {
    name: "tracecore.processor.latency_seconds",
    help: "Time that the processor took for a batch, failed ones too.",
    unit: "s",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const PROCESSOR_ERRORS: Spec<2> = Spec {
    name: "tracecore.processor.errors_total",
    help: "Errors of the processor, by kind.",
    unit: "{error}",
    labels: ["kind", "component_id"],
    max_series: MAX_COMPONENTS * KINDS,
};

/// A success has no kind: its `kind` is the empty string, which Prometheus takes for the label's absence.
const EXPORTER_CALLS: Spec<3> = Spec {
    name: "tracecore.exporter.calls_total",
    help: "Export calls by result; a failed one also by kind.",
    unit: "{call}",
    labels: ["result", "kind", "component_id"],
    max_series: MAX_COMPONENTS * (KINDS + 1),
};

const EXPORTER_DROPPED: Spec<2> = Spec {
    name: "tracecore.exporter.dropped_total",
    help: "Items that the exporter or its queue gave up, by reason.",
    unit: "{item}",
    labels: ["component_id", "reason"],
    max_series: MAX_COMPONENTS * DropReason::ALL.len(),
};

const EXPORTER_FAILURE_RATE: Spec<0> = Spec {
    name: "tracecore.exporter.failure_rate",
    help: "Share of all export calls that failed over the last 60 seconds; 0 without calls.",
    unit: "1",
    labels: [],
    max_series: 1,
};

const EXPORTER_FAILURE_RATE_BY_COMPONENT: Spec<1> = Spec {
    name: "tracecore.exporter.failure_rate_by_component",
    help: "Share of the exporter's calls that failed over the last 60 seconds; 0 without calls.",
    unit: "1",
    labels: ["component_id"],
    max_series: MAX_COMPONENTS,
};

const PIPELINE_ITEMS: Spec<2> = Spec {
    name: "tracecore.pipeline.items_total",
    help: "Items that came into and went out of the pipeline.",
    unit: "{item}",
    labels: ["pipeline_id", "direction"],
    max_series: MAX_COMPONENTS * TWO,
};

const PIPELINE_BYTES: Spec<2> = Spec {
    name: "tracecore.pipeline.bytes_total",
    help: "Encoded bytes that came into and went out of the pipeline.",
    unit: "By",
    labels: ["pipeline_id", "direction"],
    max_series: MAX_COMPONENTS * TWO,
};

const QUEUE_DEPTH: Spec<0> = Spec {
    name: "tracecore.queue.depth_ratio",
    help: "How full the fullest sending queue is now, from 0 to 1; 0 without queues.",
    unit: "1",
    labels: [],
    max_series: 1,
};

const RESTARTS_PER_HOUR: Spec<0> = Spec {
    name: "tracecore.component.restart_count_per_hour",
    help: "Restarts of all components by the supervisor over the last hour.",
    unit: "{restart}",
    labels: [],
    max_series: 1,
};

const RESTARTS: Spec<2> = Spec {
    name: "tracecore.component.restarts_total",
    help: "Restarts of the component by the supervisor.",
    unit: "{restart}",
    labels: ["component_id", "role"],
    max_series: MAX_COMPONENTS * Role::ALL.len(),
};

const INIT_ERRORS: Spec<3> = Spec {
    name: "tracecore.selftelemetry.init_errors_total",
    help: "Components that run without metrics of their own, by reason.",
    unit: "{error}",
    labels: ["component_id", "role", "reason"],
    max_series: MAX_COMPONENTS * InitErrorReason::ALL.len(),
};

const BUILD_INFO: Spec<3> = Spec {
    name: "tracecore.build.info",
    help: "The build that runs; always 1.",
    unit: "1",
    labels: ["command", "version", "revision"],
    max_series: 1,
};

pub(super) const SCRAPE_PANICS: Spec<0> = Spec {
    name: "tracecore.surface.scrape_panics_total",
    help: "Panics while the surface answered a request or a metric was read.",
    unit: "{panic}",
    labels: [],
    max_series: 1,
};

const SERVE_EXITED: Spec<1> = Spec {
    name: "tracecore.surface.serve_exited_total",
    help: "Ends of the loop that accepts connections to the surface, by reason.",
    unit: "{exit}",
    labels: ["reason"],
    max_series: Exit::ALL.len(),
};

const RATE_LIMITED: Spec<0> = Spec {
    name: "tracecore.surface.rate_limited_total",
    help: "Requests that the surface refused because they came too fast.",
    unit: "{request}",
    labels: [],
    max_series: 1,
};

/// All of them, made.
pub(super) struct Families {
    pub(super) receiver_emissions: CounterFamily<1>,
    pub(super) receiver_errors: CounterFamily<2>,
    pub(super) receiver_latency: HistogramFamily<1>,
    pub(super) receiver_degraded: ObservedCounterFamily<1>,
    pub(super) receiver_last_activity: GaugeFamily<1>,
    pub(super) processor_in: CounterFamily<1>,
    pub(super) processor_out: CounterFamily<1>,
    pub(super) processor_dropped: CounterFamily<2>,
    pub(super) processor_latency: HistogramFamily<1>,
    pub(super) processor_errors: CounterFamily<2>,
    pub(super) exporter_calls: CounterFamily<3>,
    pub(super) exporter_dropped: CounterFamily<2>,
    pub(super) exporter_failure_rate: ObservedGaugeFamily<0>,
    pub(super) exporter_failure_rate_by_component: ObservedGaugeFamily<1>,
    pub(super) pipeline_items: CounterFamily<2>,
    pub(super) pipeline_bytes: CounterFamily<2>,
    pub(super) queue_depth: ObservedGaugeFamily<0>,
    pub(super) restarts_per_hour: ObservedGaugeFamily<0>,
    pub(super) restarts: CounterFamily<2>,
    pub(super) init_errors: CounterFamily<3>,
    pub(super) build_info: GaugeFamily<3>,
    pub(super) scrape_panics: CounterFamily<0>,
    pub(super) serve_exited: CounterFamily<1>,
    pub(super) rate_limited: CounterFamily<0>,
}

impl Families {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(Families {
            receiver_emissions: make.counter(&RECEIVER_EMISSIONS)?,
            receiver_errors: make.counter(&RECEIVER_ERRORS)?,
            receiver_latency: make.histogram(&RECEIVER_LATENCY, &LATENCY_SECONDS)?,
            receiver_degraded: make.observed_counter(&RECEIVER_DEGRADED)?,
            receiver_last_activity: make.gauge(&RECEIVER_LAST_ACTIVITY)?,
            processor_in: make.counter(&PROCESSOR_IN)?,
            processor_out: make.counter(&PROCESSOR_OUT)?,
            processor_dropped: make.counter(&PROCESSOR_DROPPED)?,
            processor_latency: make.histogram(&PROCESSOR_LATENCY, &LATENCY_SECONDS)?,
            processor_errors: make.counter(&PROCESSOR_ERRORS)?,
            exporter_calls: make.counter(&EXPORTER_CALLS)?,
            exporter_dropped: make.counter(&EXPORTER_DROPPED)?,
            exporter_failure_rate: make.observed_gauge(&EXPORTER_FAILURE_RATE)?,
            exporter_failure_rate_by_component: make.observed_gauge(&EXPORTER_FAILURE_RATE_BY_COMPONENT)?,
            pipeline_items: make.counter(&PIPELINE_ITEMS)?,
            pipeline_bytes: make.counter(&PIPELINE_BYTES)?,
            queue_depth: make.observed_gauge(&QUEUE_DEPTH)?,
            restarts_per_hour: make.observed_gauge(&RESTARTS_PER_HOUR)?,
            restarts: make.counter(&RESTARTS)?,
            init_errors: make.counter(&INIT_ERRORS)?,
            build_info: make.gauge(&BUILD_INFO)?,
            scrape_panics: make.counter(&SCRAPE_PANICS)?,
            serve_exited: make.counter(&SERVE_EXITED)?,
            rate_limited: make.counter(&RATE_LIMITED)?,
        })
    }
}
