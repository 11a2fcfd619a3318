//! Requests that look like a service's.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use tracecore::signal::{Decoded, Signal};

/// Names of operations, of which each span has one.
const OPERATIONS: [&str; 4] = ["GET /api/v1/cart", "POST /api/v1/orders", "charge card", "SELECT orders"];

/// Names of metrics, with their units; the first two are totals.
const METRICS: [(&str, &str); 4] = [
    ("http.server.request.count", "{request}"),
    ("system.network.io", "By"),
    ("hw.gpu.utilization", "1"),
    ("hw.gpu.memory.usage", "By"),
];

/// How many values each attribute has: as many series as a metric of one attribute.
const VALUES: u64 = 16;

/// How long a span takes at most, in nanoseconds.
const LONGEST: u64 = 1_000_000_000;

/// Severities with their names, from frequent to rare.
const SEVERITIES: [(SeverityNumber, &str); 3] =
    [(SeverityNumber::Info, "INFO"), (SeverityNumber::Warn, "WARN"), (SeverityNumber::Error, "ERROR")];

/// A source of requests.
pub(super) struct Telemetry {
    random: u64,
    attributes: usize,
    value_size: usize,
    /// What the totals have reached.
    total: u64,
}

impl Telemetry {
    /// A source whose items have so many attributes, with values of so many bytes.
    pub(super) fn new(seed: u64, attributes: usize, value_size: usize) -> Self {
        Telemetry { random: seed, attributes, value_size, total: 0 }
    }

    /// A request of `items` that happened at `now`, in nanoseconds since the epoch.
    pub(super) fn request(&mut self, signal: Signal, items: usize, now: u64) -> Decoded {
        let resource = Some(resource());
        let scope = Some(InstrumentationScope { name: "generator".to_owned(), ..InstrumentationScope::default() });
        match signal {
            Signal::Traces => {
                let spans = (0..items).map(|_| self.span(now)).collect();
                let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
                let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
                Decoded::Traces(TracesData { resource_spans })
            }
            Signal::Metrics => {
                let scope_metrics =
                    vec![ScopeMetrics { scope, metrics: self.metrics(items, now), ..ScopeMetrics::default() }];
                let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
                Decoded::Metrics(MetricsData { resource_metrics })
            }
            Signal::Logs => {
                let log_records = (0..items).map(|_| self.log(now)).collect();
                let scope_logs = vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }];
                let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
                Decoded::Logs(LogsData { resource_logs })
            }
        }
    }

    fn span(&mut self, now: u64) -> Span {
        let failed = self.below(50) == 0;
        Span {
            trace_id: [self.bits().to_be_bytes(), self.bits().to_be_bytes()].concat(),
            span_id: self.bits().to_be_bytes().to_vec(),
            parent_span_id: self.bits().to_be_bytes().to_vec(),
            name: self.pick(&OPERATIONS).to_string(),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: now.saturating_sub(self.below(LONGEST)),
            end_time_unix_nano: now,
            attributes: self.attributes(),
            status: Some(Status { code: if failed { 2 } else { 0 }, ..Status::default() }),
            ..Span::default()
        }
    }

    /// The points are spread over the metrics.
    fn metrics(&mut self, items: usize, now: u64) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for (i, (name, unit)) in METRICS.into_iter().enumerate() {
            let points = items / METRICS.len() + usize::from(i < items % METRICS.len());
            if points == 0 {
                continue;
            }
            let is_total = i < 2;
            let data_points = (0..points).map(|_| self.point(now, is_total)).collect();
            let data = if is_total {
                let aggregation_temporality = AggregationTemporality::Cumulative.into();
                metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
            } else {
                metric::Data::Gauge(Gauge { data_points })
            };
            metrics.push(Metric {
                name: name.to_owned(),
                unit: unit.to_owned(),
                data: Some(data),
                ..Metric::default()
            });
        }
        metrics
    }

    fn point(&mut self, now: u64, is_total: bool) -> NumberDataPoint {
        let value = if is_total {
            self.total += self.below(1000);
            number_data_point::Value::AsInt(self.total.cast_signed())
        } else {
            number_data_point::Value::AsDouble(self.below(1000) as f64 / 1000.0)
        };
        NumberDataPoint {
            attributes: self.attributes(),
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn log(&mut self, now: u64) -> LogRecord {
        let (severity, name) = SEVERITIES[(self.below(100) / 90 + u64::from(self.below(100) == 0)) as usize];
        let order = self.below(100_000);
        let body = format!("order {order} was taken from the cart and handed to the warehouse after 2 attempts");
        LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity.into(),
            severity_text: name.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            attributes: self.attributes(),
            ..LogRecord::default()
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        (0..self.attributes).map(|i| text(&format!("app.attribute.{i}"), self.value())).collect()
    }

    /// One of a few values, each as long as it was asked for.
    fn value(&mut self) -> String {
        let which = self.below(VALUES);
        let mut value = format!("{which:x}-value-of-some-length-that-goes-on-and-on-");
        while value.len() < self.value_size {
            value.extend_from_within(..value.len().min(self.value_size - value.len()));
        }
        value.truncate(self.value_size);
        value
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Splitmix64.
    fn bits(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn text(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::StringValue(value)) }), key_strindex: 0 }
}

fn resource() -> Resource {
    let attributes = [("service.name", "generator"), ("service.namespace", "tracecore"), ("service.version", "1")];
    let attributes = attributes.map(|(key, value)| text(key, value.to_owned())).to_vec();
    Resource { attributes, ..Resource::default() }
}
