//! OTLP/JSON: there and back on generated requests, the golden files, what is also read, and what is refused.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value as Point};
use proptest::prelude::*;
use serde_json::Value;

use super::super::json::{JsonError, decode, encode as to_json, signal_of};
use super::super::{Batch, Decoded, Signal};
use super::generate::Generator;
use super::mutate::damage_fields;
use super::tree::{Node, shuffle};
use super::{config, encode, valid, validate};
use crate::error::Report;

fn golden(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => include_str!("golden/traces.json"),
        Signal::Metrics => include_str!("golden/metrics.json"),
        Signal::Logs => include_str!("golden/logs.json"),
    }
}

fn read(signal: Signal, text: &str) -> Batch {
    decode(signal, text.as_bytes()).unwrap_or_else(|error| panic!("{}: {text}", Report(&error)))
}

fn refused(signal: Signal, text: impl AsRef<[u8]>) -> String {
    match decode(signal, text.as_ref()) {
        Err(error) => Report(&error).to_string(),
        Ok(_) => panic!("nothing is wrong with {:.200}", String::from_utf8_lossy(text.as_ref())),
    }
}

fn text(batch: &Batch) -> String {
    String::from_utf8(to_json(batch)).expect("JSON is text")
}

/// What a batch holds, in which every NaN is the same.
fn held(decoded: &Decoded) -> String {
    format!("{decoded:?}")
}

/// JSON loses nothing of `batch` that decoding keeps.
fn survives(batch: &Batch) {
    let json = text(batch);
    let back = read(batch.signal(), &json);
    assert_eq!(held(&back.decode()), held(&batch.decode()), "{json}");
    assert_eq!(back.items(), batch.normalised().items());
    assert_eq!(text(&back), json);
}

#[test]
fn a_batch_is_the_same_there_and_back() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut batch = valid(signal, encode(&random.request(signal)));
            survives(&batch);
            prop_assert!(read(signal, &text(&batch)).is_canonical());
            // Of several parts.
            batch.merge(valid(signal, encode(&random.request(signal)))).expect("they are of one signal");
            survives(&batch);
        }
    });
}

#[test]
fn a_strange_batch_is_what_prost_reads_of_it() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let mut bits = Generator::new(seed);
            shuffle(&mut tree, &mut || bits.bits());
            survives(&valid(signal, tree.write()));
            damage_fields(&mut tree, &mut random);
            if let Ok(batch) = validate(signal, tree.write()) {
                survives(&batch);
            }
        }
    });
}

#[test]
fn never_panics_whatever_the_text() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let whole = to_json(&valid(signal, encode(&random.request(signal))));
            let golden = golden(signal).as_bytes();
            for text in [&whole, golden] {
                for _ in 0..8 {
                    let mut text = text.to_vec();
                    let at = random.below(text.len());
                    match random.below(4) {
                        0 => text.truncate(at),
                        1 => text[at] = random.bits() as u8,
                        2 => drop(text.remove(at)),
                        _ => text.insert(at, b"{}[],:\"0-.\\ntf"[random.below(14)]),
                    }
                    if let Ok(batch) = decode(signal, &text) {
                        survives(&batch);
                    }
                }
            }
        }
    });
}

#[test]
fn writes_the_golden_files_as_it_reads_them() {
    for signal in Signal::ALL {
        let batch = read(signal, golden(signal));
        let written: Value = serde_json::from_slice(&to_json(&batch)).expect("it is JSON");
        let expected: Value = serde_json::from_str(golden(signal)).expect("it is JSON");
        assert_eq!(written, expected, "{signal}");
    }
}

#[test]
fn reads_the_golden_attributes_as_otlp_means_them() {
    let Decoded::Traces(traces) = read(Signal::Traces, golden(Signal::Traces)).decode() else { panic!("traces") };
    let resource = traces.resource_spans[0].resource.as_ref().expect("a resource");
    let values = resource.attributes.iter().map(|a| a.value.as_ref().and_then(|value| value.value.clone()));
    let values: Vec<_> = values.collect();
    assert_eq!(values[0], Some(Any::StringValue("checkout \"blue\"\n".to_owned())));
    assert_eq!(values[1], Some(Any::IntValue(i64::MIN)));
    assert_eq!(values[2], Some(Any::DoubleValue(0.1)));
    assert_eq!(values[3], Some(Any::BoolValue(false)));
    assert_eq!(values[4], Some(Any::BytesValue(vec![0, 1, 254, 255])));
    assert!(
        matches!(&values[5], Some(Any::ArrayValue(array)) if array.values.len() == 3 && array.values[1].value.is_none())
    );
    assert!(matches!(&values[6], Some(Any::KvlistValue(list)) if list.values[1].value.is_none()));
    assert!(resource.attributes[7].value.is_some() && values[7].is_none(), "an empty value is a value");
    assert_eq!(resource.dropped_attributes_count, u32::MAX);
    assert_eq!(resource.entity_refs[0].id_keys, ["host.id", "host.mac"]);
}

#[test]
fn reads_the_golden_span_and_records_as_otlp_means_them() {
    let Decoded::Traces(traces) = read(Signal::Traces, golden(Signal::Traces)).decode() else { panic!("traces") };
    let span = &traces.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id, 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xeee1_9b7e_c3c1_b173_u64.to_be_bytes());
    assert_eq!((span.kind, span.flags, span.end_time_unix_nano), (2, 769, u64::MAX));
    assert_eq!((span.links[0].flags, span.status.as_ref().expect("a status").code), (256, 2));

    let Decoded::Logs(logs) = read(Signal::Logs, golden(Signal::Logs)).decode() else { panic!("logs") };
    let records = &logs.resource_logs[0].scope_logs[0].log_records;
    let body = records[0].body.as_ref().and_then(|body| body.value.clone());
    assert_eq!(body, Some(Any::StringValue("größer 😀 \0\x7f/".to_owned())));
    assert_eq!((records[0].severity_number, records.len()), (10, 2));
}

#[test]
fn reads_the_golden_metrics_as_otlp_means_them() {
    let Decoded::Metrics(metrics) = read(Signal::Metrics, golden(Signal::Metrics)).decode() else { panic!("metrics") };
    let data: Vec<_> = metrics.resource_metrics[0].scope_metrics[0].metrics.iter().map(|m| m.data.as_ref()).collect();
    let Some(Data::Gauge(gauge)) = data[0] else { panic!("{data:?}") };
    assert!(matches!(gauge.data_points[0].value, Some(Point::AsDouble(value)) if value.is_nan()));
    assert_eq!(gauge.data_points[1].value, Some(Point::AsDouble(f64::NEG_INFINITY)));
    assert_eq!(gauge.data_points[2].value, Some(Point::AsInt(-5)));
    assert_eq!(gauge.data_points[3].value, None);
    let Some(Data::Sum(sum)) = data[1] else { panic!("{data:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let Some(Data::Histogram(histogram)) = data[2] else { panic!("{data:?}") };
    assert_eq!(histogram.data_points[0].bucket_counts, [1, 2, u64::MAX]);
    assert_eq!(histogram.data_points[0].explicit_bounds, [0.1, f64::INFINITY]);
    assert_eq!(histogram.data_points[0].sum, Some(0.0), "zero is there");
    assert_eq!(histogram.data_points[0].min.map(f64::to_bits), Some((-0.0_f64).to_bits()));
    assert_eq!(histogram.data_points[1].sum, None, "and what is absent is not");
    let Some(Data::ExponentialHistogram(histogram)) = data[3] else { panic!("{data:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.scale, point.positive.as_ref().map(|buckets| buckets.offset)), (-3, Some(i32::MIN)));
    assert_eq!(point.positive.as_ref().expect("buckets").bucket_counts, [4, u64::MAX]);
    let Some(Data::Summary(summary)) = data[4] else { panic!("{data:?}") };
    assert_eq!(summary.data_points[0].quantile_values[0].value, 3.25);
    assert!(data[5].is_none());
}

/// A request of one span with these fields.
fn span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

/// A request of one log record with this body.
fn body(value: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{value}}}]}}]}}]}}"#)
}

#[test]
fn reads_also_what_others_write() {
    let spans = [
        (r#""traceId":"5B8EFFF798038103D269B633813FC60C""#, r#""traceId":"5b8efff798038103d269b633813fc60c""#),
        (r#""startTimeUnixNano":1544712660000000000"#, r#""startTimeUnixNano":"1544712660000000000""#),
        (r#""startTimeUnixNano":1.5e18"#, r#""startTimeUnixNano":"1500000000000000000""#),
        (r#""start_time_unix_nano":"7""#, r#""startTimeUnixNano":"7""#),
        (r#""kind":"SPAN_KIND_SERVER""#, r#""kind":2"#),
        (r#""kind":"2""#, r#""kind":2"#),
        (r#""kind":-1"#, r#""kind":-1"#),
        (r#""flags":"257""#, r#""flags":257"#),
        (r#""status":{"code":"STATUS_CODE_ERROR"}"#, r#""status":{"code":2}"#),
        (r#""traceId":null,"kind":null,"events":null,"status":null"#, ""),
        (r#""parentSpanId":"""#, r#""parentSpanId":"""#),
        (r#""new":{"a":[1,{"b":null}]},"name":"x","Name":"y""#, r#""name":"x""#),
        (r#""name":"\u00e9\ud83d\ude00\/""#, r#""name":"é😀/""#),
    ];
    for (theirs, ours) in spans {
        assert_eq!(text(&read(Signal::Traces, &span(theirs))), span(ours), "{theirs}");
    }
    let bodies = [
        (r#"{"intValue":-7}"#, r#"{"intValue":"-7"}"#),
        (r#"{"int_value":"7"}"#, r#"{"intValue":"7"}"#),
        (r#"{"doubleValue":7}"#, r#"{"doubleValue":7.0}"#),
        (r#"{"doubleValue":"1.5e3"}"#, r#"{"doubleValue":1500.0}"#),
        (r#"{"doubleValue":"-Infinity"}"#, r#"{"doubleValue":"-Infinity"}"#),
        (r#"{"bytesValue":"AAH-_w"}"#, r#"{"bytesValue":"AAH+/w=="}"#),
        (r#"{"bytesValue":"AAH+/w"}"#, r#"{"bytesValue":"AAH+/w=="}"#),
        (r#"{"unknownValue":{"stringValue":"x"}}"#, "{}"),
        (r#"{"stringValue":null}"#, "{}"),
        (
            r#"{"arrayValue":{"values":[null,{"boolValue":true}]}}"#,
            r#"{"arrayValue":{"values":[{},{"boolValue":true}]}}"#,
        ),
        (r#"{"arrayValue":{}}"#, r#"{"arrayValue":{}}"#),
        // The last of several choices holds, as on the wire.
        (r#"{"stringValue":"x","intValue":"1"}"#, r#"{"intValue":"1"}"#),
    ];
    for (theirs, ours) in bodies {
        assert_eq!(text(&read(Signal::Logs, &body(theirs))), body(ours), "{theirs}");
    }
    for empty in ["{}", " {\n} ", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":null}"#, r#"{"resourceSpans":[{}]}"#] {
        let batch = read(Signal::Logs, empty);
        assert_eq!((batch.items(), text(&batch).as_str()), (0, "{}"), "{empty}");
    }
}

#[test]
fn refuses_with_the_field_and_the_place() {
    let spans = [
        (r#""name":7"#, "Span.name: expected a string, found 7 at line 1 column 52"),
        (r#""traceId":"5b8e""#, "Span.traceId: expected an id of 32 hexadecimal digits, found \"5b8e\""),
        (r#""spanId":"eee19b7ec3c1b17g""#, "Span.spanId: expected an id of 16 hexadecimal digits"),
        (r#""kind":"SERVER""#, "Span.kind: expected the number of an enumeration's value, found \"SERVER\""),
        (
            r#""startTimeUnixNano":"-1""#,
            "Span.startTimeUnixNano: expected an unsigned integer of 64 bits, found \"-1\"",
        ),
        (r#""startTimeUnixNano":1.5"#, "expected an unsigned integer of 64 bits, found 1.5"),
        (r#""startTimeUnixNano":18446744073709551616"#, "expected an unsigned integer of 64 bits"),
        (r#""droppedLinksCount":4294967296"#, "Span.droppedLinksCount: expected an unsigned integer of 32 bits"),
        (r#""events":{}"#, "Span.events: expected an array, found an object"),
        (r#""events":"x""#, "Span.events: expected an array, found \"x\""),
        (r#""status":[]"#, "Span.status: expected an object, found an array"),
        (r#""status":2"#, "Span.status: expected an object, found 2"),
        (r#""links":[7]"#, "Span.links: expected an object, found 7"),
        (r#""attributes":[{"key":"a","value":"b"}]"#, "KeyValue.value: expected an object, found \"b\""),
    ];
    for (fields, expected) in spans {
        let error = refused(Signal::Traces, span(fields));
        assert!(error.starts_with("not OTLP/JSON: ") && error.contains(expected), "{fields}: {error}");
        assert!(error.contains(" at line 1 column "), "{error}");
    }
    for (value, expected) in [
        (r#"{"bytesValue":"!"}"#, "AnyValue.bytesValue: expected a string in base64, found \"!\""),
        (r#"{"boolValue":"true"}"#, "AnyValue.boolValue: expected true or false, found \"true\""),
        (r#"{"doubleValue":"inf"}"#, "AnyValue.doubleValue: expected a number, found \"inf\""),
        (r#"{"intValue":"9223372036854775808"}"#, "AnyValue.intValue: expected an integer of 64 bits"),
    ] {
        let error = refused(Signal::Logs, body(value));
        assert!(error.contains(expected), "{value}: {error}");
    }
    for (text, expected) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "expected an export request, an object with `resourceSpans` at line 1 column 0"),
        ("{}\n{}", "trailing characters at line 2 column 1"),
        ("{\"resourceSpans\":[\n {\"schemaUrl\": nope}]}", "at line 2 column"),
        (r#"{"resourceSpans":[{"schemaUrl":"\ud800"}]}"#, "at line 1 column"),
    ] {
        let error = refused(Signal::Traces, text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(refused(Signal::Traces, b"{\"resourceSpans\":[{\"schemaUrl\":\"\xFF\"}]}").contains("invalid unicode"));
    let packed = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[1,null]}]}}]}]}]}"#;
    let error = refused(Signal::Metrics, packed);
    assert!(
        error.contains("HistogramDataPoint.bucketCounts: expected an unsigned integer of 64 bits, found null"),
        "{error}"
    );
}

#[test]
fn an_error_repeats_little_of_what_it_refuses() {
    let error = refused(Signal::Traces, span(&format!(r#""kind":"{}""#, "é".repeat(10_000))));
    assert!(error.len() < 300 && error.contains("and 19936 bytes more"), "{error}");
}

#[test]
fn says_where_a_text_broke() {
    let Err(error): Result<Batch, JsonError> = decode(Signal::Logs, b"{\n  \"resourceLogs\": 7}") else {
        panic!("valid")
    };
    assert_eq!((error.line(), error.column()), (2, 19));
}

#[test]
fn refuses_what_is_nested_deeper_than_the_wire_may_be() {
    let nested = |levels: usize| {
        let mut value = r#"{"stringValue":"x"}"#.to_owned();
        for _ in 0..levels {
            value = format!(r#"{{"arrayValue":{{"values":[{value}]}}}}"#);
        }
        body(&value)
    };
    // A record's body is four messages deep, and each array adds two.
    assert_eq!(read(Signal::Logs, &nested(30)).items(), 1);
    let error = refused(Signal::Logs, nested(31));
    assert!(error.contains("nested deeper than 64 messages at line 1 column"), "{error}");
    // Also what is passed over.
    let passed = |open: &str, close: &str, levels: usize| {
        let value = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        body(&format!("{{\"new\":{value}}}"))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert_eq!(read(Signal::Logs, &passed(open, close, 60)).items(), 1);
        let error = refused(Signal::Logs, passed(open, close, 61));
        assert!(error.contains("nested deeper than 64 messages at line 1 column"), "{error}");
        refused(Signal::Logs, passed(open, close, 100_000));
    }
    let endless = "[".repeat(1 << 20);
    refused(Signal::Logs, body(&format!("{{\"new\":{endless}")));
    refused(Signal::Logs, nested(10_000));
}

#[test]
fn tells_the_signal_of_a_request_by_its_key() {
    for signal in Signal::ALL {
        assert_eq!(signal_of(golden(signal).as_bytes()), Some(signal));
    }
    assert_eq!(signal_of(br#"{"new":{"resourceSpans":1},"resource_logs":nonsense"#), Some(Signal::Logs));
    for none in ["", "{}", "[]", r#"{"new":[}"#, r#"{"new":1}"#] {
        assert_eq!(signal_of(none.as_bytes()), None, "{none}");
    }
}
