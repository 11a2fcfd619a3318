//! The `resource_detection` processor: every resource says which host it comes from.

use std::fs;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tracecore::runtime::StartError;
use tracecore::signal::view::View;
use tracecore::signal::{Batch, Decoded};
use tracecore::testing::{RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, pipeline};

/// The root of a machine called `gpu-7`.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory can be made");
    fs::create_dir(root.path().join("etc")).expect("it is empty");
    fs::write(root.path().join("etc/hostname"), "gpu-7\n").expect("it can be written");
    fs::write(root.path().join("etc/machine-id"), "cafe\n").expect("it can be written");
    root
}

/// A pipeline with the processor under these settings.
fn detecting(source: &Source, sink: &Sink, settings: &str) -> String {
    pipeline(source, sink, "")
        .replace("exporters:\n  test", &format!("processors:\n  resource_detection: {settings}\nexporters:\n  test"))
        .replace("      exporters:", "      processors: [resource_detection]\n      exporters:")
        .replace("    metrics:", "    logs:")
}

/// Two records, of a resource that names its host and of one that says nothing.
fn two_resources() -> Batch {
    let name = AnyValue { value: Some(any_value::Value::StringValue("pod-1".to_owned())) };
    let named = KeyValue { key: "host.name".to_owned(), value: Some(name), ..KeyValue::default() };
    let resources = [Some(Resource { attributes: vec![named], ..Resource::default() }), None];
    let resource_logs = resources.map(|resource| ResourceLogs {
        resource,
        scope_logs: vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    });
    Batch::from_decoded(&Decoded::Logs(LogsData { resource_logs: resource_logs.into() })).expect("these are logs")
}

/// The attributes of each resource that came out, as `key=value`.
fn resources(batch: &Batch) -> Vec<Vec<String>> {
    let View::Logs(resources) = batch.view() else { panic!("these are logs") };
    let attributes = resources.map(|resource| {
        let attributes = resource.resource.attributes();
        attributes.map(|attribute| format!("{}={}", attribute.key, attribute.value)).collect()
    });
    attributes.collect()
}

async fn labelled(settings: &str) -> Vec<Vec<String>> {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&detecting(&source, &sink, settings)).await;
    assert!(source.emit(two_resources()).await.is_accepted());
    rig.stop().await;
    resources(&sink.taken()[0])
}

#[tokio::test]
async fn every_resource_says_which_host_it_comes_from() {
    let root = machine();
    let settings = format!("{{detectors: [system], root_path: {:?}}}", root.path());
    let expected = ["host.name=gpu-7", "os.type=linux"];
    assert_eq!(labelled(&settings).await, [expected, expected]);
}

#[tokio::test]
async fn what_a_resource_says_already_stays_if_that_is_asked_for() {
    let root = machine();
    let settings = format!("{{detectors: [system], override: false, root_path: {:?}}}", root.path());
    let labelled = labelled(&settings).await;
    assert_eq!(labelled, [["host.name=pod-1", "os.type=linux"], ["host.name=gpu-7", "os.type=linux"]]);
}

#[tokio::test]
async fn attributes_are_switched_one_by_one() {
    let root = machine();
    let switches = "{host.id: {enabled: true}, os.type: {enabled: false}, host.name: {enabled: false}}";
    let settings =
        format!("{{detectors: [system], system: {{resource_attributes: {switches}}}, root_path: {:?}}}", root.path());
    assert_eq!(labelled(&settings).await[1], ["host.id=cafe"]);
}

#[tokio::test]
async fn a_node_without_a_name_fails_the_start_and_says_how_to_give_it_one() {
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "{detectors: [k8snode], k8snode: {node_from_env_var: NO_SUCH_NODE_VARIABLE}}";
    let failed = Rig::try_start(&detecting(&source, &sink, settings)).await;
    let Err(StartError::Component { message, .. }) = failed else { panic!("it started") };
    assert!(message.contains("NO_SUCH_NODE_VARIABLE") && message.contains("spec.nodeName"), "{message}");
}
