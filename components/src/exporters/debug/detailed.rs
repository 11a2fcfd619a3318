//! All that a batch has, in the layout that people know from the Collector.

use std::fmt::{self, Display, Write};

use tracecore::signal::view::{
    Attributes, BucketsRef, DataRef, ExemplarRef, Hex, KeyValueRef, LogRecordRef, MetricRef, Number, ResourceRef,
    ScopeRef, SpanRef, ValueRef, View,
};
use tracecore::signal::{Batch, Time};

use super::kind_of;

/// The batch as text of many lines.
pub(super) fn text(batch: &Batch) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, batch);
    out
}

fn write(out: &mut String, batch: &Batch) -> fmt::Result {
    match batch.view() {
        View::Traces(resources) => {
            for (i, resource) in resources.enumerate() {
                head(out, "ResourceSpans", i, resource.schema_url, &resource.resource)?;
                for (i, scope) in resource.scopes().enumerate() {
                    scope_head(out, "ScopeSpans", i, scope.schema_url, &scope.scope)?;
                    scope.spans().enumerate().try_for_each(|(i, item)| span(out, i, &item))?;
                }
            }
        }
        View::Metrics(resources) => {
            for (i, resource) in resources.enumerate() {
                head(out, "ResourceMetrics", i, resource.schema_url, &resource.resource)?;
                for (i, scope) in resource.scopes().enumerate() {
                    scope_head(out, "ScopeMetrics", i, scope.schema_url, &scope.scope)?;
                    scope.metrics().enumerate().try_for_each(|(i, item)| metric(out, i, &item))?;
                }
            }
        }
        View::Logs(resources) => {
            for (i, resource) in resources.enumerate() {
                head(out, "ResourceLog", i, resource.schema_url, &resource.resource)?;
                for (i, scope) in resource.scopes().enumerate() {
                    scope_head(out, "ScopeLogs", i, scope.schema_url, &scope.scope)?;
                    scope.log_records().enumerate().try_for_each(|(i, item)| log(out, i, &item))?;
                }
            }
        }
    }
    Ok(())
}

fn head(out: &mut String, name: &str, i: usize, schema_url: &str, resource: &ResourceRef<'_>) -> fmt::Result {
    writeln!(out, "{name} #{i}\nResource SchemaURL: {schema_url}")?;
    attributes(out, "Resource attributes", resource.attributes())
}

fn scope_head(out: &mut String, name: &str, i: usize, schema_url: &str, scope: &ScopeRef<'_>) -> fmt::Result {
    writeln!(out, "{name} #{i}\n{name} SchemaURL: {schema_url}")?;
    writeln!(out, "InstrumentationScope {} {}", scope.name, scope.version)?;
    attributes(out, "InstrumentationScope attributes", scope.attributes())
}

fn span(out: &mut String, i: usize, span: &SpanRef<'_>) -> fmt::Result {
    writeln!(out, "Span #{i}")?;
    line(out, "Trace ID", &Hex(span.trace_id))?;
    line(out, "Parent ID", &Hex(span.parent_span_id))?;
    line(out, "ID", &Hex(span.span_id))?;
    line(out, "Name", &span.name)?;
    line(out, "Kind", &format_args!("{:?}", span.kind))?;
    if !span.trace_state.is_empty() {
        line(out, "TraceState", &span.trace_state)?;
    }
    line(out, "Start time", &Time(span.start_time_unix_nano))?;
    line(out, "End time", &Time(span.end_time_unix_nano))?;
    let status = span.status.unwrap_or_default();
    line(out, "Status code", &format_args!("{:?}", status.code))?;
    line(out, "Status message", &status.message)?;
    line(out, "Flags", &span.flags)?;
    dropped(out, "DroppedAttributesCount", span.dropped_attributes_count)?;
    dropped(out, "DroppedEventsCount", span.dropped_events_count)?;
    dropped(out, "DroppedLinksCount", span.dropped_links_count)?;
    attributes(out, "Attributes", span.attributes())?;
    for (i, event) in span.events().enumerate() {
        writeln!(out, "SpanEvent #{i}\n     -> Name: {}", event.name)?;
        writeln!(out, "     -> Timestamp: {}", Time(event.time_unix_nano))?;
        writeln!(out, "     -> DroppedAttributesCount: {}", event.dropped_attributes_count)?;
        attributes(out, "     -> Attributes:", event.attributes())?;
    }
    for (i, link) in span.links().enumerate() {
        writeln!(out, "SpanLink #{i}\n     -> Trace ID: {}", Hex(link.trace_id))?;
        writeln!(out, "     -> ID: {}\n     -> TraceState: {}", Hex(link.span_id), link.trace_state)?;
        writeln!(out, "     -> DroppedAttributesCount: {}", link.dropped_attributes_count)?;
        attributes(out, "     -> Attributes:", link.attributes())?;
    }
    Ok(())
}

fn log(out: &mut String, i: usize, log: &LogRecordRef<'_>) -> fmt::Result {
    writeln!(out, "LogRecord #{i}")?;
    writeln!(out, "ObservedTimestamp: {}", Time(log.observed_time_unix_nano))?;
    writeln!(out, "Timestamp: {}", Time(log.time_unix_nano))?;
    writeln!(out, "SeverityText: {}\nSeverityNumber: {}", log.severity_text, log.severity_number)?;
    if !log.event_name.is_empty() {
        writeln!(out, "EventName: {}", log.event_name)?;
    }
    writeln!(out, "Body: {}", Typed(log.body))?;
    attributes(out, "Attributes", log.attributes())?;
    dropped(out, "DroppedAttributesCount", log.dropped_attributes_count)?;
    writeln!(out, "Trace ID: {}\nSpan ID: {}\nFlags: {}", Hex(log.trace_id), Hex(log.span_id), log.flags)
}

fn metric(out: &mut String, i: usize, metric: &MetricRef<'_>) -> fmt::Result {
    writeln!(out, "Metric #{i}\nDescriptor:\n     -> Name: {}", metric.name)?;
    writeln!(out, "     -> Description: {}\n     -> Unit: {}", metric.description, metric.unit)?;
    writeln!(out, "     -> DataType: {}", kind_of(metric.data.as_ref()))?;
    match metric.data {
        None => Ok(()),
        Some(DataRef::Gauge { data_points }) => points(out, "NumberDataPoints", data_points, number),
        Some(DataRef::Sum { data_points, temporality, is_monotonic }) => {
            writeln!(out, "     -> IsMonotonic: {is_monotonic}\n     -> AggregationTemporality: {temporality:?}")?;
            points(out, "NumberDataPoints", data_points, number)
        }
        Some(DataRef::Histogram { data_points, temporality }) => {
            writeln!(out, "     -> AggregationTemporality: {temporality:?}")?;
            points(out, "HistogramDataPoints", data_points, |out, point| {
                point_head(out, point.attributes(), point.start_time_unix_nano, point.time_unix_nano, point.flags)?;
                distribution(out, point.count, [point.sum, point.min, point.max])?;
                for (i, bound) in point.explicit_bounds().enumerate() {
                    writeln!(out, "ExplicitBounds #{i}: {bound}")?;
                }
                for (i, count) in point.bucket_counts().enumerate() {
                    writeln!(out, "Buckets #{i}, Count: {count}")?;
                }
                exemplars(out, point.exemplars())
            })
        }
        Some(DataRef::ExponentialHistogram { data_points, temporality }) => {
            writeln!(out, "     -> AggregationTemporality: {temporality:?}")?;
            points(out, "ExponentialHistogramDataPoints", data_points, |out, point| {
                point_head(out, point.attributes(), point.start_time_unix_nano, point.time_unix_nano, point.flags)?;
                distribution(out, point.count, [point.sum, point.min, point.max])?;
                writeln!(out, "Scale: {}\nZeroCount: {}", point.scale, point.zero_count)?;
                writeln!(out, "ZeroThreshold: {}", point.zero_threshold)?;
                buckets(out, "Positive", point.positive)?;
                buckets(out, "Negative", point.negative)?;
                exemplars(out, point.exemplars())
            })
        }
        Some(DataRef::Summary { data_points }) => points(out, "SummaryDataPoints", data_points, |out, point| {
            point_head(out, point.attributes(), point.start_time_unix_nano, point.time_unix_nano, point.flags)?;
            distribution(out, point.count, [Some(point.sum), None, None])?;
            for (i, at) in point.quantile_values().enumerate() {
                writeln!(out, "QuantileValue #{i}: Quantile {}, Value {}", at.quantile, at.value)?;
            }
            Ok(())
        }),
    }
}

fn points<T>(
    out: &mut String,
    name: &str,
    points: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T) -> fmt::Result,
) -> fmt::Result {
    for (i, point) in points.enumerate() {
        writeln!(out, "{name} #{i}")?;
        write(out, point)?;
    }
    Ok(())
}

fn number(out: &mut String, point: tracecore::signal::view::NumberDataPointRef<'_>) -> fmt::Result {
    point_head(out, point.attributes(), point.start_time_unix_nano, point.time_unix_nano, point.flags)?;
    match point.value {
        None => writeln!(out, "Value:")?,
        Some(Number::Int(value)) => writeln!(out, "Value: {value}")?,
        Some(Number::Double(value)) => writeln!(out, "Value: {value:?}")?,
    }
    exemplars(out, point.exemplars())
}

fn point_head(out: &mut String, of: Attributes<'_>, start: u64, time: u64, flags: u32) -> fmt::Result {
    attributes(out, "Data point attributes", of)?;
    writeln!(out, "StartTimestamp: {}\nTimestamp: {}", Time(start), Time(time))?;
    if flags == 0 { Ok(()) } else { writeln!(out, "Flags: {flags}") }
}

fn distribution(out: &mut String, count: u64, [sum, min, max]: [Option<f64>; 3]) -> fmt::Result {
    writeln!(out, "Count: {count}")?;
    for (name, value) in [("Sum", sum), ("Min", min), ("Max", max)] {
        if let Some(value) = value {
            writeln!(out, "{name}: {value:?}")?;
        }
    }
    Ok(())
}

fn buckets(out: &mut String, side: &str, buckets: Option<BucketsRef<'_>>) -> fmt::Result {
    let Some(buckets) = buckets else { return Ok(()) };
    writeln!(out, "{side} offset: {}", buckets.offset)?;
    for (i, count) in buckets.bucket_counts().enumerate() {
        writeln!(out, "{side} bucket #{i}, Count: {count}")?;
    }
    Ok(())
}

fn exemplars<'a>(out: &mut String, exemplars: impl Iterator<Item = ExemplarRef<'a>>) -> fmt::Result {
    for (i, exemplar) in exemplars.enumerate() {
        writeln!(out, "Exemplar #{i}")?;
        writeln!(out, "     -> Trace ID: {}\n     -> Span ID: {}", Hex(exemplar.trace_id), Hex(exemplar.span_id))?;
        writeln!(out, "     -> Timestamp: {}", Time(exemplar.time_unix_nano))?;
        match exemplar.value {
            None => {}
            Some(Number::Int(value)) => writeln!(out, "     -> Value: {value}")?,
            Some(Number::Double(value)) => writeln!(out, "     -> Value: {value:?}")?,
        }
        attributes(out, "     -> FilteredAttributes:", exemplar.filtered_attributes())?;
    }
    Ok(())
}

/// `    Name           : GET /cart`
fn line(out: &mut String, name: &str, value: &dyn Display) -> fmt::Result {
    writeln!(out, "    {name:<15}: {value}")
}

fn dropped(out: &mut String, name: &str, count: u32) -> fmt::Result {
    if count == 0 { Ok(()) } else { writeln!(out, "    {name}: {count}") }
}

/// The attributes under their title; nothing if there are none.
fn attributes(out: &mut String, title: &str, attributes: Attributes<'_>) -> fmt::Result {
    for (i, KeyValueRef { key, value }) in attributes.enumerate() {
        if i == 0 {
            writeln!(out, "{}:", title.trim_end_matches(':'))?;
        }
        writeln!(out, "     -> {key}: {}", Typed(value))?;
    }
    Ok(())
}

/// A value with its type: `Str(checkout)`.
struct Typed<'a>(ValueRef<'a>);

impl Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.0 {
            ValueRef::Empty => "Empty",
            ValueRef::Str(_) => "Str",
            ValueRef::Bool(_) => "Bool",
            ValueRef::Int(_) => "Int",
            ValueRef::Double(_) => "Double",
            ValueRef::Bytes(_) => "Bytes",
            ValueRef::Array(_) => "Slice",
            ValueRef::KvList(_) => "Map",
        };
        match self.0 {
            ValueRef::Empty => write!(f, "{of}()"),
            value => write!(f, "{of}({value})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracecore::otlp::json;
    use tracecore::signal::Signal;

    use super::text;

    fn shown(signal: Signal, json: &str) -> String {
        text(&json::decode(signal, json.as_bytes()).expect("it is OTLP"))
    }

    #[test]
    fn shows_all_of_a_span() {
        let shown = shown(
            Signal::Traces,
            r#"{"resourceSpans":[{"schemaUrl":"u","resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
            "scopeSpans":[{"scope":{"name":"lib","version":"1"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
            "spanId":"eee19b7ec3c1b174","name":"GET","kind":2,"startTimeUnixNano":"1000000000","status":{"code":2,"message":"no"},
            "attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"e"}],"events":[{"name":"boom","attributes":[{"key":"b","value":{"boolValue":true}}]}],
            "links":[{"spanId":"eee19b7ec3c1b175"}],"droppedLinksCount":3}]}]}]}"#,
        );
        assert_eq!(
            shown,
            "ResourceSpans #0\nResource SchemaURL: u\nResource attributes:\n     -> service.name: Str(shop)\nScopeSpans #0
ScopeSpans SchemaURL: \nInstrumentationScope lib 1\nSpan #0\n    Trace ID       : 5b8efff798038103d269b633813fc60c
    Parent ID      : \n    ID             : eee19b7ec3c1b174\n    Name           : GET\n    Kind           : Server
    Start time     : 1970-01-01T00:00:01.000000000Z\n    End time       : -\n    Status code    : Error
    Status message : no\n    Flags          : 0\n    DroppedLinksCount: 3\nAttributes:\n     -> n: Int(7)\n     -> e: Empty()
SpanEvent #0\n     -> Name: boom\n     -> Timestamp: -\n     -> DroppedAttributesCount: 0\n     -> Attributes:\n     -> b: Bool(true)
SpanLink #0\n     -> Trace ID: \n     -> ID: eee19b7ec3c1b175\n     -> TraceState: \n     -> DroppedAttributesCount: 0\n"
        );
    }

    #[test]
    fn shows_all_of_a_metric() {
        let shown = shown(
            Signal::Metrics,
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
            {"name":"g","unit":"By","gauge":{"dataPoints":[{"asDouble":1.5,"exemplars":[{"asInt":"2"}]}]}},
            {"name":"s","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"asInt":"7"}]}},
            {"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"count":"3","sum":2,"bucketCounts":[1,2],"explicitBounds":[0.5]}]}},
            {"name":"e","exponentialHistogram":{"dataPoints":[{"scale":-1,"positive":{"offset":4,"bucketCounts":[9]}}]}},
            {"name":"q","summary":{"dataPoints":[{"sum":1,"quantileValues":[{"quantile":0.5,"value":3}]}]}},
            {"name":"none"}]}]}]}"#,
        );
        for expected in [
            "Metric #0\nDescriptor:\n     -> Name: g\n     -> Description: \n     -> Unit: By\n     -> DataType: Gauge\nNumberDataPoints #0\n",
            "Value: 1.5\nExemplar #0\n",
            "     -> Value: 2\n",
            "     -> DataType: Sum\n     -> IsMonotonic: true\n     -> AggregationTemporality: Cumulative\nNumberDataPoints #0\n",
            "Value: 7\n",
            "Count: 3\nSum: 2.0\nExplicitBounds #0: 0.5\nBuckets #0, Count: 1\nBuckets #1, Count: 2\n",
            "Scale: -1\nZeroCount: 0\nZeroThreshold: 0\nPositive offset: 4\nPositive bucket #0, Count: 9\n",
            "Sum: 1.0\nQuantileValue #0: Quantile 0.5, Value 3\n",
            "     -> Name: none\n     -> Description: \n     -> Unit: \n     -> DataType: Empty\n",
        ] {
            assert!(shown.contains(expected), "{expected} in {shown}");
        }
    }

    #[test]
    fn shows_all_of_a_log_record() {
        let shown = shown(
            Signal::Logs,
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"WARN","severityNumber":13,"eventName":"e",
            "body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"doubleValue":1},{"bytesValue":"AA=="}]}}}]}},
            "attributes":[{"key":"k","value":{"stringValue":"v"}}],"flags":1}]}]}]}"#,
        );
        let record =
            "LogRecord #0\nObservedTimestamp: -\nTimestamp: -\nSeverityText: WARN\nSeverityNumber: 13\nEventName: e
Body: Map({\"a\":[1,\"00\"]})\nAttributes:\n     -> k: Str(v)\nTrace ID: \nSpan ID: \nFlags: 1\n";
        assert!(shown.ends_with(record), "{shown}");
    }
}
