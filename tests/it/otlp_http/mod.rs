//! The `otlp_http` exporter in a running service, against a server that answers as each test wants.

mod answers;
mod connections;
mod requests;

use tracecore::component::Role;
use tracecore::emit::Verdict;
use tracecore::error::ErrorKind;
use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig};
use tracecore_tests::HttpServer;

const DROPPED: &str = "tracecore_exporter_dropped_total";
const CALLS: &str = "tracecore_exporter_calls_total";

/// One attempt after the other at once, and a receiver that hears how it ended.
const AT_ONCE: &str = "sending_queue: {wait_for_result: true}
retry_on_failure: {initial_interval: 1ms, max_interval: 1ms, max_elapsed_time: 60s}
circuit_breaker: {enabled: false}";

/// All three signals of a source, sent by an exporter with these settings, a line each.
fn yaml(source: &Source, settings: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("\n    {line}")).collect();
    let pipeline = |signal| format!("\n    {signal}: {{receivers: [test_source], exporters: [otlp_http]}}");
    let pipelines: String = ["traces", "metrics", "logs"].map(pipeline).concat();
    format!(
        "receivers:\n  test_source: {{key: {source}}}\nexporters:\n  otlp_http:{settings}\nservice:\n  pipelines:{pipelines}\n"
    )
}

/// A service with these settings.
async fn with(settings: &str) -> (Rig, Source) {
    let source = Source::new();
    (Rig::start(&yaml(&source, &format!("{AT_ONCE}\n{settings}"))).await, source)
}

/// A service that sends to `server`.
async fn sending(server: &HttpServer, settings: &str) -> (Rig, Source) {
    with(&format!("endpoint: http://{}\n{settings}", server.address())).await
}

fn accepted(verdict: &Verdict) {
    assert!(verdict.is_accepted(), "{verdict:?}");
}

/// What went wrong last in the exporter.
fn last_error(rig: &Rig) -> (ErrorKind, String) {
    let id = "otlp_http".parse().expect("an id");
    let status = rig.running.watch(Role::Exporter, &id).expect("it is there").borrow().clone();
    let error = status.last_error.expect("something went wrong");
    (error.kind, error.message.to_string())
}
