//! The assertions on events, and the waits for states: each holds when it should, and says why when it does not.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::Duration;

use tokio::task::JoinSet;
use tracecore::config::ComponentId;
use tracecore::events::{BatchEvent, Draft, Events, Filter, PoolEvent, RetryEvent, ServiceEvent, Subscription};
use tracecore::status::State;
use tracecore::testing::{
    Command, ExportFailure, RecordingExporter, ScriptedReceiver, Start, TestService, assert_any, assert_event,
    assert_sequence, metrics, needs_events, pipeline, refute_event, wait_until,
};

thread_local! {
    static PANICKED_AT: Cell<u32> = const { Cell::new(0) };
}

/// What a test that fails on a paused clock says, and the line of this file from which.
fn failure(test: impl Future<Output = ()>) -> (String, u32) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panicked| {
            let place = panicked.location().filter(|place| place.file().ends_with("assertions.rs"));
            PANICKED_AT.set(place.map_or(0, std::panic::Location::line));
            before(panicked);
        }));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let panicked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test))).expect_err("it must fail");
    let message = panicked.downcast_ref::<String>().expect("a message with values").clone();
    (message, PANICKED_AT.get())
}

/// A bus and who listens to all of it.
fn bus() -> (Events, Subscription) {
    let events = Events::default();
    let heard = events.subscribe(Filter::all());
    (events, heard)
}

fn ready(events: &Events) {
    events.emit(|| Draft::new(ServiceEvent::Ready {}));
}

fn dropped(events: &Events, items: u64) {
    events.emit(|| Draft::new(BatchEvent::Dropped { items, reason: "queue_full" }));
}

fn exhausted(events: &Events, attempts: u64) {
    events.emit(|| Draft::new(RetryEvent::Exhausted { attempts }));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_waited_for_past_others_and_given() {
    let (events, mut heard) = bus();
    ready(&events);
    dropped(&events, 1);
    dropped(&events, 5);
    let event = assert_event!(heard, "batch.dropped", items = 5, reason = "queue_full");
    assert_eq!(event.to_string(), "batch.dropped items=5 reason=queue_full");
    assert!(heard.try_next().is_none(), "those before it are passed");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_before_the_block_does_not_count() {
    let (events, mut heard) = bus();
    ready(&events);
    dropped(&events, 1);
    let event = assert_event!(heard, "batch.dropped" => { dropped(&events, 2) });
    assert_eq!(event.to_string(), "batch.dropped items=2 reason=queue_full");
}

#[test]
fn an_event_of_before_the_block_does_not_help() {
    let (events, mut heard) = bus();
    let (message, _) = failure(async {
        ready(&events);
        dropped(&events, 3);
        assert_event!(heard, "batch.dropped" => { ready(&events) });
    });
    assert!(message.starts_with("expected `batch.dropped` within 60s; the events that came:\n"), "{message}");
}

#[test]
fn an_event_that_does_not_come_is_told_with_those_that_did() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        ready(&events);
        dropped(&events, 4);
        assert_event!(heard, "batch.dropped", items = 5);
    });
    assert_eq!(line, line!() - 2, "the place is the assertion");
    let expected = "expected `batch.dropped items=5` within 60s; the events that came:
  service.ready
  batch.dropped items=4 reason=queue_full";
    assert_eq!(message, expected);

    let (message, _) = failure(async {
        assert_event!(heard, "service.ready");
    });
    assert_eq!(message, "expected `service.ready` within 60s; no event came");
}

#[test]
fn of_many_events_the_last_hundred_are_shown() {
    let (events, mut heard) = bus();
    let (message, _) = failure(async {
        (0..1234).for_each(|items| dropped(&events, items));
        assert_event!(heard, "service.ready");
    });
    let head =
        "expected `service.ready` within 60s; 1134 events came, and then these 100:\n  batch.dropped items=1134 ";
    assert!(message.starts_with(head), "{message}");
    assert_eq!(message.lines().count(), 101);
    assert!(message.ends_with("items=1233 reason=queue_full"), "{message}");
}

#[test]
fn what_a_bounded_subscription_missed_is_told() {
    let events = Events::default();
    let mut heard = events.subscribe_bounded(Filter::all(), NonZeroUsize::new(2).expect("it is not zero"));
    let (message, _) = failure(async {
        (0..5).for_each(|items| dropped(&events, items));
        assert_event!(heard, "service.ready");
    });
    assert!(message.ends_with("and 3 were missed: the subscription is bounded"), "{message}");
}

#[test]
fn without_a_bus_an_event_is_not_waited_for() {
    let events = Events::switched_off();
    let mut heard = events.subscribe(Filter::all());
    let (message, _) = failure(async {
        ready(&events);
        assert_event!(heard, "service.ready");
    });
    assert!(
        message.contains("no more events can come: the service is gone, or its events are switched off"),
        "{message}"
    );
}

#[test]
#[should_panic(expected = "there is no event `batch.droped`: of this group there are batch.accepted")]
fn an_event_that_cannot_be_is_refused() {
    let _ = failure(async {
        assert_event!(bus().1, "service.ready");
    });
    let _ = tracecore::testing::event!("batch.droped");
}

#[tokio::test(start_paused = true)]
async fn the_first_of_several_events_says_which_it_is() {
    let (events, mut heard) = bus();
    ready(&events);
    exhausted(&events, 3);
    dropped(&events, 5);
    let (which, event) = assert_any!(heard, [("batch.dropped", items = 5), ("retry.exhausted", attempts = 3)]);
    assert_eq!((which, event.name()), (1, "retry.exhausted"));
    let (which, _) = assert_any!(heard, [("batch.dropped", items = 5), "retry.exhausted"]);
    assert_eq!(which, 0, "the next one is the next one's");
}

#[test]
fn of_several_events_all_are_told() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        ready(&events);
        assert_any!(heard, [("batch.dropped", items = 5), "retry.*"]);
    });
    assert_eq!(line, line!() - 2);
    assert!(message.starts_with("expected `batch.dropped items=5` or `retry.*` within 60s; the"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_sequence_may_have_gaps() {
    let (events, mut heard) = bus();
    ready(&events);
    dropped(&events, 1);
    exhausted(&events, 1);
    dropped(&events, 2);
    exhausted(&events, 2);
    let [first, last] = assert_sequence!(heard, ["service.ready", ("retry.exhausted", attempts = 2)]);
    assert_eq!([first.name(), last.name()], ["service.ready", "retry.exhausted"]);
}

#[test]
fn a_sequence_says_which_of_it_did_not_come() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        exhausted(&events, 1);
        ready(&events);
        assert_sequence!(heard, ["service.ready", ("retry.exhausted", attempts = 1)]);
    });
    assert_eq!(line, line!() - 2);
    let expected =
        "event 2 of 2 of the sequence: expected `retry.exhausted attempts=1` within 60s; the events that came:
  retry.exhausted attempts=1
  service.ready";
    assert_eq!(message, expected, "in another order they are another sequence");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_refuted_for_as_long_as_the_clock_is_told_to_go_on() {
    let (events, mut heard) = bus();
    let began = tokio::time::Instant::now();
    ready(&events);
    refute_event!(heard, "batch.dropped", items = 5; for Duration::from_secs(3600));
    assert_eq!(began.elapsed(), Duration::from_secs(3600));
}

/// A task that drops five items after a minute.
fn drops_after_a_minute(events: &Events) -> JoinSet<()> {
    let (events, mut tasks) = (events.clone(), JoinSet::new());
    tasks.spawn(async move {
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(Duration::from_secs(60), never).await;
        dropped(&events, 5);
    });
    tasks
}

#[test]
fn an_event_within_the_time_is_not_refuted() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        let _later = drops_after_a_minute(&events);
        refute_event!(heard, "batch.dropped"; for Duration::from_secs(59));
        refute_event!(heard, "batch.dropped"; for Duration::from_secs(1));
        refute_event!(heard, "batch.dropped"; for Duration::from_secs(1));
    });
    assert!((line!() - 3..line!() - 1).contains(&line), "{line}");
    assert!(message.starts_with("`batch.dropped` must not come, and there was `batch.dropped items=5"), "{message}");
}

#[test]
fn nothing_is_refuted_by_not_waiting() {
    let (message, _) = failure(async {
        refute_event!(bus().1, "batch.dropped"; for Duration::ZERO);
    });
    assert!(message.contains("waits for nothing"), "{message}");

    let (message, _) = failure(async {
        tokio::time::resume();
        refute_event!(bus().1, "batch.dropped"; for Duration::from_secs(1));
    });
    assert!(message.contains("needs a paused clock"), "{message}");

    let (message, _) = failure(async {
        let events = Events::switched_off();
        let mut heard = events.subscribe(Filter::all());
        refute_event!(heard, "batch.dropped"; for Duration::from_secs(1));
    });
    assert!(message.contains("no more events can come"), "{message}");

    let (message, _) = failure(async {
        let (events, mut heard) = bus();
        ready(&events);
        refute_event!(heard, "batch.dropped"; until "service.stopped");
    });
    assert!(message.contains("until `service.stopped`: that did not come within 60s"), "{message}");

    let (message, _) = failure(async {
        let events = Events::default();
        let mut heard = events.subscribe_bounded(Filter::all(), NonZeroUsize::new(1).expect("it is not zero"));
        dropped(&events, 1);
        ready(&events);
        refute_event!(heard, "batch.dropped"; until "service.ready");
    });
    assert!(message.contains("it may be among 1 events that were missed"), "{message}");
}

#[test]
fn what_follows_from_a_block_is_not_refuted() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        let mut tasks = JoinSet::new();
        dropped(&events, 1);
        refute_event!(heard, "batch.dropped" => { ready(&events) });
        refute_event!(heard, "batch.dropped" => {
            let events = events.clone();
            tasks.spawn(async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                dropped(&events, 2);
            });
        });
    });
    assert_eq!(line, line!() - 10);
    assert!(message.contains("there was `batch.dropped items=2"), "{message}");
}

#[tokio::test]
async fn an_event_is_refuted_until_another_on_any_clock() {
    let (events, mut heard) = bus();
    dropped(&events, 1);
    ready(&events);
    dropped(&events, 2);
    refute_event!(heard, "batch.dropped", items = 2; until "service.ready");
}

#[test]
fn an_event_before_the_end_is_not_refuted() {
    let (events, mut heard) = bus();
    let (message, line) = failure(async {
        dropped(&events, 2);
        exhausted(&events, 1);
        refute_event!(heard, "batch.dropped"; until ("retry.exhausted", attempts = 1));
    });
    assert_eq!(line, line!() - 2);
    assert!(message.starts_with("`batch.dropped` must not come, and there was `batch.dropped items=2"), "{message}");
}

const EXACT: &str = "retry_on_failure: {initial_interval: 1s, randomization_factor: 0}";

#[tokio::test(start_paused = true)]
async fn a_status_is_waited_for_with_and_without_events() {
    let receiver = ScriptedReceiver::new();
    let exporter = RecordingExporter::failing_times(1, ExportFailure::Away);
    let service = TestService::start(&pipeline(&receiver, &exporter, EXACT)).await;
    service.wait_healthy("test_source").await;
    assert!(receiver.emit(metrics("one", 1)).await.is_accepted());
    let status = service.wait_status("test_sink", State::RecoverableError).await;
    assert_eq!(&*status.last_error.expect("there is one").message, "the other side is away");
    assert_eq!(service.wait_improved("test_sink").await.state, State::Ok);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_restart_is_told_once() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    receiver.tell(Command::Panic);
    receiver.tell(Command::Fail);
    assert!(receiver.emit(metrics("after both", 1)).await.is_accepted());
    service.wait_restart("test_source").await;
    assert_eq!(service.wait_restart("test_source").await.restarts, 2);
    service.stop().await;
}

#[test]
fn a_state_that_does_not_come_is_told_with_the_one_that_is() {
    let service = async || {
        let yaml = pipeline(ScriptedReceiver::new(), RecordingExporter::new(), "");
        TestService::start(&yaml).await
    };
    let here = |line: u32| format!("tests/it/assertions.rs:{line}:");
    let (message, _) = failure(async {
        let service = service().await;
        service.wait_status("test_sink", State::PermanentError).await;
    });
    assert!(message.starts_with(&here(line!() - 2)), "{message}");
    assert!(message.contains("`test_sink` is not permanent_error within 60s: Status { state: Ok"), "{message}");

    let (message, _) = failure(async { drop(service().await.wait_restart("test_source").await) });
    assert!(message.contains("`test_source` was not restarted more than 0 times"), "{message}");
    let (message, _) = failure(async {
        let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
        let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
        receiver.tell(Command::Fail);
        service.wait_restart("test_source").await;
        service.wait_restart("test_source").await;
    });
    assert!(message.contains("`test_source` was not restarted more than 1 times"), "{message}");
    let (message, _) = failure(async { drop(service().await.wait_improved("test_source").await) });
    assert!(message.contains("`test_source` is no better than ok"), "{message}");
    let (message, _) = failure(async { drop(service().await.wait_healthy("clokc").await) });
    assert!(message.contains("there is no component `clokc`"), "{message}");
    let (message, _) = failure(async {
        let labels = [("component_id", "test_source")];
        service().await.wait_metric("tracecore_receiver_emissions_total", &labels, |value| value > 0.0).await;
    });
    let labels = r#"tracecore_receiver_emissions_total[("component_id", "test_source")] is 0 after 60s"#;
    assert!(message.starts_with(&here(line!() - 3)) && message.ends_with(labels), "{message}");
    let (message, _) = failure(async { wait_until(|| false).await });
    assert!(message.starts_with(&here(line!() - 1)), "{message}");

    let (message, _) = failure(async {
        let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
        receiver.on_start(Start::Fail);
        let yaml =
            pipeline(&receiver, &exporter, "").replace("    key: source", "    on_start_error: retry\n    key: source");
        TestService::try_start(&yaml).await.expect("it is tried again").wait_ready().await;
    });
    assert!(message.ends_with("the service is not ready within 60s: metrics is recoverable_error"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_metric_is_waited_for_with_and_without_events() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let sent = receiver.send(metrics("three", 3));
    let labels = [("result", "success")];
    let calls = service.wait_metric("tracecore_exporter_calls_total", &labels, |calls| calls >= 1.0).await;
    assert_eq!(calls, 1.0);
    assert!(sent.await.expect("the receiver lives").is_accepted());
    // Of this nothing tells: it grows with time.
    receiver.tell(Command::Degraded(true));
    let family = "tracecore_receiver_degraded_seconds_total";
    let degraded = service.wait_metric(family, &[], |seconds| seconds >= 7.0).await;
    assert!((7.0..8.0).contains(&degraded), "{degraded}");
    service.stop().await;
}

#[tokio::test]
async fn a_cleanup_is_waited_for_and_says_of_how_much() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    assert_eq!(service.wait_cleanup("thread").await, 0, "there was none");
    let (hold, held) = std::sync::mpsc::channel();
    receiver.tell(Command::Block(held));
    let resources = service.running.resources().clone();
    wait_until(|| resources.held("thread") == 1).await;
    drop(hold);
    assert_eq!(service.wait_cleanup("thread").await, 1);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_ready_when_it_has_a_connection() {
    needs_events!();
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let (events, id) = (service.running.events().clone(), "test_sink".parse::<ComponentId>().expect("an id"));
    let health = |active, idle| events.emit(|| Draft::of(&id, PoolEvent::Health { active, idle }));
    health(0, 0);
    health(0, 1);
    service.wait_pool_ready("test_sink").await;
    service.stop().await;
}
