//! What is to arrive of what `telemetry.py` tells the SDK, as OTLP/JSON: by hand, from the script and the specification.
//!
//! Left out is what is absent or zero. The times of the SDK's own clock are [`NOW`].

use serde_json::{Value, json};

/// A time within the run of the script.
pub(super) const NOW: &str = "now";

const TRACE: &str = "0102030405060708090a0b0c0d0e0f10";
const SPAN: &str = "f0e0d0c0b0a09001";

/// A time of so many nanoseconds after the beginning.
fn begin(after: u64) -> Value {
    (1_700_000_000_123_456_789 + after).to_string().into()
}

/// 2^63 + 1.
const LATE: &str = "9223372036854775809";

/// The values of `VALUES` by their keys.
fn values() -> Vec<(&'static str, Value)> {
    let one = |key: &str, value: Value| json!({"kvlistValue": {"values": [{"key": key, "value": value}]}});
    let deep = json!({"arrayValue": {"values": [one("d", json!({"stringValue": "deep"}))]}});
    let mixed = json!([
        {"intValue": "1"}, {"stringValue": "one"}, {"doubleValue": 1.0}, {"boolValue": true}, {}, {"bytesValue": "MQ=="},
        {"arrayValue": {"values": [{"arrayValue": {}}]}}, one("one", json!({"intValue": "1"})),
    ]);
    let map = json!([{"key": "a", "value": one("b", one("c", deep))}, {"key": "none", "value": {}}]);
    vec![
        ("text", json!({"stringValue": "größer \"😀\"\n\0"})),
        ("text.empty", json!({"stringValue": ""})),
        ("yes", json!({"boolValue": true})),
        ("no", json!({"boolValue": false})),
        ("int", json!({"intValue": "42"})),
        ("int.least", json!({"intValue": "-9223372036854775808"})),
        ("int.most", json!({"intValue": "9223372036854775807"})),
        ("double", json!({"doubleValue": 0.1})),
        ("double.zero", json!({"doubleValue": -0.0})),
        ("double.most", json!({"doubleValue": f64::MAX})),
        ("double.least", json!({"doubleValue": 5e-324})),
        ("double.nan", json!({"doubleValue": "NaN"})),
        ("double.infinite", json!({"doubleValue": "-Infinity"})),
        ("bytes", json!({"bytesValue": "AAH+/w=="})),
        ("bytes.empty", json!({"bytesValue": ""})),
        ("none", json!({})),
        ("array", json!({"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}})),
        ("array.empty", json!({"arrayValue": {}})),
        ("array.mixed", json!({"arrayValue": {"values": mixed}})),
        ("map", json!({"kvlistValue": {"values": map}})),
        ("map.empty", json!({"kvlistValue": {}})),
    ]
}

fn attributes(values: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    values.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn text(key: &'static str, text: &str) -> Value {
    attributes([(key, json!({"stringValue": text}))])
}

fn int(key: &str, int: i64) -> Value {
    json!([{"key": key, "value": {"intValue": int.to_string()}}])
}

fn resource() -> Value {
    let addresses = json!({"arrayValue": {"values": [{"stringValue": "10.0.0.1"}, {"stringValue": "::1"}]}});
    let own = [
        ("service.name", json!({"stringValue": "shop"})),
        ("service.instance.id", json!({"stringValue": "shop-1"})),
        ("host.ips", addresses),
    ];
    json!({"attributes": attributes(own.into_iter().chain(values()))})
}

const RESOURCE_SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
const SCOPE_SCHEMA: &str = "https://example.com/schemas/1";

fn scope(name: &str, version: &str) -> Value {
    let nested = json!([{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]);
    let attributes = attributes([
        ("scope", json!({"stringValue": "attribute"})),
        ("nested", json!({"kvlistValue": {"values": nested}})),
    ]);
    json!({"name": name, "version": version, "attributes": attributes})
}

pub(super) fn traces() -> Value {
    let event_attributes = attributes([
        ("attempt", json!({"intValue": "2"})),
        ("waits", json!({"arrayValue": {"values": [{"doubleValue": 0.5}, {"doubleValue": 1.5}]}})),
        ("nested", json!({"kvlistValue": {"values": [{"key": "a", "value": {}}]}})),
    ]);
    // The flags say that it is known whether a parent or a linked span is remote (256), and that it is (512).
    let everything = json!({
        "traceId": TRACE, "spanId": SPAN, "name": "everything", "kind": 2, "flags": 256,
        "startTimeUnixNano": begin(0), "endTimeUnixNano": begin(1_000_000_000),
        "attributes": attributes(values()),
        "events": [
            {"timeUnixNano": begin(1), "name": "retried", "attributes": event_attributes},
            {"timeUnixNano": begin(2)},
        ],
        "links": [
            {"traceId": "ff000000000000000000000000000001", "spanId": "ff00000000000001", "flags": 768,
                "attributes": text("why", "batch")},
            {"traceId": "00000000000000000000000000000002", "spanId": "0000000000000003", "flags": 256},
        ],
        "status": {"code": 2, "message": "payment refused: größer"},
    });
    // Of 24 attributes 21 are kept, of five events two, of four links two, of the two attributes of a link one: the last.
    let kept: Vec<_> = (3..24).map(|number| int(&format!("attribute.{number}"), number)[0].clone()).collect();
    let link = |number: u64| {
        json!({
            "traceId": format!("{:032x}", 4 + number), "spanId": format!("{:016x}", 4 + number), "flags": 256,
            "attributes": int("number", number.cast_signed()), "droppedAttributesCount": 1,
        })
    };
    let limited = json!({
        "traceId": TRACE, "spanId": "f0e0d0c0b0a09002", "parentSpanId": SPAN, "name": "limited", "kind": 4, "flags": 256,
        "startTimeUnixNano": begin(3), "endTimeUnixNano": begin(10),
        "attributes": kept, "droppedAttributesCount": 3,
        "events": [{"timeUnixNano": begin(7), "name": "event 3"}, {"timeUnixNano": begin(8), "name": "event 4"}],
        "droppedEventsCount": 3,
        "links": [link(2), link(3)],
        "droppedLinksCount": 2,
        "status": {"code": 1},
    });
    let nothing = json!({
        "traceId": TRACE, "spanId": "f0e0d0c0b0a09003", "kind": 1, "flags": 256, "endTimeUnixNano": LATE, "status": {},
    });
    let remote = |span: &str, name: &str, kind: u64| {
        json!({
            "traceId": "ff000000000000000000000000000001", "spanId": span, "parentSpanId": "ff00000000000001",
            "traceState": "vendor=a:b;c,other=1", "name": name, "kind": kind, "flags": 768,
            "startTimeUnixNano": begin(0), "endTimeUnixNano": begin(0), "status": {},
        })
    };
    let remote = [remote("f0e0d0c0b0a09004", "of a remote parent", 3), remote("f0e0d0c0b0a09005", "consumes", 5)];
    json!({"resourceSpans": [{
        "resource": resource(),
        "schemaUrl": RESOURCE_SCHEMA,
        "scopeSpans": [
            {"scope": scope("checkout", "1.2.3"), "schemaUrl": SCOPE_SCHEMA, "spans": [limited, everything, nothing]},
            {"scope": {"name": "bare"}, "spans": remote},
        ],
    }]})
}

/// What has a value, with these fields beside it.
fn with(mut fields: Value, more: &Value) -> Value {
    let more = more.as_object().expect("fields").clone();
    fields.as_object_mut().expect("fields").extend(more);
    fields
}

/// An exemplar of this value, measured in a span or outside.
fn exemplar(value: &Value, in_span: bool) -> Value {
    let fields = match in_span {
        true => json!({"timeUnixNano": NOW, "traceId": TRACE, "spanId": SPAN}),
        false => json!({"timeUnixNano": NOW}),
    };
    with(fields, value)
}

/// A point of this value whose one exemplar is the same.
fn point(value: &Value, attributes: &Value, in_span: bool) -> Value {
    let fields = json!({"timeUnixNano": NOW, "attributes": attributes, "exemplars": [exemplar(value, in_span)]});
    with(fields, value)
}

/// A point that also says when its counting began.
fn counted(value: &Value, attributes: &Value, in_span: bool) -> Value {
    with(point(value, attributes, in_span), &json!({"startTimeUnixNano": NOW}))
}

fn sum(points: &Value, is_monotonic: bool) -> Value {
    let fields = json!({"dataPoints": points, "aggregationTemporality": 2});
    if is_monotonic { with(fields, &json!({"isMonotonic": true})) } else { fields }
}

pub(super) fn metrics() -> Value {
    let route = text("route", "/");
    let filtered = json!({"kvlistValue": {"values": [
        {"key": "nested", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}},
    ]}});
    let mut limited = counted(&json!({"asInt": "1"}), &text("kept", "a"), true);
    limited["exemplars"][0]["filteredAttributes"] = attributes([("dropped", filtered)]);
    let seconds = json!([
        counted(&json!({"asDouble": 0.25}), &attributes(values()), false),
        counted(&json!({"asDouble": 0.5}), &route, false),
    ]);
    let mut two = point(&json!({"asInt": "2"}), &json!(null), false);
    two.as_object_mut().expect("fields").remove("attributes");
    let observed_gauge = json!([point(&json!({"asDouble": 1.5}), &text("a", "b"), false), two]);
    let mut level = point(&json!({"asInt": "4611686018427387904"}), &json!(null), false);
    level.as_object_mut().expect("fields").remove("attributes");
    let mut up_down = counted(&json!({"asDouble": -1.25}), &json!(null), false);
    up_down.as_object_mut().expect("fields").remove("attributes");
    let of = |values: &[f64]| values.iter().map(|value| exemplar(&json!({"asDouble": value}), true)).collect::<Value>();
    let latency = json!({
        "startTimeUnixNano": NOW, "timeUnixNano": NOW, "attributes": route, "exemplars": of(&[5.0, 7.5, 1e300]),
        "count": "3", "sum": 1e300, "min": 5.0, "max": 1e300,
        "explicitBounds": [0.0, 5.0, 10.0], "bucketCounts": ["0", "1", "1", "1"],
    });
    let bounds =
        [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0];
    let counts: Vec<_> = (0..=bounds.len()).map(|bucket| if bucket == 0 { "1" } else { "0" }).collect();
    let sizes = json!({
        "startTimeUnixNano": NOW, "timeUnixNano": NOW, "attributes": text("route", "/empty"),
        "exemplars": [exemplar(&json!({"asInt": "0"}), false)],
        "count": "1", "sum": 0.0, "min": 0.0, "max": 0.0, "explicitBounds": bounds, "bucketCounts": counts,
    });
    // At scale -1 a bucket ends at a power of four: 1; 2 and 4; 1024. The SDK has no exemplar of a zero, and fills up.
    let exponential = json!({
        "startTimeUnixNano": NOW, "timeUnixNano": NOW, "attributes": route, "exemplars": of(&[1.0, 2.0, 4.0, 1024.0]),
        "count": "5", "sum": 1031.0, "min": 0.0, "max": 1024.0, "scale": -1, "zeroCount": "1",
        "positive": {"offset": -1, "bucketCounts": ["1", "2", "0", "0", "0", "1", "0", "0"]},
        "negative": {"bucketCounts": ["0"]},
    });
    let metrics = json!([
        {"name": "requests", "unit": "{request}", "description": "Requests that came",
            "sum": sum(&json!([counted(&json!({"asInt": "1099511627776"}), &route, true)]), true)},
        {"name": "seconds", "unit": "s", "sum": sum(&seconds, true)},
        {"name": "open", "unit": "1", "description": "Größer",
            "sum": sum(&json!([counted(&json!({"asInt": "-7"}), &attributes([("yes", json!({"boolValue": true}))]), true)]), false)},
        {"name": "temperature", "unit": "Cel",
            "gauge": {"dataPoints": [point(&json!({"asDouble": -0.5}), &int("rack", 7), false)]}},
        {"name": "level", "gauge": {"dataPoints": [level]}},
        {"name": "latency", "unit": "ms", "description": "How long it took",
            "histogram": {"aggregationTemporality": 2, "dataPoints": [latency]}},
        {"name": "sizes", "unit": "By", "histogram": {"aggregationTemporality": 2, "dataPoints": [sizes]}},
        {"name": "exponential", "unit": "By",
            "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [exponential]}},
        {"name": "limited", "sum": sum(&json!([limited]), true)},
        {"name": "observed.gauge", "gauge": {"dataPoints": observed_gauge}},
        {"name": "observed.counter",
            "sum": sum(&json!([counted(&json!({"asInt": "12"}), &int("cpu", 0), false)]), true)},
        {"name": "observed.up_down", "sum": sum(&json!([up_down]), false)},
    ]);
    json!({"resourceMetrics": [{
        "resource": resource(),
        "schemaUrl": RESOURCE_SCHEMA,
        "scopeMetrics": [{"scope": scope("meter", "2.0"), "schemaUrl": SCOPE_SCHEMA, "metrics": metrics}],
    }]})
}

pub(super) fn logs() -> Value {
    let everything = json!({
        "timeUnixNano": begin(0), "observedTimeUnixNano": LATE, "traceId": TRACE, "spanId": SPAN, "flags": 1,
        "severityNumber": 14, "severityText": "WARN", "body": {"stringValue": "größer \"😀\""},
        "attributes": attributes(values()), "eventName": "checkout.failed",
    });
    let bare = |body: Value| json!({"timeUnixNano": begin(0), "observedTimeUnixNano": begin(0), "body": body});
    let bodies = values().into_iter().map(|(_, value)| bare(value));
    let severities = (0..=24).map(|severity| match severity {
        0 => bare(json!({})),
        severity => with(bare(json!({})), &json!({"severityNumber": severity})),
    });
    json!({"resourceLogs": [{
        "resource": resource(),
        "schemaUrl": RESOURCE_SCHEMA,
        "scopeLogs": [
            {"scope": scope("logger", "3"), "schemaUrl": SCOPE_SCHEMA,
                "logRecords": [everything, {"observedTimeUnixNano": "1", "body": {}}]},
            {"scope": {"name": "bare"}, "logRecords": bodies.chain(severities).collect::<Value>()},
        ],
    }]})
}
