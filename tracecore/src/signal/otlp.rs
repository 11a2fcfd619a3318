//! The messages of OTLP as tables.
//!
//! Written after `trace`, `metrics`, `logs`, `common` and `resource`, all v1, of opentelemetry-proto; the property tests
//! hold every row against the generated types.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::Signal;
use super::schema::{Kind, Message, Number, choice, many, message, one, row};

/// The length of a trace id in bytes.
const TRACE_ID: Kind = Kind::Id(16);
/// The length of a span id in bytes.
const SPAN_ID: Kind = Kind::Id(8);

/// The request of `signal`. `ExportTraceServiceRequest` and `TracesData` are the same on the wire, and so on.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES_DATA,
        Signal::Metrics => &METRICS_DATA,
        Signal::Logs => &LOGS_DATA,
    }
}

const SPAN_KIND: Number = Number::Enumeration(|name| SpanKind::from_str_name(name).map(i32::from));
const STATUS_CODE: Number = Number::Enumeration(|name| StatusCode::from_str_name(name).map(i32::from));
const SEVERITY_NUMBER: Number = Number::Enumeration(|name| SeverityNumber::from_str_name(name).map(i32::from));
const AGGREGATION_TEMPORALITY: Number =
    Number::Enumeration(|name| AggregationTemporality::from_str_name(name).map(i32::from));

// common.proto, resource.proto

const ANY_VALUE_CHOICES: u32 = 0b1_1111_1110;

static ANY_VALUE: Message = message(
    "AnyValue",
    &[
        choice(1, "string_value", Kind::Text, ANY_VALUE_CHOICES),
        choice(2, "bool_value", Kind::Varint, ANY_VALUE_CHOICES).of(Number::Bool),
        choice(3, "int_value", Kind::Varint, ANY_VALUE_CHOICES).of(Number::Signed64),
        choice(4, "double_value", Kind::Fixed64, ANY_VALUE_CHOICES).of(Number::Double),
        choice(5, "array_value", Kind::Message(&ARRAY_VALUE), ANY_VALUE_CHOICES),
        choice(6, "kvlist_value", Kind::Message(&KEY_VALUE_LIST), ANY_VALUE_CHOICES),
        choice(7, "bytes_value", Kind::Bytes, ANY_VALUE_CHOICES),
        choice(8, "string_value_strindex", Kind::Varint, ANY_VALUE_CHOICES).of(Number::Signed32),
    ],
);

static ARRAY_VALUE: Message = message("ArrayValue", &[many(1, "values", Kind::Message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = message("KeyValueList", &[many(1, "values", Kind::Attribute)]);

/// `key` clashes with itself and with a `value` that came before it: edits rely on reading the key first.
pub(super) static KEY_VALUE: Message = message(
    "KeyValue",
    &[
        row(1, "key", Kind::Text, 1 << 1 | 1 << 2),
        one(2, "value", Kind::Message(&ANY_VALUE)),
        one(3, "key_strindex", Kind::Varint).of(Number::Signed32),
    ],
);

static SCOPE: Message = message(
    "InstrumentationScope",
    &[
        one(1, "name", Kind::Text),
        one(2, "version", Kind::Text),
        many(3, "attributes", Kind::Attribute),
        one(4, "dropped_attributes_count", Kind::Varint),
    ],
);

static ENTITY_REF: Message = message(
    "EntityRef",
    &[
        one(1, "schema_url", Kind::Text),
        one(2, "type", Kind::Text),
        many(3, "id_keys", Kind::Text),
        many(4, "description_keys", Kind::Text),
    ],
);

static RESOURCE: Message = message(
    "Resource",
    &[
        many(1, "attributes", Kind::Attribute),
        one(2, "dropped_attributes_count", Kind::Varint),
        many(3, "entity_refs", Kind::Message(&ENTITY_REF)),
    ],
);

// trace.proto

static TRACES_DATA: Message = message("TracesData", &[many(1, "resource_spans", Kind::Message(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = message(
    "ResourceSpans",
    &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scope_spans", Kind::Message(&SCOPE_SPANS)),
        one(3, "schema_url", Kind::Text),
    ],
);

static SCOPE_SPANS: Message = message(
    "ScopeSpans",
    &[one(1, "scope", Kind::Message(&SCOPE)), many(2, "spans", Kind::Item(&SPAN)), one(3, "schema_url", Kind::Text)],
);

static SPAN: Message = message(
    "Span",
    &[
        one(1, "trace_id", TRACE_ID),
        one(2, "span_id", SPAN_ID),
        one(3, "trace_state", Kind::Text),
        one(4, "parent_span_id", SPAN_ID),
        one(5, "name", Kind::Text),
        one(6, "kind", Kind::Varint).of(SPAN_KIND),
        one(7, "start_time_unix_nano", Kind::Fixed64),
        one(8, "end_time_unix_nano", Kind::Fixed64),
        many(9, "attributes", Kind::Attribute),
        one(10, "dropped_attributes_count", Kind::Varint),
        many(11, "events", Kind::Message(&EVENT)),
        one(12, "dropped_events_count", Kind::Varint),
        many(13, "links", Kind::Message(&LINK)),
        one(14, "dropped_links_count", Kind::Varint),
        one(15, "status", Kind::Message(&STATUS)),
        one(16, "flags", Kind::Fixed32),
    ],
);

static EVENT: Message = message(
    "Span.Event",
    &[
        one(1, "time_unix_nano", Kind::Fixed64),
        one(2, "name", Kind::Text),
        many(3, "attributes", Kind::Attribute),
        one(4, "dropped_attributes_count", Kind::Varint),
    ],
);

static LINK: Message = message(
    "Span.Link",
    &[
        one(1, "trace_id", TRACE_ID),
        one(2, "span_id", SPAN_ID),
        one(3, "trace_state", Kind::Text),
        many(4, "attributes", Kind::Attribute),
        one(5, "dropped_attributes_count", Kind::Varint),
        one(6, "flags", Kind::Fixed32),
    ],
);

static STATUS: Message =
    message("Status", &[one(2, "message", Kind::Text), one(3, "code", Kind::Varint).of(STATUS_CODE)]);

// metrics.proto

static METRICS_DATA: Message = message("MetricsData", &[many(1, "resource_metrics", Kind::Message(&RESOURCE_METRICS))]);

static RESOURCE_METRICS: Message = message(
    "ResourceMetrics",
    &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scope_metrics", Kind::Message(&SCOPE_METRICS)),
        one(3, "schema_url", Kind::Text),
    ],
);

static SCOPE_METRICS: Message = message(
    "ScopeMetrics",
    &[
        one(1, "scope", Kind::Message(&SCOPE)),
        many(2, "metrics", Kind::Message(&METRIC)),
        one(3, "schema_url", Kind::Text),
    ],
);

/// The numbers of `Metric.data`.
pub(super) const DATA_CHOICES: u32 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11;

static METRIC: Message = message(
    "Metric",
    &[
        one(1, "name", Kind::Text),
        one(2, "description", Kind::Text),
        one(3, "unit", Kind::Text),
        choice(5, "gauge", Kind::Data(&GAUGE), DATA_CHOICES),
        choice(7, "sum", Kind::Data(&SUM), DATA_CHOICES),
        choice(9, "histogram", Kind::Data(&HISTOGRAM), DATA_CHOICES),
        choice(10, "exponential_histogram", Kind::Data(&EXPONENTIAL_HISTOGRAM), DATA_CHOICES),
        choice(11, "summary", Kind::Data(&SUMMARY), DATA_CHOICES),
        many(12, "metadata", Kind::Attribute),
    ],
);

static GAUGE: Message = message("Gauge", &[many(1, "data_points", Kind::Item(&NUMBER_DATA_POINT))]);

static SUM: Message = message(
    "Sum",
    &[
        many(1, "data_points", Kind::Item(&NUMBER_DATA_POINT)),
        one(2, "aggregation_temporality", Kind::Varint).of(AGGREGATION_TEMPORALITY),
        one(3, "is_monotonic", Kind::Varint).of(Number::Bool),
    ],
);

static HISTOGRAM: Message = message(
    "Histogram",
    &[
        many(1, "data_points", Kind::Item(&HISTOGRAM_DATA_POINT)),
        one(2, "aggregation_temporality", Kind::Varint).of(AGGREGATION_TEMPORALITY),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = message(
    "ExponentialHistogram",
    &[
        many(1, "data_points", Kind::Item(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one(2, "aggregation_temporality", Kind::Varint).of(AGGREGATION_TEMPORALITY),
    ],
);

static SUMMARY: Message = message("Summary", &[many(1, "data_points", Kind::Item(&SUMMARY_DATA_POINT))]);

const NUMBER_CHOICES: u32 = 1 << 4 | 1 << 6;

static NUMBER_DATA_POINT: Message = message(
    "NumberDataPoint",
    &[
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        choice(4, "as_double", Kind::Fixed64, NUMBER_CHOICES).of(Number::Double),
        many(5, "exemplars", Kind::Message(&EXEMPLAR)),
        choice(6, "as_int", Kind::Fixed64, NUMBER_CHOICES).of(Number::Signed64),
        many(7, "attributes", Kind::Attribute),
        one(8, "flags", Kind::Varint),
    ],
);

static HISTOGRAM_DATA_POINT: Message = message(
    "HistogramDataPoint",
    &[
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Fixed64).of(Number::Double),
        many(6, "bucket_counts", Kind::PackedFixed64),
        many(7, "explicit_bounds", Kind::PackedFixed64).of(Number::Double),
        many(8, "exemplars", Kind::Message(&EXEMPLAR)),
        many(9, "attributes", Kind::Attribute),
        one(10, "flags", Kind::Varint),
        one(11, "min", Kind::Fixed64).of(Number::Double),
        one(12, "max", Kind::Fixed64).of(Number::Double),
    ],
);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = message(
    "ExponentialHistogramDataPoint",
    &[
        many(1, "attributes", Kind::Attribute),
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Fixed64).of(Number::Double),
        one(6, "scale", Kind::Varint).of(Number::Zigzag32),
        one(7, "zero_count", Kind::Fixed64),
        one(8, "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", Kind::Varint),
        many(11, "exemplars", Kind::Message(&EXEMPLAR)),
        one(12, "min", Kind::Fixed64).of(Number::Double),
        one(13, "max", Kind::Fixed64).of(Number::Double),
        one(14, "zero_threshold", Kind::Fixed64).of(Number::Double),
    ],
);

static BUCKETS: Message = message(
    "ExponentialHistogramDataPoint.Buckets",
    &[one(1, "offset", Kind::Varint).of(Number::Zigzag32), many(2, "bucket_counts", Kind::PackedVarint)],
);

static SUMMARY_DATA_POINT: Message = message(
    "SummaryDataPoint",
    &[
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Fixed64).of(Number::Double),
        many(6, "quantile_values", Kind::Message(&VALUE_AT_QUANTILE)),
        many(7, "attributes", Kind::Attribute),
        one(8, "flags", Kind::Varint),
    ],
);

static VALUE_AT_QUANTILE: Message = message(
    "SummaryDataPoint.ValueAtQuantile",
    &[one(1, "quantile", Kind::Fixed64).of(Number::Double), one(2, "value", Kind::Fixed64).of(Number::Double)],
);

const EXEMPLAR_CHOICES: u32 = 1 << 3 | 1 << 6;

static EXEMPLAR: Message = message(
    "Exemplar",
    &[
        one(2, "time_unix_nano", Kind::Fixed64),
        choice(3, "as_double", Kind::Fixed64, EXEMPLAR_CHOICES).of(Number::Double),
        one(4, "span_id", SPAN_ID),
        one(5, "trace_id", TRACE_ID),
        choice(6, "as_int", Kind::Fixed64, EXEMPLAR_CHOICES).of(Number::Signed64),
        many(7, "filtered_attributes", Kind::Attribute),
    ],
);

// logs.proto

static LOGS_DATA: Message = message("LogsData", &[many(1, "resource_logs", Kind::Message(&RESOURCE_LOGS))]);

static RESOURCE_LOGS: Message = message(
    "ResourceLogs",
    &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scope_logs", Kind::Message(&SCOPE_LOGS)),
        one(3, "schema_url", Kind::Text),
    ],
);

static SCOPE_LOGS: Message = message(
    "ScopeLogs",
    &[
        one(1, "scope", Kind::Message(&SCOPE)),
        many(2, "log_records", Kind::Item(&LOG_RECORD)),
        one(3, "schema_url", Kind::Text),
    ],
);

static LOG_RECORD: Message = message(
    "LogRecord",
    &[
        one(1, "time_unix_nano", Kind::Fixed64),
        one(2, "severity_number", Kind::Varint).of(SEVERITY_NUMBER),
        one(3, "severity_text", Kind::Text),
        one(5, "body", Kind::Message(&ANY_VALUE)),
        many(6, "attributes", Kind::Attribute),
        one(7, "dropped_attributes_count", Kind::Varint),
        one(8, "flags", Kind::Fixed32),
        one(9, "trace_id", TRACE_ID),
        one(10, "span_id", SPAN_ID),
        one(11, "observed_time_unix_nano", Kind::Fixed64),
        one(12, "event_name", Kind::Text),
    ],
);
