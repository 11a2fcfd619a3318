//! The walk and the views against prost, over random requests.
//!
//! A case is a seed, so that a failure names one number. `TRACECORE_PROPTEST_CASES` raises the number of cases for a
//! soak run.

mod edit;
mod generate;
mod json;
mod mutate;
mod normalise;
pub(crate) mod payload;
mod rebuild;
mod split;
mod tree;

use std::borrow::Cow;

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::{MetricsData, metric};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message;

use self::generate::Generator;
use self::mutate::{any_field, damage_bytes, damage_fields, nested_groups, varint_key};
use self::payload::{Payload, Script};
use self::rebuild::{readable, rebuild};
use self::tree::{Field, Node, Value, shuffle};
use super::view::{Hex, ValueRef, View};
use super::{Batch, Decoded, Signal, SignalMismatch, WireError};

/// Cases of each property: a few seconds in all, unoptimised.
const CASES: u32 = 200;

fn config() -> ProptestConfig {
    let cases = std::env::var("TRACECORE_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    // A seed does not shrink, and needs no file to be remembered.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() }
}

fn encode(decoded: &Decoded) -> Vec<u8> {
    match decoded {
        Decoded::Traces(data) => data.encode_to_vec(),
        Decoded::Metrics(data) => data.encode_to_vec(),
        Decoded::Logs(data) => data.encode_to_vec(),
    }
}

fn prost_decode(signal: Signal, bytes: &[u8]) -> Result<Decoded, prost::DecodeError> {
    Ok(match signal {
        Signal::Traces => Decoded::Traces(TracesData::decode(bytes)?),
        Signal::Metrics => Decoded::Metrics(MetricsData::decode(bytes)?),
        Signal::Logs => Decoded::Logs(LogsData::decode(bytes)?),
    })
}

fn count(decoded: &Decoded) -> u64 {
    let items: usize = match decoded {
        Decoded::Traces(data) => data.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum(),
        Decoded::Logs(data) => data.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum(),
        Decoded::Metrics(data) => {
            let scopes = data.resource_metrics.iter().flat_map(|r| &r.scope_metrics);
            let points = |data: &metric::Data| match data {
                metric::Data::Gauge(gauge) => gauge.data_points.len(),
                metric::Data::Sum(sum) => sum.data_points.len(),
                metric::Data::Histogram(histogram) => histogram.data_points.len(),
                metric::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
                metric::Data::Summary(summary) => summary.data_points.len(),
            };
            scopes.flat_map(|s| &s.metrics).filter_map(|m| m.data.as_ref()).map(points).sum()
        }
    };
    items as u64
}

fn validate(signal: Signal, bytes: impl Into<Vec<u8>>) -> Result<Batch, WireError> {
    Batch::validate(signal, Bytes::from(bytes.into()))
}

fn valid(signal: Signal, bytes: impl Into<Vec<u8>>) -> Batch {
    validate(signal, bytes).expect("a valid request")
}

/// What views should read of `decoded`, as bytes: NaN is not equal to itself, its bits are.
fn readable_bytes(mut decoded: Decoded) -> Vec<u8> {
    readable(&mut decoded);
    encode(&decoded)
}

/// The walk and prost on the same bytes.
fn compare(signal: Signal, bytes: &[u8]) {
    let decoded = prost_decode(signal, bytes);
    match (validate(signal, bytes), decoded) {
        (Ok(batch), Ok(decoded)) => {
            assert_eq!(batch.items(), count(&decoded), "{signal} {bytes:02x?}");
            // Views do not panic, whatever the order and however often.
            rebuild(&batch);
            let normalised = batch.normalised();
            assert!(normalised.is_canonical());
            assert_eq!(encode(&rebuild(&normalised)), readable_bytes(decoded), "{signal} {bytes:02x?}");
        }
        (Err(_), Err(_)) | (Err(WireError::IdLength { .. } | WireError::Depth(_)), Ok(_)) => {}
        (Ok(_), Err(error)) => panic!("only prost refuses: {error}: {signal} {bytes:02x?}"),
        (Err(error), Ok(_)) => panic!("only the walk refuses: {error}: {signal} {bytes:02x?}"),
    }
}

#[test]
fn accepts_counts_and_reads_what_prost_writes() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let decoded = Generator::new(seed).request(signal);
            let batch = valid(signal, encode(&decoded));
            prop_assert!(batch.is_canonical() && !batch.has_unknown_fields());
            prop_assert_eq!(batch.items(), count(&decoded));
            prop_assert_eq!(batch.size(), encode(&decoded).len());
            prop_assert_eq!(encode(&batch.decode()), encode(&decoded));
            prop_assert_eq!(encode(&rebuild(&batch)), readable_bytes(decoded));
        }
    });
}

#[test]
fn accepts_of_damaged_fields_what_prost_accepts() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            for _ in 0..8 {
                damage_fields(&mut tree, &mut random);
                compare(signal, &tree.write());
            }
        }
    });
}

#[test]
fn accepts_of_damaged_bytes_what_prost_accepts() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let whole = encode(&random.request(signal));
            for _ in 0..8 {
                let mut bytes = whole.clone();
                for _ in 0..=random.below(3) {
                    damage_bytes(&mut bytes, &mut random);
                }
                compare(signal, &bytes);
            }
        }
    });
}

#[test]
fn accepts_of_garbage_what_prost_accepts() {
    proptest!(config(), |(bytes: Vec<u8>)| {
        for signal in Signal::ALL {
            compare(signal, &bytes);
        }
    });
}

#[test]
fn merging_is_concatenation() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let requests: Vec<Vec<u8>> = (0..4).map(|_| encode(&random.request(signal))).collect();
            let mut batch = valid(signal, Vec::new());
            for request in &requests {
                batch.merge(valid(signal, request.clone())).expect("the same signal");
            }
            let whole = valid(signal, requests.concat());
            prop_assert_eq!(batch.parts().concat(), requests.concat());
            prop_assert_eq!((batch.items(), batch.size()), (whole.items(), whole.size()));
            prop_assert_eq!(encode(&batch.decode()), encode(&whole.decode()));
            prop_assert_eq!(encode(&rebuild(&batch)), encode(&rebuild(&whole)));
        }
    });
}

#[test]
fn flags_a_field_that_occurs_twice() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let (mut target, mut doubled) = (random.below(30), false);
            tree.visit(&mut |node| {
                let Some(at) = node.fields.iter().position(|field| is_singular(node.name, field.number)) else { return };
                if target == 0 && !doubled {
                    let copy = node.fields[at].clone();
                    node.fields.push(copy);
                    doubled = true;
                }
                target = target.saturating_sub(1);
            });
            let batch = valid(signal, tree.write());
            prop_assert_eq!(batch.is_canonical(), !doubled);
            prop_assert!(!batch.has_unknown_fields());
        }
    });
}

/// Whether the field is singular, for messages of every kind.
fn is_singular(message: &str, number: u32) -> bool {
    match message {
        "resource_spans" | "resource_metrics" | "resource_logs" => number != 2,
        "scope_spans" | "scope_metrics" | "scope_logs" | "resource" => number == 1 && message != "resource",
        "key_value" | "any_value" | "status" | "quantile" => true,
        "scope" | "event" => number != 3,
        "span" => ![9, 11, 13].contains(&number),
        "link" => number != 4,
        "log_record" => number != 6,
        "metric" => number != 12,
        "number_point" => ![5, 7].contains(&number),
        "exemplar" => number != 7,
        _ => false,
    }
}

#[test]
fn flags_a_value_before_its_key() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let mut swapped = false;
            tree.visit(&mut |node| {
                if node.name == "key_value" && !swapped && node.fields.iter().filter(|f| f.number < 3).count() == 2 {
                    node.fields.reverse();
                    swapped = true;
                }
            });
            prop_assert_eq!(valid(signal, tree.write()).is_canonical(), !swapped);
        }
    });
}

#[test]
fn any_other_order_is_canonical() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let decoded = random.request(signal);
            let mut tree = Node::read(signal.as_str(), &encode(&decoded));
            shuffle(&mut tree, &mut || random.bits());
            tree.visit(&mut |node| {
                if node.name == "key_value" {
                    node.fields.sort_by_key(|field| field.number);
                }
            });
            let batch = valid(signal, tree.write());
            prop_assert!(batch.is_canonical());
            prop_assert_eq!(batch.items(), count(&decoded));
        }
    });
}

#[test]
fn flags_unknown_fields_and_only_those() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let mut messages = 0;
            tree.visit(&mut |_| messages += 1);
            let (target, mut index) = (random.below(messages), 0);
            tree.visit(&mut |node| {
                if index == target {
                    let at = random.below(node.fields.len() + 1);
                    let value = Value::Raw(3, nested_groups(77, 3));
                    node.fields.insert(at, Field { number: 77, value });
                }
                index += 1;
            });
            let batch = valid(signal, tree.write());
            prop_assert!(batch.has_unknown_fields() && batch.is_canonical());
            prop_assert!(matches!(batch.normalised(), Cow::Borrowed(_)), "nothing to normalise, nothing lost");
        }
    });
}

#[test]
fn any_field_anywhere_is_judged_as_prost_does() {
    proptest!(config(), |(seed: u64)| {
        let mut random = Generator::new(seed);
        for signal in Signal::ALL {
            let fields = (0..4).map(|_| any_field(&mut random)).collect();
            let span = Node { name: "item", fields };
            let scope = Node { name: "scope", fields: vec![Field { number: 2, value: Value::Message(span) }] };
            let resource = Node { name: "resource", fields: vec![Field { number: 2, value: Value::Message(scope) }] };
            let request = Node { name: "request", fields: vec![Field { number: 1, value: Value::Message(resource) }] };
            compare(signal, &request.write());
        }
    });
}

#[test]
fn real_telemetry_is_canonical_in_any_script() {
    for script in [Script::Ascii, Script::Cyrillic, Script::Cjk] {
        let mut payload = Payload::new(script);
        let decoded = [
            Decoded::Traces(payload.traces(20)),
            Decoded::Metrics(payload.metrics(20)),
            Decoded::Logs(payload.logs(20)),
        ];
        for decoded in decoded {
            let batch = Batch::from_decoded(&decoded).expect("a valid request");
            assert_eq!((batch.items(), batch.is_canonical(), batch.has_unknown_fields()), (20, true, false));
            assert_eq!(batch.decode(), decoded);
        }
    }
}

/// `body` in field `number`, for each of `numbers` from the inside out.
fn wrapped(numbers: &[u32], body: Vec<u8>) -> Vec<u8> {
    numbers.iter().fold(body, |body, &number| {
        let mut out = varint_key(number, 2);
        tree::put_varint(body.len() as u64, &mut out);
        out.extend(body);
        out
    })
}

/// `fields` as the one span of a request.
fn span(fields: &[u8]) -> Vec<u8> {
    wrapped(&[2, 2, 1], fields.to_vec())
}

#[test]
fn says_where_and_why() {
    // The span starts at byte 6.
    let cases: [(&[u8], &str, &str); 11] = [
        (&[0x30, 2, 0x0A, 5, 1, 2, 3, 4, 5], "id_length", "at byte 8: Span.trace_id: length 5, expected 0 or 16"),
        (&[0x22, 1, 1], "id_length", "at byte 6: Span.parent_span_id: length 1, expected 0 or 8"),
        (&[0x2A, 2, 0xC3, 0x28], "utf8", "at byte 6: Span.name: invalid UTF-8"),
        (&[0x2A, 9, b'a'], "length", "at byte 6: Span.name: length 9, but the message has 1 bytes left"),
        (&[0x39, 1, 2], "truncated", "at byte 6: Span.start_time_unix_nano: cut short"),
        (&[0x30, 0x80], "truncated", "at byte 6: Span.kind: cut short"),
        (
            &[0x30, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            "varint",
            "at byte 6: Span.kind: integer longer than 64 bits",
        ),
        (&[0x31, 1, 2, 3, 4, 5, 6, 7, 8], "wire_type", "at byte 6: Span.kind: unexpected wire type 1"),
        (&[0x02, 0], "field_key", "at byte 6: Span: invalid field key"),
        (&[0x84, 0x08], "group", "at byte 6: Span, unknown field 128: end of a group that is not open"),
        (&[0x4A, 3, 0x12, 1, 0x0B], "wire_type", "at byte 10: AnyValue.string_value: unexpected wire type 3"),
    ];
    for (fields, reason, message) in cases {
        let error = validate(Signal::Traces, span(fields)).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.reason(), reason);
        assert!(WireError::REASONS.contains(&error.reason()));
    }
}

#[test]
fn refuses_more_than_64_nested_messages() {
    // Resource, scope, log record and body are four; an array and its value are two more.
    let nested = |arrays: usize| wrapped(&[[1, 5].repeat(arrays), vec![5, 2, 2, 1]].concat(), Vec::new());
    valid(Signal::Logs, nested(30));
    let error = validate(Signal::Logs, nested(31)).expect_err("66 levels");
    assert_eq!(error.reason(), "depth");
    assert_eq!(error.place().message, "AnyValue");
    prost_decode(Signal::Logs, &nested(31)).expect("prost goes to 100");

    let groups = |depth: usize| [varint_key(9, 3), nested_groups(9, depth - 1)].concat();
    assert!(valid(Signal::Logs, groups(64)).has_unknown_fields());
    assert_eq!(validate(Signal::Logs, groups(65)).expect_err("65 groups").reason(), "depth");
}

#[test]
fn depth_is_bounded_however_deep_the_request() {
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        bytes = wrapped(&[1, 5], bytes);
    }
    let error = validate(Signal::Logs, wrapped(&[5, 2, 2, 1], bytes)).expect_err("too deep");
    assert_eq!(error.reason(), "depth");
}

#[test]
fn plain_attributes_obey_the_depth_limit() {
    // A list in a list …: each is a `KeyValue`, an `AnyValue` and a `KeyValueList`.
    let attribute = |lists: usize| {
        let innermost = vec![0x0A, 1, b'k', 0x12, 2, 0x10, 1];
        wrapped(&[[1, 6, 2].repeat(lists), vec![6, 2, 2, 1]].concat(), innermost)
    };
    for lists in 0..40 {
        let accepted = validate(Signal::Logs, attribute(lists)).is_ok();
        // Resource, scope, log record, then three for each list, then `KeyValue` and `AnyValue`.
        assert_eq!(accepted, 3 + 3 * lists + 2 <= 64, "{lists} lists");
    }
}

#[test]
fn a_later_kind_of_metric_takes_the_place_of_an_earlier() {
    let gauge = |points: usize| wrapped(&[5], [0x0A, 0].repeat(points));
    let sum = |points: usize| wrapped(&[7], [0x0A, 0].repeat(points));
    let metric = |data: &[Vec<u8>]| wrapped(&[2, 2, 1], data.concat());
    let cases = [
        (vec![gauge(2)], 2),
        (vec![gauge(2), gauge(3)], 5),
        (vec![gauge(2), sum(3)], 3),
        (vec![gauge(2), sum(3), gauge(4)], 4),
        (vec![sum(1), gauge(2), gauge(4)], 6),
    ];
    for (data, points) in cases {
        let bytes = metric(&data);
        assert_eq!(count(&prost_decode(Signal::Metrics, &bytes).expect("valid")), points);
        let batch = valid(Signal::Metrics, [metric(&[gauge(7)]), bytes].concat());
        assert_eq!((batch.items(), batch.is_canonical()), (7 + points, data.len() == 1));
        assert_eq!(batch.normalised().items(), batch.items());
    }
}

#[test]
fn normalising_resolves_duplicates_as_prost_does() {
    // A key twice: prost takes the last.
    let attribute = [b"\x0A\x01a".as_slice(), b"\x0A\x08password", b"\x12\x03\x0A\x01x"].concat();
    let batch = valid(Signal::Traces, span(&wrapped(&[9], attribute)));
    assert!(!batch.is_canonical());
    let normalised = batch.normalised();
    let View::Traces(mut resources) = normalised.view() else { panic!("traces") };
    let (_, _, span) = resources.next().and_then(|r| r.spans().next()).expect("a span");
    assert_eq!(span.attr("password").and_then(ValueRef::as_str), Some("x"));
    assert!(span.attr("a").is_none());
}

#[test]
fn merging_keeps_parts_and_refuses_another_signal() {
    let one = valid(Signal::Traces, span(b"\x2A\x01a"));
    let mut batch = one.clone();
    batch.merge(one.clone()).expect("the same signal");
    let before = batch.clone();
    batch.merge(one.clone()).expect("the same signal");
    assert_eq!((before.parts().len(), batch.parts().len()), (2, 3), "a clone does not grow with its origin");
    assert!(batch.parts().iter().all(|part| part.as_ptr() == one.parts()[0].as_ptr()), "nothing is copied");

    let other = Batch::validate(Signal::Logs, Bytes::new()).expect("an empty request");
    let mismatch = SignalMismatch { batch: Signal::Traces, other: Signal::Logs };
    assert_eq!(batch.merge(other), Err(mismatch));
    assert_eq!(mismatch.to_string(), "cannot merge logs into a batch of traces");
    assert_eq!(batch.items(), 3);
}

#[test]
fn an_empty_request_is_an_empty_batch() {
    for signal in Signal::ALL {
        let batch = valid(signal, Vec::new());
        assert!(batch.is_empty() && batch.is_canonical());
        assert_eq!((batch.size(), batch.parts().len()), (0, 1));
    }
    let resource_alone = valid(Signal::Traces, wrapped(&[1], Vec::new()));
    assert!(resource_alone.is_empty() && resource_alone.size() == 2);
}

#[test]
fn a_decoded_form_that_breaks_our_rules_is_refused() {
    let mut data = Payload::new(Script::Ascii).traces(1);
    data.resource_spans[0].scope_spans[0].spans[0].trace_id.pop();
    let error = Batch::from_decoded(&Decoded::Traces(data)).expect_err("15 bytes");
    assert!(error.to_string().ends_with("Span.trace_id: length 15, expected 0 or 16"), "{error}");
}

#[test]
fn values_print_as_people_write_them() {
    let list = b"\x0A\x08\x0A\x01k\x12\x03\x0A\x01\"\x0A\x07\x0A\x01n\x12\x02\x18\x07\x0A\x03\x0A\x01e";
    let array = b"\x0A\x02\x10\x01\x0A\x09\x21\0\0\0\0\0\0\xF8\x3F\x0A\x04\x3A\x02\xAB\x01";
    let cases: [(Vec<u8>, &str); 6] = [
        (b"\x0A\x04a \"b".to_vec(), "a \"b"),
        (b"\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01".to_vec(), "-1"),
        (b"\x3A\x02\xAB\x01".to_vec(), "ab01"),
        (Vec::new(), ""),
        (wrapped(&[6], list.to_vec()), r#"{"k":"\"","n":7,"e":null}"#),
        (wrapped(&[5], array.to_vec()), r#"[true,1.5,"ab01"]"#),
    ];
    for (value, printed) in cases {
        let batch = valid(Signal::Logs, wrapped(&[5, 2, 2, 1], value));
        let View::Logs(mut resources) = batch.view() else { panic!("logs") };
        let (_, _, log) = resources.next().and_then(|r| r.log_records().next()).expect("a record");
        assert_eq!(log.body.to_string(), printed);
    }
    assert_eq!(Hex(&[0, 0xAB, 0x1F]).to_string(), "00ab1f");
}

#[test]
fn signals_parse_as_they_print() {
    for signal in Signal::ALL {
        assert_eq!(signal.to_string().parse(), Ok(signal));
    }
    let error = "trace".parse::<Signal>().expect_err("no such signal");
    assert_eq!(error.to_string(), "unknown signal `trace`, expected traces, metrics or logs");
}
