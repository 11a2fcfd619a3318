//! A gateway and its clients. What an agent has of one that is killed was not taken, and is sent again.
//!
//! That gateway answers once a batch is in its file. What was written and not answered comes twice, which OTLP allows; what
//! was answered is never lost.

use std::collections::BTreeMap;
use std::fs;

use components as _;
use http::Request;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

#[tokio::test]
async fn the_log_says_once_in_a_while_whose_requests_are_refused_for_good() {
    let config = "yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: 'localhost:0'}, http: {endpoint: 'localhost:0'}}}
exporters:
  debug:
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [debug]}
";
    let mut gateway = Process::start(&mut tracecore(["collect", "--config", config]));
    let listens = |line: String| {
        let address = line.split("listen=").nth(1).and_then(|behind| behind.split(' ').next());
        address.expect("the line names the address").to_owned()
    };
    let (grpc, http) = (listens(gateway.logs("receiving OTLP")), listens(gateway.logs("receiving OTLP")));

    let mut bad = TcpStream::connect(http).await.expect("the gateway accepts");
    let peer = bad.local_addr().expect("it is connected");
    for _ in 0..2 {
        let request =
            "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{";
        bad.write_all(request.as_bytes()).await.expect("the gateway reads");
        let mut answer = [0; 1024];
        let read = bad.read(&mut answer).await.expect("the gateway answers");
        assert!(answer[..read].starts_with(b"HTTP/1.1 400"));
    }
    let line = gateway.logs("a client's request is refused for good");
    assert!(
        line.contains(&format!("component=otlp protocol=\"http\" peer={peer} ")) && line.contains("INVALID_ARGUMENT"),
        "{line}"
    );

    let strange = TcpStream::connect(grpc).await.expect("the gateway accepts");
    let peer = strange.local_addr().expect("it is connected");
    let (mut client, connection) = h2::client::handshake(strange).await.expect("it speaks HTTP/2");
    let request = Request::post("http://x/unknown").header("content-type", "application/grpc");
    let (answer, _) = client.send_request(request.body(()).expect("a request"), true).expect("it is sent");
    let answer = tokio::select! {
        answer = answer => answer.expect("the gateway answers"),
        _ = connection => panic!("the connection ended without an answer"),
    };
    assert_eq!(answer.headers()["grpc-status"], "12");
    let line = gateway.logs("a client's request is refused for good");
    assert!(
        line.contains(&format!("component=otlp protocol=\"grpc\" peer={peer} ")) && line.contains("UNIMPLEMENTED"),
        "{line}"
    );

    gateway.signal(Signal::TERM);
    let ended = gateway.ended();
    assert_eq!(ended.log.matches("refused for good").count(), 2, "one line for each protocol:\n{}", ended.log);
}
