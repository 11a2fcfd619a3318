//! What a scrape says of a running service.

use std::time::Duration;

use tracecore::testing::{
    Answer, ExportFailure as SinkError, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig,
    metrics, pipeline, scrape,
};
use tracecore_tests::{Meter, Mode};

const CALLS: &str = "tracecore_exporter_calls_total";

#[tokio::test(start_paused = true)]
async fn at_boot_every_known_series_stands_at_rest() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let errors = scrape(rig.running.telemetry(), "tracecore_receiver_errors_total", &[]);
    assert!(errors.len() >= 4 && errors.iter().all(|value| *value == 0.0), "{errors:?}");
    for (family, resting) in [
        ("tracecore_receiver_emissions_total", 0.0),
        ("tracecore_receiver_degraded_seconds_total", 0.0),
        ("tracecore_exporter_failure_rate", 0.0),
        ("tracecore_queue_depth_ratio", 0.0),
        ("tracecore_component_restart_count_per_hour", 0.0),
        ("tracecore_exporter_dropped_total", 0.0),
        ("tracecore_build_info", 1.0),
        ("tracecore_receiver_last_activity_unix_seconds", 1_000_000_000.0),
    ] {
        assert_eq!(rig.sample(family, &[]), resting, "{family}");
    }
    let build = [("command", "tracecore-tests"), ("version", "1.2.3"), ("revision", "")];
    assert_eq!(rig.sample("tracecore_build_info", &build[..2]), 1.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tick_wiring() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&pipeline(&source, &sink, "sending_queue: {queue_size: 1}")).await;
    let read = |family: &str| rig.sample(family, &[("component_id", "test_source")]);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(source.emit(metrics("accepted", 1)).await.is_accepted());
    sink.called().await;
    assert_eq!(read("tracecore_receiver_emissions_total"), 1.0);
    assert_eq!(read("tracecore_receiver_collection_latency_seconds"), 1.0);
    let active = read("tracecore_receiver_last_activity_unix_seconds");
    assert_eq!(active, 1_000_000_030.0);

    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(!source.emit(metrics("refused", 1)).await.is_accepted());
    assert_eq!(read("tracecore_receiver_emissions_total"), 1.0);
    assert_eq!(read("tracecore_receiver_collection_latency_seconds"), 2.0, "failed ones too");
    assert_eq!(read("tracecore_receiver_last_activity_unix_seconds"), active, "a refusal is no activity");
    sink.release(1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_failure_rolls_out() {
    let (source, sink) = (Source::new(), Sink::answering(Answer::Fail(SinkError::Refused)));
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    let rate = |rig: &Rig| {
        let labels = [("component_id", "test_sink")];
        let own = rig.sample("tracecore_exporter_failure_rate_by_component", &labels);
        assert_eq!(rig.sample("tracecore_exporter_failure_rate", &[]), own, "there is one exporter");
        own
    };
    assert_eq!(rate(&rig), 0.0, "warming up");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(rate(&rig), 0.0);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(source.emit(metrics("fails", 1)).await.is_accepted());
    rig.wait_metric(CALLS, &[("kind", "marshal")], |calls| calls == 1.0).await;
    assert_eq!(rate(&rig), 1.0);
    sink.answer(|_| Answer::Accept);
    for _ in 0..3 {
        assert!(source.emit(metrics("succeeds", 1)).await.is_accepted());
    }
    rig.wait_metric(CALLS, &[("result", "success")], |calls| calls == 3.0).await;
    assert_eq!(rate(&rig), 0.25);

    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(rate(&rig), 0.25, "it is within the last minute");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(rate(&rig), 0.0, "it is not any more");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn zero_calls_is_zero() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&pipeline(&source, &sink, "")).await;
    for _ in 0..5 {
        assert_eq!(rig.sample("tracecore_exporter_failure_rate", &[]), 0.0);
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_components_own_health_is_on_the_scrape() {
    let (meter, sink) = (Meter::new(), Sink::new());
    let rig = Rig::start(&pipeline(&meter, &sink, "").replace("test_source", "test_meter")).await;
    let ticks =
        |mode| rig.sample("tracecore_test_meter_ticks_total", &[("mode", mode), ("component_id", "test_meter")]);
    assert_eq!([ticks("normal"), ticks("safe")], [0.0, 0.0], "from the start");
    let counted = meter.measure(|_, health| health.ticks.add(3, Mode::Safe));
    assert!(counted.await.is_accepted());
    assert_eq!([ticks("normal"), ticks("safe")], [0.0, 3.0]);
    rig.stop().await;
}

#[tokio::test]
async fn concurrent_registration() {
    let sinks = [(); 8].map(|()| Sink::new());
    let sources = [(); 8].map(|()| Source::new());
    let mut yaml = String::from("receivers:\n");
    for (index, source) in sources.iter().enumerate() {
        yaml += &format!("  test_source/{index}: {{key: {source}}}\n");
    }
    yaml += "exporters:\n";
    for (index, sink) in sinks.iter().enumerate() {
        yaml += &format!("  test_sink/{index}: {{key: {sink}}}\n");
    }
    yaml += "service:\n  pipelines:\n";
    for index in 0..8 {
        yaml += &format!("    metrics/{index}: {{receivers: [test_source/{index}], exporters: [test_sink/{index}]}}\n");
    }
    let rig = Rig::start(&yaml).await;
    for source in &sources {
        assert!(source.emit(metrics("one", 1)).await.is_accepted());
    }
    let families = rig.running.telemetry().gather();
    let named = families.iter().filter(|family| family.name() == "tracecore_receiver_emissions_total");
    assert_eq!(named.map(|family| family.get_metric().len()).collect::<Vec<_>>(), [8], "one family, a series each");
    rig.stop().await;
}
