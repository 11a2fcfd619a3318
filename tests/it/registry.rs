//! Linking is registering: every component that has a file is in the registry, under names that are its own.

use std::collections::BTreeSet;
use std::path::Path;

use tracecore::component::Role;
use tracecore::registry::Registry;
use tracecore::testing::{RecordingExporter as Sink, ScriptedReceiver as Source, build, build_error, pipeline};
use tracecore_tests::Meter;

fn linked_registry() -> Registry {
    Registry::linked().expect("components are linked")
}

/// The files under `components/src/<role>s/`, as `receivers/clock`.
fn files() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/src");
    Role::ALL
        .iter()
        .flat_map(|role| {
            let folder = role.section();
            // There may be no component of a role.
            let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
            entries.map(move |entry| format!("{folder}/{}", stem(&entry.expect("a folder that is there").path())))
        })
        .filter(|path| !path.ends_with("/mod"))
        .collect()
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("a file with a name")
}

/// Where the components of the crate `components` are declared, in the same form.
fn declared() -> BTreeSet<String> {
    let registry = linked_registry();
    let places = registry.iter().filter_map(|entry| {
        let (_, place) = entry.location.split_once("components/src/")?;
        let file = place.split(':').next()?.trim_end_matches(".rs").trim_end_matches("/mod");
        Some(file.split('/').take(2).collect::<Vec<_>>().join("/"))
    });
    places.collect()
}

#[test]
fn linked() {
    let (files, declared) = (files(), declared());
    assert!(!files.is_empty());
    assert_eq!(files, declared, "a file without a component, or one that is not linked");
}

#[test]
fn a_component_stands_in_the_folder_of_its_role_under_its_name() {
    for entry in linked_registry().iter().filter(|entry| entry.location.contains("components/src/")) {
        let place = format!("components/src/{}/{}", entry.role.section(), entry.name);
        assert!(entry.location.contains(&place), "{entry:?}");
    }
}

#[test]
fn a_component_outside_the_components_registers_by_linking_alone() {
    let registry = linked_registry();
    let entry = registry.find(Role::Receiver, "test_meter").expect("this crate's package declares it");
    assert!(entry.location.starts_with("tests/src/"), "{entry:?}");
    assert!(registry.find(Role::Exporter, "test_meter").is_none(), "a name belongs to a role");
}

#[test]
fn the_components_of_the_test_kit_are_there_only_where_they_are_asked_for() {
    let (linked, with_kit) = (linked_registry(), tracecore::testing::registry());
    for (role, name) in
        [(Role::Receiver, "test_source"), (Role::Processor, "test_processor"), (Role::Exporter, "test_sink")]
    {
        assert!(linked.find(role, name).is_none(), "linking the kit registers nothing");
        let entry = with_kit.find(role, name).expect("the kit has it");
        assert!(entry.location.starts_with("tracecore/src/testing/"), "{entry:?}");
    }
    assert_eq!(with_kit.iter().count(), linked.iter().count() + 3, "what is linked is there too");
}

#[test]
fn a_name_belongs_to_one_component_of_its_role() {
    let registry = linked_registry();
    let mut seen = BTreeSet::new();
    for entry in registry.iter() {
        for name in std::iter::once(&entry.name).chain(entry.aliases) {
            assert!(seen.insert((entry.role, *name)), "{entry:?}: `{name}` is taken");
            let found = registry.find(entry.role, name).expect("every name and alias is found");
            assert!(std::ptr::eq(found, entry), "`{name}` finds {found:?}");
        }
    }
}

#[test]
fn entries_are_sorted_and_say_what_they_are() {
    let registry = linked_registry();
    let order: Vec<_> = registry.iter().map(|entry| (entry.role, entry.name)).collect();
    assert!(order.is_sorted(), "{order:?}");
    for entry in registry.iter() {
        assert!(!entry.summary.is_empty() && !entry.signals.is_empty() && !entry.since.is_empty(), "{entry:?}");
    }
}

#[test]
fn an_alias_runs_the_component() {
    let yaml = pipeline(Meter::new(), Sink::new(), "").replace("test_source", "test_meter_alias");
    let (service, _) = build(&yaml);
    let receiver = &service.graph().receivers[0];
    assert_eq!((receiver.id.as_str(), receiver.entry.name), ("test_meter_alias", "test_meter"));
}

#[test]
fn a_type_that_is_not_linked_is_named_with_those_that_are() {
    let yaml = pipeline(Source::new(), Sink::new(), "").replace("test_sink", "nowhere");
    let message = build_error(&yaml).to_string();
    assert!(message.contains("exporters.nowhere") && message.contains("test_sink"), "{message}");
}

#[test]
fn a_signal_that_a_component_does_not_carry_names_the_pipeline() {
    let yaml = pipeline(Source::new(), Sink::new(), "").replace("test_source", "test_meter");
    let yaml = yaml.replace("    metrics:", "    logs/audit:");
    let message = build_error(&yaml).to_string();
    assert!(message.contains("service.pipelines.logs/audit.receivers"), "{message}");
    assert!(message.contains("does not carry logs"), "{message}");
}
