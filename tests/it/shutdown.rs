//! The stop: its order, its deadlines, and what it counts as lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, advance};
use tracecore::component::Role;
use tracecore::emit::{Refusal, Verdict};
use tracecore::events::{BatchEvent, Event, Filter as EventFilter, Occurrence, Subscription};
use tracecore::signal::Batch;
use tracecore::status::State;
use tracecore::testing::{
    Answer, Command, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedProcessor as Filter,
    ScriptedReceiver as Source, Start, TestService as Rig, assert_event, build, event, events_enabled, metrics,
    needs_events, pipeline, scrape, wait_until, within_ceiling,
};

/// The default of `service.drain_timeout`.
const DRAIN: Duration = Duration::from_secs(5);
/// As close to a deadline as the clock of the timers can tell.
const MOMENT: Duration = Duration::from_millis(2);
/// What the stop may take beside the drain: a second for each `stop`, and the grace of an abort.
const REST: Duration = Duration::from_secs(3);

/// What was lost, in items, with the reason of each.
fn losses(events: &[Arc<Occurrence>]) -> Vec<(&'static str, u64)> {
    let lost = |occurrence: &Arc<Occurrence>| match occurrence.event {
        Event::Batch(BatchEvent::Dropped { items, reason }) => Some((reason, items)),
        _ => None,
    };
    events.iter().filter_map(lost).collect()
}

fn shutdown_losses(events: &[Arc<Occurrence>]) -> Vec<u64> {
    losses(events).into_iter().filter(|(reason, _)| *reason == "shutdown").map(|(_, items)| items).collect()
}

/// What was told until now.
fn heard(told: &mut Subscription) -> Vec<Arc<Occurrence>> {
    std::iter::from_fn(|| told.try_next()?.ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stop_delivers_what_is_queued() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {num_consumers: 1}")).await;
    for _ in 0..5 {
        assert!(source.emit(metrics("queued", 2)).await.is_accepted());
    }
    sink.called().await;
    sink.release(5);
    let events = rig.stop().await;
    assert_eq!(shutdown_losses(&events), [0; 0]);
    assert_eq!(sink.items(), 10);
}

#[tokio::test(start_paused = true)]
async fn leftovers_are_counted_with_their_number_and_the_stop_ends() {
    needs_events!();
    for consumers in [1, 2, 10] {
        let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
        let settings = format!("timeout: 1h\nsending_queue: {{num_consumers: {consumers}}}");
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        for items in [3, 4, 5] {
            assert!(source.emit(metrics("stuck", items)).await.is_accepted());
        }
        for _ in 0..consumers.min(3) {
            sink.called().await;
        }
        let began = Instant::now();
        let events = rig.stop().await;
        assert_eq!(shutdown_losses(&events), [12], "{consumers} consumers");
        assert_eq!(order(&events).last().map(String::as_str), Some("stopped"));
        assert!((DRAIN..DRAIN + REST).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn leftovers_stand_on_the_counter_before_the_telemetry_goes() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "timeout: 1h")).await;
    assert!(source.emit(metrics("stuck", 9)).await.is_accepted());
    sink.called().await;
    sink.hold_stop();
    let telemetry = rig.running.telemetry().clone();
    let mut stopping = std::pin::pin!(rig.running.stop());
    let labels = [("reason", "shutdown"), ("component_id", "test_sink")];
    let lost = || scrape(&telemetry, "tracecore_exporter_dropped_total", &labels) == [9.0];
    tokio::select! {
        biased;
        () = &mut stopping => panic!("the exporter holds the stop"),
        () = wait_until(lost) => {}
    }
    sink.let_stop();
    within_ceiling(stopping).await;
}

#[tokio::test(start_paused = true)]
async fn a_back_off_does_not_outlast_the_drain() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Fail(SinkError::Away)));
    let settings = "retry_on_failure: {initial_interval: 1h, max_interval: 1h}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    assert!(source.emit(metrics("waits an hour", 6)).await.is_accepted());
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "failure")], |calls| calls == 1.0).await;
    sink.answer(|_| Answer::Accept);
    let began = Instant::now();
    assert_eq!(shutdown_losses(&rig.stop().await), [0; 0]);
    assert!(began.elapsed() < DRAIN, "the stop is one more chance");
    assert_eq!(sink.items(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_drain_is_as_long_as_it_is_told_to_be() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let yaml = pipeline(&source, &sink, "timeout: 1h").replace("service:", "service:\n  drain_timeout: 30s");
    let rig = Rig::start(&yaml).await;
    assert!(source.emit(metrics("stuck", 1)).await.is_accepted());
    sink.called().await;
    let began = Instant::now();
    rig.stop().await;
    let limit = Duration::from_secs(30);
    assert!((limit..limit + REST).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_ignores_the_shutdown_is_aborted() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let (held, released) = oneshot::channel::<()>();
    source.tell(Command::Linger(held));
    assert!(source.emit(metrics("before", 1)).await.is_accepted());
    source.tell(Command::IgnoreShutdown);
    let began = Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < DRAIN + REST, "{:?}", began.elapsed());
    assert!(within_ceiling(released).await.is_err(), "its tasks went with it");
    assert_eq!(sink.items(), 1);
}

/// How the receiver stopped, by its event.
fn ended(events: &[Arc<Occurrence>]) -> bool {
    let gracefully = event!("service.stopped", component = "test_source", reason = "graceful");
    events.iter().any(|event| gracefully.accepts(event)) || !events_enabled()
}

/// Emits a batch, in `run` or in a task beside it.
fn send(source: &Source, beside: bool, batch: Batch) -> oneshot::Receiver<Verdict> {
    let (reply, verdict) = oneshot::channel();
    source.tell(if beside { Command::EmitBeside(batch, reply) } else { Command::Emit(batch, reply) });
    verdict
}

#[tokio::test(start_paused = true)]
async fn a_stop_refuses_at_once_who_waits_for_room_and_delivers_what_was_accepted() {
    needs_events!();
    for beside in [false, true] {
        let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
        let settings = "sending_queue: {queue_size: 1, num_consumers: 1, on_overflow: block}";
        let mut rig = Rig::start(&pipeline(&source, &sink, settings)).await;
        assert!(source.emit(metrics("accepted", 2)).await.is_accepted());
        sink.called().await;
        let waiting = send(&source, beside, metrics("waits for room", 3));
        assert_event!(rig, "resource.exhausted", resource = "queue");
        let began = Instant::now();
        let refused = async {
            let verdict = within_ceiling(waiting).await.expect("the receiver ends after its emits");
            assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
            sink.release(1);
        };
        let (events, ()) = tokio::join!(rig.stop(), refused);
        assert_eq!(began.elapsed(), Duration::ZERO, "nothing waits");
        assert!(ended(&events));
        assert_eq!((shutdown_losses(&events), sink.items()), (vec![], 2));
    }
}

/// Each holds a delivery up in another way.
const HELD_UP: [&str; 2] = [
    "retry_on_failure: {initial_interval: 1h, max_interval: 1h}",
    "circuit_breaker: {failure_threshold: 1, open_duration: 1h}\nretry_on_failure: {initial_interval: 1s}",
];

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_result_hears_it_as_soon_as_a_stop_lets_it_be_delivered() {
    for (held_up, beside) in HELD_UP.into_iter().zip([false, true]).chain(HELD_UP.into_iter().zip([true, false])) {
        let (source, sink) = (Source::new(), Sink::failing(SinkError::Away));
        let settings = format!("sending_queue: {{wait_for_result: true}}\n{held_up}");
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        let waiting = send(&source, beside, metrics("waits for its result", 3));
        rig.wait_metric("tracecore_exporter_calls_total", &[("result", "failure")], |calls| calls >= 1.0).await;
        sink.answer(|_| Answer::Accept);
        let began = Instant::now();
        let events = rig.stop().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{held_up}");
        assert_eq!(within_ceiling(waiting).await, Ok(Verdict::Accepted), "{held_up}");
        assert!(ended(&events), "{held_up}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_result_that_never_comes_hears_so_at_the_end_of_the_drain() {
    needs_events!();
    for beside in [false, true] {
        let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
        let settings = "timeout: 1h\nsending_queue: {wait_for_result: true}";
        let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
        let waiting = send(&source, beside, metrics("stuck", 3));
        sink.called().await;
        let began = Instant::now();
        let events = rig.stop().await;
        assert!((DRAIN..DRAIN + Duration::from_millis(100)).contains(&began.elapsed()), "{:?}", began.elapsed());
        let verdict = within_ceiling(waiting).await.expect("the receiver is not aborted");
        assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
        assert!(ended(&events));
        assert_eq!(shutdown_losses(&events), [3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_in_an_export_that_blocks_its_thread_is_counted() {
    needs_events!();
    let (source, mut sink) = (Source::new(), Sink::new());
    let (release, held) = std::sync::mpsc::channel::<()>();
    sink.answer(move |_| {
        let _never_sent = held.recv();
        Answer::Accept
    });
    let yaml = pipeline(&source, &sink, "sending_queue: {num_consumers: 1}")
        .replace("service:\n", "service:\n  drain_timeout: 100ms\n");
    let rig = Rig::start(&yaml).await;
    for items in [3, 4] {
        assert!(source.emit(metrics("blocked", items)).await.is_accepted());
    }
    sink.called().await;
    assert_eq!(shutdown_losses(&rig.stop().await), [7]);
    drop(release);
}

/// A batch that a receiver's task brings when it is told to.
struct Later {
    go: oneshot::Sender<()>,
    verdict: oneshot::Receiver<Verdict>,
}

impl Later {
    fn by(source: &Source, batch: Batch) -> Self {
        let ((go, when), (reply, verdict)) = (oneshot::channel(), oneshot::channel());
        source.tell(Command::EmitLater(when, batch, reply));
        Later { go, verdict }
    }

    async fn comes(self) -> Verdict {
        self.go.send(()).expect("the task waits");
        within_ceiling(self.verdict).await.expect("the task lives")
    }
}

#[tokio::test(start_paused = true)]
async fn for_half_of_the_drain_queues_take_what_a_receiver_still_brings_and_then_nothing_more() {
    needs_events!();
    for (on_overflow, lost) in [("refuse", vec![3]), ("drop", vec![4, 3]), ("block", vec![3])] {
        let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
        let settings = format!("timeout: 1h\nsending_queue: {{on_overflow: {on_overflow}}}");
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        let [early, late] = [1, 4].map(|items| Later::by(&source, metrics("brought", items)));
        assert!(source.emit(metrics("before", 2)).await.is_accepted());
        sink.called().await;
        let brings = async {
            advance(DRAIN / 2 - MOMENT).await;
            let early = early.comes().await;
            assert!(early.is_accepted(), "{on_overflow}: {early:?}");
            advance(2 * MOMENT).await;
            late.comes().await
        };
        let (events, late) = tokio::join!(rig.stop(), brings);
        match on_overflow {
            // Its policy is to go on without that exporter.
            "drop" => assert!(late.is_accepted(), "{late:?}"),
            _ => assert!(matches!(late, Verdict::Refused(Refusal::Retryable { .. })), "{on_overflow}: {late:?}"),
        }
        assert_eq!(shutdown_losses(&events), lost, "{on_overflow}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_an_exporter_that_was_given_up_is_lost_to_it_and_not_to_the_shutdown() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::answering(Answer::Panic));
    let yaml = pipeline(&source, &sink, "sending_queue: {on_overflow: drop}")
        .replace("service:\n", "service:\n  restart_budget: 1\n");
    let rig = Rig::start(&yaml).await;
    let mut told = rig.running.events().subscribe(EventFilter::all());
    assert!(source.emit(metrics("poison", 1)).await.is_accepted());
    rig.wait_status("test_sink", State::PermanentError).await;
    assert!(source.emit(metrics("after", 2)).await.is_accepted());
    let late = Later::by(&source, metrics("during the stop", 3));
    let (_, verdict) = tokio::join!(rig.stop(), late.comes());
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert_eq!(losses(&heard(&mut told)), [("panic", 1), ("stopped", 2), ("stopped", 3)]);
}

#[test]
fn an_export_that_ends_after_the_last_count_is_not_told_of_again() {
    needs_events!();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut told = runtime.block_on(async {
        let (source, mut sink) = (Source::new(), Sink::new());
        let (release, held) = std::sync::mpsc::channel::<()>();
        sink.answer(move |_| {
            let _never_sent = held.recv();
            Answer::Accept
        });
        let yaml = pipeline(&source, &sink, "sending_queue: {num_consumers: 1}")
            .replace("service:\n", "service:\n  drain_timeout: 100ms\n");
        let rig = Rig::start(&yaml).await;
        let told = rig.running.events().subscribe(EventFilter::all());
        assert!(source.emit(metrics("blocked", 3)).await.is_accepted());
        sink.called().await;
        rig.stop().await;
        drop(release);
        told
    });
    // It ends when its threads have: the export has then ended, and what follows it.
    drop(runtime);
    let told = heard(&mut told);
    assert_eq!(losses(&told), [("shutdown", 3)]);
    assert!(!told.iter().any(|event| event.name() == "export.succeeded"), "{told:?}");
}

/// The events of a stop that tell its order: who stopped, by role.
fn order(events: &[Arc<Occurrence>]) -> Vec<String> {
    let role = |occurrence: &Occurrence| match occurrence.meta.component.as_ref()?.component_type() {
        "test_source" => Some(Role::Receiver),
        "test_processor" => Some(Role::Processor),
        _ => Some(Role::Exporter),
    };
    let told = events.iter().filter_map(|occurrence| match (occurrence.name(), role(occurrence)) {
        ("service.stopping", None) => Some("stopping".to_owned()),
        ("service.ready", None) => Some("ready".to_owned()),
        ("service.stopped", None) => Some("stopped".to_owned()),
        ("service.started", Some(role)) => Some(format!("{role} started")),
        ("service.stopped", Some(role)) => Some(format!("{role} stopped")),
        ("export.succeeded", _) => Some("exported".to_owned()),
        _ => None,
    });
    told.collect()
}

/// Two of each role.
fn twice(sources: &[Source; 2], filters: &[Filter; 2], sinks: &[Sink; 2]) -> String {
    format!(
        "
receivers:
  test_source/one:
    key: {}
  test_source/two:
    key: {}
processors:
  test_processor/one:
    key: {}
  test_processor/two:
    key: {}
exporters:
  test_sink/one:
    key: {}
  test_sink/two:
    key: {}
service:
  pipelines:
    metrics:
      receivers: [test_source/one, test_source/two]
      processors: [test_processor/one, test_processor/two]
      exporters: [test_sink/one, test_sink/two]
",
        sources[0], sources[1], filters[0], filters[1], sinks[0], sinks[1]
    )
}

#[tokio::test(start_paused = true)]
async fn boot_event_sequence() {
    needs_events!();
    let filters = [(); 2].map(|()| Filter::new(|batch| Ok(Some(batch))));
    let mut rig = Rig::start(&twice(&[(); 2].map(|()| Source::new()), &filters, &[(); 2].map(|()| Sink::new()))).await;
    let mut events = Vec::new();
    while events.last().is_none_or(|last: &Arc<Occurrence>| last.name() != "service.ready") {
        events.push(rig.wait_for(EventFilter::all()).await);
    }
    let started = |role: Role| [format!("{role} started"), format!("{role} started")];
    let expected = [started(Role::Exporter), started(Role::Processor), started(Role::Receiver)]
        .concat()
        .into_iter()
        .chain(["ready".to_owned()]);
    assert_eq!(order(&events), expected.collect::<Vec<_>>());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_event_sequence() {
    needs_events!();
    let sources = [(); 2].map(|()| Source::new());
    let filters = [(); 2].map(|()| Filter::new(|batch| Ok(Some(batch))));
    let mut sinks = [(); 2].map(|()| Sink::answering(Answer::Stall));
    let mut rig = Rig::start(&twice(&sources, &filters, &sinks)).await;
    assert_event!(rig, "service.ready");
    assert!(sources[0].emit(metrics("queued", 1)).await.is_accepted());
    for sink in &mut sinks {
        sink.called().await;
        sink.release(1);
    }
    let told = order(&rig.stop().await);
    let stopped = |role: Role| vec![format!("{role} stopped"); 2];
    // What was under way may end at any moment before its exporter does.
    let without_exports: Vec<_> = told.iter().filter(|word| *word != "exported").cloned().collect();
    let expected = [
        vec!["stopping".to_owned()],
        stopped(Role::Receiver),
        stopped(Role::Processor),
        stopped(Role::Exporter),
        vec!["stopped".to_owned()],
    ];
    assert_eq!(without_exports, expected.concat());
    let last_export = told.iter().rposition(|word| word == "exported");
    assert!(last_export < told.iter().position(|word| word == "exporter stopped"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_start_is_honoured() {
    for slow in [Role::Receiver, Role::Processor, Role::Exporter] {
        let (source, sink) = (Source::new(), Sink::new());
        let filter = Filter::new(|batch| Ok(Some(batch)));
        match slow {
            Role::Receiver => source.on_start(Start::Hang),
            Role::Processor => filter.on_start(Start::Hang),
            Role::Exporter => sink.on_start(Start::Hang),
        }
        let yaml = pipeline(&source, &sink, "")
            .replace(
                "exporters:\n  test",
                &format!("processors:\n  test_processor:\n    key: {filter}\nexporters:\n  test"),
            )
            .replace("      exporters:", "      processors: [test_processor]\n      exporters:");
        let (service, mut events) = build(&yaml);
        let began = Instant::now();
        let hangs = async {
            match slow {
                Role::Receiver => source.start_begins().await,
                Role::Processor => filter.start_begins().await,
                Role::Exporter => sink.start_begins().await,
            }
        };
        within_ceiling(service.run(hangs)).await.expect("a stop is no failure");
        assert!(began.elapsed() < Duration::from_secs(1), "{slow}: {:?}", began.elapsed());
        if events_enabled() {
            assert_event!(events, "service.stopped", component = "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_came_before_the_start_starts_nothing() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::new());
    let (service, mut events) = build(&pipeline(&source, &sink, ""));
    within_ceiling(service.run(std::future::ready(()))).await.expect("a stop is no failure");
    let mut told = Vec::new();
    while told.last() != Some(&"service.stopped") {
        told.push(events.next().await.expect("it ends with the stop").name());
    }
    assert_eq!(told, ["service.stopping", "service.stopped"]);
}

/// The process ends on a second signal whatever the service does: dropping the stop is all that is asked of it.
#[tokio::test(start_paused = true)]
async fn a_stop_can_be_cut_short() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "timeout: 1h")).await;
    assert!(source.emit(metrics("stuck", 1)).await.is_accepted());
    sink.called().await;
    let began = Instant::now();
    let stopping = tokio::time::timeout(Duration::from_millis(100), rig.running.stop());
    assert!(stopping.await.is_err(), "the drain is still under way");
    assert_eq!(began.elapsed(), Duration::from_millis(100));
}

/// Descriptors belong to the process, and other tests of this one open and close them: the cycles have one to themselves.
#[cfg(target_os = "linux")]
#[test]
fn ten_cycles_leak_neither_a_task_nor_a_descriptor() {
    let this = std::env::current_exe().expect("a test has a file");
    let mut alone = std::process::Command::new(this);
    alone.args(["--ignored", "--exact", "shutdown::ten_cycles_alone", "--test-threads=1"]);
    let output = alone.output().expect("it runs once more");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "needs a process of its own: ten_cycles_leak_neither_a_task_nor_a_descriptor runs it"]
async fn ten_cycles_alone() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let cycle = async || {
        let (source, sink) = (Source::new(), Sink::new());
        let yaml = pipeline(&source, &sink, "") + "telemetry: {enabled: true, listen: 'localhost:0'}\n";
        let rig = Rig::start(&yaml).await;
        let (reply, verdict) = oneshot::channel();
        source.tell(Command::EmitBeside(metrics("one", 1), reply));
        assert!(within_ceiling(verdict).await.expect("the task lives").is_accepted());
        rig.stop().await;
    };
    cycle().await;
    let before = (tasks(), descriptors());
    for _ in 0..10 {
        cycle().await;
    }
    assert_eq!((tasks(), descriptors()), before);
}
