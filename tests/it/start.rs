//! The start: what `on_start_error` means for each role, and when the service is ready.

use std::time::Duration;

use tokio::time::timeout;
use tracecore::component::Role;
use tracecore::emit::{Refusal, Verdict};
use tracecore::runtime::StartError;
use tracecore::status::State;
use tracecore::testing::{
    Answer, ExportFailure, ProcessFailure, RecordingExporter as Sink, ScriptedProcessor as Filter,
    ScriptedReceiver as Source, Start, TestService as Rig, assert_sequence, build_error, event, metrics, needs_events,
    pipeline, within_ceiling,
};

/// A source, a processor and a sink, of which one does not start at first.
struct Parts {
    source: Source,
    filter: Filter,
    sink: Sink,
    failing: Role,
}

impl Parts {
    fn new(failing: Role, how: Start) -> Self {
        let parts =
            Parts { source: Source::new(), filter: Filter::new(|batch| Ok(Some(batch))), sink: Sink::new(), failing };
        parts.starts(how);
        parts
    }

    fn starts(&self, how: Start) {
        match self.failing {
            Role::Receiver => self.source.on_start(how),
            Role::Processor => self.filter.on_start(how),
            Role::Exporter => self.sink.on_start(how),
        }
    }

    /// Waits until the one that does not start is started.
    async fn start_begins(&self) {
        match self.failing {
            Role::Receiver => self.source.start_begins().await,
            Role::Processor => self.filter.start_begins().await,
            Role::Exporter => self.sink.start_begins().await,
        }
    }

    /// The configuration, with this `on_start_error` for the one that fails.
    fn yaml(&self, policy: &str) -> String {
        let Parts { source, filter, sink, failing } = self;
        let [receiver, processor, exporter] = Role::ALL.map(|role| {
            if role == *failing { format!("on_start_error: {policy}") } else { "on_start_error: fail".to_owned() }
        });
        format!(
            "
receivers:
  test_source:
    key: {source}
    {receiver}
processors:
  test_processor:
    key: {filter}
    {processor}
exporters:
  test_sink:
    key: {sink}
    {exporter}
service:
  pipelines:
    metrics:
      receivers: [test_source]
      processors: [test_processor]
      exporters: [test_sink]
"
        )
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_a_component_that_cannot_start_fails_the_service() {
    for how in [Start::Fail, Start::Hang, Start::Panic] {
        for role in Role::ALL {
            let parts = Parts::new(role, how);
            let failed = within_ceiling(Rig::try_start(&parts.yaml("fail"))).await.err();
            let Some(StartError::Component { role: culprit, id, message }) = failed else {
                panic!("{role}: {failed:?}")
            };
            assert_eq!(culprit, role);
            assert!(id.as_str().starts_with("test_"), "{id}");
            let expected = match how {
                Start::Hang => "did not start within 10s",
                Start::Panic => "panicked: told to panic in start",
                _ => "",
            };
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_retry_the_service_is_ready_once_the_component_has_started() {
    for role in Role::ALL {
        let parts = Parts::new(role, Start::Fail);
        let mut rig = within_ceiling(Rig::try_start(&parts.yaml("retry"))).await.expect("the start goes on without it");
        for _ in 0..3 {
            parts.start_begins().await;
        }
        assert!(timeout(Duration::from_secs(10), rig.running.ready()).await.is_err(), "{role} has not started");
        parts.starts(Start::Ready);
        rig.wait_ready().await;
        assert_eq!(parts.source.emit(metrics("at last", 1)).await, Verdict::Accepted, "{role}");
        rig.stop().await;
        assert_eq!(parts.sink.items(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_processor_is_tried_again_its_pipeline_refuses_for_now() {
    let parts = Parts::new(Role::Processor, Start::Fail);
    let rig = within_ceiling(Rig::try_start(&parts.yaml("retry"))).await.expect("the start goes on without it");
    let verdict = parts.source.emit(metrics("too early", 1)).await;
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
    rig.stop().await;
    assert_eq!(parts.sink.items(), 0, "nothing passes a processor unprocessed");
}

#[tokio::test(start_paused = true)]
async fn while_an_exporter_is_tried_again_its_queue_fills() {
    let parts = Parts::new(Role::Exporter, Start::Fail);
    let rig = within_ceiling(Rig::try_start(&parts.yaml("retry"))).await.expect("the start goes on without it");
    assert_eq!(parts.source.emit(metrics("early", 2)).await, Verdict::Accepted);
    parts.starts(Start::Ready);
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    rig.stop().await;
    assert_eq!(parts.sink.items(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_no_export_call_that_failed() {
    let parts = Parts::new(Role::Exporter, Start::Fail);
    let mut rig = within_ceiling(Rig::try_start(&parts.yaml("retry"))).await.expect("the start goes on without it");
    rig.wait_metric("tracecore_exporter_errors_total", &[("kind", "connect")], |errors| errors == 2.0).await;
    let failed = |rig: &Rig| rig.sample("tracecore_exporter_calls_total", &[("result", "failure")]);
    assert_eq!([failed(&rig), rig.sample("tracecore_exporter_failure_rate", &[])], [0.0; 2]);
    parts.starts(Start::Ready);
    rig.wait_ready().await;
    parts.sink.answer(|_| Answer::Fail(ExportFailure::Refused));
    assert_eq!(parts.source.emit(metrics("refused", 1)).await, Verdict::Accepted);
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "failure")], |calls| calls == 1.0).await;
    assert_eq!(rig.sample("tracecore_exporter_errors_total", &[("kind", "marshal")]), 0.0, "each is counted once");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ignored_receiver_is_left_out() {
    let parts = Parts::new(Role::Receiver, Start::Fail);
    let rig = within_ceiling(Rig::start(&parts.yaml("ignore"))).await;
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "connect")]), 1.0);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "connect")]), 1.0, "it is not tried again");
    let degraded = rig.sample("tracecore_receiver_degraded_seconds_total", &[]);
    assert!(degraded >= 600.0, "{degraded}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ignored_exporter_does_not_hold_back_its_siblings() {
    let (source, gone, sink) = (Source::new(), Sink::new(), Sink::new());
    gone.on_start(Start::Fail);
    let yaml = pipeline(&source, &sink, "")
        .replace(
            "exporters:\n",
            &format!("exporters:\n  test_sink/gone:\n    key: {gone}\n    on_start_error: ignore\n"),
        )
        .replace("[test_sink]", "[test_sink/gone, test_sink]");
    let rig = within_ceiling(Rig::start(&yaml)).await;
    assert_eq!(source.emit(metrics("to the other", 1)).await, Verdict::Accepted);
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[("reason", "ignored")]), 1.0);
    rig.stop().await;
    assert_eq!([gone.items(), sink.items()], [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_no_pipeline_of_its_receiver_would_take_is_refused() {
    let parts = Parts::new(Role::Exporter, Start::Fail);
    let rig = within_ceiling(Rig::start(&parts.yaml("ignore"))).await;
    let verdict = parts.source.emit(metrics("to nobody", 1)).await;
    assert!(matches!(verdict, Verdict::Refused(Refusal::Retryable { .. })), "{verdict:?}");
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 0.0, "its sender still has it");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_whose_only_exporter_is_ignored_does_not_hold_back_the_others_of_its_receiver() {
    let (source, gone, sink) = (Source::new(), Sink::new(), Sink::new());
    let filter = Filter::new(|_| Err(ProcessFailure::ForNow));
    gone.on_start(Start::Fail);
    let rig = within_ceiling(Rig::start(&format!(
        "
receivers:
  test_source: {{key: {source}}}
processors:
  test_processor: {{key: {filter}}}
exporters:
  test_sink/gone: {{key: {gone}, on_start_error: ignore}}
  test_sink: {{key: {sink}}}
service:
  pipelines:
    metrics/dead: {{receivers: [test_source], processors: [test_processor], exporters: [test_sink/gone]}}
    metrics/way: {{receivers: [test_source], exporters: [test_sink]}}
"
    )))
    .await;
    assert_eq!(source.emit(metrics("to the other", 3)).await, Verdict::Accepted);
    let dropped =
        |id, reason| rig.sample("tracecore_exporter_dropped_total", &[("component_id", id), ("reason", reason)]);
    assert_eq!([dropped("test_sink/gone", "ignored"), dropped("test_sink", "ignored")], [3.0, 0.0]);
    let items =
        |pipeline, way| rig.sample("tracecore_pipeline_items_total", &[("pipeline_id", pipeline), ("direction", way)]);
    assert_eq!(["in", "out"].map(|way| items("metrics/dead", way)), [3.0, 0.0], "no queue took it");
    assert_eq!(["in", "out"].map(|way| items("metrics/way", way)), [3.0; 2]);
    let pipelines = rig.running.pipelines();
    let states: Vec<_> = pipelines.iter().map(|(id, state)| (id.to_string(), *state)).collect();
    let expected = [("metrics/dead", State::PermanentError), ("metrics/way", State::Ok)];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
    let events = rig.stop().await;
    assert_eq!([gone.items(), sink.items()], [0, 3]);
    needs_events!();
    let told = event!("batch.dropped", component = "test_sink/gone", items = 3, reason = "ignored");
    assert!(events.iter().any(|event| told.accepts(event)));
}

#[test]
fn a_processor_cannot_be_ignored() {
    let parts = Parts::new(Role::Processor, Start::Ready);
    let message = build_error(&parts.yaml("ignore")).to_string();
    assert!(message.contains("processors.test_processor.on_start_error"), "{message}");
    assert!(message.contains("batches would pass it unprocessed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_stops_what_had_started() {
    needs_events!();
    let parts = Parts::new(Role::Receiver, Start::Fail);
    let (service, mut events) = tracecore::testing::build(&parts.yaml("fail"));
    assert!(within_ceiling(service.start()).await.is_err());
    assert_sequence!(events, [("service.stopped", component = "test_sink"), ("service.stopped", component = "")]);
}

#[tokio::test]
async fn readyz_answers_200_once_everything_has_started() {
    let parts = Parts::new(Role::Receiver, Start::Fail);
    let yaml = parts.yaml("retry") + "telemetry: {enabled: true, listen: 'localhost:0'}\n";
    let mut rig = within_ceiling(Rig::try_start(&yaml)).await.expect("the start goes on without it");
    let address = rig.running.surface_address().expect("it is enabled");
    let status = async |path: &'static str| {
        let (said, heard) = tokio::sync::oneshot::channel();
        // A thread of its own: the client blocks, and the surface is served by this one.
        std::thread::spawn(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
            let _ =
                said.send(agent.get(format!("http://{address}{path}")).call().map(|answer| answer.status().as_u16()));
        });
        within_ceiling(heard).await.expect("the thread answers").expect("the surface answers")
    };
    assert_eq!([status("/healthz").await, status("/readyz").await], [200, 503]);
    parts.starts(Start::Ready);
    rig.wait_ready().await;
    assert_eq!([status("/healthz").await, status("/readyz").await], [200, 200]);
    rig.stop().await;
}
