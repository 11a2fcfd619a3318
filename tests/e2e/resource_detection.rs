//! What the environment says of a host stands on every resource.

use components as _;
use tempfile::TempDir;
use tracecore::signal::Signal;
use tracecore::signal::view::View;
use tracecore_tests::HttpServer;

use crate::process::{Process, tracecore};

/// The attributes that these detectors write on a resource, as `key=value`, sorted.
async fn written_by(detectors: &str) -> Vec<String> {
    let (mut server, folder) = (HttpServer::start().await, TempDir::new().expect("a folder"));
    let config = folder.path().join("config.yaml");
    let text = format!(
        "
receivers: {{clock: {{interval: 100ms}}}}
processors: {{resource_detection: {{detectors: {detectors}}}}}
exporters: {{otlp_http: {{endpoint: 'http://{}'}}}}
service: {{pipelines: {{metrics: {{receivers: [clock], processors: [resource_detection], exporters: [otlp_http]}}}}}}
",
        server.address()
    );
    std::fs::write(&config, text).expect("the folder is ours");
    let mut command = tracecore(["collect", "--config", &config.display().to_string()]);
    command.env("OTEL_RESOURCE_ATTRIBUTES", "host.name=gpu%207,k8s.node.name=of-the-variable");
    let _process = Process::start(command.env("K8S_NODE_NAME", "of-the-downward-api"));
    let batch = server.call().await.batch(Signal::Metrics);
    let View::Metrics(mut resources) = batch.view() else { panic!("these are metrics") };
    let resource = resources.next().expect("there is one").resource;
    // What it says of the program itself, the clock has written.
    let found = resource.attributes().filter(|attribute| !attribute.key.starts_with("service."));
    let mut written: Vec<String> = found.map(|attribute| format!("{}={}", attribute.key, attribute.value)).collect();
    written.sort_unstable();
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_attribute_that_several_detectors_find_the_first_ones_value_is_written() {
    let first = ["host.name=gpu 7", "k8s.node.name=of-the-variable", "os.type=linux"];
    assert_eq!(written_by("[env, k8snode, system]").await, first);
    let first = ["host.name=gpu 7", "k8s.node.name=of-the-downward-api", "os.type=linux"];
    assert_eq!(written_by("[k8snode, env, system]").await, first);
}
