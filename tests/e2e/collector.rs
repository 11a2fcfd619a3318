//! What files of the Collector have beside pipelines, done by the real program.

use std::fs;
use std::net::TcpListener;

use crate::http::{get, surface_of};
use crate::process::{Ended, Process, run, tracecore};

/// The clock, with these keys in `service` and these sections.
fn collector(folder: &tempfile::TempDir, service: &str, sections: &str) -> std::process::Command {
    let config = folder.path().join("collector.yaml");
    let text = format!(
        "receivers: {{clock: }}\nexporters: {{stdout: }}\n\
         service: {{pipelines: {{metrics: {{receivers: [clock], exporters: [stdout]}}}}, {service}}}\n{sections}\n"
    );
    fs::write(&config, text).expect("a file");
    tracecore(["collect", "--config", &config.display().to_string()])
}

#[test]
fn health_check_and_the_own_metrics_are_served_where_a_file_of_the_collector_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let reader = "{pull: {exporter: {prometheus: {host: localhost, port: 0}}}}";
    let service =
        format!("extensions: [health_check], telemetry: {{metrics: {{level: detailed, readers: [{reader}]}}}}");
    let mut command = collector(&folder, &service, "extensions: {health_check: {endpoint: 'localhost:0'}}");
    let mut process = Process::start(&mut command);
    process.logs("is taken as `telemetry: {level: detailed}`");
    let surface = surface_of(&mut process);
    let line = process.logs("serving health_check");
    let (_, address) = line.split_once("listen=").expect("the line names the address");
    let (address, _) = address.split_once('}').expect("the span ends");
    process.logs("tracecore running");
    let answer = get(&format!("http://{address}/"));
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().expect("a value")));
    assert!(answer.body.starts_with(r#"{"status":"Server available","upSince":"#), "{}", answer.body);
    let metrics = get(&format!("{surface}/metrics")).body;
    assert!(metrics.contains("tracecore_component_poll_duration_seconds"), "what only `detailed` has: {metrics}");
}

#[test]
fn a_taken_port_of_health_check_names_the_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let sections = format!("extensions: {{health_check: {{endpoint: '{}'}}}}", taken.local_addr().expect("an address"));
    let Ended { code, out, log } = run(&mut collector(&folder, "extensions: [health_check]", &sections));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{log}");
    assert!(log.contains("(extensions.health_check.endpoint): address already in use"), "{log}");
}

#[test]
fn the_level_of_the_log_is_that_of_the_file_unless_the_environment_says_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = |level: &str| collector(&folder, &format!("telemetry: {{logs: {{level: {level}}}}}"), "");
    let mut process = Process::start(&mut with("debug"));
    process.logs("DEBUG");

    let mut process = Process::start(with("debug").env("RUST_LOG", "info"));
    process.prints("clock.ticks");
    process.signal(rustix::process::Signal::TERM);
    let log = process.ended().log;
    assert!(log.contains("tracecore stopped") && !log.contains("DEBUG"), "{log}");

    let mut process = Process::start(&mut with("error"));
    process.prints("clock.ticks");
    process.signal(rustix::process::Signal::TERM);
    let log = process.ended().log;
    assert!(log.contains("starting") && !log.contains("tracecore running") && !log.contains("WARN"), "{log}");
}
