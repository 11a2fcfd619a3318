//! The test kit does what it says, so that a test which uses it means what it says.

use std::process::Command;
use std::time::Duration;

use tracecore::emit::Verdict;
use tracecore::telemetry::{BuildInfo, Resource, SelfTelemetry};
use tracecore::testing::{
    ExportFailure, RecordingExporter, ScriptedReceiver, TelemetrySnapshot, TestService, metrics, pipeline,
};
use tracecore::time::Instant;

/// The outcome of a delivery is that of the emit, and no attempt waits at random.
const SETTINGS: &str = "sending_queue: {wait_for_result: true}\nretry_on_failure: {initial_interval: 1s, max_elapsed_time: 10s, randomization_factor: 0}";

/// What becomes of a batch of three, how many attempts it takes, and how long.
async fn deliver(mut exporter: RecordingExporter) -> (Verdict, usize, Duration) {
    let receiver = ScriptedReceiver::new();
    let service = TestService::start(&pipeline(&receiver, &exporter, SETTINGS)).await;
    let (before, began) = (service.snapshot(), Instant::now());
    let verdict = receiver.emit(metrics("three", 3)).await;
    let took = began.elapsed();
    let attempts = before.delta("tracecore_exporter_calls_total", &[]) as usize;
    for _ in 0..attempts {
        assert_eq!(exporter.called().await.items(), 3);
    }
    service.stop().await;
    assert_eq!(exporter.items(), if verdict.is_accepted() { 3 } else { 0 });
    (verdict, attempts, took)
}

#[tokio::test(start_paused = true)]
async fn an_exporter_fails_as_often_and_as_badly_as_it_is_told_to() {
    let (verdict, attempts, took) = deliver(RecordingExporter::new()).await;
    assert!(verdict.is_accepted());
    assert_eq!((attempts, took), (1, Duration::ZERO));

    let (verdict, attempts, _) = deliver(RecordingExporter::failing_times(2, ExportFailure::Away)).await;
    assert!(verdict.is_accepted());
    assert_eq!(attempts, 3);

    let (verdict, attempts, _) = deliver(RecordingExporter::failing(ExportFailure::Refused)).await;
    assert!(!verdict.is_accepted());
    assert_eq!(attempts, 1, "for good");

    let (verdict, attempts, _) = deliver(RecordingExporter::failing(ExportFailure::Away)).await;
    assert!(!verdict.is_accepted());
    assert!(attempts > 3, "for as long as the settings allow: {attempts}");

    let busy = ExportFailure::Busy { after: Duration::from_secs(7) };
    let (verdict, attempts, took) = deliver(RecordingExporter::failing_times(1, busy)).await;
    assert!(verdict.is_accepted());
    assert_eq!((attempts, took.as_secs()), (2, 7));
}

#[tokio::test(start_paused = true)]
async fn a_slow_exporter_takes_its_time_on_a_paused_clock() {
    let (verdict, attempts, took) = deliver(RecordingExporter::slow(Duration::from_secs(4))).await;
    assert!(verdict.is_accepted());
    assert_eq!((attempts, took.as_secs()), (1, 4));
}

fn telemetry() -> SelfTelemetry {
    let build = BuildInfo::new("a-test", "1.2.3", "");
    let resource = Resource::detect(&build);
    SelfTelemetry::new(build, resource).expect("self-telemetry")
}

#[test]
fn a_delta_is_what_came_since_the_snapshot() {
    let (telemetry, emissions) = (telemetry(), "tracecore_receiver_emissions_total");
    let clock = telemetry.receiver("clock", &[]);
    clock.emitted(2);
    let before = TelemetrySnapshot::take(&telemetry);
    clock.emitted(1);
    telemetry.receiver("late", &[]).emitted(3);
    let deltas = ["clock", "late"].map(|id| before.delta(emissions, &[("component_id", id)]));
    assert_eq!(deltas, [1.0, 3.0], "what was not there was zero");
    assert_eq!(before.delta(emissions, &[]), 4.0, "over all of them");
    assert_eq!(before.scrape(emissions, &[]), [2.0], "it stays as it was");
}

#[test]
#[should_panic(expected = "its series are:\n  tracecore_receiver_emissions_total{component_id=\"clock\"")]
fn a_sample_of_a_series_that_is_not_there_lists_those_of_its_family() {
    let telemetry = telemetry();
    telemetry.receiver("clock", &[]).emitted(1);
    TelemetrySnapshot::take(&telemetry).sample("tracecore_receiver_emissions_total", &[("component_id", "clokc")]);
}

#[test]
#[should_panic(expected = "\n  tracecore_build_info\n")]
fn a_sample_of_a_family_that_is_not_there_lists_the_families() {
    TelemetrySnapshot::take(&telemetry()).sample("tracecore_recevier_emissions_total", &[]);
}

#[test]
fn the_program_is_built_without_the_test_kit() {
    let enabled = |package: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--locked", "--offline", "--edges", "features,no-dev", "--invert", "tracecore"]);
        let tree = cargo.args(["--package", package]).output().expect("cargo can be run");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        String::from_utf8(tree.stdout).expect("text").contains("tracecore feature \"testing\"")
    };
    assert!(!enabled("tracecore-cli"));
    assert!(enabled("tracecore-tests"), "this is how it would look");
}
