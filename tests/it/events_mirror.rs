//! Events as OTLP logs: whole, filtered, lost with a number where their pipeline is slow, and never the reason for more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use tokio::time::timeout;
use tracecore::events::{BatchEvent, Draft, Occurrence, RetryEvent, Severity, Value};
use tracecore::signal::{Batch, Decoded};
use tracecore::testing::{
    Answer, ExportFailure, RecordingExporter, ScriptedProcessor, ScriptedReceiver, TestService, event, metrics,
    needs_events,
};

/// Far longer than whatever a service does by itself.
const LONG: Duration = Duration::from_secs(3600);

/// The ends of two pipelines: one of metrics, and one that sends events.
struct Ends {
    source: ScriptedReceiver,
    sink: RecordingExporter,
    log: RecordingExporter,
    processor: ScriptedProcessor,
}

fn ends() -> Ends {
    let (sink, log) = (RecordingExporter::new(), RecordingExporter::new());
    Ends { source: ScriptedReceiver::new(), sink, log, processor: ScriptedProcessor::new(|batch| Ok(Some(batch))) }
}

/// The service, which sends these events, with these settings of the exporter that does.
async fn start(Ends { source, sink, log, processor }: &Ends, events: &str, more: &str) -> TestService {
    let yaml = format!(
        "
receivers:
  test_source: {{key: {source}}}
processors:
  test_processor: {{key: {processor}}}
exporters:
  test_sink: {{key: {sink}}}
  test_sink/events: {{key: {log}{more}}}
service:
  pipelines:
    metrics: {{receivers: [test_source], exporters: [test_sink]}}
    logs/events: {{receivers: [], processors: [test_processor], exporters: [test_sink/events]}}
telemetry: {{enabled: true, listen: 'localhost:0', events: {{pipeline: {{id: logs/events{events}}}}}}}
"
    );
    TestService::start(&yaml).await
}

fn resources(batch: &Batch) -> Vec<ResourceLogs> {
    let Decoded::Logs(logs) = batch.decode() else { panic!("{} where logs are expected", batch.signal()) };
    logs.resource_logs
}

fn records(batches: &[Batch]) -> Vec<LogRecord> {
    let scopes = batches.iter().flat_map(resources).flat_map(|resource| resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records).collect()
}

fn names(batches: &[Batch]) -> Vec<String> {
    records(batches).into_iter().map(|record| record.event_name).collect()
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, Any> {
    let value = |value: &Option<AnyValue>| value.as_ref().and_then(|any| any.value.clone()).expect("a value");
    attributes.iter().map(|attribute| (attribute.key.clone(), value(&attribute.value))).collect()
}

fn number(number: u64) -> Any {
    Any::IntValue(number.try_into().expect("it is small"))
}

/// The record that an event must become.
fn record(Occurrence { meta, event }: &Occurrence) -> (String, u64, Severity, BTreeMap<String, Any>) {
    let mut fields = BTreeMap::new();
    let words = [
        ("component", meta.component.as_ref().map(ToString::to_string)),
        ("correlation_id", meta.correlation.map(|id| id.to_string())),
    ];
    fields.extend(words.into_iter().filter_map(|(key, word)| Some((key.to_owned(), Any::StringValue(word?)))));
    fields.extend(meta.duration_us().map(|micros| ("duration_us".to_owned(), number(micros))));
    event.visit(&mut |field, value| {
        let value = match value {
            Value::Number(count) => number(count),
            Value::Flag(flag) => Any::BoolValue(flag),
            Value::Word(word) => Any::StringValue(word.to_owned()),
        };
        fields.insert(field.to_owned(), value);
    });
    let time = meta.time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    (event.name().to_owned(), time.try_into().expect("before 2554"), event.severity(), fields)
}

#[tokio::test(start_paused = true)]
async fn event_meta_complete() {
    needs_events!();
    let ends = ends();
    ends.sink.answer({
        let mut failed = false;
        move |_| if std::mem::replace(&mut failed, true) { Answer::Accept } else { Answer::Fail(ExportFailure::Away) }
    });
    let mut service = start(&ends, "", "").await;
    assert!(ends.source.emit(metrics("three", 3)).await.is_accepted());
    let mut told = Vec::new();
    let delivered = event!("export.succeeded", component = "test_sink");
    while !told.last().is_some_and(|last: &Arc<Occurrence>| delivered.accepts(last)) {
        told.push(service.events.next().await.expect("the bus lives"));
    }
    told.extend(service.stop().await);

    let batches = ends.log.taken();
    let received = records(&batches);
    let received: Vec<_> =
        received.iter().map(|r| (r.event_name.clone(), r.time_unix_nano, attributes(&r.attributes))).collect();
    let mine = |told: &&Arc<Occurrence>| ["test_sink/events", "test_processor"].contains(&told.component());
    let others = told.iter().filter(|told| !mine(told)).map(|told| record(told));
    let others: Vec<_> = others.map(|(name, time, _, fields)| (name, time, fields)).collect();
    // Every one of them, in order, until the pipeline itself stops.
    let sent: Vec<_> = received.iter().filter(|(_, _, fields)| !of_the_pipeline(fields)).cloned().collect();
    assert_eq!(sent[..], others[..sent.len()]);
    let left: Vec<_> = others[sent.len()..].iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(left, ["service.stopped"], "the collector's own is after the pipeline's end");
    let stopped = |id: &str| {
        sent.iter()
            .any(|(name, _, fields)| name == "service.stopped" && fields["component"] == Any::StringValue(id.into()))
    };
    assert!(stopped("test_source") && stopped("test_sink"), "{sent:?}");

    let failed = told.iter().find(|told| told.name() == "export.failed").map(|told| record(told)).expect("it failed");
    assert!(failed.3.contains_key("correlation_id") && failed.3.contains_key("duration_us"), "{failed:?}");
    for record in records(&batches) {
        assert_eq!(record.observed_time_unix_nano, record.time_unix_nano);
        let body = record.body.as_ref().and_then(|body| body.value.clone());
        assert_eq!(body, Some(Any::StringValue(record.event_name.clone())));
        let severity = told.iter().find(|told| told.name() == record.event_name).map(|told| told.event.severity());
        let severity = severity.expect("it was told");
        if record.event_name.starts_with("export.") {
            assert_eq!((record.severity_number, record.severity_text.as_str()), (severity as i32, severity.as_str()));
        }
    }
    for resource in batches.iter().flat_map(resources) {
        let resource = attributes(&resource.resource.expect("a resource").attributes);
        assert_eq!(resource["process.pid"], number(std::process::id().into()));
        let words = ["host.name", "service.instance.id", "service.name", "service.version"];
        let values = words.map(|key| resource[key].clone());
        assert_eq!(values, ["node-7", "one", "tracecore-tests", "1.2.3"].map(|value| Any::StringValue(value.into())));
    }
}

fn of_the_pipeline(fields: &BTreeMap<String, Any>) -> bool {
    let of = |id: &str| fields.get("component") == Some(&Any::StringValue(id.into()));
    of("test_sink/events") || of("test_processor")
}

#[tokio::test(start_paused = true)]
async fn only_what_is_included_is_sent() {
    needs_events!();
    let ends = ends();
    let include = ", include: [batch.*, service.started]";
    let service = start(&ends, include, "").await;
    assert!(ends.source.emit(metrics("one", 1)).await.is_accepted());
    service.stop().await;
    let mut names = names(&ends.log.taken());
    assert_eq!(names.pop().as_deref(), Some("batch.accepted"));
    assert_eq!(names, ["service.started"; 4], "from the first on");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_without_room_costs_events_and_holds_up_nobody() {
    needs_events!();
    for overflow in ["refuse", "block"] {
        let mut ends = ends();
        ends.log.answer(|_| Answer::Stall);
        let queue = format!(", sending_queue: {{queue_size: 1, sizer: requests, on_overflow: {overflow}}}");
        let include = ", include: [batch.accepted]";
        let mut service = start(&ends, include, &queue).await;
        for round in 0..3 {
            assert!(ends.source.emit(metrics("one", 1)).await.is_accepted());
            let delivered = service.wait_for(event!("export.succeeded", component = "test_sink"));
            delivered.await;
            if round == 0 {
                ends.log.called().await;
            } else {
                // The first one keeps the place.
                service.wait_for(event!("resource.exhausted", component = "test_sink/events")).await;
            }
        }
        let service_events = service.snapshot();
        assert_eq!(service_events.sample("tracecore_events_refused_total", &[]), 2.0, "{overflow}");
        ends.log.release(1);
        service.stop().await;
        assert_eq!(names(&ends.log.taken()), ["batch.accepted"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_mirror_misses_is_counted() {
    needs_events!();
    let mut ends = ends();
    let service = start(&ends, ", include: [retry.exhausted]", "").await;
    let before = service.snapshot();
    for attempts in 0..3000 {
        service.running.events().emit(|| Draft::new(RetryEvent::Exhausted { attempts }));
    }
    let first = ends.log.called().await;
    assert_eq!(before.delta("tracecore_events_lagged_total", &[]), 3000.0 - 1024.0);
    service.stop().await;
    assert_eq!(ends.log.items(), 1024);
    assert_eq!(attributes(&records(&[first])[0].attributes)["attempts"], number(3000 - 1024), "the newest are kept");
}

#[tokio::test(start_paused = true)]
async fn what_the_sending_of_events_causes_is_not_sent() {
    needs_events!();
    let ends = ends();
    // Each batch of events fails once: the exporter's status goes to and fro, and its breaker opens and closes.
    let mut fails = false;
    ends.log.answer(move |_| {
        fails = !fails;
        if fails { Answer::Fail(ExportFailure::Away) } else { Answer::Accept }
    });
    let breaker = ", circuit_breaker: {enabled: true, failure_threshold: 1}";
    let mut service = start(&ends, "", breaker).await;
    service.running.events().emit(|| Draft::new(BatchEvent::Dropped { items: 1, reason: "a test" }));
    let (attempt, mut attempts) = (event!("export.started", component = "test_sink/events"), 0);
    while let Ok(told) = timeout(LONG, service.events.next()).await {
        attempts += usize::from(attempt.accepts(&told.expect("the bus lives")));
        assert!(attempts < 10, "one event is the reason for another: {:?}", names(&ends.log.taken()));
    }
    assert!(attempts >= 2, "the first attempt fails");
    let sent = records(&ends.log.taken());
    assert_eq!(sent.iter().filter(|record| record.event_name == "batch.dropped").count(), 1);
    let of_the_pipeline: Vec<_> =
        sent.iter().filter(|record| of_the_pipeline(&attributes(&record.attributes))).collect();
    assert!(of_the_pipeline.iter().all(|record| record.event_name == "service.started"), "{of_the_pipeline:?}");
    service.stop().await;
}
