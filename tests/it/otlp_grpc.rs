//! The `otlp_grpc` exporter in a running service, against a server that answers as each test wants.

use std::time::Duration;

use tracecore::emit::{Refusal, Verdict};
use tracecore::otlp::grpc::Code;
use tracecore::otlp::response::PartialSuccess;
use tracecore::signal::Batch;
use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig, logs, metrics, spans};
use tracecore_tests::{GrpcAnswer, GrpcServer, busy};

const DROPPED: &str = "tracecore_exporter_dropped_total";
const CALLS: &str = "tracecore_exporter_calls_total";

/// One attempt after the other at once, and a receiver that hears how it ended.
const AT_ONCE: &str = "sending_queue: {wait_for_result: true}
retry_on_failure: {initial_interval: 1ms, max_interval: 1ms, max_elapsed_time: 60s}
circuit_breaker: {enabled: false}";

/// All three signals of a source, sent to `endpoint` by an exporter with further settings, a line each.
fn yaml(source: &Source, endpoint: impl std::fmt::Display, settings: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("\n    {line}")).collect();
    let pipeline = |signal| format!("\n    {signal}: {{receivers: [test_source], exporters: [otlp_grpc]}}");
    let pipelines: String = ["traces", "metrics", "logs"].map(pipeline).concat();
    format!(
        "receivers:\n  test_source: {{key: {source}}}\nexporters:\n  otlp_grpc:\n    endpoint: {endpoint}{settings}\nservice:\n  pipelines:{pipelines}\n"
    )
}

/// A service that sends to `server` in plaintext.
async fn sending(server: &GrpcServer, settings: &str) -> (Rig, Source) {
    let source = Source::new();
    let settings = format!("tls: {{insecure: true}}\n{AT_ONCE}\n{settings}");
    (Rig::start(&yaml(&source, server.address(), &settings)).await, source)
}

fn accepted(verdict: &Verdict) {
    assert!(verdict.is_accepted(), "{verdict:?}");
}

#[tokio::test]
async fn each_signal_arrives_byte_by_byte() {
    for compression in ["gzip", "zstd", "none", "''"] {
        let mut server = GrpcServer::start().await;
        let (rig, source) = sending(&server, &format!("compression: {compression}")).await;
        for batch in [spans("a", 3), metrics("b", 2000), logs("c", 1)] {
            accepted(&source.emit(batch.clone()).await);
            let call = server.call().await;
            assert_eq!((call.batch.signal(), call.batch.parts()), (batch.signal(), batch.parts()), "{compression}");
            let encoding = call.headers.get("grpc-encoding").map(|value| value.to_str().unwrap());
            assert_eq!(encoding, [compression].into_iter().find(|name| name.len() == 4 && *name != "none"));
            assert_eq!(call.size < batch.size(), encoding.is_some() && batch.items() > 100, "{compression}");
            assert_eq!(call.connection, 0, "one connection carries all");
            assert_eq!(call.authority, server.address().to_string());
            for (name, value) in [
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("user-agent", "tracecore/1.2.3"),
                ("grpc-timeout", "5000000u"),
            ] {
                assert_eq!(call.headers[name], value);
            }
        }
        rig.stop().await;
    }
}
