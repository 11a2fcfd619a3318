//! The sending queue: what a full one, a small one and none at all mean for the sender and for its siblings.

use std::time::Duration;

use tracecore::emit::{Refusal, Verdict};
use tracecore::testing::{
    Answer, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    metrics, name_of, pipeline,
};

const RETRYABLE: Verdict = Verdict::Refused(Refusal::Retryable { after: Duration::from_secs(1) });
const FOR_GOOD: Verdict = Verdict::Refused(Refusal::Permanent);

/// One source to two sinks, with the settings of each, a line each.
fn fan_out(source: &Source, sinks: [(&Sink, &str); 2]) -> String {
    let [(one, one_settings), (two, two_settings)] = sinks;
    format!(
        "
receivers:
  test_source:
    key: {source}
exporters:
  test_sink/one:
    key: {one}
    {one_settings}
  test_sink/two:
    key: {two}
    {two_settings}
service:
  pipelines:
    metrics:
      receivers: [test_source]
      exporters: [test_sink/one, test_sink/two]
"
    )
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stays_full_costs_no_restart_and_counts_each_tick() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {queue_size: 1}")).await;
    assert_eq!(source.emit(metrics("fills the queue", 1)).await, Verdict::Accepted);
    sink.called().await;

    for _ in 0..100 {
        assert_eq!(source.emit(metrics("too many", 1)).await, RETRYABLE);
    }

    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "downstream")]), 100.0);
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[]), 100.0, "of no other kind");
    assert_eq!(rig.sample("tracecore_receiver_emissions_total", &[]), 1.0);
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[]), 0.0);
    sink.release(1);
    rig.stop().await;
    assert_eq!(sink.items(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_exporter_drives_the_depth_ratio_to_one_and_back() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {queue_size: 4}")).await;
    let depth = |rig: &Rig| rig.sample("tracecore_queue_depth_ratio", &[]);
    assert_eq!(depth(&rig), 0.0);
    for (sent, ratio) in [0.25, 0.5, 0.75, 1.0].into_iter().enumerate() {
        assert!(source.emit(metrics("one", sent + 1)).await.is_accepted());
        sink.called().await;
        assert_eq!(depth(&rig), ratio, "what is under way counts");
    }
    assert_eq!(source.emit(metrics("one more", 1)).await, RETRYABLE);

    sink.release(4);
    rig.wait_metric("tracecore_queue_depth_ratio", &[], |depth| depth == 0.0).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_exporter_is_the_receivers_downstream_error() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Fail(SinkError::Refused)));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {wait_for_result: true}")).await;
    assert_eq!(source.emit(metrics("refused", 3)).await, FOR_GOOD);
    let labels = [("kind", "downstream"), ("component_id", "test_source")];
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &labels), 1.0);
    let calls = [("result", "failure"), ("kind", "marshal"), ("component_id", "test_sink")];
    assert_eq!(rig.sample("tracecore_exporter_calls_total", &calls), 1.0);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[("reason", "permanent")]), 3.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_wait_for_result_a_queued_batch_is_accepted_whatever_becomes_of_it() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Fail(SinkError::Refused)));
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    assert_eq!(source.emit(metrics("refused", 1)).await, Verdict::Accepted);
    let permanent = [("reason", "permanent")];
    rig.wait_metric("tracecore_exporter_dropped_total", &permanent, |items| items == 1.0).await;
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "downstream")]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_sender_hears_how_the_delivery_ended() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {enabled: false}")).await;
    let mut verdict = source.send(metrics("waits", 1));
    sink.called().await;
    assert!(verdict.try_recv().is_err(), "there is no verdict before the delivery");
    sink.release(1);
    assert_eq!(verdict.await.unwrap(), Verdict::Accepted);

    sink.answer(|_| Answer::Fail(SinkError::Refused));
    assert_eq!(source.emit(metrics("refused", 1)).await, FOR_GOOD);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_one_exporter_refuses_nothing_is_enqueued_anywhere() {
    let source = Source::new();
    let (one, mut two) = (Sink::new(), Sink::answering(Answer::Stall));
    let yaml = fan_out(&source, [(&one, ""), (&two, "sending_queue: {queue_size: 1}")]);
    let rig = Rig::start(&yaml).await;
    assert!(source.emit(metrics("to both", 1)).await.is_accepted());
    two.called().await;

    assert_eq!(source.emit(metrics("to neither", 1)).await, RETRYABLE);
    two.release(2);
    rig.stop().await;
    assert_eq!(one.taken().iter().map(name_of).collect::<Vec<_>>(), ["to both"]);
    assert_eq!(two.items(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_drop_a_full_queue_counts_and_leaves_its_sibling_alone() {
    let source = Source::new();
    let (one, mut two) = (Sink::new(), Sink::answering(Answer::Stall));
    let yaml = fan_out(&source, [(&one, ""), (&two, "sending_queue: {queue_size: 1, on_overflow: drop}")]);
    let rig = Rig::start(&yaml).await;
    assert!(source.emit(metrics("to both", 1)).await.is_accepted());
    two.called().await;

    assert_eq!(source.emit(metrics("to one", 5)).await, Verdict::Accepted);
    let dropped =
        |id| rig.sample("tracecore_exporter_dropped_total", &[("reason", "queue_full"), ("component_id", id)]);
    assert_eq!([dropped("test_sink/one"), dropped("test_sink/two")], [0.0, 5.0]);
    two.release(2);
    rig.stop().await;
    assert_eq!([one.items(), two.items()], [6, 1]);
}

#[tokio::test(start_paused = true)]
async fn with_drop_nothing_is_counted_for_a_batch_that_a_sibling_refuses() {
    let source = Source::new();
    let (mut one, mut two) = (Sink::answering(Answer::Stall), Sink::answering(Answer::Stall));
    let dropping = "sending_queue: {queue_size: 1, on_overflow: drop}";
    let rig = Rig::start(&fan_out(&source, [(&one, dropping), (&two, "sending_queue: {queue_size: 1}")])).await;
    assert!(source.emit(metrics("fills both", 1)).await.is_accepted());
    one.called().await;
    two.called().await;
    assert_eq!(source.emit(metrics("to neither", 1)).await, RETRYABLE);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 0.0);
    one.release(1);
    two.release(1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_block_the_sender_waits_holding_no_other_place() {
    let source = Source::new();
    let other = Source::new();
    let (one, mut two) = (Sink::answering(Answer::Stall), Sink::answering(Answer::Stall));
    // The other source sends to the sink `one` alone.
    let yaml = fan_out(
        &source,
        [(&one, "sending_queue: {queue_size: 2}"), (&two, "sending_queue: {queue_size: 1, on_overflow: block}")],
    );
    let yaml = yaml.replace(
        "receivers:\n  test_source:",
        &format!("receivers:\n  test_source/other:\n    key: {other}\n  test_source:"),
    ) + "    metrics/other:\n      receivers: [test_source/other]\n      exporters: [test_sink/one]\n";
    let rig = Rig::start(&yaml).await;
    assert!(source.emit(metrics("fills two", 1)).await.is_accepted());
    two.called().await;

    let mut waiting = source.send(metrics("waits for two", 1));
    // One place of `one` is free, and the batch that waits has not taken it.
    assert_eq!(other.emit(metrics("takes it", 1)).await, Verdict::Accepted);
    assert!(waiting.try_recv().is_err(), "it still waits");
    one.release(2);
    two.release(1);
    assert_eq!(waiting.await.unwrap(), Verdict::Accepted);
    one.release(1);
    two.release(1);
    rig.stop().await;
    assert_eq!([one.items(), two.items()], [3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_queue_is_refused_for_good() {
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {queue_size: 10, sizer: items, block_on_overflow: true}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    assert_eq!(source.emit(metrics("eleven", 11)).await, FOR_GOOD, "waiting would be for ever");
    assert_eq!(source.emit(metrics("ten", 10)).await, Verdict::Accepted);
    rig.stop().await;
    assert_eq!(sink.items(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_in_bytes_whatever_its_sizer() {
    let batch = metrics("large", 100);
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let settings = format!("sending_queue: {{queue_size: 1000, max_bytes: {}}}", batch.size());
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    assert!(source.emit(batch).await.is_accepted());
    assert_eq!(source.emit(metrics("small", 1)).await, RETRYABLE);
    assert_eq!(rig.sample("tracecore_queue_depth_ratio", &[]), 1.0, "the bound that is nearest");
    assert_eq!(source.emit(metrics("larger", 200)).await, FOR_GOOD);
    sink.release(1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_free_when_the_sender_hears_of_the_delivery() {
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {queue_size: 1, wait_for_result: true}";
    let rig = Rig::start(&pipeline(&source, &sink, settings)).await;
    for item in 1..=200 {
        assert_eq!(source.emit(metrics("again", item)).await, Verdict::Accepted, "batch {item}");
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn empty_payload_is_success() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Panic));
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    assert_eq!(source.emit(metrics("nothing", 0)).await, Verdict::Accepted);
    assert_eq!(rig.sample("tracecore_receiver_emissions_total", &[]), 1.0);
    rig.stop().await;
    assert!(sink.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_pipelines_into_one_exporter_get_room_for_both_batches_or_for_none() {
    for (size, verdict) in [(1, FOR_GOOD), (2, Verdict::Accepted)] {
        let (source, sink) = (Source::new(), Sink::new());
        let settings = format!("sending_queue: {{queue_size: {size}, on_overflow: block}}");
        let yaml = pipeline(&source, &sink, &settings);
        let yaml = yaml + "    metrics/again:\n      receivers: [test_source]\n      exporters: [test_sink]\n";
        let rig = Rig::start(&yaml).await;
        for _ in 0..3 {
            assert_eq!(source.emit(metrics("to both", 1)).await, verdict, "a queue of {size}");
        }
        rig.stop().await;
        assert_eq!(sink.items(), if size == 1 { 0 } else { 6 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_counted_in_bytes_has_the_lower_of_both_bounds() {
    let (batch, source, sink) = (metrics("a batch", 10), Source::new(), Sink::new());
    let settings = format!("sending_queue: {{sizer: bytes, queue_size: 100000, max_bytes: {}}}", batch.size());
    let rig = Rig::start(&pipeline(&source, &sink, &settings)).await;
    assert_eq!(source.emit(metrics("a larger one", 20)).await, FOR_GOOD);
    assert_eq!(source.emit(batch).await, Verdict::Accepted);
    rig.stop().await;
}
