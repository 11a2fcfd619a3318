//! Retries, full queues and memory limits under load, as the Collector's testbed has them, in virtual time: what was
//! acknowledged arrives once, and what is refused can be sent again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, advance};
use tracecore::emit::{Refusal, Verdict};
use tracecore::memory::Memory;
use tracecore::signal::Batch;
use tracecore::signal::view::View;
use tracecore::testing::{
    Answer, Command, ExportFailure, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    assert_event, events_enabled, metrics, pipeline, within_ceiling,
};

/// The load: ten thousand items a second, a hundred in a request.
const ITEMS: usize = 100;
const EVERY: Duration = Duration::from_millis(10);

/// How each queue is: as it comes, and merging.
const QUEUES: [&str; 2] = ["", ", batch: {min_size: 1000, max_size: 2000}"];

/// The numbers of the batches in a request.
fn numbers(batch: &Batch) -> BTreeSet<usize> {
    let View::Metrics(resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    resources
        .flat_map(|resource| resource.metrics())
        .map(|(_, _, metric)| metric.name.parse().expect("a number"))
        .collect()
}

/// The numbers of what the exporter took: each item once.
fn arrived(sink: &Sink) -> BTreeSet<usize> {
    let arrived: BTreeSet<_> = sink.taken().iter().flat_map(numbers).collect();
    assert_eq!(sink.items(), (arrived.len() * ITEMS) as u64, "something arrived twice or in part");
    arrived
}

fn batch(number: usize) -> Batch {
    metrics(&number.to_string(), ITEMS)
}

fn send(source: &Source, number: usize) -> oneshot::Receiver<Verdict> {
    let (reply, verdict) = oneshot::channel();
    source.tell(Command::EmitBeside(batch(number), reply));
    verdict
}

/// Chance that is the same in every run: a share of a hundred.
fn chance() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 100
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_refuses_most_requests_for_a_while_costs_nothing() {
    for queue in QUEUES {
        let (source, sink) = (Source::new(), Sink::new());
        let (mut chance, began) = (chance(), Instant::now());
        sink.answer(move |_| match began.elapsed() < Duration::from_secs(5) && chance() < 70 {
            true => Answer::Fail(ExportFailure::Away),
            false => Answer::Accept,
        });
        let settings =
            format!("retry_on_failure: {{initial_interval: 500ms}}\nsending_queue: {{enabled: false{queue}}}");
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        let mut verdicts = Vec::new();
        for number in 0..500 {
            verdicts.push(send(&source, number));
            advance(EVERY).await;
        }
        let ended = Instant::now();
        for verdict in verdicts {
            assert_eq!(within_ceiling(verdict).await.expect("the task lives"), Verdict::Accepted);
        }
        assert_eq!(arrived(&sink).len(), 500, "{queue}");
        assert!(ended.elapsed() <= Duration::from_secs(10), "{:?}", ended.elapsed());
        assert!(rig.sample("tracecore_exporter_retries_total", &[]) > 0.0, "it refused nothing");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_sporadic_errors_each_sender_hears_what_became_of_its_own() {
    for queue in QUEUES {
        let (source, sink) = (Source::new(), Sink::new());
        let mut chance = chance();
        sink.answer(move |_| match chance() {
            0..10 => Answer::Fail(ExportFailure::Refused),
            10..30 => Answer::Fail(ExportFailure::Away),
            _ => Answer::Accept,
        });
        // A batch that is cut may be lost in part.
        let queue = queue.replace(", max_size: 2000", "");
        let settings =
            format!("retry_on_failure: {{initial_interval: 100ms}}\nsending_queue: {{wait_for_result: true{queue}}}");
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        let mut verdicts = Vec::new();
        for number in 0..500 {
            verdicts.push(send(&source, number));
            advance(EVERY).await;
        }
        let (mut accepted, mut refused) = (BTreeSet::new(), 0);
        for (number, verdict) in verdicts.into_iter().enumerate() {
            match within_ceiling(verdict).await.expect("the task lives") {
                Verdict::Accepted => drop(accepted.insert(number)),
                Verdict::Refused(refusal) => {
                    assert_eq!(refusal, Refusal::Permanent);
                    refused += 1;
                }
            }
        }
        assert_eq!(arrived(&sink), accepted);
        // A merged batch is tried again in halves: seldom is one refused alone.
        assert!(refused > 0 || !queue.is_empty(), "nothing was refused");
        let dropped = rig.sample("tracecore_exporter_dropped_total", &[("reason", "permanent")]);
        assert_eq!(dropped, (refused * ITEMS) as f64);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_full_queue_refuses_comes_once_the_backend_is_back() {
    for queue in QUEUES {
        let (source, sink) = (Source::new(), Sink::answering(Answer::Fail(ExportFailure::Away)));
        let settings = format!("sending_queue: {{queue_size: 20{queue}}}");
        let mut rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        let mut refused = VecDeque::new();
        for number in 0..100 {
            match source.emit(batch(number)).await {
                Verdict::Accepted => {}
                Verdict::Refused(Refusal::Retryable { .. }) => refused.push_back(number),
                Verdict::Refused(Refusal::Permanent) => panic!("a full queue is no reason to give up"),
            }
            advance(EVERY).await;
        }
        assert_eq!(refused.len(), 80, "{queue}");
        if events_enabled() {
            assert_event!(rig, "resource.exhausted", component = "test_sink", resource = "queue");
        }
        sink.answer(|_| Answer::Accept);
        while let Some(number) = refused.pop_front() {
            if !source.emit(batch(number)).await.is_accepted() {
                refused.push_back(number);
                advance(Duration::from_secs(1)).await;
            }
        }
        rig.stop().await;
        assert_eq!(arrived(&sink).len(), 100, "{queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_memory_limit_that_is_hit_refuses_and_loses_nothing() {
    const MIB: u64 = 1 << 20;
    const LIMIT: u64 = 4 * MIB;
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    // A process that uses a mebibyte, and what batches hold.
    let memory: &'static OnceLock<Memory> = Box::leak(Box::default());
    let resident = || memory.get().map(|memory| MIB + memory.held());
    let memory = memory.get_or_init(|| Memory::new(Some(1024 * MIB), resident));
    let yaml = pipeline(&source, &sink, "timeout: 1h\nsending_queue: {queue_size: 1000000}")
        .replace("\nservice:", "\nprocessors:\n  memory_limiter: {limit_mib: 4, spike_limit_mib: 2}\nservice:")
        .replace("exporters: [test_sink]", "processors: [memory_limiter]\n      exporters: [test_sink]");
    let rig = Rig::start_in(memory.clone(), &yaml).await;

    // A hundred thousand items a second, until ten seconds after the first refusal.
    let (mut refused, mut number, mut first, mut most) = (VecDeque::new(), 0, None, 0);
    while first.is_none_or(|first: Instant| first.elapsed() < Duration::from_secs(10)) {
        for _ in 0..10 {
            match source.emit(batch(number)).await {
                Verdict::Accepted => {}
                Verdict::Refused(Refusal::Retryable { after }) => {
                    assert_eq!(after, Duration::from_secs(1), "check_interval");
                    first.get_or_insert_with(Instant::now);
                    refused.push_back(number);
                }
                Verdict::Refused(Refusal::Permanent) => panic!("a full memory is no reason to give up"),
            }
            number += 1;
        }
        most = memory.resident().expect("it says").max(most);
        advance(EVERY).await;
    }
    assert!((2 * MIB..=LIMIT + LIMIT / 10).contains(&most), "{most} bytes were used");
    assert!(refused.len() >= 9_000, "only {} were refused", refused.len());

    sink.answer(|_| Answer::Accept);
    sink.release(1_000_000);
    let began = Instant::now();
    while let Some(number) = refused.pop_front() {
        if !source.emit(batch(number)).await.is_accepted() {
            refused.push_back(number);
            advance(Duration::from_secs(1)).await;
        }
    }
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    rig.stop().await;
    assert_eq!(arrived(&sink).len(), number);
    assert_eq!(memory.held(), 0, "something of it is still held");
}
