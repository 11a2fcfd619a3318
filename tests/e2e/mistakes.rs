//! What is said of a configuration that does not hold: everything at once, each mistake once, where it is and what was meant.

use std::fs;

use serde_json::Value;

use crate::process::{Ended, example, run, tracecore};

/// Twelve mistakes of twelve kinds, and nothing else.
const TWELVE: &str = "\
receivers:
  clock:
    interval: 5 parsecs
  clock/slow:
    intervall: 1s
  nosuch:
  clock/slow: {}
exporters:
  stdout:
    format: xml
    sending_queue: {num_consumers: -1}
  otlp_http:
    endpoint: http://localhost:4318
    headers: {authorization: Bearer hunter2, 5: x}
service:
  drain_timeout: soon
  pipelines:
    metrics:
      receivers: [clok, clock/slow, nosuch]
      exporters: [stdout, otlp_http]
    metricz:
      receivers: [clock]
      exporters: [stdout]
    traces:
      receivers: [clock/slow]
      exporters: []
";

/// What is said of it.
const SAID: &str = include_str!("mistakes.txt");

/// Checks a text with more arguments.
fn validate(text: &str, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("bad.yaml"), text).expect("a file");
    let arguments = ["validate", "--config", "bad.yaml"].iter().chain(arguments);
    run(tracecore(arguments).current_dir(folder.path()))
}

#[test]
fn twelve_mistakes_give_twelve_messages_each_in_its_place() {
    let Ended { code, out, log } = validate(TWELVE, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{log}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/mistakes.txt"), format!("{log}\n")).expect("ours to write");
        return;
    }
    assert_eq!(log, SAID.trim_end(), "run `cargo xtask gen` if that is meant");
    assert_eq!(log.lines().filter(|line| line.starts_with("error: ")).count(), 12, "{log}");
    assert!(!log.contains("hunter2"), "a secret: {log}");
}

#[test]
fn programs_get_the_same_as_json() {
    let Ended { code, out, log } = validate(TWELVE, &["--format", "json"]);
    assert_eq!((code, log.as_str()), (Some(2), ""), "{out}");
    let said: Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!((&said["valid"], &said["pipelines"]), (&Value::Bool(false), &Value::Null));
    let problems = said["problems"].as_array().expect("problems");
    assert_eq!(problems.iter().filter(|problem| problem["severity"] == "error").count(), 12, "{out}");
    let first = &problems[0];
    assert_eq!((&first["file"], &first["line"], &first["column"]), (&"bad.yaml".into(), &3.into(), &15.into()));
    assert_eq!(
        (&first["path"], &first["source_line"]),
        (&"receivers.clock.interval".into(), &"    interval: 5 parsecs".into())
    );
    let misspelt =
        problems.iter().find(|problem| problem["path"] == "receivers.clock/slow.intervall").expect("it is told");
    assert_eq!(misspelt["hint"], "did you mean `interval`?");

    let ended = run(&mut tracecore(["validate", "--config", &example("clock.yaml"), "--format", "json"]));
    let said: Value = serde_json::from_str(&ended.out).expect("it is JSON");
    assert_eq!((ended.code, &said["valid"], &said["problems"]), (Some(0), &Value::Bool(true), &Value::Array(vec![])));
    assert_eq!(said["pipelines"][0]["id"], "metrics/primary");
}

#[test]
fn a_variable_that_is_not_set_is_a_warning_and_with_strict_an_error() {
    let text = "receivers: {clock: {interval: '${TRACECORE_TEST_UNSET}'}}\nexporters: {stdout: }
service: {pipelines: {metrics: {receivers: [clock], exporters: [stdout]}}}\n";
    let said = "bad.yaml:1:31: receivers.clock.interval: the environment variable TRACECORE_TEST_UNSET is not set";
    let Ended { code, log, .. } = validate(text, &[]);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.starts_with(&format!("warning: {said}")), "{log}");
    let Ended { code, log, .. } = validate(text, &["--strict"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.starts_with(&format!("error: {said}")), "{log}");
}

#[test]
fn across_merged_files_the_right_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("one.yaml"), "receivers:\n  clock:\n    interval: 0s\nexporters: {stdout: }\n")
        .expect("a file");
    fs::write(
        folder.path().join("two.yaml"),
        "service:\n  pipelines: {metrics: {receivers: [clock], exporters: [stdout, debug]}}\n",
    )
    .expect("a file");
    let ended = run(tracecore(["validate", "--config", "one.yaml", "--config", "two.yaml"]).current_dir(folder.path()));
    let told: Vec<_> = ended.log.lines().filter(|line| line.starts_with("error: ")).collect();
    let [one, two] = &told[..] else { panic!("two mistakes: {}", ended.log) };
    assert!(one.starts_with("error: one.yaml:3:15: receivers.clock.interval: "), "{one}");
    assert!(two.starts_with("error: two.yaml:2:65: service.pipelines.metrics.exporters: `debug` is not"), "{two}");
}

#[test]
fn a_port_that_is_listened_on_twice_is_told_once_at_the_second_place() {
    let text = "\
receivers:
  otlp:
    protocols:
      grpc:
      http: {endpoint: '[::]:8889'}
  otlp/second:
    protocols:
      grpc:
        max_connections: 5
  otlp/free: {protocols: {grpc: {endpoint: 'localhost:0'}}}
  otlp/freed: {protocols: {grpc: {endpoint: 'localhost:0'}}}
  otlp/unused: {protocols: {grpc: }}
exporters:
  stdout:
  prometheus: {endpoint: 'localhost:8889'}
extensions:
  health_check:
  health_check/two:
    endpoint: localhost:13133
  health_check/unused:
    endpoint: localhost:13133
service:
  extensions: [health_check, health_check/two]
  pipelines:
    logs: {receivers: [otlp, otlp/free, otlp/freed], exporters: [stdout]}
    metrics: {receivers: [otlp/second], exporters: [prometheus]}
telemetry:
  enabled: true
  listen: ${env:TRACECORE_TEST_LISTEN}
";
    let folder = tempfile::tempdir().expect("a folder");
    let validate = |text: &str| {
        fs::write(folder.path().join("bad.yaml"), text).expect("a file");
        let mut command = tracecore(["validate", "--config", "bad.yaml"]);
        run(command.current_dir(folder.path()).env("TRACECORE_TEST_LISTEN", "127.0.0.1:4317"))
    };
    let Ended { code, log, .. } = validate(text);
    assert_eq!(code, Some(2), "{log}");
    let told: Vec<_> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        "error: bad.yaml:8:7: receivers.otlp/second.protocols.grpc.endpoint: port 4317 is taken already: \
         receivers.otlp.protocols.grpc.endpoint (bad.yaml:4:7) listens on it",
        "error: bad.yaml:15:26: exporters.prometheus.endpoint: port 8889 is taken already: \
         receivers.otlp.protocols.http.endpoint (bad.yaml:5:24) listens on it",
        "error: bad.yaml:19:15: extensions.health_check/two.endpoint: port 13133 is taken already: \
         extensions.health_check.endpoint (bad.yaml:17:3) listens on it",
        "error: bad.yaml:29:11: telemetry.listen: port is taken already: receivers.otlp.protocols.grpc.endpoint \
         (bad.yaml:4:7) listens on it (value from env:TRACECORE_TEST_LISTEN)",
    ];
    assert_eq!(told, expected, "{log}");

    // A file of the Collector says in its own words where the surface listens.
    let (theirs, _) = text.split_once("telemetry:\n").expect("the section is there");
    let theirs = theirs.replace("service:\n", "service:\n  telemetry: {metrics: {address: 'localhost:4317'}}\n");
    let Ended { log, .. } = validate(&theirs);
    let expected = "service.telemetry.metrics: port 4317 is taken already: receivers.otlp.protocols.grpc.endpoint";
    assert!(log.contains(expected), "{log}");

    // What is off, and what no pipeline uses, listens on nothing.
    let apart = text.replace("enabled: true", "enabled: false");
    let apart =
        apart.replace("receivers: [otlp/second]", "receivers: [otlp]").replace("localhost:8889", "localhost:8890");
    let apart = apart.replace("extensions: [health_check, health_check/two]", "extensions: [health_check/two]");
    let Ended { code, log, .. } = validate(&apart);
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn explain_shows_nothing_of_what_is_off_because_it_is_not_named() {
    let text = "yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {stdout: }, \
                service: {pipelines: {logs: {receivers: [otlp], exporters: [stdout]}}}}";
    let Ended { code, out, log } = run(&mut tracecore(["validate", "--explain", "--config", text]));
    assert_eq!(code, Some(0), "{log}");
    assert!(out.contains("endpoint: localhost:4317  # default"), "{out}");
    assert!(!out.contains("http:") && !out.contains("4318"), "{out}");
}

#[test]
fn explain_tells_of_each_value_what_it_is_and_where_it_comes_from() {
    let text =
        "receivers:\n  clock:\n    interval: ${env:TRACECORE_TEST_INTERVAL}\nexporters:\n  stdout:\n  otlp_http/a/b:
    endpoint: http://localhost:1\n    headers: {authorization: hunter2}
service: {pipelines: {metrics: {receivers: [clock], exporters: [stdout, otlp_http/a/b]}}}\n";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("c.yaml"), text).expect("a file");
    let with = |arguments: &[&str]| {
        let mut command = tracecore(arguments);
        run(command.current_dir(folder.path()).env("TRACECORE_TEST_INTERVAL", "250ms"))
    };
    let set = ["--set", "service.drain_timeout=3s"];
    let Ended { code, out, log } = with(&[&["validate", "--config", "c.yaml", "--explain"], &set[..]].concat());
    assert_eq!(code, Some(0), "{log}");
    let (wiring, explained) = out.split_once("resolved configuration (after defaults applied):\n").expect("a heading");
    assert_eq!(wiring, "config valid: 1 pipeline(s)\nmetrics: receivers=1 processors=0 exporters=2\n");
    let lines: Vec<_> = explained.lines().map(str::trim_start).collect();
    for line in [
        "# HTTP surface OFF; no port bound",
        "interval: 250ms  # c.yaml:3 env:TRACECORE_TEST_INTERVAL",
        "endpoint: http://localhost:1  # c.yaml:7",
        "authorization: \"[REDACTED]\"  # c.yaml:8",
        "drain_timeout: 3s  # --set service.drain_timeout",
        "restart_budget: 20  # default",
        "num_consumers: 10  # default",
    ] {
        assert!(lines.contains(&line), "{line:?} in\n{explained}");
    }
    let Ended { code, out, .. } = with(&["print-config", "--config", "c.yaml"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("interval: 250ms\n")
            && out.contains("authorization: \"[REDACTED]\"")
            && !out.contains("restart_budget"),
        "{out}"
    );
    let Ended { out, .. } = with(&["print-config", "--config", "c.yaml", "--mode", "unredacted"]);
    assert!(out.contains("authorization: hunter2"), "{out}");
    fs::write(folder.path().join("again.yaml"), out).expect("a file");
    assert_eq!(with(&["validate", "--config", "again.yaml"]).code, Some(0), "what is printed is a configuration");
}

#[test]
fn the_schema_of_this_program_is_printed_whole_and_by_component() {
    let Ended { code, out, .. } = run(&mut tracecore(["schema"]));
    let whole: Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!((code, &whole["title"]), (Some(0), &"tracecore".into()));
    let Ended { code, out, .. } = run(&mut tracecore(["schema", "--component", "exporter/otlphttp"]));
    let one: Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!((code, &one["properties"]["timeout"]["default"]), (Some(0), &"30s".into()));
    assert_eq!(run(&mut tracecore(["schema", "--component", "receiver/nosuch"])).code, Some(2));
}
