//! What goes wrong beside the calls of a component stays with that component too.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tracecore::component::Role;
use tracecore::emit::{Refusal, Verdict};
use tracecore::error::{ErrorKind, Retry};
use tracecore::events::{Event, ServiceEvent};
use tracecore::prelude::*;
use tracecore::status::State;
use tracecore::testing::{
    Answer, Background, ExportFailure, RecordingExporter, ScriptedProcessor, ScriptedReceiver, Start, TestService,
    metrics, name_of, needs_events, pipeline, within_ceiling,
};

/// A pipeline with a processor, and with more settings of the exporter.
fn through(
    receiver: &ScriptedReceiver,
    processor: &ScriptedProcessor,
    exporter: &RecordingExporter,
    settings: &str,
) -> String {
    let processors = format!("processors:\n  test_processor:\n    key: {processor}\nexporters:\n  test_sink");
    pipeline(receiver, exporter, settings)
        .replace("exporters:\n  test_sink", &processors)
        .replace("      exporters: [", "      processors: [test_processor]\n      exporters: [")
}

/// Fails with an error that cannot be told.
#[exporter("test_untellable", error = Untellable)]
struct Exporting;

/// An error of which the text panics, for as long as it is told to.
#[derive(Debug)]
struct Untellable;

static PANICS: AtomicBool = AtomicBool::new(true);

impl fmt::Display for Untellable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!PANICS.load(Ordering::Relaxed), "told to panic while it is told");
        f.write_str("told")
    }
}

impl std::error::Error for Untellable {}

impl Classify for Untellable {
    const KINDS: &'static [ErrorKind] = &[ErrorKind::Io];

    fn kind(&self) -> ErrorKind {
        ErrorKind::Io
    }

    fn retry(&self) -> Retry {
        Retry::Permanent
    }
}

impl Exporter for Exporting {
    fn new(_: NoConfig) -> Result<Self, Untellable> {
        Ok(Exporting)
    }

    async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), Untellable> {
        Err(Untellable)
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_told_costs_its_batch_and_no_consumer() {
    let receiver = ScriptedReceiver::new();
    let yaml = pipeline(&receiver, "none", "sending_queue: {num_consumers: 1}");
    let yaml = yaml.replace("    key: none\n", "").replace("test_sink", "test_untellable");
    let service = TestService::start(&yaml).await;
    assert!(receiver.emit(metrics("untellable", 1)).await.is_accepted());
    let dropped = "tracecore_exporter_dropped_total";
    service.wait_metric(dropped, &[("reason", "panic")], |items| items == 1.0).await;
    PANICS.store(false, Ordering::Relaxed);
    assert!(receiver.emit(metrics("tellable", 1)).await.is_accepted());
    service.wait_metric(dropped, &[("reason", "permanent")], |items| items == 1.0).await;
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_is_slow_to_stop_costs_the_queues_none_of_their_time() {
    let mut answers = [Answer::Fail(ExportFailure::Away)].into_iter();
    let slowly = move |_: &Batch| answers.next().unwrap_or(Answer::AcceptAfter(Duration::from_millis(200)));
    let (receiver, mut exporter) = (ScriptedReceiver::new(), RecordingExporter::scripted(slowly));
    let mut processor = ScriptedProcessor::new(|batch| Ok(Some(batch)));
    let yaml = through(&receiver, &processor, &exporter, "retry_on_failure: {initial_interval: 1h, max_interval: 1h}")
        .replace("service:\n", "service:\n  drain_timeout: 500ms\n");
    let service = TestService::start(&yaml).await;
    within_ceiling(processor.background_begins()).await;
    processor.tell(Background::IgnoreShutdown);
    assert!(receiver.emit(metrics("queued", 3)).await.is_accepted());
    exporter.called().await;
    // The drain ends the wait for the next attempt: it must have begun before its time is over.
    service.stop().await;
    assert_eq!(exporter.items(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_exporter_in_probe_that_panicked_waits_for_its_endpoint_and_burns_no_budget() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::answering(Answer::Panic));
    let yaml = pipeline(&receiver, &exporter, "on_start_error: probe")
        .replace("service:\n", "service:\n  restart_budget: 2\n");
    let service = TestService::start(&yaml).await;
    exporter.on_start(Start::Fail);
    assert!(receiver.emit(metrics("hapless", 1)).await.is_accepted());
    service.wait_status("test_sink", State::RecoverableError).await;
    for _ in 0..5 {
        within_ceiling(exporter.start_begins()).await;
    }
    exporter.answer(|_| Answer::Accept);
    exporter.on_start(Start::Ready);
    service.wait_healthy("test_sink").await;
    service.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    service.stop().await;
    assert_eq!(exporter.items(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_panic_of_a_processor_ends_a_life_and_it_is_well_with_the_next() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let processor = ScriptedProcessor::new(|_| panic!("told to panic"));
    let yaml = through(&receiver, &processor, &exporter, "");
    let service = TestService::start(&yaml).await;
    for _ in 0..3 {
        assert!(!receiver.emit(metrics("poison", 1)).await.is_accepted());
    }
    let labels = [("component_id", "test_processor"), ("reason", "crashed")];
    assert_eq!(service.sample("tracecore_component_stopped_total", &labels), 3.0);
    assert_eq!(service.sample("tracecore_component_starts_total", &labels[..1]), 4.0, "each panic makes one anew");
    service.wait_healthy("test_processor").await;
    service.stop().await;
}

/// A service whose processor panics on everything called `poison`, with these settings of it and of the service.
async fn with_a_processor(processor: &str, service: &str) -> (ScriptedReceiver, ScriptedProcessor, TestService) {
    let receiver = ScriptedReceiver::new();
    let scripted = ScriptedProcessor::new(|batch| {
        assert!(name_of(&batch) != "poison", "told to panic");
        Ok(Some(batch))
    });
    let yaml = through(&receiver, &scripted, &RecordingExporter::new(), "")
        .replace(&format!("    key: {scripted}"), &format!("    key: {scripted}\n    {processor}"))
        .replace("service:\n", &format!("service:\n  {service}\n"));
    (receiver, scripted, TestService::start(&yaml).await)
}

#[tokio::test(start_paused = true)]
async fn a_processor_without_an_instance_is_not_said_to_work() {
    let (receiver, mut processor, service) = with_a_processor("on_start_error: retry", "restart_budget: 0").await;
    within_ceiling(processor.background_begins()).await;
    within_ceiling(processor.start_begins()).await;
    processor.tell(Background::Fail);
    service.wait_status("test_processor", State::RecoverableError).await;
    processor.on_start(Start::Hang);
    assert!(!receiver.emit(metrics("poison", 1)).await.is_accepted());
    for _ in 0..3 {
        // At once, in the background, and after the start's time limit.
        within_ceiling(processor.start_begins()).await;
        let id = "test_processor".parse().expect("an id");
        let status = service.running.watch(Role::Processor, &id).expect("it runs").borrow().state;
        assert_eq!(status, State::RecoverableError);
    }
    processor.on_start(Start::Ready);
    service.wait_healthy("test_processor").await;
    assert!(receiver.emit(metrics("good", 1)).await.is_accepted());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_whose_background_is_given_up_is_still_replaced() {
    let (receiver, mut processor, service) = with_a_processor("on_start_error: retry", "restart_budget: 1").await;
    for _ in 0..2 {
        within_ceiling(processor.background_begins()).await;
        processor.tell(Background::Fail);
    }
    service.wait_status("test_processor", State::PermanentError).await;
    assert!(receiver.emit(metrics("good", 1)).await.is_accepted(), "only the background is given up");
    processor.on_start(Start::Fail);
    assert!(!receiver.emit(metrics("poison", 1)).await.is_accepted());
    for _ in 0..3 {
        // The first one of all, at once, and in the background.
        within_ceiling(processor.start_begins()).await;
    }
    processor.on_start(Start::Ready);
    let labels = [("component_id", "test_processor")];
    service.wait_metric("tracecore_component_starts_total", &labels, |starts| starts == 2.0).await;
    assert!(receiver.emit(metrics("good again", 1)).await.is_accepted());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_is_replaced_is_tried_as_its_on_start_error_says() {
    for policy in ["retry", "probe"] {
        let settings = format!("on_start_error: {policy}");
        let (receiver, processor, service) = with_a_processor(&settings, "restart_budget: 2").await;
        processor.on_start(Start::Fail);
        assert!(!receiver.emit(metrics("poison", 1)).await.is_accepted());
        for _ in 0..8 {
            within_ceiling(processor.start_begins()).await;
        }
        service.wait_status("test_processor", State::RecoverableError).await;
        processor.on_start(Start::Ready);
        service.wait_healthy("test_processor").await;
        assert!(receiver.emit(metrics("good", 1)).await.is_accepted(), "{policy}");
        service.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_cannot_be_replaced_is_given_up_within_its_budget() {
    let (receiver, processor, service) = with_a_processor("on_start_error: fail", "restart_budget: 2").await;
    processor.on_start(Start::Fail);
    assert!(!receiver.emit(metrics("poison", 1)).await.is_accepted());
    service.wait_status("test_processor", State::PermanentError).await;
    let verdict = receiver.emit(metrics("good", 1)).await;
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "nothing passes unprocessed: {verdict:?}");
    service.stop().await;
}

/// Fails its first two calls, and says of itself that it is not well from the second call on.
#[exporter("test_teller", error = Away)]
struct Teller {
    calls: AtomicU32,
}

/// The other side is away.
#[derive(Debug, thiserror::Error, Classify)]
#[error("the other side is away")]
#[kind(Connect)]
struct Away;

impl Exporter for Teller {
    fn new(_: NoConfig) -> Result<Self, Away> {
        Ok(Teller { calls: AtomicU32::new(0) })
    }

    async fn export(&self, _: &Batch, cx: &Cx<Self>) -> Result<(), Away> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call > 0 {
            cx.report_status(ComponentStatus::RecoverableError(&Away));
        }
        if call < 2 { Err(Away) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_component_reports_is_counted_once_whatever_else_is_wrong_with_it() {
    let receiver = ScriptedReceiver::new();
    let yaml = pipeline(&receiver, "none", "retry_on_failure: {initial_interval: 1s}");
    let yaml = yaml.replace("    key: none\n", "").replace("test_sink", "test_teller");
    let service = TestService::start(&yaml).await;
    assert!(receiver.emit(metrics("tried thrice", 1)).await.is_accepted());
    service.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    assert_eq!(service.sample("tracecore_exporter_errors_total", &[]), 1.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_a_status_are_told_in_their_order() {
    needs_events!();
    // Consumers that fail and succeed at the same time.
    let calls = AtomicU32::new(0);
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    exporter.answer(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Answer::Fail(ExportFailure::Away),
        _ => Answer::Accept,
    });
    let settings = "circuit_breaker: {enabled: false}
sending_queue: {on_overflow: block}
retry_on_failure: {initial_interval: 1ms, max_interval: 1ms}";
    let mut service = TestService::start(&pipeline(&receiver, &exporter, settings)).await;
    for _ in 0..3000 {
        assert!(receiver.emit(metrics("flickers", 1)).await.is_accepted());
    }
    let mut state = State::Starting;
    let mut events = Vec::new();
    while let Some(Ok(event)) = service.events.try_next() {
        events.push(event);
    }
    events.extend(service.stop().await);
    for event in events.iter().filter(|event| event.component() == "test_sink") {
        if let Event::Service(ServiceEvent::StatusChanged { from, to }) = event.event {
            assert_eq!(from, state, "then to {to}");
            state = to;
        }
    }
    assert_eq!(state, State::Stopped);
}
