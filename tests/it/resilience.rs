//! Exporters whose backend is away: the circuit breaker, what goes through it and when, and who does not notice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tracecore::emit::{Refusal, Verdict};
use tracecore::events::{BatchEvent, Event, Occurrence};
use tracecore::signal::Batch;
use tracecore::testing::{
    Answer, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    assert_sequence, event, events_enabled, metrics, needs_events, pipeline, wait_until,
};

/// The default of `service.drain_timeout`.
const DRAIN: Duration = Duration::from_secs(5);

/// One consumer, a retry each second for ever, and a breaker that opens after three failures for half a minute.
const EXACT: &str = "\
sending_queue: {num_consumers: 1}
retry_on_failure: {initial_interval: 1s, max_interval: 1s, randomization_factor: 0, max_elapsed_time: 0s}
circuit_breaker: {failure_threshold: 3, open_duration: 30s}";

/// [`EXACT`] with other settings in the place of some.
fn exact(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(EXACT.to_owned(), |settings, (from, to)| {
        assert!(settings.contains(from), "{from} is none of {settings}");
        settings.replace(from, to)
    })
}

/// Emits batches of 1, 2, 3 … items.
async fn emit(source: &Source, batches: usize) {
    for items in 1..=batches {
        assert_eq!(source.emit(metrics("batch", items)).await, Verdict::Accepted);
    }
}

/// After how many seconds each of the next attempts begins.
async fn calls(sink: &mut Sink, attempts: usize) -> Vec<u64> {
    let began = Instant::now();
    let mut seconds = Vec::new();
    for _ in 0..attempts {
        sink.called().await;
        seconds.push(began.elapsed().as_secs());
    }
    seconds
}

fn taken(sink: &Sink) -> Vec<u64> {
    sink.taken().iter().map(Batch::items).collect()
}

/// Answers the first attempts with these, and takes everything after.
fn answers(first: impl IntoIterator<Item = Answer, IntoIter: Send + 'static>) -> Sink {
    let mut first = first.into_iter();
    Sink::scripted(move |_| first.next().unwrap_or(Answer::Accept))
}

/// Where the breaker stands, as its gauge shows it.
fn state(rig: &Rig) -> &'static str {
    let gauge = rig.sample("tracecore_breaker_state", &[("component_id", "test_sink")]);
    ["closed", "open", "half_open"][gauge as usize]
}

fn transitions(rig: &Rig, to: &str) -> f64 {
    rig.sample("tracecore_breaker_transitions_total", &[("component_id", "test_sink"), ("to", to)])
}

fn lost(events: &[Arc<Occurrence>]) -> Vec<(u64, &'static str)> {
    let dropped = |occurrence: &Arc<Occurrence>| match occurrence.event {
        Event::Batch(BatchEvent::Dropped { items, reason }) => Some((items, reason)),
        _ => None,
    };
    events.iter().filter_map(dropped).collect()
}

#[tokio::test(start_paused = true)]
async fn breaker_opens_after_3() {
    needs_events!();
    let (source, mut sink) = (Source::new(), Sink::failing_times(3, SinkError::Away));
    let mut rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    emit(&source, 3).await;
    assert_eq!(calls(&mut sink, 2).await, [0, 1]);
    assert_eq!(state(&rig), "closed");
    assert_eq!(calls(&mut sink, 1).await, [1]);
    let opened = rig.wait_for(event!("breaker.state_changed", from = "closed", to = "open")).await;
    assert_eq!(opened.component(), "test_sink");
    assert_eq!(state(&rig), "open");
    let waits = rig.wait_for(event!("breaker.rejected", retry_in_us = 29_000_000)).await;
    assert_eq!(waits.meta.correlation, opened.meta.correlation, "one batch failed, and waits");

    assert_eq!(calls(&mut sink, 3).await, [29, 29, 29], "not one call while it is open");
    let half_open = rig.wait_for(event!("breaker.state_changed", from = "open", to = "half_open")).await;
    assert_eq!(half_open.meta.duration, Some(Duration::from_secs(30)));
    rig.wait_for(event!("breaker.health_check", passed = true)).await;
    rig.wait_for(event!("breaker.state_changed", from = "half_open", to = "closed")).await;
    rig.wait_for(event!("export.succeeded", items = 3)).await;
    assert_eq!((state(&rig), taken(&sink)), ("closed", vec![1, 2, 3]), "all of them, in order");
    assert_eq!(lost(&rig.stop().await), []);
}

#[tokio::test(start_paused = true)]
async fn retry_exhausted_then_breaker_opens() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::failing_times(3, SinkError::Away));
    let settings = exact(&[("max_elapsed_time: 0s", "max_elapsed_time: 1s")]);
    let mut rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 2).await;
    assert_sequence!(
        rig,
        [
            ("export.failed", attempt = 1, kind = "connect", retryable = true),
            ("retry.backoff", attempt = 1, delay_us = 1_000_000, strategy = "exponential"),
            ("export.started", items = 1, attempt = 2),
            ("export.failed", attempt = 2),
            ("retry.exhausted", attempts = 2),
            ("batch.dropped", items = 1, reason = "retry_exhausted"),
            ("export.started", items = 2, attempt = 1),
            ("export.failed", attempt = 1),
            ("breaker.state_changed", from = "closed", to = "open"),
            ("breaker.rejected",),
            ("breaker.state_changed", from = "open", to = "half_open"),
            ("export.started", items = 2, attempt = 2),
            ("export.succeeded", items = 2, attempt = 2),
            ("breaker.state_changed", from = "half_open", to = "closed"),
        ]
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_fails_opens_the_breaker_again_and_is_counted() {
    needs_events!();
    let (source, mut sink) = (Source::new(), Sink::failing_times(4, SinkError::Away));
    let mut rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    let before = rig.snapshot();
    emit(&source, 1).await;
    assert_eq!(calls(&mut sink, 5).await, [0, 1, 2, 32, 62]);
    assert_sequence!(
        rig,
        [
            ("breaker.health_check", passed = false),
            ("breaker.state_changed", from = "half_open", to = "open"),
            ("breaker.health_check", passed = true),
            ("breaker.state_changed", from = "half_open", to = "closed"),
        ]
    );
    let went = ["open", "half_open", "closed"].map(|to| transitions(&rig, to));
    assert_eq!((went, state(&rig)), ([2.0, 2.0, 1.0], "closed"));
    let of_the_sink = |family: &str| before.delta(family, &[("component_id", "test_sink")]);
    assert_eq!(of_the_sink("tracecore_health_checks_failed_total"), 1.0);
    assert_eq!(of_the_sink("tracecore_exporter_retries_total"), 4.0);
    assert_eq!(of_the_sink("tracecore_exporter_export_duration_seconds"), 5.0, "each attempt, failed or not");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_one_blip_cuts_off_together_do_not_open_the_breaker() {
    // All ten are under way when the time limit of three seconds is over.
    let (source, mut sink) = (Source::new(), answers(std::iter::repeat_n(Answer::Stall, 10)));
    let settings = exact(&[("num_consumers: 1", "num_consumers: 10"), ("_threshold: 3", "_threshold: 2")]);
    let rig = Rig::start(&pipeline(&source, &sink, &format!("{settings}\ntimeout: 3s"))).await;
    emit(&source, 10).await;
    assert_eq!(calls(&mut sink, 20).await, [[0; 10], [4; 10]].concat(), "the first retries go through");
    wait_until(|| sink.items() == 55).await;
    assert_eq!(transitions(&rig, "open"), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_back_is_met_by_one_consumer_and_then_by_all() {
    let (source, mut sink) = (Source::new(), answers(std::iter::repeat_n(Answer::Stall, 20)));
    let settings = exact(&[("num_consumers: 1", "num_consumers: 10"), ("_threshold: 3", "_threshold: 2")]);
    let rig = Rig::start(&pipeline(&source, &sink, &format!("{settings}\ntimeout: 3s"))).await;
    emit(&source, 10).await;
    assert_eq!(calls(&mut sink, 20).await, [[0; 10], [4; 10]].concat());
    sink.answer(|_| Answer::AcceptAfter(Duration::from_secs(2)));
    // The second time limit is over at 7; half a minute later there is one trial, and all others when it has succeeded.
    assert_eq!(calls(&mut sink, 10).await, [vec![33], vec![35; 9]].concat());
    assert_eq!(lost(&rig.stop().await), []);
    assert_eq!(sink.items(), 55);
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_backend_asks_for_is_granted_up_to_a_bound() {
    needs_events!();
    const HOURS: u64 = 3600;
    for (asked, max_elapsed_time, granted) in
        [(30, "40s", 30), (40, "40s", 40), (10 * HOURS, "40s", 40), (50, "0s", 50), (10 * HOURS, "0s", HOURS)]
    {
        let busy = SinkError::Busy { after: Duration::from_secs(asked) };
        let (source, mut sink) = (Source::new(), Sink::failing_times(1, busy));
        let settings = exact(&[("max_elapsed_time: 0s", &format!("max_elapsed_time: {max_elapsed_time}"))]);
        let mut rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        emit(&source, 1).await;
        rig.wait_for(event!("retry.backoff", strategy = "server", delay_us = granted * 1_000_000)).await;
        // A wait for an event has a ceiling of a minute.
        if granted < 60 {
            assert_eq!(calls(&mut sink, 2).await, [0, granted], "{asked} s, tried for {max_elapsed_time}");
        }
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_has_one_attempt_and_is_an_answer() {
    let refused = || Answer::Fail(SinkError::Refused);
    let away = || Answer::Fail(SinkError::Away);
    let first = [refused(), refused(), refused(), away(), away(), refused(), away(), away(), Answer::Accept];
    let (source, mut sink) = (Source::new(), answers(first));
    let settings = exact(&[("retry_on_failure: {", "retry_on_failure: {enabled: false, ")]);
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 9).await;
    assert_eq!(calls(&mut sink, 9).await, [0; 9], "never three failures in a row");
    wait_until(|| taken(&sink) == [9]).await;
    assert_eq!(transitions(&rig, "open"), 0.0);
    rig.stop().await;

    let (source, mut sink) = (Source::new(), answers([away(), away(), away(), refused()]));
    let rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    emit(&source, 2).await;
    assert_eq!(calls(&mut sink, 5).await, [0, 1, 2, 32, 32], "a backend that refuses a batch is there");
    wait_until(|| transitions(&rig, "closed") == 1.0).await;
    rig.stop().await;
    assert_eq!(taken(&sink), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_exporter_says_nothing_about_the_backend() {
    let away = || Answer::Fail(SinkError::Away);
    let first = [Answer::Panic, away(), away(), away(), Answer::Panic];
    let (source, mut sink) = (Source::new(), answers(first));
    let mut rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    emit(&source, 2).await;
    sink.called().await;
    rig.wait_restart("test_sink").await;
    let began = Instant::now();
    assert_eq!(calls(&mut sink, 4).await, [0, 1, 2, 32], "it took three failures beside the panic");
    // The trial has panicked: with the exporter made anew, the next attempt is the trial.
    wait_until(|| transitions(&rig, "closed") == 1.0).await;
    assert!(began.elapsed() < Duration::from_secs(34), "{:?}", began.elapsed());
    assert_eq!(rig.sample("tracecore_health_checks_failed_total", &[("component_id", "test_sink")]), 0.0);
    rig.stop().await;
    assert_eq!(taken(&sink), [2], "two panics under one batch cost that batch");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_breaker_holds_nothing_back() {
    let (source, mut sink) = (Source::new(), Sink::failing_times(9, SinkError::Away));
    let settings = exact(&[("circuit_breaker: {", "circuit_breaker: {enabled: false, ")]);
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 1).await;
    assert_eq!(calls(&mut sink, 10).await, (0..10).collect::<Vec<_>>());
    assert_eq!((state(&rig), transitions(&rig, "open")), ("closed", 0.0));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_at_an_open_breaker_is_not_time_in_which_a_batch_was_tried() {
    let settings = exact(&[
        ("max_elapsed_time: 0s", "max_elapsed_time: 2s"),
        ("failure_threshold: 3", "failure_threshold: 1"),
        ("num_consumers: 1", "num_consumers: 2"),
    ]);
    let (source, mut sink) = (Source::new(), Sink::failing_times(1, SinkError::Away));
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 2).await;
    // One has failed once, the other was never tried: neither is given up.
    assert_eq!(calls(&mut sink, 3).await, [0, 30, 30]);
    assert_eq!(lost(&rig.stop().await), []);
    assert_eq!(sink.items(), 3);

    let (source, mut sink) = (Source::new(), Sink::failing(SinkError::Away));
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 1).await;
    assert_eq!(calls(&mut sink, 3).await, [0, 30, 60]);
    let exhausted = [("reason", "retry_exhausted")];
    rig.wait_metric("tracecore_exporter_dropped_total", &exhausted, |items| items == 1.0).await;
    rig.stop().await;

    let once = exact(&[
        ("retry_on_failure: {", "retry_on_failure: {enabled: false, "),
        ("failure_threshold: 3", "failure_threshold: 1"),
    ]);
    let (source, mut sink) = (Source::new(), Sink::failing_times(1, SinkError::Away));
    let rig = Rig::start(&pipeline(&source, &sink, &once)).await;
    emit(&source, 2).await;
    assert_eq!(calls(&mut sink, 2).await, [0, 30], "one attempt each, and the second one waits for its own");
    rig.stop().await;
    assert_eq!(taken(&sink), [2]);
}

#[tokio::test(start_paused = true)]
async fn while_the_breaker_is_open_the_queue_takes_batches_until_it_is_full() {
    let (source, mut sink) = (Source::new(), Sink::failing_times(3, SinkError::Away));
    let settings = exact(&[("num_consumers: 1", "num_consumers: 1, queue_size: 4")]);
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    emit(&source, 1).await;
    wait_until(|| state(&rig) == "open").await;
    emit(&source, 3).await;
    let verdict = source.emit(metrics("one too many", 9)).await;
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
    assert_eq!(calls(&mut sink, 7).await.len(), 7);
    assert_eq!(lost(&rig.stop().await), []);
    assert_eq!(taken(&sink), [1, 1, 2, 3]);
}

/// A service whose breaker is open, with a batch for each of ten consumers, which wait for it.
async fn with_an_open_breaker() -> (Rig, Sink) {
    let (source, sink) = (Source::new(), Sink::failing(SinkError::Away));
    let settings = exact(&[
        ("num_consumers: 1", "num_consumers: 10"),
        ("failure_threshold: 3", "failure_threshold: 1"),
        ("open_duration: 30s", "open_duration: 1h"),
    ]);
    let rig = Rig::start(&pipeline(&source, &sink, &format!("{settings}\ntimeout: 1h"))).await;
    emit(&source, 10).await;
    wait_until(|| state(&rig) == "open").await;
    (rig, sink)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_delivers_past_an_open_breaker_if_the_backend_is_back() {
    let (rig, sink) = with_an_open_breaker().await;
    sink.answer(|_| Answer::Accept);
    let began = Instant::now();
    let events = rig.stop().await;
    assert_eq!(lost(&events), []);
    assert_eq!(sink.items(), 55);
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waits");
    let closed = event!("breaker.state_changed", from = "half_open", to = "closed");
    let is_told = events.iter().any(|event| closed.accepts(event));
    assert!(is_told || !events_enabled(), "the first call is a trial, which succeeds");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_counts_what_waits_for_a_backend_that_stays_away() {
    needs_events!();
    let (rig, sink) = with_an_open_breaker().await;
    let attempts = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&attempts);
    sink.answer(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Answer::Fail(SinkError::Away)
    });
    let began = Instant::now();
    let events = rig.stop().await;
    assert_eq!(lost(&events), [(55, "shutdown")]);
    assert!((DRAIN..DRAIN * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    let attempts = attempts.load(Ordering::Relaxed);
    assert!((20..1000).contains(&attempts), "each batch a few times, and no spinning: {attempts}");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_hangs_does_not_hold_back_the_rest_of_a_shutdown() {
    let (rig, mut sink) = with_an_open_breaker().await;
    sink.called().await;
    let mut first = [Answer::Stall].into_iter();
    sink.answer(move |_| first.next().unwrap_or(Answer::Accept));
    let (called, ()) = tokio::join!(calls(&mut sink, 10), async {
        rig.stop().await;
    });
    assert_eq!(called, [0; 10], "before the drain is over");
    assert_eq!(sink.taken().len(), 9);
}

/// How many batches each receiver emits, each as soon as the one before is delivered.
const BATCHES: usize = 200;

/// When the batches of two receivers were delivered, and what the first one heard. Beside its own sink the first one has an
/// exporter with these lines of YAML, if any.
async fn deliveries(sibling: Option<String>) -> ([Vec<Duration>; 2], Vec<Verdict>) {
    let began = Instant::now();
    let sources = [Source::new(), Source::new()];
    let came = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let sinks = came.each_ref().map(|came| {
        let came = Arc::clone(came);
        Sink::scripted(move |_| {
            came.lock().expect("nobody panics with it").push(began.elapsed());
            Answer::AcceptAfter(Duration::from_millis(250))
        })
    });
    let exit = if sibling.is_some() { ", test_sink/sibling" } else { "" };
    let sibling = sibling.map(|settings| format!("\n  test_sink/sibling: {settings}")).unwrap_or_default();
    let rig = Rig::start(&format!(
        "
receivers:
  test_source/one: {{key: {}}}
  test_source/two: {{key: {}}}
exporters:
  test_sink/one: {{key: {}, sending_queue: {{wait_for_result: true}}}}
  test_sink/two: {{key: {}, sending_queue: {{wait_for_result: true}}}}{sibling}
service:
  pipelines:
    metrics/one: {{receivers: [test_source/one], exporters: [test_sink/one{exit}]}}
    metrics/two: {{receivers: [test_source/two], exporters: [test_sink/two]}}
",
        sources[0], sources[1], sinks[0], sinks[1],
    ))
    .await;
    let emit_all = async |source: &Source| {
        let mut heard = Vec::new();
        for items in 1..=BATCHES {
            heard.push(source.emit(metrics("batch", items)).await);
        }
        heard
    };
    let (heard, others) = tokio::join!(emit_all(&sources[0]), emit_all(&sources[1]));
    assert!(others.iter().all(|verdict| verdict.is_accepted()));
    rig.stop().await;
    (came.map(|came| came.lock().expect("nobody panics with it").clone()), heard)
}

/// The lines of an exporter whose backend is away, with a queue that is soon full.
fn dead(sink: &Sink, on_overflow: &str) -> String {
    let queue = format!("sending_queue: {{queue_size: 3, num_consumers: 2, on_overflow: {on_overflow}}}");
    let lines = [format!("key: {sink}"), queue, "retry_on_failure: {initial_interval: 1s}".to_owned()];
    lines.map(|line| format!("\n    {line}")).concat()
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_delays_neither_its_siblings_nor_the_pipelines_of_other_receivers() {
    let (alone, heard) = deliveries(None).await;
    assert!(heard.iter().all(|verdict| verdict.is_accepted()));
    assert_eq!(alone.each_ref().map(Vec::len), [BATCHES; 2]);
    for (how, sink) in [("fails", Sink::failing(SinkError::Away)), ("hangs", Sink::answering(Answer::Stall))] {
        let (beside, heard) = deliveries(Some(dead(&sink, "drop"))).await;
        assert!(heard.iter().all(|verdict| verdict.is_accepted()), "{how}");
        assert!(beside == alone, "{how}: each batch is delivered at the same instant as without it");

        // Its own receiver is told to come again, as the policy says. Nobody else hears of it.
        let ([own, others], heard) = deliveries(Some(dead(&sink, "refuse"))).await;
        let accepted = heard.iter().filter(|verdict| verdict.is_accepted()).count();
        assert!((3..BATCHES).contains(&accepted), "{how}: {accepted}");
        assert_eq!(own.len(), accepted, "{how}: what is refused reaches nobody");
        assert!(others == alone[1], "{how}");
    }
}
