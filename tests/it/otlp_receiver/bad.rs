//! Requests that are none.

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use tracecore::signal::Signal;
use tracecore::testing::{logs, spans};

use super::client::body_of;

/// Levels of a nesting bomb: far more than any stack has room for.
const LEVELS: usize = 20_000;

/// A field of protobuf with a length before its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

fn span(span: Span) -> Bytes {
    let scope_spans = vec![ScopeSpans { spans: vec![Span::default(), span], ..Default::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
    TracesData { resource_spans }.encode_to_vec().into()
}

/// A request for a log record, in which so many messages stand in each other below the request: the lists and values of its
/// body.
pub(super) fn nested(messages: usize) -> Bytes {
    // Written from the inside to the outside, and so the lengths first.
    let mut reversed: Vec<u8> = Vec::new();
    let mut wrap = |number: u8| {
        let mut head = vec![number << 3 | 2];
        prost::encoding::encode_varint(reversed.len() as u64, &mut head);
        reversed.extend(head.into_iter().rev());
    };
    for list in lists_of(messages) {
        // `AnyValue.array_value`, `ArrayValue.values`.
        wrap(if list { 5 } else { 1 });
    }
    // `LogRecord.body`, `ScopeLogs.log_records`, `ResourceLogs.scope_logs`, `LogsData.resource_logs`.
    [5, 2, 2, 1].into_iter().for_each(wrap);
    reversed.reverse();
    reversed.into()
}

/// As [`nested`], in JSON.
pub(super) fn nested_text(messages: usize) -> Bytes {
    let mut body = "{}".to_owned();
    for list in lists_of(messages) {
        body = if list { format!(r#"{{"arrayValue":{body}}}"#) } else { format!(r#"{{"values":[{body}]}}"#) };
    }
    record(&format!(r#"{{"body":{body}}}"#)).into()
}

/// The messages in the body of a log record, the innermost first: whether each is a list. So many there are with the body
/// and what is around it.
fn lists_of(messages: usize) -> impl Iterator<Item = bool> {
    (0..messages - 4).rev().map(|below| below % 2 == 0)
}

/// A request for this log record, in JSON.
fn record(record: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#)
}

/// Messages that are not what they should be, each with a name. A good item beside a bad one is not taken either: to send
/// the rest again would be the sender's guess.
pub(super) fn messages() -> Vec<(&'static str, Signal, Bytes)> {
    let good = body_of(&logs("a name", 3));
    let not_utf8 = String::from_utf8_lossy(&good).into_owned();
    assert!(not_utf8.contains("a name"));
    let at = good.windows(6).position(|window| window == b"a name").unwrap();
    let not_utf8 = [&good[..at], b"a \xff\xfeme", &good[at + 6..]].concat();
    let group = [&good[..], &[7 << 3 | 3][..]].concat();
    vec![
        ("garbage", Signal::Logs, Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
        ("text", Signal::Traces, Bytes::from_static(b"this is no protobuf")),
        ("cut at its end", Signal::Logs, good.slice(..good.len() - 1)),
        ("cut at its head", Signal::Logs, good.slice(..1)),
        ("a field longer than the rest", Signal::Metrics, Bytes::from_static(b"\x0a\x7f")),
        ("a field of exabytes", Signal::Metrics, Bytes::from_static(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")),
        ("not UTF-8", Signal::Logs, not_utf8.into()),
        ("a trace id of 15 bytes", Signal::Traces, span(Span { trace_id: vec![1; 15], ..Default::default() })),
        ("a trace id of 17 bytes", Signal::Traces, span(Span { trace_id: vec![1; 17], ..Default::default() })),
        ("a span id of 16 bytes", Signal::Traces, span(Span { span_id: vec![1; 16], ..Default::default() })),
        ("a parent of 1 byte", Signal::Traces, span(Span { parent_span_id: vec![1], ..Default::default() })),
        ("lists in lists", Signal::Logs, nested(LEVELS)),
        ("groups in groups", Signal::Logs, vec![7 << 3 | 3; LEVELS].into()),
        ("a group that does not end", Signal::Logs, group.into()),
        ("another signal", Signal::Metrics, field(1, &field(2, &field(2, b"\x08\x01"))).into()),
    ]
}

/// Texts that are no OTLP/JSON, each with a name.
pub(super) fn texts() -> Vec<(&'static str, Signal, Bytes)> {
    let span = |span: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{}},{{{span}}}]}}]}}]}}"#);
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(LEVELS), close.repeat(LEVELS));
    let not_utf8 = [br#"{"resourceLogs":[{"schemaUrl":""#.as_slice(), b"\xff", br#""}]}"#].concat();
    let texts = [
        ("nothing at all", Signal::Logs, String::new()),
        ("no JSON", Signal::Logs, "resourceLogs: []".to_owned()),
        ("a list", Signal::Logs, "[]".to_owned()),
        ("cut", Signal::Logs, record("{}").split_at(40).0.to_owned()),
        ("more behind it", Signal::Logs, "{} {}".to_owned()),
        ("a trace id of 31 digits", Signal::Traces, span(&format!(r#""traceId":"{}""#, "0".repeat(31)))),
        ("a trace id in base64", Signal::Traces, span(r#""traceId":"AAAAAAAAAAAAAAAAAAAAAA==""#)),
        ("a span id of no digits", Signal::Traces, span(r#""spanId":"ghghghghghghghgh""#)),
        ("a number for a text", Signal::Traces, span(r#""name":7"#)),
        ("a number above 64 bits", Signal::Traces, span(r#""startTimeUnixNano":"18446744073709551616""#)),
        ("values in values", Signal::Logs, {
            let deep = nested(r#"{"arrayValue":{"values":["#, "]}}").replace('1', "{}");
            record(&format!(r#"{{"body":{deep}}}"#))
        }),
        ("lists in what is unknown", Signal::Logs, record(&format!(r#"{{"new":{}}}"#, nested("[", "]")))),
        ("objects in what is unknown", Signal::Logs, format!(r#"{{"new":{}}}"#, nested(r#"{"a":"#, "}"))),
        ("lists that do not end", Signal::Logs, format!(r#"{{"resourceLogs":{}"#, "[".repeat(1 << 20))),
    ];
    let texts = texts.map(|(name, signal, text)| (name, signal, Bytes::from(text)));
    texts.into_iter().chain([("not UTF-8", Signal::Logs, not_utf8.into())]).collect()
}

/// Much of nothing: a request that is small when compressed. It would be valid.
pub(super) fn large(bytes: usize) -> Bytes {
    let name = "x".repeat(bytes);
    let large = body_of(&spans(&name, 1));
    assert!(large.len() > bytes);
    large
}
