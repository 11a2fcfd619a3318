//! From the queue to the other side: attempts, back-off, time limits, and what is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracecore::emit::{Refusal, Verdict};
use tracecore::testing::{
    Answer, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    build_error, metrics, pipeline,
};

const CALLS: &str = "tracecore_exporter_calls_total";
const DROPPED: &str = "tracecore_exporter_dropped_total";

/// Waits of 1, 2, 4 … seconds to the millisecond.
const EXACT: &str = "retry_on_failure: {initial_interval: 1s, max_interval: 8s, multiplier: 2, randomization_factor: 0, max_elapsed_time: 40s}";

/// A sink that fails with this error the first `failures` times.
fn failing(failures: u64, error: SinkError) -> (Sink, Arc<AtomicU64>) {
    let attempts = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&attempts);
    let sink = Sink::scripted(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) < failures { Answer::Fail(error.clone()) } else { Answer::Accept }
    });
    (sink, attempts)
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_tried_again_after_waits_that_grow() {
    let source = Source::new();
    let (mut sink, _) = failing(5, SinkError::Away);
    let rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    sink.called().await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let before = Instant::now();
        sink.called().await;
        waits.push(before.elapsed().as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 8], "at most max_interval");
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 1.0).await;
    let calls = |result| rig.sample(CALLS, &[("result", result)]);
    assert_eq!([calls("failure"), calls("success")], [5.0, 1.0]);
    assert_eq!(rig.sample(DROPPED, &[]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_has_one_attempt() {
    let source = Source::new();
    let (sink, attempts) = failing(u64::MAX, SinkError::Refused);
    let rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    assert!(source.emit(metrics("refused", 4)).await.is_accepted());
    rig.wait_metric(DROPPED, &[("reason", "permanent")], |items| items == 4.0).await;
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_asks_for_goes_before_a_shorter_wait() {
    let source = Source::new();
    let (mut sink, _) = failing(1, SinkError::Busy { after: Duration::from_secs(33) });
    let rig = Rig::start(&pipeline(&source, &sink, EXACT)).await;
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    sink.called().await;
    let before = Instant::now();
    sink.called().await;
    assert_eq!(before.elapsed().as_secs(), 33);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_given_up_after_max_elapsed_time() {
    let source = Source::new();
    let (sink, attempts) = failing(u64::MAX, SinkError::Away);
    let settings = format!("{EXACT}\nsending_queue: {{wait_for_result: true}}");
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    let before = Instant::now();
    let verdict = source.emit(metrics("one", 2)).await;
    let elapsed = before.elapsed();
    assert!((40..=48).contains(&elapsed.as_secs()), "{elapsed:?}");
    // At 0, 1, 3, 7, 15, then every eight seconds.
    assert_eq!(attempts.load(Ordering::Relaxed), 9);
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
    assert_eq!(rig.sample(DROPPED, &[("reason", "retry_exhausted")]), 2.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_retry_a_batch_has_one_attempt() {
    let source = Source::new();
    let (sink, attempts) = failing(u64::MAX, SinkError::Away);
    let rig = Rig::start(&pipeline(&source, &sink, "retry_on_failure: {enabled: false}")).await;
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    rig.wait_metric(DROPPED, &[("reason", "retry_exhausted")], |items| items == 1.0).await;
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_has_failed() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "timeout: 3s\nretry_on_failure: {enabled: false}")).await;
    let before = Instant::now();
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    sink.called().await;
    rig.wait_metric(CALLS, &[("kind", "io")], |calls| calls == 1.0).await;
    assert_eq!(before.elapsed().as_secs(), 3);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_its_next_attempt_holds_up_no_other_consumer() {
    let source = Source::new();
    let (sink, _) = failing(1, SinkError::Away);
    let settings = "retry_on_failure: {initial_interval: 1h, max_interval: 1h}\nsending_queue: {num_consumers: 2}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    assert!(source.emit(metrics("waits", 1)).await.is_accepted());
    rig.wait_metric(CALLS, &[("result", "failure")], |calls| calls == 1.0).await;
    assert!(source.emit(metrics("goes through", 2)).await.is_accepted());
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 1.0).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_took_a_batch_without_is_counted() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::AcceptWithout(2)));
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    assert!(source.emit(metrics("five", 5)).await.is_accepted());
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 1.0).await;
    assert_eq!(rig.sample(DROPPED, &[("reason", "rejected")]), 2.0);
    rig.stop().await;
}

#[test]
fn settings_that_cannot_hold_name_their_key() {
    for (settings, path) in [
        ("retry_on_failure: {multiplier: 0.5}", "exporters.test_sink.retry_on_failure.multiplier"),
        ("retry_on_failure: {randomization_factor: 2}", "exporters.test_sink.retry_on_failure.randomization_factor"),
        ("retry_on_failure: {initial_interval: 1h}", "exporters.test_sink.retry_on_failure.initial_interval"),
        ("circuit_breaker: {failure_threshold: 0}", "exporters.test_sink.circuit_breaker.failure_threshold"),
        ("circuit_breaker: {open_duration: 0s}", "exporters.test_sink.circuit_breaker.open_duration"),
        ("circuit_breaker: {half_open_calls: -1}", "exporters.test_sink.circuit_breaker.half_open_calls"),
        ("circuit_breaker: {threshold: 3}", "exporters.test_sink.circuit_breaker.threshold"),
        ("sending_queue: {queue_size: 0}", "exporters.test_sink.sending_queue.queue_size"),
        ("sending_queue: {depth: 1}", "exporters.test_sink.sending_queue.depth"),
    ] {
        let message = build_error(&pipeline(Source::new(), Sink::new(), settings)).to_string();
        assert!(message.contains(path), "{settings}: {message}");
    }
}
