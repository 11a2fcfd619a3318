//! What makes no sense is said with its place.

use tracecore::error::Report;
use tracecore::testing::{RecordingExporter, ScriptedReceiver, build_error};

use super::rig::yaml;

/// Settings that each are valid and do not go together, and what is said of them.
const SENSELESS: [(&str, &str, &str); 16] = [
    ("attributes", "{actions: []}", "`actions` is empty: name at least one action"),
    ("resource", "{attributes: []}", "`attributes` is empty: name at least one action"),
    (
        "attributes",
        "{actions: [{key: a, action: delete}, {key: b, action: insert}]}",
        "actions[1]: the action `insert` needs `value`, `from_attribute` or `from_context`",
    ),
    ("attributes", "{actions: [{action: delete}]}", "actions[0]: the action `delete` needs `key` or `pattern`"),
    ("resource", "{attributes: [{action: upsert, value: 1}]}", "attributes[0]: the action `upsert` needs `key`"),
    ("attributes", "{actions: [{key: a, action: rename}]}", "the action `rename` needs `new_key`"),
    ("attributes", "{actions: [{key: a, action: convert}]}", "the action `convert` needs `converted_type`"),
    ("attributes", "{actions: [{key: a, action: extract}]}", "the action `extract` needs `pattern`"),
    (
        "attributes",
        "{actions: [{key: a, action: extract, pattern: '(.*)'}]}",
        "`pattern` must have groups, each with a name, such as (?P<name>.*)",
    ),
    ("attributes", "{actions: [{key: a, action: delete, value: 1}]}", "the action `delete` does not use `value`"),
    (
        "attributes",
        "{actions: [{key: a, action: insert, value: 1, from_attribute: b}]}",
        "`value`, `from_attribute` and `from_context` exclude one another",
    ),
    (
        "attributes",
        "{actions: [{key: a, action: insert, from_context: client.address}]}",
        "`from_context: client.address` is not known",
    ),
    ("filter", "{}", "nothing is filtered: write `include` or `exclude` below `spans`, `metrics` or `logs`"),
    (
        "filter",
        "{spans: {include: {match_type: strict}}}",
        "`spans.include` asks nothing: name at least one condition beside `match_type`",
    ),
    (
        "filter",
        "{spans: {exclude: {match_type: strict, log_bodies: [a]}}}",
        "spans.exclude: `log_bodies` is not about spans",
    ),
    (
        "filter",
        "{logs: {include: {match_type: strict, severity_number: {min: LOUD}}}}",
        "logs.include: `LOUD` is no severity: write 1 to 24",
    ),
];

#[test]
fn settings_that_do_not_go_together_are_named_with_their_place() {
    for (processor, settings, said) in SENSELESS {
        let error = build_error(&yaml(&ScriptedReceiver::new(), &RecordingExporter::new(), &[(processor, settings)]));
        let error = Report(&error).to_string();
        assert!(error.contains(said) && error.contains(processor), "{settings}: {error}");
    }
}

#[test]
fn conditions_in_another_language_are_refused_with_a_word() {
    for settings in ["{error_mode: ignore}", "{traces: {span: ['true']}}", "{metrics: {datapoint: ['true']}}"] {
        let error = build_error(&yaml(&ScriptedReceiver::new(), &RecordingExporter::new(), &[("filter", settings)]));
        let error = Report(&error).to_string();
        assert!(error.contains("is about conditions in OTTL, which are not understood yet"), "{settings}: {error}");
    }
}
