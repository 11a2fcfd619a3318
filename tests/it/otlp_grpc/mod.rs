//! The `otlp_grpc` exporter in a running service, against a server that answers as each test wants.

mod connections;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tracecore::emit::{Refusal, Verdict};
use tracecore::otlp::grpc::Code;
use tracecore::otlp::response::PartialSuccess;
use tracecore::signal::Batch;
use tracecore::testing::{Command, ScriptedReceiver as Source, TestService as Rig, logs, metrics, name_of, spans};
use tracecore_tests::{GrpcAnswer, GrpcServer, busy, by_number};

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

/// Emits a batch while others are under way.
fn beside(source: &Source, batch: Batch) -> oneshot::Receiver<Verdict> {
    let (reply, verdict) = oneshot::channel();
    source.tell(Command::EmitBeside(batch, reply));
    verdict
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

/// What a service does with a batch that a server answers in this way, and in how many calls.
async fn delivered(answers: impl FnMut(usize) -> GrpcAnswer + Send + 'static) -> (Rig, Verdict, usize) {
    let mut server = GrpcServer::answering(by_number(answers)).await;
    let (rig, source) = sending(&server, "").await;
    let verdict = source.emit(metrics("one", 4)).await;
    let calls = server.more().len();
    (rig, verdict, calls)
}

#[tokio::test]
async fn a_batch_goes_again_when_otlp_says_so_and_only_then() {
    let again =
        [Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::OutOfRange, Code::Unavailable, Code::DataLoss];
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        for late in [false, true] {
            let (rig, verdict, calls) = delivered(move |call| match (call, late) {
                (1, false) => busy(code, None),
                (1, true) => GrpcAnswer::FailsLate(code),
                _ => GrpcAnswer::Ok,
            })
            .await;
            if again.contains(&code) {
                accepted(&verdict);
                assert_eq!((calls, rig.sample(DROPPED, &[])), (2, 0.0), "{code}");
            } else {
                assert_eq!(verdict, Verdict::Refused(Refusal::Permanent), "{code}");
                assert_eq!((calls, rig.sample(DROPPED, &[("reason", "permanent")])), (1, 4.0), "{code}");
            }
            rig.stop().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_exhausted_is_asked_again_after_the_time_it_says() {
    let wait = Duration::from_millis(200);
    let began = tracecore::time::Instant::now();
    let (rig, verdict, calls) = delivered(move |call| match call {
        1 => busy(Code::ResourceExhausted, Some(wait)),
        _ => GrpcAnswer::Ok,
    })
    .await;
    accepted(&verdict);
    assert_eq!(calls, 2);
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    rig.stop().await;
}

#[tokio::test]
async fn what_is_taken_in_part_is_delivered_and_the_rest_counted() {
    let partial = PartialSuccess { rejected: 3, message: "too old".to_owned() };
    let (rig, verdict, calls) = delivered(move |_| GrpcAnswer::Partial(partial.clone())).await;
    accepted(&verdict);
    assert_eq!((calls, rig.sample(DROPPED, &[("reason", "rejected")])), (1, 3.0));
    assert_eq!(rig.sample(CALLS, &[("result", "success")]), 1.0);
    rig.stop().await;
}

#[tokio::test]
async fn what_answers_and_is_not_grpc_is_told_apart() {
    let cases = [
        (GrpcAnswer::Unsaid, false),
        (GrpcAnswer::Http(http::StatusCode::BAD_REQUEST), false),
        (GrpcAnswer::Http(http::StatusCode::NOT_FOUND), false),
        (GrpcAnswer::Http(http::StatusCode::TOO_MANY_REQUESTS), true),
        (GrpcAnswer::Http(http::StatusCode::BAD_GATEWAY), true),
        (GrpcAnswer::Http(http::StatusCode::SERVICE_UNAVAILABLE), true),
        (GrpcAnswer::Http(http::StatusCode::GATEWAY_TIMEOUT), true),
        (GrpcAnswer::Http(http::StatusCode::INTERNAL_SERVER_ERROR), false),
        (GrpcAnswer::Http(http::StatusCode::FOUND), false),
    ];
    for (answer, again) in cases {
        let told = format!("{answer:?}");
        let (rig, verdict, calls) =
            delivered(move |call| if call == 1 { answer.clone() } else { GrpcAnswer::Ok }).await;
        assert_eq!((verdict.is_accepted(), calls), (again, if again { 2 } else { 1 }), "{told}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_waited_for_it() {
    let mut server = GrpcServer::start().await;
    let address = server.address();
    let (rig, source) = sending(&server, "").await;
    accepted(&source.emit(metrics("before", 1)).await);
    server.call().await;
    drop(server);
    let waiting = source.send(metrics("while it is away", 1));
    rig.wait_metric(CALLS, &[("result", "failure")], |calls| calls >= 2.0).await;
    let mut server = GrpcServer::again(address).await;
    accepted(&waiting.await.unwrap());
    assert_eq!(name_of(&server.call().await.batch), "while it is away");
    rig.stop().await;
}

#[tokio::test]
async fn calls_go_side_by_side_over_one_connection() {
    let mut server = GrpcServer::answering(|_| GrpcAnswer::Never).await;
    let (rig, source) = sending(&server, "").await;
    let waiting: Vec<_> = (0..8).map(|number| beside(&source, metrics(&number.to_string(), 1))).collect();
    let mut names = BTreeSet::new();
    for _ in &waiting {
        let call = server.call().await;
        assert_eq!(call.connection, 0);
        names.insert(name_of(&call.batch));
    }
    assert_eq!(names.len(), 8, "none of them waits for another: {names:?}");
    drop((rig, server, waiting));
}

#[tokio::test]
async fn the_configured_headers_and_authority_are_sent() {
    let mut server = GrpcServer::start().await;
    let settings = "headers: {Authorization: Bearer hunter2, user-agent: mine}\nauthority: tenant.example";
    let (rig, source) = sending(&server, settings).await;
    accepted(&source.emit(metrics("one", 1)).await);
    let call = server.call().await;
    assert_eq!(
        (&call.headers["authorization"], &call.headers["user-agent"]),
        (&"Bearer hunter2".parse().unwrap(), &"mine".parse().unwrap())
    );
    assert_eq!(call.authority, "tenant.example");
    rig.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_the_place() {
    let source = Source::new();
    let cases = [
        ("''", "", "endpoint: must not be empty"),
        ("gateway", "", "endpoint: must be host:port"),
        ("unix:///run/x.sock", "", "endpoint: only host:port, dns:///host:port"),
        ("a:1", "compression: snappy", "compression"),
        ("a:1", "auth: {authenticator: x}", "auth: is not there yet"),
        ("a:1", "headers: {te: hunter2}", "headers: `te` is set by tracecore"),
        ("a:1", "authority: a b", "authority: is no name of a host"),
        ("a:1", "tls: {cert_file: x}", "`key_file` (or `key_pem`) is missing"),
        ("a:1", "tls: {ca_file: x, ca_pem: y}", "`ca_file` and `ca_pem` are the same thing"),
        ("a:1", "tls: {ca_pem: hunter2}", "tls.ca_pem: there is no PEM block of a certificate in it"),
        ("a:1", "tls: {min_version: '1.1'}", "tls.min_version"),
        ("a:1", "tls: {min_version: '1.3', max_version: '1.2'}", "`min_version` is newer than `max_version`"),
        ("a:1", "tls: {server_name_override: 'a b'}", "tls.server_name_override: `a b`"),
    ];
    for (endpoint, settings, message) in cases {
        let error = tracecore::testing::build_error(&yaml(&source, endpoint, settings)).to_string();
        assert!(error.contains(message) && !error.contains("hunter2"), "{settings}: {error}");
    }
}
