//! `filter`: by everything that can be asked of an item, keeping and dropping.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tracecore::signal::Signal;

use super::data::{Around, Item, get, items};
use super::rig::Rig;

/// Whether an item goes on.
type Model = fn(&Around<'_>, &[KeyValue]) -> bool;

/// A filter as it is written, and what it keeps.
const FILTERS: [(&str, Model); 20] = [
    ("{spans: {include: {match_type: strict, span_names: [abc, '12']}}}", |around, _| match around.item {
        Item::Span(span) => ["abc", "12"].contains(&&*span.name),
        _ => true,
    }),
    ("{spans: {exclude: {match_type: regexp, span_names: ['^[0-9]']}}}", |around, _| match around.item {
        Item::Span(span) => !span.name.starts_with(|c: char| c.is_ascii_digit()),
        _ => true,
    }),
    ("{spans: {include: {match_type: strict, span_kinds: [SPAN_KIND_CLIENT]}}}", |around, _| match around.item {
        Item::Span(span) => span.kind == 3,
        _ => true,
    }),
    ("{spans: {exclude: {match_type: strict, services: [abc, blue-7]}}}", |around, _| match around.item {
        Item::Span(_) => !is_text(around.resource, "service.name", &["abc", "blue-7"]),
        _ => true,
    }),
    ("{spans: {include: {match_type: strict, resources: [{key: env}]}}}", |around, _| match around.item {
        Item::Span(_) => get(around.resource, "env").is_some(),
        _ => true,
    }),
    ("{spans: {exclude: {match_type: strict, libraries: [{name: abc}]}}}", |around, _| match around.item {
        Item::Span(_) => around.scope.0 != "abc",
        _ => true,
    }),
    ("{spans: {include: {match_type: strict, libraries: [{name: abc, version: ''}]}}}", |around, _| {
        match around.item {
            Item::Span(_) => around.scope == ("abc", ""),
            _ => true,
        }
    }),
    ("{spans: {exclude: {match_type: strict, attributes: [{key: env, value: abc}, {key: tenant}]}}}", |around, all| {
        match around.item {
            Item::Span(_) => !(is_text(all, "env", &["abc"]) && get(all, "tenant").is_some()),
            _ => true,
        }
    }),
    ("{metrics: {include: {match_type: strict, metric_names: [abc]}}}", |around, _| match around.item {
        Item::Point => around.metric == "abc",
        _ => true,
    }),
    ("{metrics: {exclude: {match_type: regexp, metric_names: ['^blue', '^2']}}}", |around, _| match around.item {
        Item::Point => !around.metric.starts_with("blue") && !around.metric.starts_with('2'),
        _ => true,
    }),
    ("{metrics: {exclude: {match_type: strict, attributes: [{key: env, value: 1}]}}}", |around, all| {
        match around.item {
            Item::Point => !matches!(get(all, "env"), Some(Some(Value::IntValue(1)))),
            _ => true,
        }
    }),
    ("{metrics: {include: {match_type: strict, resource_attributes: [{key: tenant, value: true}]}}}", |around, _| {
        match around.item {
            Item::Point => matches!(get(around.resource, "tenant"), Some(Some(Value::BoolValue(true)))),
            _ => true,
        }
    }),
    (
        "{metrics: {include: {match_type: strict, metric_names: [abc, '12']}, exclude: {match_type: strict, libraries: [{name: checkout}]}}}",
        |around, _| match around.item {
            Item::Point => ["abc", "12"].contains(&around.metric) && around.scope.0 != "checkout",
            _ => true,
        },
    ),
    ("{logs: {include: {match_type: strict, severity_number: {min: INFO}}}}", |around, _| match around.item {
        Item::Log(log) => log.severity_number >= 9,
        _ => true,
    }),
    ("{logs: {exclude: {match_type: strict, severity_number: {min: 13, match_undefined: true}}}}", |around, _| {
        match around.item {
            Item::Log(log) => (1..13).contains(&log.severity_number),
            _ => true,
        }
    }),
    ("{logs: {exclude: {match_type: strict, severity_texts: [abc]}}}", |around, _| match around.item {
        Item::Log(log) => log.severity_text != "abc",
        _ => true,
    }),
    ("{logs: {include: {match_type: regexp, bodies: ['^[a-z]+$']}}}", |around, _| match around.item {
        Item::Log(log) => match log.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::StringValue(text)) => !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase()),
            _ => false,
        },
        _ => true,
    }),
    (
        "{logs: {include: {match_type: regexp, record_attributes: [{key: env, value: '^(1|true|a)'}]}}}",
        |around, all| match around.item {
            Item::Log(_) => match get(all, "env") {
                Some(Some(Value::StringValue(text))) => ["1", "true", "a"].iter().any(|start| text.starts_with(start)),
                Some(Some(Value::IntValue(1) | Value::BoolValue(true))) => true,
                _ => false,
            },
            _ => true,
        },
    ),
    (
        "{logs: {include: {match_type: strict, resource_attributes: [{key: env, value: abc}]}}}",
        |around, _| match around.item {
            Item::Log(_) => is_text(around.resource, "env", &["abc"]),
            _ => true,
        },
    ),
    (
        "{spans: {exclude: {match_type: strict, attributes: [{key: env}]}}, metrics: {exclude: {match_type: strict, attributes: [{key: env}]}}, logs: {exclude: {match_type: strict, record_attributes: [{key: env}]}}}",
        |_, all| get(all, "env").is_none(),
    ),
];

fn is_text(attributes: &[KeyValue], key: &str, texts: &[&str]) -> bool {
    matches!(get(attributes, key), Some(Some(Value::StringValue(text))) if texts.contains(&&**text))
}

#[test]
fn filter_drops_what_is_dropped_of_decoded_data_and_counts_it() {
    for (settings, model) in FILTERS {
        let rig = Rig::start(&[("filter", settings)]);
        let (came, went) = rig.check(|decoded| items(decoded, |around, attributes| model(around, attributes)));
        assert!(0 < went && went < came, "{settings}: {went} of {came} go on");
        let count = |family, labels: &[_]| rig.sample(family, labels) as u64;
        let filter = ("component_id", "filter");
        assert_eq!(count("tracecore_processor_items_in_total", &[filter]), came, "{settings}");
        assert_eq!(count("tracecore_processor_items_out_total", &[filter]), went, "{settings}");
        let reason = ("reason", "filtered");
        assert_eq!(count("tracecore_processor_dropped_total", &[filter, reason]), came - went, "{settings}");
        rig.stop();
    }
}

#[test]
fn a_signal_that_is_not_filtered_passes_as_it_is() {
    let rig = Rig::start(&[("filter", "{spans: {exclude: {match_type: regexp, span_names: ['']}}}")]);
    for signal in [Signal::Metrics, Signal::Logs] {
        let batch = tracecore::signal::Batch::from_decoded(&super::data::some(signal)).expect("it is valid");
        let parts = batch.parts().concat();
        assert_eq!(rig.through(batch).parts().concat(), parts);
    }
    rig.stop();
}
