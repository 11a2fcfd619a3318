//! Every component keeps the contract with the runtime, and one that does not is found out.

mod breaking;

use tracecore::component::Role;
use tracecore::registry::{Entry, Registry};
use tracecore::testing::{Conformance, Rule};

use crate::generated::ours;

/// Settings where those of the example would take a port that others have, write into the working directory, or take long.
const SETTINGS: [(Role, &str, &str); 6] = [
    (Role::Receiver, "otlp", "protocols: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}"),
    (Role::Receiver, "hostmetrics", "initial_delay: 0s\ncollection_interval: 1s"),
    (Role::Receiver, "generator", "requests: 1"),
    // The kit's machine has no memory that could be shared out.
    (Role::Processor, "memory_limiter", "limit_mib: 1000"),
    (Role::Exporter, "prometheus", "endpoint: 127.0.0.1:0"),
    (Role::Exporter, "file", "path: FOLDER/telemetry.jsonl"),
];

fn kept_by(entry: &'static Entry) -> Vec<tracecore::testing::Breach> {
    let folder = tempfile::tempdir().expect("a folder");
    let own = SETTINGS.iter().find(|(role, name, _)| *role == entry.role && *name == entry.name);
    let conformance = Conformance::of(entry);
    match own {
        Some((.., settings)) => conformance.with(&settings.replace("FOLDER", &folder.path().display().to_string())),
        None => conformance,
    }
    .check()
}

#[test]
fn every_component_keeps_the_contract() {
    for entry in ours().iter() {
        let breaches = kept_by(entry);
        assert!(
            breaches.is_empty(),
            "{entry:?}: {}",
            breaches.iter().map(|breach| format!("{breach}\n")).collect::<String>()
        );
    }
}

/// The rules that a component of the tests does not keep.
fn broken_by(role: Role, name: &str) -> Vec<(Rule, String)> {
    let registry = Registry::linked().expect("components are linked");
    let entry = registry.find(role, name).expect("a component of this file's neighbour");
    Conformance::of(entry).check().into_iter().map(|breach| (breach.rule, breach.what)).collect()
}

#[track_caller]
fn breaks(role: Role, name: &str, rule: Rule, what: &str) {
    let broken = broken_by(role, name);
    let [(broken, said)] = &broken[..] else { panic!("`{name}` breaks {broken:?} instead of {rule:?}") };
    assert_eq!(*broken, rule, "{said}");
    assert!(said.contains(what), "{said}");
}

#[test]
fn a_metric_that_is_not_declared_is_found_out() {
    breaks(Role::Receiver, "breaks_data", Rule::Data, "`not.declared`");
}

#[test]
fn a_constructor_that_spawns_is_found_out() {
    breaks(Role::Receiver, "breaks_constructor", Rule::Constructor, "no reactor running");
}

#[test]
fn a_receiver_that_ignores_the_stop_is_found_out() {
    breaks(Role::Receiver, "breaks_stop", Rule::Stop, "aborted");
}

#[test]
fn a_receiver_without_a_second_life_is_found_out() {
    breaks(Role::Receiver, "breaks_restart", Rule::Restart, "it is taken");
}

#[test]
fn a_panic_on_items_with_nothing_in_them_is_found_out() {
    breaks(Role::Processor, "breaks_on_bare", Rule::Batches, "a batch of metrics with bare items");
}

#[test]
fn a_kind_of_error_that_is_not_declared_is_found_out() {
    breaks(Role::Exporter, "breaks_kinds", Rule::Batches, "`marshal`");
}

#[test]
fn an_example_that_lacks_a_setting_is_found_out() {
    breaks(Role::Processor, "breaks_example", Rule::Example, "passes: is required");
}
