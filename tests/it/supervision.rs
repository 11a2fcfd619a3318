//! Panics, errors and restarts: what one component does wrong costs its neighbours nothing.

use std::time::Duration;

use tokio::sync::oneshot;
use tracecore::emit::{Refusal, Verdict};
use tracecore::error::ErrorKind;
use tracecore::status::Status;
use tracecore::testing::{
    Answer, Background, Command, ProcessFailure as FilterError, RecordingExporter as Sink, ScriptedProcessor as Filter,
    ScriptedReceiver as Source, Start, TestService as Rig, metrics, name_of, pipeline, within_ceiling,
};

const SOURCE: &str = "test_source";
const CALLS: &str = "tracecore_exporter_calls_total";

const POISON: &str = "poison";

/// Two pipelines that share nothing but the service.
fn side_by_side(one: (&Source, &Sink), two: (&Source, &Sink)) -> String {
    let ((source_one, sink_one), (source_two, sink_two)) = (one, two);
    format!(
        "
receivers:
  test_source/one:
    key: {source_one}
  test_source/two:
    key: {source_two}
exporters:
  test_sink/one:
    key: {sink_one}
  test_sink/two:
    key: {sink_two}
service:
  pipelines:
    metrics/one:
      receivers: [test_source/one]
      exporters: [test_sink/one]
    metrics/two:
      receivers: [test_source/two]
      exporters: [test_sink/two]
"
    )
}

/// A pipeline with a processor.
fn through(source: &Source, filter: &Filter, sink: &Sink) -> String {
    let processors = format!("processors:\n  test_processor:\n    key: {filter}\nexporters:");
    pipeline(source, sink, "")
        .replace("exporters:\n  test_sink", &format!("{processors}\n  test_sink"))
        .replace("      exporters: [", "      processors: [test_processor]\n      exporters: [")
}

/// Of what went wrong last.
fn kind(status: &Status) -> ErrorKind {
    status.last_error.as_ref().expect("something went wrong").kind
}

fn poisonous(batch: &tracecore::signal::Batch) -> bool {
    name_of(batch) == POISON
}

#[tokio::test(start_paused = true)]
async fn a_panicking_receiver_is_restarted_once_and_the_other_pipelines_flow() {
    let (one, two) = (Source::new(), Source::new());
    let (sink_one, sink_two) = (Sink::new(), Sink::new());
    let mut rig = Rig::start(&side_by_side((&one, &sink_one), (&two, &sink_two))).await;

    one.tell(Command::Panic);
    assert!(two.emit(metrics("meanwhile", 1)).await.is_accepted());
    let status = rig.wait_restart("test_source/one").await;
    assert_eq!((status.restarts, kind(&status)), (1, ErrorKind::Panic));
    assert!(one.emit(metrics("again", 1)).await.is_accepted());
    assert!(two.emit(metrics("still", 1)).await.is_accepted());

    let restarts = |id| rig.sample("tracecore_component_restarts_total", &[("component_id", id)]);
    assert_eq!([restarts("test_source/one"), restarts("test_source/two")], [1.0, 0.0]);
    assert_eq!(rig.sample("tracecore_component_restart_count_per_hour", &[]), 1.0);
    let panics = [("kind", "panic"), ("component_id", "test_source/one")];
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &panics), 1.0);
    rig.stop().await;
    assert_eq!([sink_one.items(), sink_two.items()], [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn restarts_leave_the_hour() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&pipeline(&source, &sink, "")).await;
    source.tell(Command::Fail);
    rig.wait_restart(SOURCE).await;
    source.tell(Command::End);
    assert_eq!(kind(&rig.wait_restart(SOURCE).await), ErrorKind::Init);
    assert_eq!(rig.sample("tracecore_component_restart_count_per_hour", &[]), 2.0);
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(rig.sample("tracecore_component_restart_count_per_hour", &[]), 0.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "receiver")]), 2.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_keeps_panicking_waits_longer_each_time() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let before = tokio::time::Instant::now();
        source.tell(Command::Panic);
        rig.wait_restart(SOURCE).await;
        waits.push(before.elapsed());
    }
    assert!(waits[0] <= Duration::from_millis(300), "{waits:?}");
    assert!(waits[3] >= Duration::from_millis(1600), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(36)), "{waits:?}");

    // A minute of health is forgiven.
    tokio::time::advance(Duration::from_secs(61)).await;
    let before = tokio::time::Instant::now();
    source.tell(Command::Panic);
    rig.wait_restart(SOURCE).await;
    assert!(before.elapsed() <= Duration::from_millis(300));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poison_batch_costs_a_processor_exactly_one() {
    let (source, sink) = (Source::new(), Sink::new());
    let filter = Filter::new(|batch| {
        assert!(!poisonous(&batch), "told to panic");
        Ok(Some(batch))
    });
    let rig = Rig::start(&through(&source, &filter, &sink)).await;
    let verdict = source.emit(metrics(POISON, 7)).await;
    assert_eq!(verdict, Verdict::Refused(Refusal::Permanent), "no client must send it again");
    for good in 0..100 {
        assert_eq!(source.emit(metrics("good", 1)).await, Verdict::Accepted, "batch {good}");
    }
    assert_eq!(rig.sample("tracecore_processor_dropped_total", &[("reason", "panic")]), 7.0);
    assert_eq!(rig.sample("tracecore_processor_errors_total", &[("kind", "panic")]), 1.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "processor")]), 1.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "receiver")]), 0.0);
    rig.stop().await;
    assert_eq!(sink.items(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_poison_batch_costs_an_exporter_exactly_one() {
    let (source, sink) = (Source::new(), Sink::new());
    sink.answer(|batch| if poisonous(batch) { Answer::Panic } else { Answer::Accept });
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {num_consumers: 1}")).await;
    assert!(source.emit(metrics(POISON, 7)).await.is_accepted());
    for _ in 0..100 {
        assert!(source.emit(metrics("good", 1)).await.is_accepted());
    }
    rig.wait_metric("tracecore_exporter_dropped_total", &[("reason", "panic")], |items| items == 7.0).await;
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 100.0).await;
    let panics = rig.sample(CALLS, &[("kind", "panic")]);
    assert_eq!(panics, 2.0, "it is tried once more");
    rig.stop().await;
    assert_eq!(sink.taken().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_one_moment_loses_no_batch() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut first = true;
    sink.answer(move |_| if std::mem::take(&mut first) { Answer::Panic } else { Answer::Accept });
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    assert!(source.emit(metrics("hapless", 3)).await.is_accepted());
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 1.0).await;
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 0.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "exporter")]), 1.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn consumers_that_one_panic_hits_together_make_one_replacement() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::StallThenPanic));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {num_consumers: 4}")).await;
    for _ in 0..4 {
        assert!(source.emit(metrics("hapless", 1)).await.is_accepted());
        sink.called().await;
    }
    sink.answer(|_| Answer::Accept);
    sink.release(4);
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 4.0).await;
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "exporter")]), 1.0);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_refuses_for_now_or_for_good_as_its_error_says() {
    let (source, sink) = (Source::new(), Sink::new());
    let filter = Filter::new(|batch| match name_of(&batch).as_str() {
        "for now" => Err(FilterError::ForNow),
        "for good" => Err(FilterError::ForGood),
        _ => Ok(Some(batch)),
    });
    let rig = Rig::start(&through(&source, &filter, &sink)).await;
    let for_now = source.emit(metrics("for now", 2)).await;
    assert!(matches!(for_now, Verdict::Refused(Refusal::Retryable { .. })), "{for_now:?}");
    assert_eq!(source.emit(metrics("for good", 3)).await, Verdict::Refused(Refusal::Permanent));
    let errors = |kind| rig.sample("tracecore_processor_errors_total", &[("kind", kind)]);
    assert_eq!([errors("read"), errors("parse"), errors("panic")], [1.0, 1.0, 0.0]);
    assert_eq!(rig.sample("tracecore_processor_dropped_total", &[("reason", "error")]), 3.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_background_that_panics_runs_again() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut filter = Filter::new(|batch| Ok(Some(batch)));
    let mut rig = Rig::start(&through(&source, &filter, &sink)).await;
    filter.background_begins().await;
    filter.tell(Background::Panic);
    assert_eq!(kind(&rig.wait_restart("test_processor").await), ErrorKind::Panic);
    filter.background_begins().await;
    filter.tell(Background::Fail);
    assert_eq!(kind(&rig.wait_restart("test_processor").await), ErrorKind::Read);
    filter.background_begins().await;
    assert!(source.emit(metrics("all the while", 1)).await.is_accepted());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_boots_degraded_counts_from_its_first_scrape() {
    let (source, sink) = (Source::new(), Sink::new());
    source.on_start(Start::Degraded);
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let degraded = |rig: &Rig| rig.sample("tracecore_receiver_degraded_seconds_total", &[]);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(degraded(&rig), 3.0);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(degraded(&rig), 7.0);

    source.tell(Command::Degraded(false));
    assert!(source.emit(metrics("well again", 1)).await.is_accepted());
    let so_far = degraded(&rig);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(degraded(&rig), so_far);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_is_degraded_between_two_lives() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let before = tokio::time::Instant::now();
    source.tell(Command::Panic);
    rig.wait_restart(SOURCE).await;
    assert!(source.emit(metrics("again", 1)).await.is_accepted());
    let away = before.elapsed().as_secs_f64();
    tokio::time::advance(Duration::from_secs(9)).await;
    let counted = rig.sample("tracecore_receiver_degraded_seconds_total", &[]);
    assert!((counted - away).abs() < 0.01, "{counted} s counted of {away} s");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_life_does_not_outlive_itself_in_its_tasks() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let (held, released) = oneshot::channel::<()>();
    source.tell(Command::Linger(held));
    source.tell(Command::Panic);
    rig.wait_restart(SOURCE).await;
    // The next life spawns its own tasks: those of the last one are gone.
    assert!(within_ceiling(released).await.is_err(), "the sender was dropped with its task");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_task_is_a_panic_of_its_component() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&pipeline(&source, &sink, "")).await;
    source.tell(Command::PanicBeside);
    rig.wait_restart(SOURCE).await;
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("role", "receiver")]), 1.0);
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "panic")]), 1.0);
    assert!(source.emit(metrics("after", 1)).await.is_accepted());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn panic_isolated() {
    let (source, sink) = (Source::new(), Sink::new());
    source.on_start(Start::Panic);
    let yaml = pipeline(&source, &sink, "").replace("    key: source", "    on_start_error: retry\n    key: source");
    let mut rig = Rig::try_start(&yaml).await.expect("a panic in start is a failed start");
    rig.wait_metric("tracecore_receiver_errors_total", &[("kind", "panic")], |errors| errors >= 1.0).await;
    source.on_start(Start::Ready);
    rig.wait_ready().await;
    assert!(source.emit(metrics("at last", 1)).await.is_accepted());
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[]), 0.0, "what never ran was not restarted");
    rig.stop().await;
}
