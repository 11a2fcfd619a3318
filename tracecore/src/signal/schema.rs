//! The OTLP messages as tables: field number to kind.
//!
//! Written after opentelemetry-proto 1.10 (`trace`, `metrics`, `logs`, `common` and `resource`, all v1); the property
//! tests hold every row against the generated types. The walk is the only reader.

use super::Signal;

/// How many messages (and unknown groups) may be nested in a request, the request itself not counted.
///
/// Real telemetry stays under 20. Prost refuses at 100, so whatever passes here can be decoded.
pub(super) const MAX_DEPTH: u32 = 64;

/// The length of a trace id in bytes.
const TRACE_ID: Kind = Kind::Id(16);
/// The length of a span id in bytes.
const SPAN_ID: Kind = Kind::Id(8);

/// Field numbers reach 16 (`Span.flags`).
const FIELDS: usize = 17;

/// The wire types of protobuf.
pub(super) mod wire {
    pub(in super::super) const VARINT: u8 = 0;
    pub(in super::super) const FIXED64: u8 = 1;
    pub(in super::super) const LENGTH: u8 = 2;
    pub(in super::super) const START_GROUP: u8 = 3;
    pub(in super::super) const END_GROUP: u8 = 4;
    pub(in super::super) const FIXED32: u8 = 5;
    /// No wire type: what the table holds for numbers without a field.
    pub(super) const NONE: u8 = u8::MAX;
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// No such field.
    Unknown,
    /// Any integer, `bool` or enumeration of variable length.
    Varint,
    /// Four bytes.
    Fixed32,
    /// Eight bytes.
    Fixed64,
    /// A string.
    Text,
    /// Bytes.
    Bytes,
    /// An id: empty or of this length.
    Id(u8),
    /// Repeated integers of variable length; packed, as proto3 writes them.
    PackedVarint,
    /// Repeated eight-byte numbers; packed, as proto3 writes them.
    PackedFixed64,
    /// A message.
    Message(&'static Message),
    /// A message that is counted: a span, a data point, a log record.
    Item(&'static Message),
    /// One choice of `Metric.data`: another choice takes the place of the one before, and of its data points.
    Data(&'static Message),
    /// A `KeyValue`, which makes up most of any request.
    Attribute,
}

impl Kind {
    const fn wire(self) -> u8 {
        match self {
            Kind::Unknown => wire::NONE,
            Kind::Varint => wire::VARINT,
            Kind::Fixed32 => wire::FIXED32,
            Kind::Fixed64 => wire::FIXED64,
            _ => wire::LENGTH,
        }
    }

    /// The wire type of one element where a packed field may also come unpacked.
    pub(super) const fn unpacked_wire(self) -> Option<u8> {
        match self {
            Kind::PackedVarint => Some(wire::VARINT),
            Kind::PackedFixed64 => Some(wire::FIXED64),
            _ => None,
        }
    }
}

/// One field number of a message.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// What it holds.
    pub(super) kind: Kind,
    /// The wire type it has in a request that any current library wrote.
    pub(super) wire: u8,
    /// The bit of this number.
    pub(super) bit: u32,
    /// The bits of those fields that make the message non-canonical if they came before this one: a singular field
    /// itself, the other choices of its `oneof`, and for `KeyValue.key` the value.
    pub(super) clash: u32,
}

/// One OTLP message.
pub(super) struct Message {
    /// Its name in the OTLP definition.
    pub(super) name: &'static str,
    /// Its fields by number.
    pub(super) fields: [Field; FIELDS],
    names: [&'static str; FIELDS],
}

impl Message {
    /// What field `number` holds.
    pub(super) fn kind(&self, number: u32) -> Kind {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.fields.get(number))
            .map_or(Kind::Unknown, |field| field.kind)
    }

    /// The length in bytes of the id in field `number`, 0 if there is none.
    pub(super) fn id_length(&self, number: u32) -> u64 {
        if let Kind::Id(length) = self.kind(number) { u64::from(length) } else { 0 }
    }

    /// The name of field `number`, if there is such a field.
    pub(super) fn field_name(&self, number: u32) -> Option<&'static str> {
        self.names.get(usize::try_from(number).ok()?).copied().filter(|name| !name.is_empty())
    }
}

/// The request of `signal`. `ExportTraceServiceRequest` and `TracesData` are the same on the wire, and so on.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES_DATA,
        Signal::Metrics => &METRICS_DATA,
        Signal::Logs => &LOGS_DATA,
    }
}

struct Row {
    number: u32,
    name: &'static str,
    kind: Kind,
    clash: u32,
}

/// A singular field.
const fn one(number: u32, name: &'static str, kind: Kind) -> Row {
    Row { number, name, kind, clash: 1 << number }
}

/// A repeated field.
const fn many(number: u32, name: &'static str, kind: Kind) -> Row {
    Row { number, name, kind, clash: 0 }
}

/// One choice of a `oneof` whose numbers are the bits of `choices`.
const fn choice(number: u32, name: &'static str, kind: Kind, choices: u32) -> Row {
    Row { number, name, kind, clash: choices }
}

const fn message(name: &'static str, rows: &[Row]) -> Message {
    let mut fields = [Field { kind: Kind::Unknown, wire: Kind::Unknown.wire(), bit: 0, clash: 0 }; FIELDS];
    let mut names = [""; FIELDS];
    let mut i = 0;
    while i < rows.len() {
        let Row { number, name, kind, clash } = rows[i];
        fields[number as usize] = Field { kind, wire: kind.wire(), bit: 1 << number, clash };
        names[number as usize] = name;
        i += 1;
    }
    Message { name, fields, names }
}

// common.proto, resource.proto

const ANY_VALUE_CHOICES: u32 = 0b1_1111_1110;

static ANY_VALUE: Message = message(
    "AnyValue",
    &[
        choice(1, "string_value", Kind::Text, ANY_VALUE_CHOICES),
        choice(2, "bool_value", Kind::Varint, ANY_VALUE_CHOICES),
        choice(3, "int_value", Kind::Varint, ANY_VALUE_CHOICES),
        choice(4, "double_value", Kind::Fixed64, ANY_VALUE_CHOICES),
        choice(5, "array_value", Kind::Message(&ARRAY_VALUE), ANY_VALUE_CHOICES),
        choice(6, "kvlist_value", Kind::Message(&KEY_VALUE_LIST), ANY_VALUE_CHOICES),
        choice(7, "bytes_value", Kind::Bytes, ANY_VALUE_CHOICES),
        choice(8, "string_value_strindex", Kind::Varint, ANY_VALUE_CHOICES),
    ],
);

static ARRAY_VALUE: Message = message("ArrayValue", &[many(1, "values", Kind::Message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = message("KeyValueList", &[many(1, "values", Kind::Attribute)]);

/// `key` clashes with itself and with a `value` that came before it: edits rely on reading the key first.
pub(super) static KEY_VALUE: Message = message(
    "KeyValue",
    &[
        Row { number: 1, name: "key", kind: Kind::Text, clash: 1 << 1 | 1 << 2 },
        one(2, "value", Kind::Message(&ANY_VALUE)),
        one(3, "key_strindex", Kind::Varint),
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
        one(6, "kind", Kind::Varint),
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

static STATUS: Message = message("Status", &[one(2, "message", Kind::Text), one(3, "code", Kind::Varint)]);

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
        one(2, "aggregation_temporality", Kind::Varint),
        one(3, "is_monotonic", Kind::Varint),
    ],
);

static HISTOGRAM: Message = message(
    "Histogram",
    &[many(1, "data_points", Kind::Item(&HISTOGRAM_DATA_POINT)), one(2, "aggregation_temporality", Kind::Varint)],
);

static EXPONENTIAL_HISTOGRAM: Message = message(
    "ExponentialHistogram",
    &[
        many(1, "data_points", Kind::Item(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one(2, "aggregation_temporality", Kind::Varint),
    ],
);

static SUMMARY: Message = message("Summary", &[many(1, "data_points", Kind::Item(&SUMMARY_DATA_POINT))]);

const NUMBER_CHOICES: u32 = 1 << 4 | 1 << 6;

static NUMBER_DATA_POINT: Message = message(
    "NumberDataPoint",
    &[
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        choice(4, "as_double", Kind::Fixed64, NUMBER_CHOICES),
        many(5, "exemplars", Kind::Message(&EXEMPLAR)),
        choice(6, "as_int", Kind::Fixed64, NUMBER_CHOICES),
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
        one(5, "sum", Kind::Fixed64),
        many(6, "bucket_counts", Kind::PackedFixed64),
        many(7, "explicit_bounds", Kind::PackedFixed64),
        many(8, "exemplars", Kind::Message(&EXEMPLAR)),
        many(9, "attributes", Kind::Attribute),
        one(10, "flags", Kind::Varint),
        one(11, "min", Kind::Fixed64),
        one(12, "max", Kind::Fixed64),
    ],
);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = message(
    "ExponentialHistogramDataPoint",
    &[
        many(1, "attributes", Kind::Attribute),
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Fixed64),
        one(6, "scale", Kind::Varint),
        one(7, "zero_count", Kind::Fixed64),
        one(8, "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", Kind::Varint),
        many(11, "exemplars", Kind::Message(&EXEMPLAR)),
        one(12, "min", Kind::Fixed64),
        one(13, "max", Kind::Fixed64),
        one(14, "zero_threshold", Kind::Fixed64),
    ],
);

static BUCKETS: Message = message(
    "ExponentialHistogramDataPoint.Buckets",
    &[one(1, "offset", Kind::Varint), many(2, "bucket_counts", Kind::PackedVarint)],
);

static SUMMARY_DATA_POINT: Message = message(
    "SummaryDataPoint",
    &[
        one(2, "start_time_unix_nano", Kind::Fixed64),
        one(3, "time_unix_nano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Fixed64),
        many(6, "quantile_values", Kind::Message(&VALUE_AT_QUANTILE)),
        many(7, "attributes", Kind::Attribute),
        one(8, "flags", Kind::Varint),
    ],
);

static VALUE_AT_QUANTILE: Message =
    message("SummaryDataPoint.ValueAtQuantile", &[one(1, "quantile", Kind::Fixed64), one(2, "value", Kind::Fixed64)]);

const EXEMPLAR_CHOICES: u32 = 1 << 3 | 1 << 6;

static EXEMPLAR: Message = message(
    "Exemplar",
    &[
        one(2, "time_unix_nano", Kind::Fixed64),
        choice(3, "as_double", Kind::Fixed64, EXEMPLAR_CHOICES),
        one(4, "span_id", SPAN_ID),
        one(5, "trace_id", TRACE_ID),
        choice(6, "as_int", Kind::Fixed64, EXEMPLAR_CHOICES),
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
        one(2, "severity_number", Kind::Varint),
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
