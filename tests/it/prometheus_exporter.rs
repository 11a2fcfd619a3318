//! The `prometheus` exporter in a running service, asked over TCP as a scraper asks.

#![expect(clippy::unwrap_used, reason = "the helpers of a test panic where the test cannot go on")]

use std::net::{SocketAddr, TcpListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracecore::error::Report;
use tracecore::metrics::Name;
use tracecore::runtime::Running;
use tracecore::testing::{TestService, build, event, needs_events, scrape};
use tracecore_tests::{Device, Meter};

/// The clock, shown on `endpoint` by an exporter with further settings, a line each.
fn yaml(endpoint: SocketAddr, settings: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("\n    {line}")).collect();
    format!(
        "
receivers:
  clock:
    interval: 10ms
exporters:
  prometheus:
    endpoint: {endpoint}{settings}
service:
  pipelines:
    metrics:
      receivers: [clock]
      exporters: [prometheus]
"
    )
}

/// A port that is free now: the exporter says which one it took only in its log.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A service that has delivered a batch.
async fn delivering(yaml: String) -> Running {
    let service = TestService::start(&yaml).await;
    service.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls >= 1.0).await;
    service.running
}

/// The head and the body of an answer.
async fn ask(address: SocketAddr, method: &str, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\naccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_scraper_gets_what_the_pipeline_carries() {
    let address = free_port();
    let running = delivering(yaml(address, "namespace: test\nconst_labels: { rack: r1 }")).await;

    let (head, body) = ask(address, "GET", "/metrics", "*/*").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let target = r#"target_info{host_name="node-7",instance="one",job="tracecore-tests",service_version="1.2.3"} 1"#;
    assert!(body.contains(target), "{body}");
    let ticks = body.lines().find(|line| line.starts_with("test_clock_ticks_total{")).expect("the ticks");
    let labels =
        r#"{instance="one",job="tracecore-tests",otel_scope_name="clock",otel_scope_version="1.2.3",rack="r1"}"#;
    assert!(ticks.contains(labels), "{ticks}");

    let (head, body) = ask(address, "GET", "/metrics", "application/openmetrics-text").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("# TYPE test_clock_ticks counter\n") && body.ends_with("# EOF\n"), "{body}");

    let (head, body) = ask(address, "HEAD", "/metrics", "*/*").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head}");
    assert!(ask(address, "GET", "/", "*/*").await.0.starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST", "/metrics", "*/*").await.0.starts_with("HTTP/1.1 405 "));

    running.stop().await;
    TcpListener::bind(address).expect("the port is free again");
}

#[tokio::test]
async fn a_scrapers_connection_is_told_of_and_is_no_ingest() {
    needs_events!();
    let address = free_port();
    let mut rig = TestService::start(&yaml(address, "")).await;
    ask(address, "GET", "/metrics", "*/*").await;
    rig.wait_for(event!("connection.opened", component = "prometheus")).await;
    rig.wait_for(event!("connection.closed", component = "prometheus", reason = "done")).await;
    for family in ["tracecore_ingest_requests_total", "tracecore_receiver_connections_active"] {
        assert_eq!(scrape(rig.running.telemetry(), family, &[]), [0.0; 0], "{family}");
    }
    let told = rig.stop().await;
    let released = event!("resource.released", component = "prometheus", resource = "listener");
    assert!(told.iter().any(|event| released.accepts(event)));
}

#[tokio::test]
async fn a_declared_summary_is_shown_with_its_quantiles_and_totals() {
    let (address, meter) = (free_port(), Meter::new());
    let clock = yaml(address, "without_scope_info: true\nsending_queue: { wait_for_result: true }");
    let yaml = clock.replace("interval: 10ms", &format!("key: {meter}")).replace("clock", "test_meter");
    let running = build(&yaml).0.start().await.unwrap();
    let measured = meter.measure(|data, _| {
        data.latency.observe(0.25, Device(Name::new("gpu0")));
        data.latency.observe(0.25, Device(Name::new("gpu0")));
        data.size.observe(1024.0, ());
    });
    assert!(measured.await.is_accepted());

    let lines = |body: &str, name: &str| {
        body.lines().filter(|line| line.contains(name)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let (_, body) = ask(address, "GET", "/metrics", "*/*").await;
    let expected = r#"# HELP test_latency_seconds How long an answer took.
# TYPE test_latency_seconds summary
test_latency_seconds{instance="one",job="tracecore-tests",test_device="gpu0",quantile="0.5"} 0.25
test_latency_seconds{instance="one",job="tracecore-tests",test_device="gpu0",quantile="0.9"} 0.25
test_latency_seconds{instance="one",job="tracecore-tests",test_device="gpu0",quantile="0.95"} 0.25
test_latency_seconds{instance="one",job="tracecore-tests",test_device="gpu0",quantile="0.99"} 0.25
test_latency_seconds_sum{instance="one",job="tracecore-tests",test_device="gpu0"} 0.5
test_latency_seconds_count{instance="one",job="tracecore-tests",test_device="gpu0"} 2
"#;
    assert_eq!(lines(&body, "test_latency"), expected, "{body}");
    let (_, body) = ask(address, "GET", "/metrics", "application/openmetrics-text").await;
    let expected = r#"# HELP test_size_bytes How large an answer was.
# TYPE test_size_bytes summary
# UNIT test_size_bytes bytes
test_size_bytes{instance="one",job="tracecore-tests",quantile="0.0"} 1024
test_size_bytes{instance="one",job="tracecore-tests",quantile="0.5"} 1024
test_size_bytes{instance="one",job="tracecore-tests",quantile="1.0"} 1024
test_size_bytes_sum{instance="one",job="tracecore-tests"} 1024
test_size_bytes_count{instance="one",job="tracecore-tests"} 1
"#;
    assert_eq!(lines(&body, "test_size"), expected, "{body}");

    assert!(meter.measure(|_, _| {}).await.is_accepted());
    let (_, body) = ask(address, "GET", "/metrics", "*/*").await;
    assert!(!body.contains("quantile="), "nothing was observed since: {body}");
    assert!(body.contains("test_size_bytes_count{"), "{body}");
    running.stop().await;
}

#[tokio::test]
async fn without_suffixes_there_is_only_text() {
    for settings in ["add_metric_suffixes: false", "translation_strategy: UnderscoreEscapingWithoutSuffixes"] {
        let address = free_port();
        let running = delivering(yaml(address, settings)).await;
        let (head, body) = ask(address, "GET", "/metrics", "application/openmetrics-text").await;
        assert!(head.contains("content-type: text/plain"), "{head}");
        assert!(body.contains("# TYPE clock_ticks counter\nclock_ticks{"), "{body}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_the_start_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (service, _) = build(&yaml(taken.local_addr().unwrap(), ""));
    let error = service.start().await.err().expect("it does not start");
    let text = Report(&error).to_string();
    assert!(text.contains("(exporters.prometheus.endpoint)") && text.contains("address already in use"), "{text}");
}

#[tokio::test]
async fn what_finds_no_room_is_counted() {
    // The target has the one place.
    let running = delivering(yaml(free_port(), "max_series: 1")).await;
    let families = running.telemetry().gather();
    let value = |family: &str, label: &str| {
        let family = families.iter().find(|known| known.name() == family).expect("the family");
        let mut series = family.get_metric().iter();
        let series = series.find(|series| series.get_label().iter().any(|l| l.value() == label)).expect("the series");
        series.get_counter().get_value() + series.get_gauge().get_value()
    };
    let overflow = value("tracecore_prometheus_refused_points_total", "overflow");
    assert!(overflow >= 1.0);
    assert_eq!(value("tracecore_exporter_dropped_total", "rejected"), overflow);
    assert_eq!(value("tracecore_prometheus_series", "prometheus"), 1.0);
    running.stop().await;
}
