//! A backend that is away for an hour, in every way in which a network can say so, or say nothing.
//!
//! The queue grows to its cap and refuses the rest, each attempt ends in time, the breaker opens, and when the backend is
//! back all that was accepted is delivered: nothing is lost, and nothing is started anew. Time is virtual and connections
//! are of memory; a test waits for the attempts to connect.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracecore::emit::{Refusal, Verdict};
use tracecore::events::{Event, ExportEvent};
use tracecore::status::State;
use tracecore::testing::{
    ScriptedReceiver as Source, TestService as Rig, events_enabled, metrics, name_of, wait_until,
};
use tracecore_tests::{Path, Wire};

/// How long the backend is away.
const OUTAGE: Duration = Duration::from_secs(3600);
/// How many batches the queue holds: far fewer than are emitted meanwhile.
const CAP: usize = 50;
/// How many deliveries are under way at once.
const CONSUMERS: usize = 2;
/// The default of `timeout`, of one attempt.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The default of `circuit_breaker.open_duration`.
const OPEN: Duration = Duration::from_secs(5);

fn yaml(source: &Source, wire: &Wire) -> String {
    format!(
        "
receivers:
  test_source: {{key: {source}}}
exporters:
  test_dialer:
    key: {wire}
    sending_queue: {{num_consumers: {CONSUMERS}, queue_size: {CAP}}}
    retry_on_failure: {{max_interval: 5s, max_elapsed_time: 0s}}
service:
  pipelines:
    metrics: {{receivers: [test_source], exporters: [test_dialer]}}
"
    )
}

/// What the backend has taken, each once.
fn delivered(wire: &Wire) -> BTreeSet<String> {
    wire.taken().iter().map(name_of).collect()
}

/// The names of the batches from one number to another.
fn numbered(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| number.to_string())
}

#[expect(clippy::cognitive_complexity, reason = "one story, told from its beginning to its end")]
async fn survives(path: Path) {
    let (source, mut wire) = (Source::new(), Wire::new());
    let rig = Rig::start(&yaml(&source, &wire)).await;
    assert!(source.emit(metrics("before", 1)).await.is_accepted());
    wait_until(|| delivered(&wire).contains("before")).await;
    assert_eq!((wire.dialled().await, wire.connections()), (Path::Open, 1));

    wire.turn(path);
    let (began, mut accepted) = (Instant::now(), BTreeSet::from(["before".to_owned()]));
    let (mut attempts, mut refused) = (0_u32, 0);
    for name in numbered(0..usize::MAX) {
        match source.emit(metrics(&name, 1)).await {
            Verdict::Accepted => drop(accepted.insert(name)),
            Verdict::Refused(Refusal::Retryable { .. }) => refused += 1,
            Verdict::Refused(Refusal::Permanent) => panic!("{path:?}: nothing is refused for good"),
        }
        assert_eq!(wire.dialled().await, path, "each attempt is another connection");
        attempts += 1;
        assert!(wire.connections() <= CONSUMERS, "{path:?}: what does not answer is let go");
        if began.elapsed() > OUTAGE {
            break;
        }
    }
    assert_eq!(accepted.len(), 1 + CAP, "{path:?}: the queue grows to its cap");
    assert!(refused > 100, "{path:?}: and what comes after is to come again: {refused}");
    assert_eq!(rig.sample("tracecore_queue_depth_ratio", &[]), 1.0, "{path:?}");
    assert!(attempts < OUTAGE.div_duration_f64(OPEN) as u32 + 20, "{path:?}: the breaker is open: {attempts} attempts");
    let opened = rig.sample("tracecore_breaker_transitions_total", &[("to", "open")]);
    assert!(opened > 100.0, "{path:?}: it opens again after each trial: {opened}");
    assert_eq!(rig.sample("tracecore_health_checks_failed_total", &[("component_id", "test_dialer")]), opened - 1.0);

    wire.turn(Path::Open);
    let healed = Instant::now();
    wait_until(|| delivered(&wire) == accepted).await;
    let took = healed.elapsed();
    assert!(took <= TIMEOUT + OPEN + OPEN, "{path:?}: an attempt, an open breaker and a back-off: {took:?}");
    rig.wait_status("test_dialer", State::Ok).await;
    rig.wait_metric("tracecore_queue_depth_ratio", &[], |ratio| ratio == 0.0).await;
    let taken = wire.taken().len();
    assert!(
        taken == accepted.len() || path == Path::ResetInAnswer,
        "{path:?}: once each, unless it was taken before: {taken}"
    );
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[("component_id", "test_dialer")]), 0.0, "{path:?}");
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("component_id", "test_dialer")]), 0.0, "{path:?}");

    let told = rig.stop().await;
    let failed = told.iter().filter(|told| matches!(told.event, Event::Export(ExportEvent::Failed { .. })));
    let longest = failed.filter_map(|told| told.meta.duration).max();
    assert!(longest <= Some(TIMEOUT), "{path:?}: {longest:?}");
    assert_eq!(longest.is_some(), events_enabled());
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_connections_that_are_refused_loses_nothing() {
    survives(Path::Refused).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_connections_that_nobody_answers_loses_nothing() {
    survives(Path::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_an_answer_to_any_request_loses_nothing() {
    survives(Path::Silent).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_connections_that_are_half_open_loses_nothing() {
    survives(Path::HalfOpen).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_resets_in_the_middle_of_the_request_loses_nothing() {
    survives(Path::ResetInRequest).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_resets_in_the_middle_of_the_answer_loses_nothing() {
    survives(Path::ResetInAnswer).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_an_address_for_the_name_loses_nothing() {
    survives(Path::Unresolved).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_back_is_not_used_again() {
    let (source, mut wire) = (Source::new(), Wire::new());
    let rig = Rig::start(&yaml(&source, &wire)).await;
    assert!(source.emit(metrics("before", 1)).await.is_accepted());
    wait_until(|| delivered(&wire).contains("before")).await;
    assert_eq!(wire.dialled().await, Path::Open);

    wire.turn(Path::HalfOpen);
    let sent = Instant::now();
    assert!(source.emit(metrics("into nothing", 1)).await.is_accepted());
    rig.wait_status("test_dialer", State::RecoverableError).await;
    assert_eq!((sent.elapsed(), wire.connections()), (TIMEOUT, 0), "one attempt, and its connection is closed");
    wire.turn(Path::Open);
    assert_eq!(wire.dialled().await, Path::Open, "the next attempt has a connection of its own");
    wait_until(|| delivered(&wire).contains("into nothing")).await;
    assert_eq!((wire.taken().len(), wire.connections()), (2, 1));
    rig.stop().await;
}
