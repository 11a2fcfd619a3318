//! The scenes of the specification: what happens is told, whole, in order and once, and what breaks comes back.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tracecore::component::Role;
use tracecore::emit::{Refusal, Verdict};
use tracecore::events::{Event, Filter, Gap, Occurrence, ResourceEvent};
use tracecore::runtime::Service;
use tracecore::status::State;
use tracecore::testing::{
    Command, ExportFailure, ProcessFailure, RecordingExporter, ScriptedProcessor, ScriptedReceiver, TestService,
    assert_event, assert_sequence, config, event, metrics, needs_events, pipeline, refute_event, registry, wait_until,
    within_ceiling,
};
use tracecore::time::Instant;

/// Waits of 1, 2, 4 seconds, and no more after five.
const EXACT: &str =
    "retry_on_failure: {initial_interval: 1s, multiplier: 2, randomization_factor: 0, max_elapsed_time: 5s}";

#[tokio::test(start_paused = true)]
async fn restart_event_then_recovery() {
    needs_events!();
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    assert_event!(service, "service.ready");
    receiver.tell(Command::Panic);
    let [.., restarted, _, started] = assert_sequence!(
        service,
        [
            ("service.status_changed", component = "test_source", from = "ok", to = "recoverable_error"),
            ("service.restarted", component = "test_source", kind = "panic", restart_count = 1),
            ("service.status_changed", component = "test_source", from = "recoverable_error", to = "ok"),
            ("service.started", component = "test_source", role = "receiver"),
        ]
    );
    assert!(restarted.meta.time <= started.meta.time);
    assert_eq!(service.running.state(), State::Ok);
    assert_eq!(receiver.emit(metrics("recovered", 3)).await, Verdict::Accepted);
    assert_event!(service, "export.succeeded", items = 3);
    refute_event!(service, "service.restarted"; for Duration::from_secs(3600));
    service.stop().await;
}

/// The YAML of [`pipeline`], with an exporter that listens on this port beside the recording one.
fn listening(receiver: &ScriptedReceiver, exporter: &RecordingExporter, port: u16) -> String {
    pipeline(receiver, exporter, "")
        .replace("exporters:\n", &format!("exporters:\n  prometheus:\n    endpoint: 127.0.0.1:{port}\n"))
        .replace("exporters: [", "exporters: [prometheus, ")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is one");
    listener.local_addr().expect("it has an address").port()
}

/// Of each resource, how many were taken, and given back.
fn balance(told: &[Arc<Occurrence>]) -> BTreeMap<&'static str, (u64, u64)> {
    let mut balance = BTreeMap::<_, (u64, u64)>::new();
    for occurrence in told {
        match occurrence.event {
            Event::Resource(ResourceEvent::Acquired { resource }) => balance.entry(resource).or_default().0 += 1,
            Event::Resource(ResourceEvent::Released { resource }) => balance.entry(resource).or_default().1 += 1,
            _ => {}
        }
    }
    balance
}

// A thread of its own, to which a paused clock would not wait.
#[tokio::test]
async fn nothing_is_held_after_the_stop() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let port = free_port();
    let service = TestService::start(&listening(&receiver, &exporter, port)).await;
    let resources = service.running.resources().clone();
    assert_eq!(resources.held("listener"), 1);
    let (hold, held) = std::sync::mpsc::channel();
    receiver.tell(Command::Block(held));
    wait_until(|| resources.held("thread") == 1).await;
    drop(hold);
    assert_eq!(service.wait_cleanup("thread").await, 1);
    let (lingers, lingered) = oneshot::channel::<()>();
    receiver.tell(Command::Linger(lingers));
    assert!(receiver.emit(metrics("one", 1)).await.is_accepted());

    let told = service.stop().await;
    assert_eq!(["listener", "thread"].map(|resource| resources.held(resource)), [0, 0]);
    assert_eq!(["listener", "thread"].map(|resource| resources.acquired(resource)), [1, 1]);
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
    assert!(within_ceiling(lingered).await.is_err(), "the task is gone");

    needs_events!();
    assert_eq!(balance(&told), BTreeMap::from([("listener", (1, 1)), ("thread", (1, 1))]));
    let tasks = |name| told.iter().filter(|occurrence| occurrence.name() == name).count();
    assert_eq!(tasks("task.started"), 2, "the thread's, and the one that lingered");
    assert_eq!(tasks("task.started"), tasks("task.completed") + tasks("task.failed"));
}

#[tokio::test(start_paused = true)]
async fn event_filter() {
    needs_events!();
    let receiver = ScriptedReceiver::new();
    let exporter = RecordingExporter::failing_times(1, ExportFailure::Away);
    let service = TestService::start(&pipeline(&receiver, &exporter, EXACT)).await;
    let bus = service.running.events();
    let names = |patterns: &[&str]| {
        Filter::any_of(patterns.iter().map(|pattern| pattern.parse().expect("there are such events")))
    };
    let mut one = bus.subscribe(event!("export.started", attempt = 2));
    let mut group = bus.subscribe(names(&["export.*"]));
    let mut several = bus.subscribe(names(&["retry.*", "batch.accepted"]).with("component", "test_sink"));
    let mut other = bus.subscribe(event!("export.*", component = "another"));
    assert!(receiver.emit(metrics("three", 3)).await.is_accepted());
    service.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    service.stop().await;

    let mut heard = Vec::new();
    for subscription in [&mut one, &mut group, &mut several] {
        let mut names = Vec::new();
        while let Ok(occurrence) = subscription.next().await {
            names.push(occurrence.name());
        }
        heard.push(names);
    }
    assert_eq!(heard[0], ["export.started"]);
    assert_eq!(heard[1], ["export.started", "export.failed", "export.started", "export.succeeded"]);
    assert_eq!(heard[2], ["retry.backoff"], "another component accepted");
    assert_eq!(other.try_next(), Some(Err(Gap::Closed)));
}

#[tokio::test(start_paused = true)]
async fn event_meta_complete() {
    needs_events!();
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::slow(Duration::from_secs(4)));
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let ready = assert_event!(service, "service.ready");
    assert_eq!((ready.component(), ready.meta.correlation), ("", None), "it is the collector's, and of no batch");
    assert!(receiver.emit(metrics("one", 1)).await.is_accepted());
    let [accepted, succeeded] = assert_sequence!(service, ["batch.accepted", "export.succeeded"]);

    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let after = |occurrence: &Occurrence| occurrence.meta.time.duration_since(start).expect("it is later").as_secs();
    assert_eq!([after(&accepted), after(&succeeded)], [0, 4], "when, by the collector's wall clock");
    for occurrence in [&ready, &accepted, &succeeded] {
        assert_eq!(&*occurrence.meta.node, "node-7", "where");
        assert_eq!(occurrence.meta.process_id, std::process::id());
    }
    assert_eq!([accepted.component(), succeeded.component()], ["test_source", "test_sink"], "of whom");
    let took = succeeded.meta.duration_us().expect("a call takes its time");
    assert!((4_000_000..4_010_000).contains(&took), "{took} µs");
    assert!(accepted.meta.duration_us().is_some() && ready.meta.duration_us().is_some());
    let id = succeeded.meta.correlation.expect("it is about a batch");
    assert_eq!(accepted.meta.correlation, Some(id), "of which batch");
    let expected =
        format!("export.succeeded component=test_sink items=1 attempt=1 duration_us={took} correlation_id={id}");
    assert_eq!(succeeded.to_string(), expected);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_correlation_id_follows_a_batch_to_all_its_ends() {
    needs_events!();
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::failing(ExportFailure::Away));
    let processor = ScriptedProcessor::new(|_| Err(ProcessFailure::ForGood));
    let yaml = pipeline(&receiver, &exporter, EXACT).replace(
        "exporters:\n  test",
        &format!("processors:\n  test_processor:\n    key: {processor}\nexporters:\n  test"),
    ) + "    metrics/refusing:\n      receivers: [test_source]\n      processors: [test_processor]\n      exporters: [test_sink]\n";
    let mut service = TestService::start(&yaml).await;
    let verdict = receiver.emit(metrics("three", 3)).await;
    assert_eq!(verdict, Verdict::Refused(Refusal::Permanent), "by one pipeline; the other takes it");
    let told = assert_sequence!(
        service,
        [
            ("batch.dropped", component = "test_processor", items = 3, reason = "error"),
            ("batch.refused", component = "test_source", items = 3, retryable = false),
            ("export.started", component = "test_sink", attempt = 1),
            ("export.failed", kind = "connect", attempt = 1),
            ("retry.backoff", attempt = 1, delay_us = 1_000_000, strategy = "exponential"),
            ("export.started", attempt = 2),
            ("retry.backoff", attempt = 2, delay_us = 2_000_000),
            ("export.started", attempt = 3),
            ("export.failed", attempt = 3),
            "retry.exhausted",
            ("batch.dropped", component = "test_sink", items = 3, reason = "retry_exhausted"),
        ]
    );
    let ids: Vec<_> = told.iter().map(|occurrence| occurrence.meta.correlation).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");

    receiver.emit(metrics("another", 1)).await;
    let another = assert_event!(service, "batch.refused", items = 1);
    assert!(another.meta.correlation.is_some() && another.meta.correlation != ids[0], "each batch has its own");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_finds_no_room_is_told_with_its_id() {
    needs_events!();
    let receiver = ScriptedReceiver::new();
    let exporter = RecordingExporter::answering(tracecore::testing::Answer::Stall);
    let settings = "sending_queue: {queue_size: 1, on_overflow: drop}";
    let mut service = TestService::start(&pipeline(&receiver, &exporter, settings)).await;
    assert!(receiver.emit(metrics("fills it", 1)).await.is_accepted());
    assert!(receiver.emit(metrics("too many", 5)).await.is_accepted());
    let [exhausted, dropped, accepted] = assert_sequence!(
        service,
        [
            ("resource.exhausted", component = "test_sink", resource = "queue"),
            ("batch.dropped", items = 5, reason = "queue_full"),
            ("batch.accepted", items = 5),
        ]
    );
    let ids = [exhausted, dropped, accepted].map(|occurrence| occurrence.meta.correlation);
    assert!(ids[0].is_some() && ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    exporter.release(1);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_learns_how_many_it_missed_and_slows_nobody() {
    const KEPT: usize = 3;
    const BATCHES: usize = 100;
    needs_events!();
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let settings = "sending_queue: {wait_for_result: true}";
    let service = TestService::start(&pipeline(&receiver, &exporter, settings)).await;
    let bus = service.running.events().clone();
    let batches = Filter::named("batch.*").expect("there are such events");
    let mut slow = bus.subscribe_bounded(batches.clone(), NonZeroUsize::new(KEPT).expect("it is not zero"));
    let mut quick = bus.subscribe(batches);
    let began = Instant::now();
    for _ in 0..BATCHES {
        assert!(receiver.emit(metrics("one", 1)).await.is_accepted());
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited for who does not read");
    service.wait_metric("tracecore_pipeline_items_total", &[("direction", "out")], |items| items == 100.0).await;

    let mut all = Vec::new();
    while let Some(Ok(occurrence)) = quick.try_next() {
        all.push(occurrence);
    }
    assert_eq!(all.len(), BATCHES, "who must miss nothing misses nothing");
    assert_eq!(slow.next().await, Err(Gap::Missed((BATCHES - KEPT) as u64)), "first of all");
    let mut latest = Vec::new();
    while let Some(Ok(occurrence)) = slow.try_next() {
        latest.push(occurrence);
    }
    assert_eq!(latest, all[BATCHES - KEPT..], "the latest are kept, in their order");
    assert_eq!(bus.lagged(), (BATCHES - KEPT) as u64);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn telemetry_off_still_delivers() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::failing_times(1, ExportFailure::Away));
    let yaml = pipeline(&receiver, &exporter, &format!("{EXACT}\nsending_queue: {{wait_for_result: true}}"));
    let service = Service::builder().events_enabled(false).build(config(&yaml), &registry()).expect("it is valid");
    let mut told = service.events().subscribe(Filter::all());
    let mut running = service.start().await.expect("it starts");
    within_ceiling(running.ready()).await;
    assert_eq!(receiver.emit(metrics("tried twice", 3)).await, Verdict::Accepted);
    receiver.tell(Command::Panic);
    assert_eq!(receiver.emit(metrics("after a restart", 4)).await, Verdict::Accepted);
    let source = running.watch(Role::Receiver, &"test_source".parse().expect("an id")).expect("it is there");
    assert_eq!((source.borrow().state, source.borrow().restarts), (State::Ok, 1));
    running.stop().await;
    assert_eq!(exporter.items(), 7);
    assert_eq!(told.try_next(), Some(Err(Gap::Closed)), "and nobody was told");
}
