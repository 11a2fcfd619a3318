//! What is wired to what, and that nothing gets lost or counted twice on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use tracecore::testing::{
    Answer, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedProcessor as Filter,
    ScriptedReceiver as Source, TestService as Rig, logs, metrics, name_of, pipeline, spans,
};

/// Both directions of a pipeline, in items and in bytes.
fn flow(rig: &Rig, pipeline: &str) -> [f64; 4] {
    let read = |family, direction| rig.sample(family, &[("pipeline_id", pipeline), ("direction", direction)]);
    let (items, bytes) = ("tracecore_pipeline_items_total", "tracecore_pipeline_bytes_total");
    [read(items, "in"), read(items, "out"), read(bytes, "in"), read(bytes, "out")]
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_goes_out_to_the_byte() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let (mut items, mut bytes) = (0, 0);
    for size in [1, 10, 100, 1000] {
        let batch = metrics("passes", size);
        (items, bytes) = (items + batch.items(), bytes + batch.size());
        assert!(source.emit(batch).await.is_accepted());
    }
    let (items, bytes) = (items as f64, bytes as f64);
    assert_eq!(flow(&rig, "metrics"), [items, items, bytes, bytes]);
    rig.stop().await;
    let taken = sink.taken();
    assert_eq!(taken.iter().map(tracecore::signal::Batch::size).sum::<usize>() as f64, bytes);
    assert_eq!(taken[3].parts(), metrics("passes", 1000).parts(), "byte for byte");
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_has_not_come_in() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {queue_size: 1}")).await;
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    sink.called().await;
    for _ in 0..10 {
        assert!(!source.emit(metrics("refused", 1)).await.is_accepted());
    }
    assert_eq!(flow(&rig, "metrics")[..2], [1.0, 1.0]);
    sink.release(1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn in_is_out_and_dropped() {
    let (source, sink) = (Source::new(), Sink::new());
    let turn = AtomicU64::new(0);
    let filter = Filter::new(move |batch| match turn.fetch_add(1, Ordering::Relaxed) % 4 {
        0 => Ok(None),
        1 => Ok(Some(metrics("a part", 1))),
        2 => panic!("told to panic"),
        _ => Ok(Some(batch)),
    });
    let yaml = pipeline(&source, &sink, "")
        .replace(
            "exporters:\n  test",
            &format!("processors:\n  test_processor:\n    key: {filter}\nexporters:\n  test"),
        )
        .replace("      exporters:", "      processors: [test_processor]\n      exporters:");
    let rig = Rig::start(&yaml).await;
    for _ in 0..20 {
        // Some are refused: that is the filter's way.
        let _ = source.emit(metrics("three", 3)).await;
    }
    let [came, went, ..] = flow(&rig, "metrics");
    let dropped = rig.sample("tracecore_processor_dropped_total", &[]);
    assert_eq!((came, went), (60.0, 20.0), "of four batches of three one goes, of another a part");
    assert_eq!(came, went + dropped);
    assert_eq!(rig.sample("tracecore_processor_items_in_total", &[]), 60.0);
    assert_eq!(rig.sample("tracecore_processor_items_out_total", &[]), 20.0);
    assert_eq!(rig.sample("tracecore_processor_dropped_total", &[("reason", "filtered")]), 25.0);
    assert_eq!(rig.sample("tracecore_processor_latency_seconds", &[]), 20.0);
    rig.stop().await;
    assert_eq!(sink.items(), 20);
}

/// Two sources that feed two pipelines each, which share one sink.
fn crossed(one: &Source, two: &Source, shared: &Sink, own: &Sink) -> String {
    format!(
        "
receivers:
  test_source/one:
    key: {one}
  test_source/two:
    key: {two}
exporters:
  test_sink/shared:
    key: {shared}
    sending_queue: {{wait_for_result: true}}
  test_sink/own:
    key: {own}
service:
  pipelines:
    metrics/one:
      receivers: [test_source/one, test_source/two]
      exporters: [test_sink/shared]
    metrics/two:
      receivers: [test_source/one]
      exporters: [test_sink/shared, test_sink/own]
"
    )
}

#[tokio::test(start_paused = true)]
async fn receivers_and_pipelines_meet_in_any_number() {
    let (one, two) = (Source::new(), Source::new());
    let (shared, own) = (Sink::new(), Sink::new());
    let rig = Rig::start(&crossed(&one, &two, &shared, &own)).await;
    assert!(one.emit(metrics("from one", 1)).await.is_accepted());
    assert!(two.emit(metrics("from two", 10)).await.is_accepted());
    assert_eq!(flow(&rig, "metrics/one")[..2], [11.0, 11.0]);
    assert_eq!(flow(&rig, "metrics/two")[..2], [1.0, 1.0]);
    let emissions = |id| rig.sample("tracecore_receiver_emissions_total", &[("component_id", id)]);
    assert_eq!([emissions("test_source/one"), emissions("test_source/two")], [1.0, 1.0], "whatever the branches");
    rig.stop().await;
    assert_eq!(shared.taken().iter().map(name_of).collect::<Vec<_>>(), ["from one", "from one", "from two"]);
    assert_eq!(own.items(), 1);
}

#[tokio::test(start_paused = true)]
async fn shared_exporter_counted_once() {
    let (one, two) = (Source::new(), Source::new());
    let (shared, own) = (Sink::answering(Answer::Fail(SinkError::Refused)), Sink::new());
    let rig = Rig::start(&crossed(&one, &two, &shared, &own)).await;
    rig.sample("tracecore_exporter_failure_rate", &[]);
    assert!(!one.emit(metrics("from one", 1)).await.is_accepted());
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    // Two calls of the shared one fail, one of the other succeeds.
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let rate = rig.sample("tracecore_exporter_failure_rate", &[]);
    assert!((rate - 2.0 / 3.0).abs() < 1e-9, "{rate}");
    let series = tracecore::testing::scrape(
        rig.running.telemetry(),
        "tracecore_exporter_calls_total",
        &[("component_id", "test_sink/shared"), ("result", "success")],
    );
    assert_eq!(series.len(), 1, "one instance, one series");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_three_signals_have_the_same_standing() {
    let (source, sink) = (Source::new(), Sink::new());
    let yaml = format!(
        "{}    traces:
      receivers: [test_source]
      exporters: [test_sink]
    logs:
      receivers: [test_source]
      exporters: [test_sink]
",
        pipeline(&source, &sink, "")
    );
    let rig = Rig::start(&yaml).await;
    for batch in [metrics("points", 2), spans("spans", 3), logs("records", 4)] {
        assert!(source.emit(batch).await.is_accepted());
    }
    for (id, items) in [("metrics", 2.0), ("traces", 3.0), ("logs", 4.0)] {
        assert_eq!(flow(&rig, id)[..2], [items, items], "{id}");
    }
    rig.stop().await;
    let signals: Vec<_> = sink.taken().iter().map(|batch| (batch.signal().as_str(), batch.items())).collect();
    assert_eq!(signals, [("metrics", 2), ("traces", 3), ("logs", 4)]);
}

#[tokio::test(start_paused = true)]
async fn each_pipeline_has_its_own_instance_of_a_processor() {
    let (source, sink) = (Source::new(), Sink::new());
    let mut filter = Filter::new(|batch| Ok(Some(batch)));
    let yaml = pipeline(&source, &sink, "")
        .replace(
            "exporters:\n  test",
            &format!("processors:\n  test_processor:\n    key: {filter}\nexporters:\n  test"),
        )
        .replace("      exporters:", "      processors: [test_processor]\n      exporters:")
        + "    metrics/second:\n      receivers: [test_source]\n      processors: [test_processor]\n      exporters: [test_sink]\n";
    let rig = Rig::start(&yaml).await;
    filter.background_begins().await;
    assert!(source.emit(metrics("one", 1)).await.is_accepted());
    assert_eq!(rig.sample("tracecore_processor_items_in_total", &[]), 2.0, "their metrics are summed");
    rig.stop().await;
    assert_eq!(sink.items(), 2);
}
