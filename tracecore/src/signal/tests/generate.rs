//! Requests that use every field of OTLP, from a seed.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span};

use super::super::{Decoded, Signal};

/// Random numbers and what is made of them.
pub(super) struct Generator(u64);

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Generator(seed)
    }

    /// Splitmix64.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// A request of `signal`.
    pub(super) fn request(&mut self, signal: Signal) -> Decoded {
        match signal {
            Signal::Traces => Decoded::Traces(TracesData { resource_spans: self.some(3, Self::resource_spans) }),
            Signal::Metrics => Decoded::Metrics(MetricsData { resource_metrics: self.some(3, Self::resource_metrics) }),
            Signal::Logs => Decoded::Logs(LogsData { resource_logs: self.some(3, Self::resource_logs) }),
        }
    }

    /// Fewer than `end` things.
    fn some<T>(&mut self, end: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(end)).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.chance(3) { None } else { Some(make(self)) }
    }

    /// Any number, small ones and the extremes more often.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.bits() % 3,
            1 => self.bits() % 300,
            2 => u64::MAX - self.bits() % 2,
            _ => self.bits() >> self.below(64),
        }
    }

    fn int32(&mut self) -> i32 {
        self.number() as i32
    }

    fn double(&mut self) -> f64 {
        if self.chance(3) { f64::from_bits(self.bits()) } else { self.int32().into() }
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 16] =
            ['a', 'b', '.', ' ', '"', '\n', '\0', '\x7F', '\u{80}', 'é', 'Ж', '\u{800}', '한', '中', '\u{FFFD}', '😀'];
        let ascii = self.chance(2);
        let length = if self.chance(8) { self.below(300) } else { self.below(24) };
        (0..length).map(|_| CHARS[self.below(if ascii { 8 } else { 16 })]).collect()
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        if self.chance(4) { Vec::new() } else { (0..length).map(|_| self.bits() as u8).collect() }
    }

    fn any_value(&mut self, depth: usize) -> AnyValue {
        let value = match self.below(if depth == 0 { 7 } else { 9 }) {
            0 => None,
            1 => Some(Value::BoolValue(self.chance(2))),
            2 => Some(Value::IntValue(self.number().cast_signed())),
            3 => Some(Value::DoubleValue(self.double())),
            4 => Some(Value::BytesValue(self.some(40, |g| g.bits() as u8))),
            5 => Some(Value::StringValueStrindex(self.int32())),
            6 => Some(Value::StringValue(self.text())),
            7 => Some(Value::ArrayValue(ArrayValue { values: self.some(4, |g| g.any_value(depth - 1)) })),
            _ => Some(Value::KvlistValue(KeyValueList { values: self.some(4, |g| g.key_value(depth - 1)) })),
        };
        AnyValue { value }
    }

    fn key_value(&mut self, depth: usize) -> KeyValue {
        let key_strindex = if self.chance(8) { self.int32() } else { 0 };
        KeyValue { key: self.text(), value: self.maybe(|g| g.any_value(depth)), key_strindex }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.some(6, |g| g.key_value(2))
    }

    fn resource(&mut self) -> Resource {
        Resource {
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            entity_refs: self.some(2, |g| EntityRef {
                schema_url: g.text(),
                r#type: g.text(),
                id_keys: g.some(3, Self::text),
                description_keys: g.some(3, Self::text),
            }),
        }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
        }
    }

    fn resource_spans(&mut self) -> ResourceSpans {
        ResourceSpans {
            resource: self.maybe(Self::resource),
            scope_spans: self.some(3, |g| ScopeSpans {
                scope: g.maybe(Self::scope),
                spans: g.some(4, Self::span),
                schema_url: g.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.number() as u32,
            name: self.text(),
            kind: self.int32(),
            start_time_unix_nano: self.number(),
            end_time_unix_nano: self.number(),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            events: self.some(3, |g| span::Event {
                time_unix_nano: g.number(),
                name: g.text(),
                attributes: g.attributes(),
                dropped_attributes_count: g.number() as u32,
            }),
            dropped_events_count: self.number() as u32,
            links: self.some(3, |g| span::Link {
                trace_id: g.id(16),
                span_id: g.id(8),
                trace_state: g.text(),
                attributes: g.attributes(),
                dropped_attributes_count: g.number() as u32,
                flags: g.number() as u32,
            }),
            dropped_links_count: self.number() as u32,
            status: self.maybe(|g| Status { message: g.text(), code: g.below(4) as i32 }),
        }
    }

    fn resource_logs(&mut self) -> ResourceLogs {
        ResourceLogs {
            resource: self.maybe(Self::resource),
            scope_logs: self.some(3, |g| ScopeLogs {
                scope: g.maybe(Self::scope),
                log_records: g.some(4, Self::log_record),
                schema_url: g.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.number(),
            observed_time_unix_nano: self.number(),
            severity_number: self.int32(),
            severity_text: self.text(),
            body: self.maybe(|g| g.any_value(3)),
            attributes: self.attributes(),
            dropped_attributes_count: self.number() as u32,
            flags: self.number() as u32,
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    fn resource_metrics(&mut self) -> ResourceMetrics {
        ResourceMetrics {
            resource: self.maybe(Self::resource),
            scope_metrics: self.some(3, |g| ScopeMetrics {
                scope: g.maybe(Self::scope),
                metrics: g.some(4, Self::metric),
                schema_url: g.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.below(4) as i32;
        let data = match self.below(6) {
            0 => None,
            1 => Some(metric::Data::Gauge(Gauge { data_points: self.some(4, Self::number_point) })),
            2 => Some(metric::Data::Sum(Sum {
                data_points: self.some(4, Self::number_point),
                aggregation_temporality,
                is_monotonic: self.chance(2),
            })),
            3 => Some(metric::Data::Histogram(Histogram {
                data_points: self.some(4, Self::histogram_point),
                aggregation_temporality,
            })),
            4 => Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.some(4, Self::exponential_point),
                aggregation_temporality,
            })),
            _ => Some(metric::Data::Summary(Summary { data_points: self.some(4, Self::summary_point) })),
        };
        Metric { name: self.text(), description: self.text(), unit: self.text(), metadata: self.attributes(), data }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.number(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: match self.below(3) {
                0 => None,
                1 => Some(exemplar::Value::AsDouble(self.double())),
                _ => Some(exemplar::Value::AsInt(self.number().cast_signed())),
            },
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            exemplars: self.some(2, Self::exemplar),
            flags: self.number() as u32,
            value: match self.below(3) {
                0 => None,
                1 => Some(number_data_point::Value::AsDouble(self.double())),
                _ => Some(number_data_point::Value::AsInt(self.number().cast_signed())),
            },
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.maybe(Self::double),
            bucket_counts: self.some(20, Self::number),
            explicit_bounds: self.some(20, Self::double),
            exemplars: self.some(2, Self::exemplar),
            flags: self.number() as u32,
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
        }
    }

    fn buckets(&mut self) -> Buckets {
        Buckets { offset: self.int32(), bucket_counts: self.some(20, Self::number) }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.maybe(Self::double),
            scale: self.int32(),
            zero_count: self.number(),
            positive: self.maybe(Self::buckets),
            negative: self.maybe(Self::buckets),
            flags: self.number() as u32,
            exemplars: self.some(2, Self::exemplar),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
            zero_threshold: self.double(),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.double(),
            quantile_values: self.some(4, |g| ValueAtQuantile { quantile: g.double(), value: g.double() }),
            flags: self.number() as u32,
        }
    }
}
