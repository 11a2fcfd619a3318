//! A gateway that is killed: what an agent has of it was not taken, and is sent again.
//!
//! The gateway answers once a batch is in its file. What was written and not answered comes twice, which OTLP allows; what
//! was answered is never lost.

use std::collections::BTreeMap;
use std::fs;

use components as _;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tracecore::testing::{ScriptedReceiver as Source, TestService, logs};
use tracecore_tests::loopback;

use crate::process::{Process, tracecore};

/// How often the gateway is killed, and what is sent between two times.
const KILLS: usize = 3;
const BATCHES: usize = 200;

/// How many batches the agent has under way at once: so many may come twice each time.
const UNDER_WAY: usize = 4;

#[tokio::test]
async fn a_gateway_that_is_killed_loses_nothing_that_it_acknowledged() {
    for (exporter, port) in [("otlp_grpc", 4317), ("otlp_http", 4318)] {
        survives(exporter, port).await;
    }
}

async fn survives(exporter: &str, port: u16) {
    let (address, folder, source) = (loopback(), TempDir::new().expect("a folder"), Source::new());
    let file = folder.path().join("arrived.json");
    let gateway = format!(
        "yaml:
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '{address}:4317'}}, http: {{endpoint: '{address}:4318'}}}}}}
exporters:
  file: {{path: '{}', append: true, sending_queue: {{enabled: false}}}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [file]}}
",
        file.display()
    );
    let start = || {
        let mut process = Process::start(&mut tracecore(["collect", "--config", &gateway]));
        process.logs("tracecore running");
        process
    };
    let agent = format!(
        "
receivers:
  test_source: {{key: {source}}}
exporters:
  {exporter}:
    endpoint: 'http://{address}:{port}'
    retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms}}
    circuit_breaker: {{enabled: false}}
    sending_queue: {{num_consumers: {UNDER_WAY}}}
service:
  pipelines:
    logs: {{receivers: [test_source], exporters: [{exporter}]}}
"
    );
    let agent = TestService::start(&agent).await;
    let delivered = |wanted: usize| {
        agent.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], move |calls| {
            calls >= wanted as f64
        })
    };
    let mut process = start();
    for kill in 0..KILLS {
        for number in kill * BATCHES..(kill + 1) * BATCHES {
            assert!(source.emit(logs(&number.to_string(), 1)).await.is_accepted());
        }
        // In the middle of it.
        delivered(kill * BATCHES + BATCHES / 2).await;
        process.signal(Signal::KILL);
        assert_eq!(process.ended().code, None);
        process = start();
    }
    delivered(KILLS * BATCHES).await;
    assert_eq!(agent.sample("tracecore_exporter_dropped_total", &[]), 0.0);
    agent.stop().await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().code, Some(0));

    let mut arrived: BTreeMap<usize, usize> = BTreeMap::new();
    // A line that the kill has cut short was not answered.
    let text = String::from_utf8_lossy(&fs::read(&file).expect("the gateway wrote it")).into_owned();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let name = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"].as_str().map(str::to_owned);
        *arrived.entry(name.and_then(|name| name.parse().ok()).expect("a number")).or_default() += 1;
    }
    assert!(arrived.keys().copied().eq(0..KILLS * BATCHES), "{exporter}: {} of {}", arrived.len(), KILLS * BATCHES);
    let twice: usize = arrived.values().map(|times| times - 1).sum();
    assert!(twice <= KILLS * UNDER_WAY, "{exporter}: {twice} came twice");
}
