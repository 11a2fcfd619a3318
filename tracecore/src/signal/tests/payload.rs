//! Deterministic requests that look like real telemetry. Needs `opentelemetry-proto` alone.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span};

/// The letters and digits of every string; punctuation stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// One byte a character.
    Ascii,
    /// Two bytes a character.
    Cyrillic,
    /// Three bytes a character.
    Cjk,
}

impl Script {
    fn write(self, text: &str) -> String {
        let base = match self {
            Script::Ascii => return text.to_owned(),
            Script::Cyrillic => 0x0410,
            Script::Cjk => 0x4E00,
        };
        let letter = |c: char| char::from_u32(base + u32::from(c) % 64).expect("both blocks are wider than 64");
        text.chars().map(|c| if c.is_ascii_alphanumeric() { letter(c) } else { c }).collect()
    }
}

/// A request maker. The same arguments give the same request.
pub(crate) struct Payload {
    /// How strings are written.
    pub(crate) script: Script,
    state: u64,
}

const START: u64 = 1_760_000_000_000_000_000;

impl Payload {
    /// A maker that writes its strings in `script`.
    pub(crate) fn new(script: Script) -> Self {
        Payload { script, state: 1 }
    }

    /// `count` spans of ten attributes, about 500 bytes each in ASCII; a tenth has an exception event.
    pub(crate) fn traces(&mut self, count: usize) -> TracesData {
        let spans = (0..count).map(|i| self.span(i)).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(self.scope()), spans, schema_url: String::new() }];
        let resource = Some(self.resource());
        TracesData { resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: String::new() }] }
    }

    /// `count` metrics of one point each: six tenths gauges, two sums, one histograms, one exponential histograms.
    pub(crate) fn metrics(&mut self, count: usize) -> MetricsData {
        let metrics = (0..count).map(|i| self.metric(i)).collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(self.scope()), metrics, schema_url: String::new() }];
        let resource = Some(self.resource());
        MetricsData { resource_metrics: vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }] }
    }

    /// `count` log records with a body of about 110 characters and six attributes.
    pub(crate) fn logs(&mut self, count: usize) -> LogsData {
        let log_records = (0..count).map(|i| self.log(i)).collect();
        let scope_logs = vec![ScopeLogs { scope: Some(self.scope()), log_records, schema_url: String::new() }];
        let resource = Some(self.resource());
        LogsData { resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: String::new() }] }
    }

    fn next(&mut self) -> u64 {
        // Splitmix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn pick(&mut self, choices: &[&str]) -> String {
        let index = self.next() as usize % choices.len();
        self.script.write(choices[index])
    }

    fn pair(&self, key: &str, value: Value) -> KeyValue {
        KeyValue { key: self.script.write(key), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
    }

    fn text(&self, key: &str, value: &str) -> KeyValue {
        self.pair(key, Value::StringValue(self.script.write(value)))
    }

    fn any_of(&mut self, key: &str, choices: &[&str]) -> KeyValue {
        let value = self.pick(choices);
        self.pair(key, Value::StringValue(value))
    }

    fn resource(&mut self) -> Resource {
        let attributes = vec![
            self.text("service.name", "checkout"),
            self.text("service.namespace", "shop"),
            self.text("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09"),
            self.text("k8s.pod.name", "checkout-5d8f7c9b6d-x2x7k"),
            self.text("k8s.namespace.name", "production"),
            self.text("host.name", "node-17.rack-3.example.com"),
            self.text("telemetry.sdk.language", "rust"),
            self.pair("process.pid", Value::IntValue(48_213)),
        ];
        Resource { attributes, ..Resource::default() }
    }

    fn scope(&self) -> InstrumentationScope {
        let (name, version) = (self.script.write("checkout.http"), self.script.write("1.4.2"));
        InstrumentationScope { name, version, ..InstrumentationScope::default() }
    }

    fn span(&mut self, i: usize) -> Span {
        let start_time_unix_nano = START + i as u64 * 1_000_003;
        let attributes = vec![
            self.any_of("http.request.method", &["GET", "POST", "DELETE"]),
            self.any_of("url.path", &["/api/v1/cart/items", "/api/v1/orders/4711/lines", "/healthz"]),
            self.text("url.scheme", "https"),
            self.text("server.address", "checkout.shop.example.com"),
            self.pair("server.port", Value::IntValue(8443)),
            self.pair("http.response.status_code", Value::IntValue(200)),
            self.any_of("user_agent.original", &["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0"]),
            self.any_of("client.address", &["10.17.3.44", "2001:db8::17:3:44"]),
            self.pair("app.cart.value", Value::DoubleValue(i as f64 * 1.25)),
            self.pair("app.retry", Value::BoolValue(i.is_multiple_of(7))),
        ];
        let events = if i % 10 == 9 { vec![self.exception(start_time_unix_nano + 400)] } else { Vec::new() };
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            parent_span_id: self.id(8),
            flags: 0x101,
            name: self.pick(&["GET /api/v1/cart/items", "POST /api/v1/orders", "charge card"]),
            kind: 2,
            start_time_unix_nano,
            end_time_unix_nano: start_time_unix_nano + 750_000,
            attributes,
            events,
            status: Some(Status { code: i32::from(i % 10 == 9), ..Status::default() }),
            ..Span::default()
        }
    }

    fn exception(&self, time_unix_nano: u64) -> span::Event {
        let trace =
            "at checkout::cart::total (src/cart.rs:118)\nat checkout::http::handle (src/http.rs:61)\n".repeat(2);
        let attributes = vec![
            self.text("exception.type", "CardDeclined"),
            self.text("exception.message", "the issuer declined the card"),
            self.text("exception.stacktrace", &trace),
        ];
        span::Event { time_unix_nano, name: self.script.write("exception"), attributes, dropped_attributes_count: 0 }
    }

    fn point_attributes(&mut self) -> Vec<KeyValue> {
        vec![
            self.any_of("gpu.uuid", &["GPU-5f0a62f1-6a1b", "GPU-e2b7a0c4-11d9", "GPU-0b9c8de0-70aa"]),
            self.any_of("hw.name", &["nvidia0", "nvidia1", "nvidia2", "nvidia3"]),
            self.text("hw.model", "NVIDIA H100 80GB HBM3"),
            self.text("k8s.pod.name", "trainer-7"),
            self.text("k8s.namespace.name", "research"),
            self.pair("hw.index", Value::IntValue(3)),
        ]
    }

    fn metric(&mut self, i: usize) -> Metric {
        let data = match i % 10 {
            0..6 => metric::Data::Gauge(Gauge { data_points: vec![self.number(i)] }),
            6 | 7 => metric::Data::Sum(Sum {
                data_points: vec![self.number(i)],
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            8 => metric::Data::Histogram(Histogram {
                data_points: vec![self.histogram(i)],
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
            }),
            _ => metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![self.exponential_histogram(i)],
                aggregation_temporality: AggregationTemporality::Delta.into(),
            }),
        };
        Metric {
            name: self.pick(&["hw.gpu.utilization", "hw.gpu.memory.usage", "hw.energy"]),
            description: self.script.write("Share of time in which a kernel ran"),
            unit: self.script.write("By"),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number(&mut self, i: usize) -> NumberDataPoint {
        let value = match i % 2 {
            0 => number_data_point::Value::AsInt(self.next().cast_signed() >> 20),
            _ => number_data_point::Value::AsDouble(i as f64 / 7.0),
        };
        NumberDataPoint {
            attributes: self.point_attributes(),
            start_time_unix_nano: START,
            time_unix_nano: START + i as u64,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&mut self, i: usize) -> HistogramDataPoint {
        let bucket_counts: Vec<u64> = (0..16).map(|_| self.next() % 1000).collect();
        HistogramDataPoint {
            attributes: self.point_attributes(),
            start_time_unix_nano: START,
            time_unix_nano: START + i as u64,
            count: bucket_counts.iter().sum(),
            sum: Some(i as f64 * 3.5),
            bucket_counts,
            explicit_bounds: (0..15).map(|bound| f64::from(1 << bound) / 1000.0).collect(),
            min: Some(0.001),
            max: Some(31.5),
            ..HistogramDataPoint::default()
        }
    }

    fn exponential_histogram(&mut self, i: usize) -> ExponentialHistogramDataPoint {
        let bucket_counts: Vec<u64> = (0..20).map(|_| self.next() % 300).collect();
        ExponentialHistogramDataPoint {
            attributes: self.point_attributes(),
            start_time_unix_nano: START,
            time_unix_nano: START + i as u64,
            count: bucket_counts.iter().sum(),
            sum: Some(i as f64 * 3.5),
            scale: 4,
            zero_count: 2,
            positive: Some(exponential_histogram_data_point::Buckets { offset: -3, bucket_counts }),
            zero_threshold: 1e-9,
            ..ExponentialHistogramDataPoint::default()
        }
    }

    fn log(&mut self, i: usize) -> LogRecord {
        let body =
            "payment 4711 for cart 0815 was declined by the issuer after 2 attempts, falling back to invoice and mail";
        let attributes = vec![
            self.text("code.file.path", "src/checkout/cart.rs"),
            self.pair("code.line.number", Value::IntValue(118)),
            self.any_of("thread.name", &["worker-1", "worker-2", "worker-3"]),
            self.text("log.logger", "checkout::cart"),
            self.any_of("app.tenant", &["blue", "green"]),
            self.pair("app.cart.items", Value::IntValue(3)),
        ];
        LogRecord {
            time_unix_nano: START + i as u64 * 10_007,
            observed_time_unix_nano: START + i as u64 * 10_007 + 900,
            severity_number: 9 + 4 * (i % 3) as i32,
            severity_text: self.pick(&["INFO", "WARN", "ERROR"]),
            body: Some(AnyValue { value: Some(Value::StringValue(self.script.write(body))) }),
            attributes,
            trace_id: self.id(16),
            span_id: self.id(8),
            ..LogRecord::default()
        }
    }
}
