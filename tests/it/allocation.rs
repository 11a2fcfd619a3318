//! What runs per item or per call allocates nothing; what runs per batch allocates a known little.
//!
//! The counts are those of the calling thread, so other tests may run beside these.

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use http::{Extensions, HeaderMap};
use tracecore::component::Role;
use tracecore::config::ComponentId;
use tracecore::emit::Origin;
use tracecore::error::ErrorKind;
use tracecore::events::{Draft, Events, Filter, ServiceEvent};
use tracecore::metrics::data::Maker;
use tracecore::metrics::{MetricSet as _, Name};
use tracecore::net::{Method, Route};
use tracecore::signal::view::View;
use tracecore::signal::{Batch, Signal};
use tracecore::telemetry::{
    BreakerState, BuildInfo, DropReason, Level, Operation, ProcessorDropReason, Resource, SelfTelemetry, SpanContext,
    StatusClass, StopReason, WindowedRate,
};
use tracecore::testing::{
    Answer, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, logs, metrics, pipeline, sample,
    spans,
};
use tracecore::time::Instant;
use tracecore_tests::{Data, Device, Direction, Phase};

/// How often each call is made: enough to meet a buffer that grows now and then.
const ROUNDS: usize = 1000;

/// Asserts that `call` allocates nothing after its first time.
fn allocates_nothing(what: &str, mut call: impl FnMut()) {
    call();
    let info = measure(|| (0..ROUNDS).for_each(|_| call()));
    assert_eq!(info.count_total, 0, "{what} allocates");
}

fn telemetry_at(level: Level) -> SelfTelemetry {
    let build = BuildInfo::new("tracecore-tests", "1.2.3", "");
    let telemetry = SelfTelemetry::builder(build, Resource::detect(&build)).level(level).build();
    telemetry.expect("its families are constants")
}

fn telemetry() -> SelfTelemetry {
    telemetry_at(Level::Normal)
}

#[test]
fn the_counter_counts() {
    let info = measure(|| drop(black_box(Box::new(1))));
    assert_eq!(info.count_total, 1);
}

#[test]
fn zero_alloc_hot_path() {
    Level::ALL.into_iter().for_each(hot_path_at);
}

fn hot_path_at(level: Level) {
    let telemetry = telemetry_at(level);
    let receiver = telemetry.receiver("clock", &[ErrorKind::Read]);
    let processor = telemetry.processor("filter", &[]);
    let exporter = telemetry.exporter("stdout", &[ErrorKind::Io]);
    let pipeline = telemetry.pipeline("metrics/primary");
    let took = Duration::from_millis(3);
    allocates_nothing("counting an emission", || receiver.emitted(1));
    allocates_nothing("counting an error", || receiver.error(ErrorKind::Downstream));
    allocates_nothing("recording a latency", || receiver.observe_latency(took));
    allocates_nothing("marking activity", || receiver.mark_activity());
    allocates_nothing("saying degraded", || receiver.set_degraded(true));
    allocates_nothing("counting what a processor got", || processor.received(1));
    allocates_nothing("counting what a processor sent", || processor.sent(1));
    allocates_nothing("counting what a processor dropped", || processor.dropped(ProcessorDropReason::Filtered, 1));
    allocates_nothing("recording a processor's latency", || processor.observe_latency(took));
    allocates_nothing("counting a call", || exporter.call_succeeded());
    allocates_nothing("counting a failed call", || exporter.call_failed(ErrorKind::Io));
    allocates_nothing("counting a drop", || exporter.dropped(DropReason::QueueFull, 1));
    allocates_nothing("counting what comes in", || pipeline.received(1, 100));
    allocates_nothing("counting what goes out", || pipeline.delivered(1, 100));
    allocates_nothing("timing an export", || exporter.observe_export(took));
    allocates_nothing("counting a retry", || exporter.retried());
    let (component, service) = (telemetry.component("clock", Role::Receiver), telemetry.service());
    allocates_nothing("counting a start", || component.started(took));
    allocates_nothing("counting a stop", || component.stopped(StopReason::Crashed));
    allocates_nothing("counting a failed check", || component.health_check_failed());
    allocates_nothing("counting a task in", || component.task_started());
    allocates_nothing("counting a task out", || component.task_ended());
    allocates_nothing("recording a poll", || component.polled(took));
    allocates_nothing("saying the first emission", || receiver.first_emission(took));
    allocates_nothing("counting missed events", || service.events_lagged(1));
    allocates_nothing("counting refused events", || service.events_refused(1));
    let (ingest, breaker) = (telemetry.ingest("clock"), telemetry.breaker("stdout"));
    allocates_nothing("counting an answer", || ingest.answered(StatusClass::of(200), took));
    allocates_nothing("counting a connection in", || ingest.connection_opened());
    allocates_nothing("counting a connection out", || ingest.connection_closed());
    allocates_nothing("moving a breaker", || breaker.changed(BreakerState::Open));
}

#[test]
fn a_span_without_traces_allocates_nothing() {
    let telemetry = telemetry();
    let component: ComponentId = "otlp/gateway".parse().expect("it is an id");
    let mut headers = HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", parent.parse().expect("it is a header's value"));
    let extensions = Extensions::new();
    allocates_nothing("the origin of a request, without traces", || {
        black_box(Origin::of(&headers, &extensions));
    });
    allocates_nothing("a span, without traces", || {
        let parent = SpanContext::from_traceparent(&headers);
        let component = &component;
        let operation = Operation::Request { component, method: Method::Post };
        let mut request = telemetry.traces().span(operation, parent);
        request.set_route(Route("/v1/traces"));
        request.set_status_class(StatusClass::Success);
        let mut export = telemetry.traces().span(Operation::Export { component }, request.context());
        export.set_items(1);
        export.end(Err(ErrorKind::Connect));
    });
    allocates_nothing("starting what is not there", || telemetry.start());
}

#[test]
fn the_service_level_figures_allocate_nothing() {
    let telemetry = telemetry();
    let exporters: Vec<_> = (0..100).map(|index| telemetry.exporter(&format!("stdout/{index}"), &[])).collect();
    exporters.iter().for_each(tracecore::telemetry::ExporterTelemetry::call_succeeded);
    let source = telemetry.slo_source();
    allocates_nothing("the walk over the exporters", || {
        black_box(source.exporter_calls());
    });
    allocates_nothing("the depth of the queues", || {
        black_box(source.queue_depth_ratio());
    });
    allocates_nothing("the restarts", || {
        black_box(source.restarts_last_hour());
    });

    let (mut rate, mut now, mut calls) = (WindowedRate::new(Duration::from_secs(60)), Instant::now(), 0);
    allocates_nothing("observing a rate", || {
        now += Duration::from_millis(250);
        calls += 1;
        black_box(rate.observe(now, calls / 2, calls));
    });
}

#[test]
fn the_walk_allocates_nothing() {
    for batch in [metrics("points", 100), spans("spans", 100), logs("records", 100)] {
        let [bytes] = batch.parts() else { panic!("one part") };
        let signal = batch.signal();
        allocates_nothing("validating", || drop(black_box(Batch::validate(signal, bytes.clone()))));
        allocates_nothing("sharing", || drop(black_box(batch.clone())));
    }
    let damaged = metrics("points", 100).parts()[0].slice(..50);
    allocates_nothing("refusing", || assert!(Batch::validate(Signal::Metrics, damaged.clone()).is_err()));
}

#[test]
fn reading_allocates_nothing() {
    let batch = metrics("points", 100);
    allocates_nothing("reading a view", || {
        let View::Metrics(resources) = batch.view() else { panic!("metrics are expected") };
        black_box(
            resources.flat_map(|resource| resource.metrics()).map(|(_, _, metric)| metric.name.len()).sum::<usize>(),
        );
    });
}

#[test]
fn measuring_allocates_nothing() {
    let mut data = Data::make(&Maker { start: 0 });
    let device = Device(Name::new("sda"));
    allocates_nothing("adding", || data.ticks.add(1, ()));
    allocates_nothing("adding by an enum", || data.busy.add(0.5, Phase::InUse));
    allocates_nothing("adding by a name", || data.io.add(1, (device.clone(), Direction::Read)));
    allocates_nothing("setting", || data.temperature.set(1.0, device.clone()));
    allocates_nothing("observing", || data.duration.observe(0.3, Phase::Idle));
    allocates_nothing("sweeping", || {
        data.ticks.add(1, ());
        data.sweep();
    });
}

#[test]
fn an_event_that_nobody_hears_is_not_even_made() {
    let events = Events::default();
    allocates_nothing("an event", || events.emit::<ServiceEvent>(|| unreachable!("there is no subscriber")));
    drop(events.subscribe(Filter::all()));
    events.emit(|| Draft::new(ServiceEvent::Ready {}));
    allocates_nothing("an event after the last subscriber", || {
        events.emit::<ServiceEvent>(|| unreachable!("it has gone"));
    });
}

/// From the command of a test to the far end of a queue and back: a batch is never copied, whatever its size.
#[test]
fn a_batch_on_its_way_costs_a_few_small_allocations() {
    const BATCHES: u64 = 200;
    /// Measured, with the channels of the fixtures; what allocates per item or copies would be far above. Neither the
    /// circuit breaker that the batch passes, closed, nor the metrics of its delivery, nor the charge of its memory add one.
    const MOST: u64 = 9;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (source, sink) = (Source::new(), Sink::new());
    let settings = "sending_queue: {wait_for_result: true}";
    let yaml = pipeline(&source, &sink, settings);
    let batch = metrics("large", 10_000);
    let running = runtime.block_on(async { Rig::start(&yaml).await.running });
    let send = || {
        runtime.block_on(async {
            for _ in 0..BATCHES {
                assert!(source.emit(batch.clone()).await.is_accepted());
            }
        });
    };
    send();
    let info = measure(send);
    let (count, bytes) = (info.count_total / BATCHES, info.bytes_total / BATCHES);
    assert!(count <= MOST, "{count} allocations a batch");
    assert!(bytes < batch.size() as u64 / 10, "{bytes} bytes a batch: is it copied?");
    runtime.block_on(running.stop());
}

#[test]
fn tiny_batches_that_wait_are_charged_with_all_that_they_take() {
    /// Just above a power of two: the queue has grown to nearly twice its length.
    const BATCHES: usize = 1100;
    /// What an allocation takes of the heap beside its bytes, and how many a batch has.
    const LOST: usize = 2 * 16;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (source, sink) = (Source::new(), Sink::answering(Answer::Stall));
    let yaml = pipeline(&source, &sink, "sending_queue: {queue_size: 100000}");
    let running = runtime.block_on(async { Rig::start(&yaml).await.running });
    let send = |batches: usize| {
        runtime.block_on(async {
            for _ in 0..batches {
                assert!(source.emit(metrics("x", 1)).await.is_accepted());
            }
        });
    };
    let held = || sample(running.telemetry(), "tracecore_memory_held_bytes", &[]);
    // As many as there are consumers: what those hold is not the queue's.
    send(20);
    let before = held();
    let info = measure(|| send(BATCHES));
    let (takes, charged) = (info.bytes_current as usize + BATCHES * LOST, (held() - before) as usize);
    let [takes, charged] = [takes, charged].map(|bytes| bytes / BATCHES);
    assert!(takes <= charged, "{takes} bytes a batch, and {charged} charged");
    assert!(charged <= 3 * takes, "{takes} bytes a batch, and {charged} charged: too much");
    runtime.block_on(running.stop());
}
