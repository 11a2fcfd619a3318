//! The bounds on memory: what batches hold together, and what the process uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracecore::emit::{Refusal, Verdict};
use tracecore::memory::Memory;
use tracecore::status::State;
use tracecore::testing::{
    Answer, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, assert_event, build_error,
    metrics, needs_events, pipeline,
};

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
    let size = metrics("one", 100).size();
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
