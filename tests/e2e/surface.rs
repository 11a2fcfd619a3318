//! The telemetry surface of the real program.

use std::net::TcpListener;

use crate::http::{get, get_as, surface_of, value};
use crate::process::{Process, example, run, tracecore};

/// The clock with its surface on a free port.
fn with_telemetry(more: &[&str]) -> (Process, String) {
    let config = example("with-telemetry.yaml");
    let arguments = ["collect", "--config", &config, "--set", "telemetry.listen=localhost:0"];
    let mut process = Process::start(tracecore(arguments).args(more));
    let surface = surface_of(&mut process);
    process.logs("tracecore running");
    (process, surface)
}

#[test]
fn telemetry_surface_end_to_end() {
    let (mut process, surface) = with_telemetry(&[]);
    // Each tick is written after its predecessor was counted or is about to be: the exposition of some tick has both.
    let exposition = loop {
        process.prints("clock.ticks");
        let body = get(&format!("{surface}/metrics")).body;
        let calls = value(&body, "tracecore_exporter_calls_total{component_id=\"stdout\",kind=\"\",result=\"success\"");
        let emissions = value(&body, "tracecore_receiver_emissions_total{component_id=\"clock\"");
        if calls >= Some(1.0) && emissions >= Some(1.0) {
            break body;
        }
    };
    // `tracecore_selftelemetry_init_errors_total` is not among them: it has its first series with the first error.
    for family in [
        "tracecore_receiver_emissions_total",
        "tracecore_receiver_errors_total",
        "tracecore_receiver_degraded_seconds_total",
        "tracecore_exporter_calls_total",
        "tracecore_component_restarts_total",
    ] {
        assert!(exposition.contains(&format!("# TYPE {family} counter\n")), "{family} in\n{exposition}");
    }
    for family in [
        "tracecore_build_info",
        "tracecore_receiver_last_activity_unix_seconds",
        "tracecore_exporter_failure_rate",
        "tracecore_queue_depth_ratio",
        "tracecore_component_restart_count_per_hour",
    ] {
        assert!(exposition.contains(&format!("# TYPE {family} gauge\n")), "{family} in\n{exposition}");
    }
    assert!(exposition.contains("# TYPE tracecore_receiver_collection_latency_seconds histogram\n"), "{exposition}");
    let build = exposition.lines().find(|line| line.starts_with("tracecore_build_info{")).expect("a build");
    assert!(build.contains("command=\"tracecore\"") && build.ends_with(" 1"), "{build}");
    assert!(
        build.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")) && build.contains("revision="),
        "{build}"
    );
    for resting in ["tracecore_exporter_failure_rate", "tracecore_component_restart_count_per_hour"] {
        assert_eq!(value(&exposition, resting), Some(0.0), "{resting}");
    }
}

#[test]
fn no_series_stands_twice() {
    let (_process, surface) = with_telemetry(&[]);
    let exposition = get(&format!("{surface}/metrics")).body;
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all, "{exposition}");
}

#[test]
fn answers_probes_in_the_type_that_is_asked_for_and_is_never_cached() {
    let (_process, surface) = with_telemetry(&[]);
    for (path, word) in [("healthz", "ok"), ("readyz", "ready")] {
        let text = get(&format!("{surface}/{path}"));
        assert_eq!((text.status, text.body.trim_end()), (200, word));
        assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(text.headers["cache-control"], "no-store");
        let json = get_as(&format!("{surface}/{path}"), "application/json");
        assert_eq!(json.body.trim_end(), format!("{{\"status\":\"{word}\"}}"));
        assert_eq!(json.headers["cache-control"], "no-store");
    }
    let metrics = get_as(&format!("{surface}/metrics"), "application/openmetrics-text; version=1.0.0");
    assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
    for path in ["metrics", "healthz", "nowhere"] {
        assert!(!get(&format!("{surface}/{path}")).headers.contains_key("server"), "{path}");
    }
}

#[test]
fn paths_are_where_the_configuration_puts_them() {
    let (_process, surface) = with_telemetry(&["--set", "telemetry.paths.healthz=/live"]);
    assert_eq!(get(&format!("{surface}/live")).status, 200);
    assert_eq!(get(&format!("{surface}/healthz")).status, 404);
}

#[test]
fn status_tells_of_every_component() {
    let (mut process, surface) = with_telemetry(&[]);
    process.prints("clock.ticks");
    let answer = get_as(&format!("{surface}/status?window=5m"), "text/html");
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().expect("a value")));
    let page: serde_json::Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert_eq!((&page["status"], &page["version"]), (&"ok".into(), &env!("CARGO_PKG_VERSION").into()), "{page:#}");
    let components = page["components"].as_array().expect("a list");
    assert_eq!(components.iter().map(|one| &one["id"]).collect::<Vec<_>>(), ["clock", "stdout"], "{page:#}");
    let refused = get(&format!("{surface}/status?window=1d"));
    assert_eq!(
        (refused.status, refused.headers["content-type"].to_str().ok()),
        (400, Some("text/plain; charset=utf-8"))
    );
}

#[test]
fn telemetry_disabled_no_listener() {
    let mut process = Process::start(&mut tracecore(["collect", "--config", &example("clock.yaml")]));
    process.prints("clock.ticks 1 ");
    assert_eq!(process.listeners(), 0);
    drop(process);
    // The same question of a collector that has a surface, so that the answer above means something.
    assert_eq!(with_telemetry(&[]).0.listeners(), 1);
}

#[test]
fn a_taken_port_is_an_error_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("telemetry.listen={}", taken.local_addr().expect("an address"));
    let config = example("with-telemetry.yaml");
    let ended = run(&mut tracecore(["collect", "--config", &config, "--set", &listen]));
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("telemetry.listen"), "{}", ended.log);
    assert_eq!(ended.out, "", "nothing is collected without the surface");
}

#[test]
fn wildcard_without_tls_warns() {
    let config = example("with-telemetry.yaml");
    let arguments = ["collect", "--config", &config, "--set", "telemetry.listen=0.0.0.0:0"];
    let mut process = Process::start(&mut tracecore(arguments));
    let line = process.logs("WARN");
    assert!(line.contains("without TLS"), "{line}");
}
