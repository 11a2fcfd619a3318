//! A real Prometheus scrapes the real program.
//!
//! Between the two stands a [`Tap`], so that a scrape is an event: when Prometheus asks a target for the third time, the
//! two before are in its database.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{fs, thread};

use serde_json::Value;
use tracecore::testing::{CEILING, ceiling};

use crate::http::{get, surface_of};
use crate::process::{Process, eventually, tracecore};

/// How often a scrape is waited for: the last one only shows that those before are stored.
const SCRAPES: usize = 3;

/// The time between two scrapes, and for one.
const INTERVAL: &str = "1s";

/// Chosen ports that another process may take first.
const ATTEMPTS: usize = 3;

/// Metrics that promtool dislikes and whose names a specification fixes.
///
/// The suffix `_count` is a histogram's to promtool, and the semantic conventions name counts of things so.
const DISLIKED: [&str; 4] = [
    "system_cpu_logical_count",
    "system_cpu_physical_count",
    "system_network_connection_count",
    "system_process_count",
];

/// Passes connections on, and tells what was asked and answered.
struct Tap {
    address: String,
    heard: Receiver<String>,
}

impl Tap {
    /// A tap before `target`, an address.
    fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, heard) = channel();
        let target = target.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&target).expect("the target listens");
                let halves = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                let (to_server, to_client) = (sender.clone(), sender.clone());
                thread::spawn(move || pass_on(halves.0, server, &to_server));
                thread::spawn(move || pass_on(halves.1, client, &to_client));
            }
        });
        Tap { address, heard }
    }

    /// The next text in either direction that begins so, up to its empty line.
    fn hears(&self, start: &str) -> String {
        loop {
            let text = self.heard.recv_timeout(ceiling(CEILING)).expect("Prometheus scrapes");
            if text.starts_with(start) {
                return text.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
            }
        }
    }
}

/// Copies until the end. A request and the head of an answer fit one read.
fn pass_on(mut from: TcpStream, mut to: TcpStream, heard: &Sender<String>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        // Who listened may have enough.
        let _ = heard.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A running Prometheus with a database of its own.
struct Prometheus {
    _process: Process,
    _folder: tempfile::TempDir,
    url: String,
}

impl Prometheus {
    /// Scrapes each tap as a job of its name.
    fn scraping(jobs: &[(&str, &Tap)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        let mut text =
            format!("global: {{scrape_interval: {INTERVAL}, scrape_timeout: {INTERVAL}}}\nscrape_configs:\n");
        for (job, tap) in jobs {
            text += &format!("  - {{job_name: {job}, static_configs: [{{targets: ['{}']}}]}}\n", tap.address);
        }
        fs::write(&config, text).expect("a file");
        for _ in 0..ATTEMPTS {
            // Prometheus does not tell which port it got, so it is given one that was free a moment ago.
            let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
            let mut command = Command::new("prometheus");
            command.arg(format!("--config.file={}", config.display()));
            command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
            command.arg(format!("--web.listen-address={address}"));
            let mut process = Process::start_with(&mut command, Stdio::null());
            let log = process.log.as_mut().expect("the log is read");
            while let Some(line) = log.next() {
                if line.contains("Server is ready to receive web requests") {
                    return Prometheus { _process: process, _folder: folder, url: format!("http://{address}") };
                }
            }
        }
        panic!("Prometheus does not start");
    }

    /// The series that an expression gives.
    fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(&format!("{}/api/v1/query?query={encoded}", self.url));
        let answer: Value = serde_json::from_str(&answer.body).expect("the API speaks JSON");
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}")).clone()
    }

    /// The one value of an expression.
    fn value(&self, expression: &str) -> f64 {
        let series = self.query(expression);
        assert_eq!(series.len(), 1, "{expression}: {series:?}");
        series[0]["value"][1].as_str().and_then(|value| value.parse().ok()).expect("a number")
    }
}

/// What promtool has against an exposition: a line each, that begins with the name of the metric.
fn complaints(exposition: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect(".ci/setup installs promtool");
    // Dropped at once: promtool reads to the end of its input.
    promtool.stdin.take().expect("a pipe").write_all(exposition.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The program as it runs without a configuration, on free ports and faster: where its two listeners are.
fn default_collector() -> (Process, String, String) {
    let mut command = tracecore(["collect", "--set", "receivers.hostmetrics.collection_interval=200ms"]);
    command.args(["--set", "telemetry.listen=localhost:0", "--set", "exporters.prometheus.endpoint=localhost:0"]);
    let mut process = Process::start(&mut command);
    let surface = surface_of(&mut process);
    let line = process.logs("serving metrics for scraping");
    let (_, address) = line.split_once("listen=").expect("the line names the address");
    let host = format!("http://{}", address.split(' ').next().unwrap_or_default());
    process.logs("tracecore running");
    (process, surface, host)
}

#[test]
fn prometheus_scrapes_the_host_and_the_collector() {
    let (_collector, surface, host) = default_collector();
    let taps = [&surface, &host].map(|url| Tap::before(url.trim_start_matches("http://")));
    let prometheus = Prometheus::scraping(&[("collector", &taps[0]), ("host", &taps[1])]);
    for tap in &taps {
        for _ in 1..SCRAPES {
            let request = tap.hears("GET /metrics ");
            assert!(request.contains("application/openmetrics-text"), "{request}");
            let answer = tap.hears("HTTP/1.1 200 ");
            assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
        }
        tap.hears("GET /metrics ");
    }
    for job in ["collector", "host"] {
        assert_eq!(prometheus.value(&format!("up{{job='{job}'}}")), 1.0, "{job}");
        assert!(prometheus.value(&format!("count_over_time(up{{job='{job}'}}[1m])")) >= 2.0, "{job}");
    }
    let growth = |series: &str| {
        let range = prometheus.query(&format!("{series}[1m]"));
        assert_eq!(range.len(), 1, "{series}: {range:?}");
        let samples = range[0]["values"].as_array().expect("samples").iter();
        let samples = samples.map(|sample| sample[1].as_str().and_then(|value| value.parse::<f64>().ok()));
        let samples: Vec<f64> = samples.collect::<Option<_>>().expect("numbers");
        samples[samples.len() - 1] - samples[0]
    };
    assert!(growth("tracecore_receiver_emissions_total{component_id='hostmetrics'}") > 0.0);
    // A processor is idle or works: one of its states has grown.
    let cpu = "system_cpu_time_seconds_total";
    let cpu = prometheus.value(&format!("sum(max_over_time({cpu}[1m]) - min_over_time({cpu}[1m]))"));
    assert!(cpu > 0.0, "the time of all processors grew by {cpu} s");
    assert_eq!(prometheus.value("tracecore_build_info"), 1.0);
}

#[test]
fn promtool_has_nothing_against_the_metrics() {
    let (_collector, surface, host) = default_collector();
    let collected = "system_cpu_time_seconds_total";
    let host =
        eventually("a collection", || Some(get(&format!("{host}/metrics")).body).filter(|b| b.contains(collected)));
    for exposition in [get(&format!("{surface}/metrics")).body, host] {
        let complaints = complaints(&exposition);
        let disliked = |line: &str| line.split(' ').next().is_some_and(|name| DISLIKED.contains(&name));
        let unexpected: Vec<_> = complaints.lines().filter(|line| !disliked(line)).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }
}
