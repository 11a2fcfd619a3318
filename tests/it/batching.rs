//! Batches that wait in a queue are merged: when, up to which size, and what their senders hear.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracecore::emit::{Refusal, Verdict};
use tracecore::signal::Batch;
use tracecore::signal::view::View;
use tracecore::testing::{
    Answer, Command, ExportFailure, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    assert_event, build_error, metrics, needs_events, pipeline, within_ceiling,
};

const FOR_GOOD: Verdict = Verdict::Refused(Refusal::Permanent);

/// The names of the metrics of a batch, in its order.
fn names(batch: &Batch) -> Vec<String> {
    let View::Metrics(resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    resources.flat_map(|resource| resource.metrics()).map(|(_, _, metric)| metric.name.to_owned()).collect()
}

fn taken(sink: &Sink) -> Vec<Vec<String>> {
    sink.taken().iter().map(names).collect()
}

/// A batch that is sent beside others; its verdict comes when it is delivered.
fn send(source: &Source, name: &str, items: usize) -> oneshot::Receiver<Verdict> {
    let (reply, verdict) = oneshot::channel();
    source.tell(Command::EmitBeside(metrics(name, items), reply));
    verdict
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_as_one_once_it_is_large_enough_and_the_rest_when_its_time_has_come() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {batch: {min_size: 10}}")).await;
    let began = Instant::now();
    for name in ["a", "b", "c", "d", "e"] {
        assert!(source.emit(metrics(name, 3)).await.is_accepted());
    }
    assert_eq!(names(&sink.called().await), ["a", "b", "c", "d"]);
    assert_eq!(began.elapsed(), Duration::ZERO, "it waited although it was large enough");
    assert_eq!(names(&sink.called().await), ["e"]);
    assert_eq!(began.elapsed().as_millis(), 200, "flush_timeout");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_merged_batch_is_cut_to_the_item_and_the_rest_waits_for_more() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {num_consumers: 1, batch: {min_size: 4, max_size: 5}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    for (name, items) in [("a", 3), ("b", 13), ("c", 3)] {
        assert!(source.emit(metrics(name, items)).await.is_accepted());
    }
    let mut calls = Vec::new();
    while calls.iter().map(Batch::items).sum::<u64>() < 19 {
        calls.push(sink.called().await);
    }
    assert_eq!(calls.iter().map(Batch::items).collect::<Vec<_>>(), [5, 5, 5, 4]);
    assert_eq!(calls.iter().map(names).collect::<Vec<_>>(), [vec!["a", "b"], vec!["b"], vec!["b"], vec!["b", "c"]]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sizes_can_be_bytes() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let size = metrics("a", 5).size();
    let settings =
        format!("sending_queue: {{batch: {{sizer: bytes, min_size: {}, max_size: {}}}}}", 2 * size, 2 * size);
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    for name in ["a", "b", "c"] {
        assert!(source.emit(metrics(name, 5)).await.is_accepted());
    }
    assert_eq!(names(&sink.called().await), ["a", "b"]);
    assert_eq!(names(&sink.called().await), ["c"]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_batch_among_merged_ones_costs_itself_alone() {
    let (source, sink) = (Source::new(), Sink::new());
    sink.answer(|batch| match names(batch).contains(&"poison".to_owned()) {
        true => Answer::Fail(ExportFailure::Refused),
        false => Answer::Accept,
    });
    let settings = "sending_queue: {wait_for_result: true, num_consumers: 1, batch: {min_size: 5}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let verdicts = ["a", "b", "poison", "c", "d"].map(|name| send(&source, name, 1));
    let mut heard = Vec::new();
    for verdict in verdicts {
        heard.push(within_ceiling(verdict).await.expect("the task lives"));
    }
    assert_eq!(heard, [Verdict::Accepted, Verdict::Accepted, FOR_GOOD, Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(taken(&sink), [vec!["a", "b"], vec!["c", "d"]]);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 1.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_under_which_the_exporter_panics_costs_itself_alone_among_merged_ones() {
    let (source, sink) = (Source::new(), Sink::new());
    sink.answer(|batch| match names(batch).contains(&"poison".to_owned()) {
        true => Answer::Panic,
        false => Answer::Accept,
    });
    let settings = "sending_queue: {wait_for_result: true, num_consumers: 1, batch: {min_size: 4}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let verdicts = ["a", "poison", "b", "c"].map(|name| send(&source, name, 1));
    let mut heard = Vec::new();
    for verdict in verdicts {
        heard.push(within_ceiling(verdict).await.expect("the task lives"));
    }
    assert_eq!(heard, [Verdict::Accepted, FOR_GOOD, Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[("reason", "panic")]), 1.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_sender_of_a_batch_that_was_cut_hears_once_and_of_the_piece_it_must_send_again() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut answers =
        [Answer::Accept, Answer::Fail(ExportFailure::Away), Answer::Fail(ExportFailure::Refused)].into_iter();
    sink.answer(move |_| answers.next().unwrap_or(Answer::Accept));
    let settings = "retry_on_failure: {enabled: false}
sending_queue: {wait_for_result: true, num_consumers: 1, batch: {min_size: 2, max_size: 2}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let verdict = source.emit(metrics("three pieces", 6)).await;
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
    let dropped = ["retry_exhausted", "permanent"]
        .map(|reason| rig.sample("tracecore_exporter_dropped_total", &[("reason", reason)]));
    assert_eq!((sink.items(), dropped), (2, [2.0, 2.0]));
    assert_eq!(source.emit(metrics("again", 6)).await, Verdict::Accepted);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_batches_were_tried_together_counts_when_they_are_tried_in_halves() {
    let (source, sink) = (Source::new(), Sink::new());
    let began = Instant::now();
    // After seven seconds of a backend that is away, it refuses one of them for good, and is away again.
    sink.answer(move |batch| {
        let poisoned = batch.items() == 2;
        match began.elapsed() >= Duration::from_secs(7) && poisoned {
            true => Answer::Fail(ExportFailure::Refused),
            false => Answer::Fail(ExportFailure::Away),
        }
    });
    let settings = "circuit_breaker: {enabled: false}
retry_on_failure: {initial_interval: 1s, multiplier: 1, randomization_factor: 0, max_elapsed_time: 10s}
sending_queue: {wait_for_result: true, num_consumers: 1, batch: {min_size: 2}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let [first, second] = ["a", "b"].map(|name| send(&source, name, 1));
    let mut ended = Vec::new();
    for verdict in [first, second] {
        let verdict = verdict.await.expect("the task lives");
        assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
        ended.push(began.elapsed().as_secs());
    }
    // Seven seconds together; then each has three of its own, the second while the first is not tried.
    assert_eq!(ended, [10, 13]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_waits_to_be_merged_at_once() {
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {batch: {flush_timeout: 1h, min_size: 1000}}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    for name in ["a", "b"] {
        assert!(source.emit(metrics(name, 1)).await.is_accepted());
    }
    let began = Instant::now();
    rig.stop().await;
    assert_eq!(taken(&sink), [["a", "b"]]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_flushed_for_nothing_can_come_that_would_be_merged() {
    for overflow in ["refuse", "block"] {
        let (source, mut sink) = (Source::new(), Sink::new());
        let settings = format!(
            "sending_queue: {{queue_size: 2, on_overflow: {overflow}, batch: {{flush_timeout: 1h, min_size: 1000}}}}"
        );
        let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
        for name in ["a", "b"] {
            assert!(source.emit(metrics(name, 1)).await.is_accepted());
        }
        let began = Instant::now();
        let third = source.emit(metrics("c", 1)).await;
        assert_eq!(third.is_accepted(), overflow == "block");
        assert_eq!(names(&sink.called().await), ["a", "b"]);
        assert_eq!(began.elapsed(), Duration::ZERO);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_merged_export_has_an_id_of_its_own_and_names_its_sources() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {batch: {min_size: 20}}";
    let mut rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        assert!(source.emit(metrics("one", 1)).await.is_accepted());
        let accepted = assert_event!(rig, "batch.accepted");
        ids.push(accepted.meta.correlation.expect("a batch has an id").to_string());
    }
    let merged = assert_event!(rig, "export.merged", component = "test_sink", items = 20, batches = 20);
    let started = assert_event!(rig, "export.started", items = 20);
    assert_eq!(merged.meta.correlation, started.meta.correlation);
    assert!(!ids.contains(&merged.meta.correlation.expect("it has an id").to_string()));
    let told = merged.to_string();
    assert!(told.contains(&format!("sources={}", ids[..16].join(" "))), "{told}");
    assert!(!told.contains(&ids[16]), "{told}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_with_the_batch_processor_of_the_collector_runs() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let yaml = pipeline(&source, &sink, "")
        .replace("\nservice:", "\nprocessors:\n  batch:\n    timeout: 3s\n    send_batch_size: 4\nservice:")
        .replace("exporters: [test_sink]", "processors: [batch]\n      exporters: [test_sink]");
    let rig = Rig::start(&yaml).await;
    let began = Instant::now();
    for name in ["a", "b", "c"] {
        assert!(source.emit(metrics(name, 2)).await.is_accepted());
    }
    assert_eq!(names(&sink.called().await), ["a", "b"]);
    assert_eq!(names(&sink.called().await), ["c"]);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    rig.stop().await;
}

#[test]
fn sizes_that_cannot_hold_name_their_key() {
    for (queue, key) in [
        ("batch: {sizer: requests}", "batch.sizer: must be items or bytes"),
        ("batch: {min_size: 5, max_size: 4}", "batch.max_size: must be at least min_size, which is 5"),
        ("sizer: items, queue_size: 100, batch: {}", "batch.min_size: must be at most queue_size, which is 100"),
        ("batch: {sizer: bytes, min_size: 100000000}", "batch.min_size: must be at most max_bytes, which is 64MiB"),
        (
            "batch: {partition: {metadata_keys: [tenant, Tenant]}}",
            "batch.partition.metadata_keys: names Tenant twice: the case of a name does not matter",
        ),
        ("batch: {partition: {metadata_cardinality_limit: 0}}", "batch.partition.metadata_cardinality_limit"),
        ("batch: {flush_timeout: 0s}", "batch.flush_timeout"),
        ("batch: {min: 3}", "batch.min"),
    ] {
        let settings = format!("sending_queue: {{{queue}}}");
        let message = build_error(&pipeline(Source::new(), Sink::new(), &settings)).to_string();
        assert!(message.contains(&format!("exporters.test_sink.sending_queue.{key}")), "{queue}: {message}");
    }
}
