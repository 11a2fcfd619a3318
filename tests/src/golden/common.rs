//! What all signals have in common.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::pairs::rows;

pub(super) const TEXTS: [&str; 5] =
    ["", "checkout", "größer \"😀\" \\/ 中", "\0\n\r\t\u{1b}\u{7f}\u{2028}", "\u{fffd}\u{feff}"];
pub(super) const TIMES: [u64; 4] = [0, 1, 1_700_000_000_123_456_789, u64::MAX];
pub(super) const COUNTS: [u32; 3] = [0, 1, u32::MAX];
/// Beside those that OTLP has, what a newer version might have.
pub(super) const ENUMS: [i32; 5] = [0, 1, 2, 99, i32::MIN];
pub(super) const DOUBLES: [f64; 11] =
    [0.0, -0.0, 0.1, -1.0, 1e21, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
pub(super) const INTS: [i64; 5] = [0, 1, -1, i64::MAX, i64::MIN];

pub(super) fn texts() -> Vec<String> {
    TEXTS.map(str::to_owned).into()
}

pub(super) fn some<T: Clone>(options: &[T]) -> Vec<Option<T>> {
    std::iter::once(None).chain(options.iter().cloned().map(Some)).collect()
}

pub(super) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn key_value(key: &str, value: impl Into<Option<AnyValue>>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.into(), key_strindex: 0 }
}

fn list(values: impl Into<Vec<AnyValue>>) -> AnyValue {
    any(Value::ArrayValue(ArrayValue { values: values.into() }))
}

fn map(values: impl Into<Vec<KeyValue>>) -> AnyValue {
    any(Value::KvlistValue(KeyValueList { values: values.into() }))
}

/// Every kind of value, the extremes of each, and each in others.
pub(super) fn values() -> Vec<AnyValue> {
    let mut values = vec![AnyValue::default(), any(Value::BoolValue(false)), any(Value::BoolValue(true))];
    values.extend(TEXTS.map(|text| any(Value::StringValue(text.to_owned()))));
    values.extend(INTS.map(|int| any(Value::IntValue(int))));
    values.extend(DOUBLES.map(|double| any(Value::DoubleValue(double))));
    // Of each remainder by three, which is what base64 pads.
    values.extend(
        [0, 1, 2, 256].map(|length: usize| any(Value::BytesValue((0..length).map(|byte| byte as u8).collect()))),
    );
    values.extend([0, 1, i32::MIN].map(|index| any(Value::StringValueStrindex(index))));
    let scalars = values.clone();
    let mut deep = list([map([key_value("deep", any(Value::IntValue(1)))])]);
    for _ in 0..8 {
        deep = map([key_value("a", deep.clone())]);
    }
    values.extend([
        list([]),
        list([AnyValue::default()]),
        list(scalars.clone()),
        list([list([list([])]), map([])]),
        map([]),
        map([key_value("", None), key_value("absent", None), key_value("empty", AnyValue::default())]),
        map(scalars.into_iter().map(|value| key_value("twice", value)).collect::<Vec<_>>()),
        deep,
    ]);
    values
}

/// Attributes: none, one, every value, and such as nobody should send and somebody does.
pub(super) fn attributes() -> Vec<Vec<KeyValue>> {
    let every = values().into_iter().enumerate().map(|(number, value)| key_value(&format!("key.{number}"), value));
    let indexed = KeyValue { key_strindex: i32::MAX, ..key_value("", AnyValue::default()) };
    vec![
        vec![],
        vec![key_value("http.route", any(Value::StringValue("/".to_owned())))],
        every.collect(),
        vec![key_value("", None), key_value("same", AnyValue::default()), key_value("same", None), indexed],
    ]
}

pub(super) fn trace_ids() -> Vec<Vec<u8>> {
    vec![vec![], (1..=16).collect(), vec![0; 16], vec![255; 16]]
}

pub(super) fn span_ids() -> Vec<Vec<u8>> {
    vec![vec![], (1..=8).collect(), vec![0; 8], vec![255; 8]]
}

/// No resource, an empty one, and all pairs.
pub(super) fn resources() -> Vec<Option<Resource>> {
    let entity = EntityRef {
        schema_url: "https://example.com/schema".to_owned(),
        r#type: "host".to_owned(),
        id_keys: vec!["host.id".to_owned(), String::new()],
        description_keys: vec!["host.name".to_owned()],
    };
    let entities = [vec![], vec![EntityRef::default()], vec![entity.clone(), entity]];
    or_none(rows(|choices| Resource {
        attributes: choices.of(&attributes()),
        dropped_attributes_count: choices.of(&COUNTS),
        entity_refs: choices.of(&entities),
    }))
}

/// No scope, an empty one, and all pairs.
pub(super) fn scopes() -> Vec<Option<InstrumentationScope>> {
    or_none(rows(|choices| InstrumentationScope {
        name: choices.of(&texts()),
        version: choices.of(&["1.2.3".to_owned(), String::new()]),
        attributes: choices.of(&attributes()),
        dropped_attributes_count: choices.of(&COUNTS),
    }))
}

pub(super) fn or_none<T: Clone + Default>(values: Vec<T>) -> Vec<Option<T>> {
    [None, Some(T::default())].into_iter().chain(values.into_iter().map(Some)).collect()
}

pub(super) fn or_default<T: Default>(values: Vec<T>) -> Vec<T> {
    [T::default()].into_iter().chain(values).collect()
}

pub(super) const SCHEMA_URLS: [&str; 2] = ["", "https://opentelemetry.io/schemas/1.37.0"];

/// Resources of a request: each resource and each scope around nothing, around one item and around all; and those that have
/// no scope, or more than one.
pub(super) fn around<I: Clone, S: Clone, R>(
    items: Vec<I>,
    scope: impl Fn(Option<InstrumentationScope>, Vec<I>, String) -> S,
    resource: impl Fn(Option<Resource>, Vec<S>, String) -> R,
) -> Vec<R> {
    let (resources, scopes) = (resources(), scopes());
    let one = vec![items[0].clone()];
    let inside = rows(|choices| {
        let url = choices.of(&SCHEMA_URLS).to_owned();
        scope(choices.of(&scopes), choices.of(&[one.clone(), vec![]]), url)
    });
    let each = inside.iter().zip(resources.iter().cycle()).enumerate().map(|(number, (scope, around))| {
        resource(around.clone(), vec![scope.clone()], SCHEMA_URLS[number % 2].to_owned())
    });
    let mut all: Vec<R> = each.collect();
    all.push(resource(resources[2].clone(), vec![], SCHEMA_URLS[1].to_owned()));
    all.push(resource(None, inside, String::new()));
    all.push(resource(resources[2].clone(), vec![scope(scopes[2].clone(), items, String::new())], String::new()));
    all
}
