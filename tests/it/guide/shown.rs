//! What the guide says of testing, and that its configuration does what it says.

use std::fs;
use std::net::TcpListener;

use tracecore::testing::{RecordingExporter, TestService, name_of};

use crate::status::get;

#[tokio::test]
async fn sends_what_the_file_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("entropy_avail");
    fs::write(&path, "256\n").expect("a file");
    let mut exporter = RecordingExporter::new();
    let service = TestService::start(&format!(
        "
receivers:
  entropy: {{interval: 10ms, path: {}}}
exporters:
  test_sink: {{key: {exporter}}}
service:
  pipelines:
    metrics: {{receivers: [entropy], exporters: [test_sink]}}
",
        path.display()
    ))
    .await;

    assert_eq!(name_of(&exporter.called().await), "entropy.available");

    fs::write(&path, "much\n").expect("a file");
    let labels = [("component_id", "entropy"), ("kind", "parse")];
    service.wait_metric("tracecore_receiver_errors_total", &labels, |errors| errors > 0.0).await;
    service.stop().await;
}

#[tokio::test]
async fn the_configuration_shows_it_to_prometheus() {
    let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = reserved.local_addr().expect("an address");
    drop(reserved);
    let yaml = include_str!("entropy.yaml").replace("localhost:8889", &address.to_string());
    let service = TestService::start(&yaml).await;
    let labels = [("component_id", "entropy")];
    service.wait_metric("tracecore_receiver_emissions_total", &labels, |emissions| emissions > 0.0).await;
    // Accepted is in the exporter's queue, and in a moment what it shows.
    let text = loop {
        let (status, text) = get(address, "/metrics").await;
        assert_eq!(status, 200, "{text}");
        if text.contains("entropy_available") {
            break text;
        }
    };
    assert!(text.contains("# HELP entropy_available_bit Entropy that the kernel has at hand.\n"), "{text}");
    service.stop().await;
}
