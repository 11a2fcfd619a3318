//! The bounds on memory: what batches hold together, and what the process uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracecore::emit::{Refusal, Verdict};
use tracecore::memory::{BATCH_BYTES, Memory, charged};
use tracecore::status::State;
use tracecore::testing::{
    Answer, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, assert_event, build_error,
    metrics, needs_events, pipeline,
};

use crate::status::{get, surface};

const MIB: u64 = 1 << 20;

const RETRYABLE: Verdict = Verdict::Refused(Refusal::Retryable { after: Duration::from_secs(1) });

/// A process of a gibibyte that uses what the test says.
fn process() -> (Memory, Arc<AtomicU64>) {
    let used = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&used);
    (Memory::new(Some(1024 * MIB), move || Some(read.load(Ordering::Relaxed))), used)
}

/// The pipeline with a memory limiter before the exporter.
fn limited(source: &Source, sink: &Sink, settings: &str) -> String {
    pipeline(source, sink, "sending_queue: {queue_size: 100000}")
        .replace("\nservice:", &format!("\nprocessors:\n  memory_limiter: {settings}\nservice:"))
        .replace("exporters: [test_sink]", "processors: [memory_limiter]\n      exporters: [test_sink]")
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_budget_is_refused_for_now_and_comes_when_there_is_room() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let size = charged(&metrics("one", 100));
    let yaml = pipeline(&source, &sink, "") + &format!("  memory_budget: {}\n", 2 * size);
    let mut rig = Rig::start(&yaml).await;
    for _ in 0..2 {
        assert_eq!(source.emit(metrics("one", 100)).await, Verdict::Accepted);
        sink.called().await;
    }
    assert_eq!(rig.sample("tracecore_memory_held_bytes", &[]), 2.0 * size as f64);
    assert_eq!(source.emit(metrics("one", 100)).await, RETRYABLE);
    assert_eq!(rig.sample("tracecore_memory_refused_total", &[]), 100.0);
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "downstream")]), 1.0);
    if tracecore::testing::events_enabled() {
        assert_event!(rig, "resource.exhausted", component = "test_source", resource = "memory");
    }
    sink.release(1);
    rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held == size as f64).await;
    assert_eq!(source.emit(metrics("one", 100)).await, Verdict::Accepted);
    sink.release(2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_a_half_of_what_the_process_may_use() {
    let (source, sink) = (Source::new(), Sink::new());
    let (memory, _) = process();
    let rig = Rig::start_in(memory, &pipeline(&source, &sink, "")).await;
    assert_eq!(rig.sample("tracecore_memory_budget_bytes", &[]), (512 * MIB) as f64);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn above_the_soft_limit_batches_are_refused_until_clearly_less_is_used() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let (memory, used) = process();
    let settings = "{check_interval: 1s, limit_mib: 1, spike_limit_mib: 1, limit_percentage: 0}";
    assert!(build_error(&limited(&source, &sink, settings)).to_string().contains("`spike_limit_mib` must be below"));
    let settings = "{check_interval: 2s, limit_percentage: 50, spike_limit_percentage: 10}";
    let rig = Rig::start_in(memory.clone(), &limited(&source, &sink, settings)).await;
    let pressure = |rig: &Rig| rig.sample("tracecore_memory_limiter_pressure", &[]);
    // A floor's worth of batches, so that there is something to refuse for.
    while memory.held() <= 52 * MIB {
        assert_eq!(source.emit(metrics("held", 100_000)).await, Verdict::Accepted);
    }
    let refused = Verdict::Refused(Refusal::Retryable { after: Duration::from_secs(2) });
    for (mib, state, expected) in [
        (409, 0.0, Verdict::Accepted),
        (410, 1.0, refused),
        (392, 1.0, refused),
        (512, 2.0, refused),
        (400, 1.0, refused),
        (389, 0.0, Verdict::Accepted),
    ] {
        used.store(mib * MIB, Ordering::Relaxed);
        tokio::time::advance(Duration::from_millis(2001)).await;
        rig.wait_metric("tracecore_memory_limiter_pressure", &[], |pressure| pressure == state).await;
        assert_eq!(source.emit(metrics("one", 1)).await, expected, "at {mib} MiB");
        assert_eq!(pressure(&rig), state);
        assert_ne!(rig.running.state(), State::Stopped, "whoever asks for the health hears it");
    }
    assert_eq!(rig.sample("tracecore_processor_refused_total", &[("component_id", "memory_limiter")]), 4.0);
    assert_eq!(rig.sample("tracecore_processor_dropped_total", &[]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stays_large_though_its_batches_are_gone_goes_on_with_little() {
    let (source, sink) = (Source::new(), Sink::new());
    let (memory, used) = process();
    let rig = Rig::start_in(memory, &limited(&source, &sink, "{limit_mib: 100}")).await;
    used.store(99 * MIB, Ordering::Relaxed);
    rig.wait_metric("tracecore_memory_limiter_pressure", &[], |pressure| pressure == 1.0).await;
    assert_eq!(source.emit(metrics("one", 1)).await, Verdict::Accepted, "to refuse it would free nothing");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pressure_is_a_state_of_the_processor_and_an_event() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::new());
    let (memory, used) = process();
    let mut rig = Rig::start_in(memory, &limited(&source, &sink, "{limit_mib: 100}")).await;
    used.store(85 * MIB, Ordering::Relaxed);
    assert_event!(rig, "service.status_changed", component = "memory_limiter", to = "recoverable_error");
    used.store(10 * MIB, Ordering::Relaxed);
    assert_event!(rig, "service.status_changed", component = "memory_limiter", to = "ok");
    rig.stop().await;
}

/// What waits under pressure for there to be something that a refusal could free.
async fn hold(source: &Source, memory: &Memory, bytes: u64) {
    while memory.held() <= bytes {
        assert_eq!(source.emit(metrics("held", 100_000)).await, Verdict::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn near_its_limit_the_process_takes_nothing_more_whatever_it_is_configured_to_do() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let (memory, used) = process();
    let rig = Rig::start_in(memory.clone(), &pipeline(&source, &sink, "sending_queue: {queue_size: 100000}")).await;
    hold(&source, &memory, 20 * MIB).await;
    // 90 and 95 % of a gibibyte are 921.6 and 972.8 MiB; 95 % of the first are 875.52 MiB.
    for (mib, state, expected) in [
        (921, 0.0, Verdict::Accepted),
        (922, 1.0, Verdict::Accepted),
        (972, 1.0, Verdict::Accepted),
        (973, 2.0, RETRYABLE),
        (922, 2.0, RETRYABLE),
        (921, 1.0, Verdict::Accepted),
        (876, 1.0, Verdict::Accepted),
        (875, 0.0, Verdict::Accepted),
    ] {
        used.store(mib * MIB, Ordering::Relaxed);
        tokio::time::advance(Duration::from_millis(1001)).await;
        rig.wait_metric("tracecore_memory_pressure", &[], |pressure| pressure == state).await;
        assert_eq!(source.emit(metrics("one", 1)).await, expected, "at {mib} MiB");
    }
    assert_eq!(rig.sample("tracecore_memory_refused_total", &[]), 2.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn between_two_looks_no_more_is_taken_than_was_left() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let (memory, used) = process();
    used.store(970 * MIB, Ordering::Relaxed);
    let rig = Rig::start_in(memory.clone(), &pipeline(&source, &sink, "sending_queue: {queue_size: 100000}")).await;
    rig.wait_metric("tracecore_memory_pressure", &[], |pressure| pressure == 1.0).await;
    let size = charged(&metrics("held", 10_000));
    let mut taken = 0;
    while source.emit(metrics("held", 10_000)).await.is_accepted() {
        taken += size;
    }
    let left = (1024 * MIB * 95 / 100) - 970 * MIB;
    assert!((left..=left + size).contains(&taken), "{taken} bytes taken, {left} were left");
    rig.stop().await;
}

#[tokio::test]
async fn a_process_near_its_limit_is_alive_and_not_ready_if_that_is_asked_for() {
    for (readiness, at_limit) in [("started", 200), ("healthy", 503)] {
        let (source, sink) = (Source::new(), Sink::new());
        let (memory, used) = process();
        used.store(1000 * MIB, Ordering::Relaxed);
        let yaml = pipeline(&source, &sink, "") + &surface(&format!(", readiness: {readiness}"));
        let rig = Rig::start_in(memory, &yaml).await;
        let address = rig.running.surface_address().expect("it is enabled");
        rig.wait_metric("tracecore_memory_pressure", &[], |pressure| pressure == 2.0).await;
        assert_eq!((get(address, "/healthz").await.0, get(address, "/readyz").await.0), (200, at_limit));
        used.store(0, Ordering::Relaxed);
        rig.wait_metric("tracecore_memory_pressure", &[], |pressure| pressure == 0.0).await;
        assert_eq!(get(address, "/readyz").await.0, 200);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_can_be_given_and_the_budget_follows_it() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&(pipeline(&source, &sink, "") + "  memory_limit: 100MiB\n")).await;
    assert_eq!(rig.sample("tracecore_memory_budget_bytes", &[]), (50 * MIB) as f64);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_limiter_before_a_queue_that_drops_refuses_what_the_queue_would_lose() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let (memory, used) = process();
    let yaml =
        limited(&source, &sink, "{limit_mib: 40}").replace("queue_size: 100000", "queue_size: 1, on_overflow: drop");
    let rig = Rig::start_in(memory.clone(), &yaml).await;
    hold(&source, &memory, MIB).await;
    sink.called().await;
    assert_eq!(source.emit(metrics("dropped", 7)).await, Verdict::Accepted, "there is memory, and no place");
    used.store(39 * MIB, Ordering::Relaxed);
    rig.wait_metric("tracecore_memory_limiter_pressure", &[], |pressure| pressure == 1.0).await;
    assert_eq!(source.emit(metrics("refused", 5)).await, RETRYABLE);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[("reason", "queue_full")]), 7.0);
    assert_eq!(rig.sample("tracecore_processor_refused_total", &[("component_id", "memory_limiter")]), 5.0);
    sink.release(1);
    rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held == 0.0).await;
    assert_eq!(source.emit(metrics("again", 5)).await, Verdict::Accepted, "the sender brings it again");
    sink.release(1);
    rig.stop().await;
    assert_eq!(sink.taken().last().map(tracecore::signal::Batch::items), Some(5));
}

#[tokio::test(start_paused = true)]
async fn what_several_exporters_have_is_counted_once_and_until_the_last_has_delivered_it() {
    let (source, sinks) = (Source::new(), [Sink::answering(Answer::Stall), Sink::answering(Answer::Stall)]);
    let yaml = pipeline(&source, &sinks[0], "")
        .replace("\nservice:", &format!("\n  test_sink/other:\n    key: {}\nservice:", sinks[1]))
        .replace("exporters: [test_sink]", "exporters: [test_sink, test_sink/other]");
    let rig = Rig::start(&yaml).await;
    let size = metrics("one", 100).size() as f64;
    assert_eq!(source.emit(metrics("one", 100)).await, Verdict::Accepted);
    let beside = BATCH_BYTES as f64;
    assert_eq!(rig.sample("tracecore_memory_held_bytes", &[]), size + 3.0 * beside, "its bytes once");
    let delivered = |calls: f64| {
        rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], move |all| all == calls)
    };
    sinks[0].release(1);
    delivered(1.0).await;
    assert_eq!(rig.sample("tracecore_memory_held_bytes", &[]), size + 2.0 * beside);
    sinks[1].release(1);
    rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held == 0.0).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_is_cut_the_pieces_are_counted_that_are_still_to_be_delivered() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let settings = "sending_queue: {num_consumers: 1, batch: {min_size: 10, max_size: 10}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    assert_eq!(source.emit(metrics("one", 30)).await, Verdict::Accepted);
    let mut pieces = vec![sink.called().await];
    let held = rig.sample("tracecore_memory_held_bytes", &[]);
    for _ in 0..2 {
        sink.release(1);
        pieces.push(sink.called().await);
    }
    let sizes: Vec<f64> = pieces.iter().map(|piece| charged(piece) as f64).collect();
    assert_eq!(held, sizes.iter().sum::<f64>(), "each has a copy of its own");
    assert_eq!(rig.sample("tracecore_memory_held_bytes", &[]), sizes[2]);
    sink.release(1);
    rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held == 0.0).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_that_are_sent_are_charged_as_all_else_and_lost_with_a_number_where_there_is_no_memory() {
    needs_events!();
    let (source, sink, events) = (Source::new(), Sink::answering(Answer::Stall), Sink::answering(Answer::Stall));
    let yaml = pipeline(&source, &sink, "")
        .replace("\nservice:", &format!("\n  test_sink/events:\n    key: {events}\nservice:"))
        + "    logs/events:\n      receivers: []\n      exporters: [test_sink/events]\n  memory_budget: 1MiB\n"
        + &surface(", events: {pipeline: {id: logs/events, include: [batch.accepted]}}");
    let rig = Rig::start(&yaml).await;
    let size = charged(&metrics("one", 10)) as f64;
    assert_eq!(source.emit(metrics("one", 10)).await, Verdict::Accepted);
    rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held > size).await;
    for items in [1000, 100, 10, 1] {
        while source.emit(metrics("fills", items)).await.is_accepted() {}
    }
    rig.wait_metric("tracecore_events_refused_total", &[], |refused| refused > 0.0).await;
    assert!(rig.sample("tracecore_memory_held_bytes", &[]) <= MIB as f64);
    sink.release(1000);
    events.release(1000);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_counts_bytes_holds_no_more_tiny_batches_than_take_as_much_beside_them() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let settings = "sending_queue: {sizer: bytes, queue_size: 2000000, max_bytes: 2MiB}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let mut taken = 0;
    while source.emit(metrics("tiny", 1)).await.is_accepted() {
        taken += 1;
    }
    assert_eq!(taken, 2 * MIB / BATCH_BYTES);
    rig.stop().await;
}
