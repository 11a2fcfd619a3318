//! What the self-telemetry tells of the life of a component.

use std::time::Duration;

use tracecore::testing::{Command, RecordingExporter, ScriptedReceiver, Start, TestService, metrics, pipeline};

#[tokio::test(start_paused = true)]
async fn starts_and_stops_are_counted_by_reason() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let labels = [("component_id", "test_source"), ("role", "receiver")];
    let starts = |service: &TestService| service.sample("tracecore_component_starts_total", &labels);
    let stops = |service: &TestService, reason| {
        let labels = [("component_id", "test_source"), ("reason", reason)];
        service.sample("tracecore_component_stopped_total", &labels)
    };
    assert_eq!([starts(&service), stops(&service, "crashed"), stops(&service, "graceful")], [1.0, 0.0, 0.0]);

    let restarted = service.wait_restart("test_source");
    receiver.tell(Command::Panic);
    restarted.await;
    service.wait_healthy("test_source").await;
    assert_eq!([starts(&service), stops(&service, "crashed"), stops(&service, "graceful")], [2.0, 1.0, 0.0]);

    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_emission_is_timed_from_each_start() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let first = |service: &TestService| service.sample("tracecore_component_first_emission_seconds", &[]);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(receiver.emit(metrics("first", 1)).await.is_accepted());
    assert_eq!(first(&service), 3.0);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(receiver.emit(metrics("second", 1)).await.is_accepted());
    assert_eq!(first(&service), 3.0, "only the first one");

    let restarted = service.wait_restart("test_source");
    receiver.tell(Command::Panic);
    restarted.await;
    service.wait_healthy("test_source").await;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(receiver.emit(metrics("first again", 1)).await.is_accepted());
    assert_eq!(first(&service), 5.0);
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_start_of_the_whole_and_its_configuration_are_timed() {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    // Its start is given up after ten seconds; it is tried again after a quarter of one.
    receiver.on_start(Start::Hang);
    let yaml =
        pipeline(&receiver, &exporter, "").replace("  test_source:\n", "  test_source:\n    on_start_error: retry\n");
    let mut service = TestService::try_start(&yaml).await.expect("it is tried again");
    receiver.on_start(Start::Ready);
    service.wait_ready().await;
    let startup = service.sample("tracecore_startup_seconds", &[]);
    assert!((10.2..10.31).contains(&startup), "the first wait is 250 ms, give or take a fifth: {startup}");
    let applied = service.sample("tracecore_config_apply_seconds", &[]);
    assert!((10.0..10.01).contains(&applied), "it was applied before that wait: {applied}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn polls_and_tasks_are_shown_in_detail_only() {
    for (level, shown) in [("normal", false), ("detailed", true)] {
        let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
        let telemetry = format!("telemetry: {{enabled: true, listen: 'localhost:0', level: {level}}}\n");
        let service = TestService::start(&(pipeline(&receiver, &exporter, "") + &telemetry)).await;
        assert!(receiver.emit(metrics("one", 1)).await.is_accepted());
        let polls = tracecore::testing::scrape(service.running.telemetry(), "tracecore_component_polls_total", &[]);
        assert_eq!(polls.iter().sum::<f64>() > 0.0, shown, "{level}: {polls:?}");
        service.stop().await;
    }
}
