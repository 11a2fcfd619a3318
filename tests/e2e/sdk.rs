//! The OpenTelemetry SDK for Python sends to a real agent, which sends to a real gateway, which writes a file: what stands
//! in it is what the SDK was told, field by field.

#[path = "python/expected.rs"]
mod expected;

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, root, run, tracecore};

/// The Python that `.ci/setup` made, with the SDK.
pub(crate) fn python() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let python = target.parent().expect("it is in cargo's target folder").join("python/bin/python");
    assert!(python.exists(), "there is no {}: .ci/setup installs the OpenTelemetry SDK", python.display());
    python
}

/// A running collector that receives OTLP, by gRPC and by HTTP, and sends all signals to an exporter.
struct Collector {
    process: Process,
    grpc: String,
    http: String,
}

impl Collector {
    fn start(exporter: &str, settings: &str) -> Self {
        let pipelines = ["traces", "metrics", "logs"];
        let pipelines = pipelines.map(|signal| format!("{signal}: {{receivers: [otlp], exporters: [{exporter}]}}"));
        let any_port = "{endpoint: '127.0.0.1:0'}";
        let config = format!(
            "yaml:\nreceivers:\n  otlp: {{protocols: {{grpc: {any_port}, http: {any_port}}}}}\nexporters:\n  \
             {exporter}: {settings}\nservice:\n  pipelines: {{{}}}\n",
            pipelines.join(", ")
        );
        let mut process = Process::start(&mut tracecore(["collect", "--config", &config]));
        let mut listens = |protocol: &str| {
            let line = process.logs("receiving OTLP");
            assert!(line.contains(protocol), "{line}");
            let (_, address) = line.split_once("listen=").expect("the line names the address");
            format!("http://{}", address.split_whitespace().next().expect("an address"))
        };
        let (grpc, http) = (listens("grpc"), listens("http"));
        process.logs("tracecore running");
        Collector { process, grpc, http }
    }

    /// Asks it to end, and waits until it has delivered what it took.
    fn stop(self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(!ended.log.contains("WARN") && !ended.log.contains("ERROR"), "{}", ended.log);
    }
}

/// Nanoseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the other process reads the machine's clock, and so does this test")]
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_nanos()
}

/// What arrives of what the SDK sends by `protocol`, compressed like that, if the agent sends on so.
fn arrives(protocol: &str, compression: Option<&str>, exporter: &str, settings: &str) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("arrived.json");
    let gateway = Collector::start("file", &format!("{{path: '{}'}}", file.display()));
    let endpoint = if exporter == "otlp_grpc" { &gateway.grpc } else { &gateway.http };
    let agent = Collector::start(exporter, &format!("{{endpoint: '{endpoint}', {settings}}}"));

    let mut sdk = Command::new(python());
    sdk.arg(root().join("tests/e2e/python/telemetry.py")).arg(protocol);
    // Nothing of this machine's settings for SDKs.
    sdk.env_clear()
        .envs(["PATH", "HOME", "LD_LIBRARY_PATH"].into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    sdk.env("PYTHONDONTWRITEBYTECODE", "1").envs(compression.map(|name| ("OTEL_EXPORTER_OTLP_COMPRESSION", name)));
    sdk.env("OTEL_EXPORTER_OTLP_ENDPOINT", if protocol == "grpc" { &agent.grpc } else { &agent.http });
    let began = now();
    let ended = run(&mut sdk);
    let run = began..=now();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    agent.stop();
    gateway.stop();

    let text = fs::read_to_string(&file).expect("the gateway wrote it");
    let mut arrived: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let place = |value: &Value| {
        ["resourceSpans", "resourceMetrics", "resourceLogs"].iter().position(|key| value.get(key).is_some())
    };
    arrived.sort_by_key(place);
    let [traces, metrics, logs] = &mut arrived[..] else {
        panic!("one request of each signal:\n{text}\n{}", ended.log)
    };
    clocked(metrics, &|time| run.contains(&time));
    for (arrived, expected) in
        [(&*traces, expected::traces()), (metrics, expected::metrics()), (logs, expected::logs())]
    {
        let mut differences = Vec::new();
        compare("", &expected, arrived, &mut differences);
        assert!(differences.is_empty(), "{}\n{}", differences.join("\n"), ended.log);
    }
}

/// Puts [`expected::NOW`] for each time that is within the run.
fn clocked(value: &mut Value, within: &impl Fn(u128) -> bool) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| clocked(value, within)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let time = value.as_str().filter(|_| key.ends_with("imeUnixNano")).and_then(|time| time.parse().ok());
                match time {
                    Some(time) if within(time) => *value = expected::NOW.into(),
                    _ => clocked(value, within),
                }
            }
        }
        _ => {}
    }
}

/// Every field in which the two differ. Numbers are compared as they are written, so that -0.0 is not 0.0.
fn compare(path: &str, expected: &Value, arrived: &Value, differences: &mut Vec<String>) {
    match (expected, arrived) {
        (Value::Object(expected), Value::Object(arrived)) => {
            for (key, expected) in expected {
                compare(&format!("{path}.{key}"), expected, arrived.get(key).unwrap_or(&Value::Null), differences);
            }
            let extra = arrived.iter().filter(|(key, _)| !expected.contains_key(*key));
            differences.extend(extra.map(|(key, value)| format!("{path}.{key}: {value} was not told")));
        }
        (Value::Array(expected), Value::Array(arrived)) if expected.len() == arrived.len() => {
            for (index, (expected, arrived)) in expected.iter().zip(arrived).enumerate() {
                compare(&format!("{path}[{index}]"), expected, arrived, differences);
            }
        }
        _ if expected.to_string() == arrived.to_string() => {}
        _ => differences.push(format!("{path}: {arrived} instead of {expected}")),
    }
}

#[test]
fn what_the_python_sdk_sends_over_grpc_arrives() {
    arrives("grpc", None, "otlp_grpc", "compression: gzip");
}

#[test]
fn what_the_python_sdk_sends_over_grpc_with_gzip_arrives() {
    arrives("grpc", Some("gzip"), "otlp_http", "compression: zstd");
}

#[test]
fn what_the_python_sdk_sends_over_http_arrives() {
    arrives("http", None, "otlp_http", "encoding: json");
}

#[test]
fn what_the_python_sdk_sends_over_http_with_gzip_arrives() {
    arrives("http", Some("gzip"), "otlp_grpc", "compression: none");
}
