//! From views back to the decoded form, to hold the two against each other.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span};

use super::super::view::{
    Attributes, BucketsRef, DataRef, EventRef, ExemplarRef, ExponentialHistogramDataPointRef, HistogramDataPointRef,
    LinkRef, LogRecordRef, MetricRef, Number, NumberDataPointRef, ResourceRef, ScopeRef, SpanRef, SummaryDataPointRef,
    ValueRef, View,
};
use super::super::{Batch, Decoded};

/// What the views of `batch` read.
pub(super) fn rebuild(batch: &Batch) -> Decoded {
    match batch.view() {
        View::Traces(resources) => Decoded::Traces(TracesData {
            resource_spans: resources
                .map(|r| ResourceSpans {
                    resource: Some(resource(r.resource)),
                    scope_spans: r
                        .scopes()
                        .map(|s| ScopeSpans {
                            scope: Some(scope(s.scope)),
                            spans: s.spans().map(span).collect(),
                            schema_url: s.schema_url.into(),
                        })
                        .collect(),
                    schema_url: r.schema_url.into(),
                })
                .collect(),
        }),
        View::Metrics(resources) => Decoded::Metrics(MetricsData {
            resource_metrics: resources
                .map(|r| ResourceMetrics {
                    resource: Some(resource(r.resource)),
                    scope_metrics: r
                        .scopes()
                        .map(|s| ScopeMetrics {
                            scope: Some(scope(s.scope)),
                            metrics: s.metrics().map(metric).collect(),
                            schema_url: s.schema_url.into(),
                        })
                        .collect(),
                    schema_url: r.schema_url.into(),
                })
                .collect(),
        }),
        View::Logs(resources) => Decoded::Logs(LogsData {
            resource_logs: resources
                .map(|r| ResourceLogs {
                    resource: Some(resource(r.resource)),
                    scope_logs: r
                        .scopes()
                        .map(|s| ScopeLogs {
                            scope: Some(scope(s.scope)),
                            log_records: s.log_records().map(log_record).collect(),
                            schema_url: s.schema_url.into(),
                        })
                        .collect(),
                    schema_url: r.schema_url.into(),
                })
                .collect(),
        }),
    }
}

fn value(value: ValueRef<'_>) -> Option<AnyValue> {
    let value = match value {
        ValueRef::Empty => return None,
        ValueRef::Str(text) => Value::StringValue(text.into()),
        ValueRef::Bool(value) => Value::BoolValue(value),
        ValueRef::Int(value) => Value::IntValue(value),
        ValueRef::Double(value) => Value::DoubleValue(value),
        ValueRef::Bytes(bytes) => Value::BytesValue(bytes.into()),
        ValueRef::Array(values) => {
            Value::ArrayValue(ArrayValue { values: values.map(|v| self::value(v).unwrap_or_default()).collect() })
        }
        ValueRef::KvList(pairs) => Value::KvlistValue(KeyValueList { values: attributes(pairs) }),
    };
    Some(AnyValue { value: Some(value) })
}

fn attributes(pairs: Attributes<'_>) -> Vec<KeyValue> {
    pairs.map(|pair| KeyValue { key: pair.key.into(), value: value(pair.value), key_strindex: 0 }).collect()
}

fn resource(r: ResourceRef<'_>) -> Resource {
    Resource {
        attributes: attributes(r.attributes()),
        dropped_attributes_count: r.dropped_attributes_count,
        entity_refs: Vec::new(),
    }
}

fn scope(s: ScopeRef<'_>) -> InstrumentationScope {
    InstrumentationScope {
        name: s.name.into(),
        version: s.version.into(),
        attributes: attributes(s.attributes()),
        dropped_attributes_count: s.dropped_attributes_count,
    }
}

fn span(s: SpanRef<'_>) -> Span {
    Span {
        trace_id: s.trace_id.into(),
        span_id: s.span_id.into(),
        trace_state: s.trace_state.into(),
        parent_span_id: s.parent_span_id.into(),
        flags: s.flags,
        name: s.name.into(),
        kind: s.kind.into(),
        start_time_unix_nano: s.start_time_unix_nano,
        end_time_unix_nano: s.end_time_unix_nano,
        attributes: attributes(s.attributes()),
        dropped_attributes_count: s.dropped_attributes_count,
        events: s.events().map(event).collect(),
        dropped_events_count: s.dropped_events_count,
        links: s.links().map(link).collect(),
        dropped_links_count: s.dropped_links_count,
        status: s.status.map(|status| Status { message: status.message.into(), code: status.code.into() }),
    }
}

fn event(e: EventRef<'_>) -> span::Event {
    span::Event {
        time_unix_nano: e.time_unix_nano,
        name: e.name.into(),
        attributes: attributes(e.attributes()),
        dropped_attributes_count: e.dropped_attributes_count,
    }
}

fn link(l: LinkRef<'_>) -> span::Link {
    span::Link {
        trace_id: l.trace_id.into(),
        span_id: l.span_id.into(),
        trace_state: l.trace_state.into(),
        attributes: attributes(l.attributes()),
        dropped_attributes_count: l.dropped_attributes_count,
        flags: l.flags,
    }
}

fn log_record(l: LogRecordRef<'_>) -> LogRecord {
    LogRecord {
        time_unix_nano: l.time_unix_nano,
        observed_time_unix_nano: l.observed_time_unix_nano,
        severity_number: l.severity_number,
        severity_text: l.severity_text.into(),
        body: value(l.body),
        attributes: attributes(l.attributes()),
        dropped_attributes_count: l.dropped_attributes_count,
        flags: l.flags,
        trace_id: l.trace_id.into(),
        span_id: l.span_id.into(),
        event_name: l.event_name.into(),
    }
}

fn metric(m: MetricRef<'_>) -> Metric {
    let data = m.data.map(|data| match data {
        DataRef::Gauge { data_points } => metric::Data::Gauge(Gauge { data_points: data_points.map(number).collect() }),
        DataRef::Sum { data_points, temporality, is_monotonic } => metric::Data::Sum(Sum {
            data_points: data_points.map(number).collect(),
            aggregation_temporality: temporality.into(),
            is_monotonic,
        }),
        DataRef::Histogram { data_points, temporality } => metric::Data::Histogram(Histogram {
            data_points: data_points.map(histogram).collect(),
            aggregation_temporality: temporality.into(),
        }),
        DataRef::ExponentialHistogram { data_points, temporality } => {
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: data_points.map(exponential).collect(),
                aggregation_temporality: temporality.into(),
            })
        }
        DataRef::Summary { data_points } => {
            metric::Data::Summary(Summary { data_points: data_points.map(summary).collect() })
        }
    });
    Metric {
        name: m.name.into(),
        description: m.description.into(),
        unit: m.unit.into(),
        metadata: attributes(m.metadata()),
        data,
    }
}

fn exemplar(e: ExemplarRef<'_>) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(e.filtered_attributes()),
        time_unix_nano: e.time_unix_nano,
        span_id: e.span_id.into(),
        trace_id: e.trace_id.into(),
        value: e.value.map(|value| match value {
            Number::Int(value) => exemplar::Value::AsInt(value),
            Number::Double(value) => exemplar::Value::AsDouble(value),
        }),
    }
}

fn number(p: NumberDataPointRef<'_>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(p.attributes()),
        start_time_unix_nano: p.start_time_unix_nano,
        time_unix_nano: p.time_unix_nano,
        exemplars: p.exemplars().map(exemplar).collect(),
        flags: p.flags,
        value: p.value.map(|value| match value {
            Number::Int(value) => number_data_point::Value::AsInt(value),
            Number::Double(value) => number_data_point::Value::AsDouble(value),
        }),
    }
}

fn histogram(p: HistogramDataPointRef<'_>) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(p.attributes()),
        start_time_unix_nano: p.start_time_unix_nano,
        time_unix_nano: p.time_unix_nano,
        count: p.count,
        sum: p.sum,
        bucket_counts: p.bucket_counts().collect(),
        explicit_bounds: p.explicit_bounds().collect(),
        exemplars: p.exemplars().map(exemplar).collect(),
        flags: p.flags,
        min: p.min,
        max: p.max,
    }
}

fn buckets(b: BucketsRef<'_>) -> Buckets {
    Buckets { offset: b.offset, bucket_counts: b.bucket_counts().collect() }
}

fn exponential(p: ExponentialHistogramDataPointRef<'_>) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        attributes: attributes(p.attributes()),
        start_time_unix_nano: p.start_time_unix_nano,
        time_unix_nano: p.time_unix_nano,
        count: p.count,
        sum: p.sum,
        scale: p.scale,
        zero_count: p.zero_count,
        positive: p.positive.map(buckets),
        negative: p.negative.map(buckets),
        flags: p.flags,
        exemplars: p.exemplars().map(exemplar).collect(),
        min: p.min,
        max: p.max,
        zero_threshold: p.zero_threshold,
    }
}

fn summary(p: SummaryDataPointRef<'_>) -> SummaryDataPoint {
    SummaryDataPoint {
        attributes: attributes(p.attributes()),
        start_time_unix_nano: p.start_time_unix_nano,
        time_unix_nano: p.time_unix_nano,
        count: p.count,
        sum: p.sum,
        quantile_values: p
            .quantile_values()
            .map(|at| ValueAtQuantile { quantile: at.quantile, value: at.value })
            .collect(),
        flags: p.flags,
    }
}

/// Takes from `data` what views do not tell: entity references, string indices, numbers that an enumeration does not
/// have, and the difference between an absent message and an empty one where no one asks for it.
pub(super) fn readable(data: &mut Decoded) {
    match data {
        Decoded::Traces(data) => {
            for r in &mut data.resource_spans {
                strip_resource(&mut r.resource);
                for s in &mut r.scope_spans {
                    strip_scope(&mut s.scope);
                    s.spans.iter_mut().for_each(strip_span);
                }
            }
        }
        Decoded::Metrics(data) => {
            for r in &mut data.resource_metrics {
                strip_resource(&mut r.resource);
                for s in &mut r.scope_metrics {
                    strip_scope(&mut s.scope);
                    s.metrics.iter_mut().for_each(strip_metric);
                }
            }
        }
        Decoded::Logs(data) => {
            for r in &mut data.resource_logs {
                strip_resource(&mut r.resource);
                for s in &mut r.scope_logs {
                    strip_scope(&mut s.scope);
                    for log in &mut s.log_records {
                        strip_attributes(&mut log.attributes);
                        strip_value(&mut log.body);
                    }
                }
            }
        }
    }
}

fn strip_value(any: &mut Option<AnyValue>) {
    if let Some(value) = any {
        strip_any(value);
    }
    any.take_if(|any| any.value.is_none());
}

fn strip_any(any: &mut AnyValue) {
    match &mut any.value {
        Some(Value::StringValueStrindex(_)) => any.value = None,
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(strip_any),
        Some(Value::KvlistValue(list)) => strip_attributes(&mut list.values),
        _ => {}
    }
}

fn strip_attributes(pairs: &mut [KeyValue]) {
    for pair in pairs {
        pair.key_strindex = 0;
        strip_value(&mut pair.value);
    }
}

fn strip_resource(resource: &mut Option<Resource>) {
    let resource = resource.get_or_insert_default();
    resource.entity_refs.clear();
    strip_attributes(&mut resource.attributes);
}

fn strip_scope(scope: &mut Option<InstrumentationScope>) {
    strip_attributes(&mut scope.get_or_insert_default().attributes);
}

fn strip_span(span: &mut Span) {
    span.kind = SpanKind::try_from(span.kind).unwrap_or_default().into();
    if let Some(status) = &mut span.status {
        status.code = StatusCode::try_from(status.code).unwrap_or_default().into();
    }
    strip_attributes(&mut span.attributes);
    span.events.iter_mut().for_each(|event| strip_attributes(&mut event.attributes));
    span.links.iter_mut().for_each(|link| strip_attributes(&mut link.attributes));
}

fn strip_metric(metric: &mut Metric) {
    let known = |temporality: i32| AggregationTemporality::try_from(temporality).unwrap_or_default().into();
    strip_attributes(&mut metric.metadata);
    match &mut metric.data {
        None => {}
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.iter_mut().for_each(strip_number),
        Some(metric::Data::Sum(sum)) => {
            sum.aggregation_temporality = known(sum.aggregation_temporality);
            sum.data_points.iter_mut().for_each(strip_number);
        }
        Some(metric::Data::Histogram(histogram)) => {
            histogram.aggregation_temporality = known(histogram.aggregation_temporality);
            for point in &mut histogram.data_points {
                strip_attributes(&mut point.attributes);
                strip_exemplars(&mut point.exemplars);
            }
        }
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            histogram.aggregation_temporality = known(histogram.aggregation_temporality);
            for point in &mut histogram.data_points {
                strip_attributes(&mut point.attributes);
                strip_exemplars(&mut point.exemplars);
            }
        }
        Some(metric::Data::Summary(summary)) => {
            summary.data_points.iter_mut().for_each(|point| strip_attributes(&mut point.attributes));
        }
    }
}

fn strip_number(point: &mut NumberDataPoint) {
    strip_attributes(&mut point.attributes);
    strip_exemplars(&mut point.exemplars);
}

fn strip_exemplars(exemplars: &mut [Exemplar]) {
    exemplars.iter_mut().for_each(|exemplar| strip_attributes(&mut exemplar.filtered_attributes));
}
