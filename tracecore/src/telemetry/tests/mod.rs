mod handles;
mod levels;
mod page;
mod renames;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use prometheus::proto::Metric;
use tokio::time::advance;

use super::spec::{LabelKey, Spec, Values};
use super::*;
use crate::net::{self, Observer as _};
use crate::surface::Observer as _;
use crate::time::Duration;

const BUILD: BuildInfo = BuildInfo::new("tracecore", "1.2.3", "abc123");
/// A Saturday in 2026.
const BOOT: Duration = Duration::from_secs(1_780_000_000);

fn telemetry() -> SelfTelemetry {
    telemetry_at(Level::default())
}

fn telemetry_at(level: Level) -> SelfTelemetry {
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + BOOT);
    let builder = SelfTelemetry::builder(BUILD, Resource::detect(&BUILD)).clock(clock).level(level);
    // What is declared, and nothing twice.
    builder.renames(&[]).build().unwrap()
}

/// The series `name{labels}`, once and only once, or not at all.
fn series(telemetry: &SelfTelemetry, name: &str, labels: &[(&str, &str)]) -> Option<Metric> {
    let families = telemetry.gather();
    let family = families.into_iter().find(|family| family.name() == name)?;
    let wanted: BTreeSet<_> = labels.iter().copied().collect();
    let labels_of = |metric: &Metric| -> BTreeSet<(String, String)> {
        metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect()
    };
    let same = |metric: &&Metric| {
        let labels = labels_of(metric);
        labels.len() == wanted.len() && labels.iter().all(|(k, v)| wanted.contains(&(k.as_str(), v.as_str())))
    };
    let mut found = family.get_metric().iter().filter(same);
    let first = found.next().cloned();
    assert!(found.next().is_none(), "{name} {labels:?} is there twice");
    first
}

/// The value of a counter or a gauge.
fn value(telemetry: &SelfTelemetry, name: &str, labels: &[(&str, &str)]) -> f64 {
    let metric = series(telemetry, name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}"));
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

fn failure_rate(telemetry: &SelfTelemetry) -> f64 {
    value(telemetry, "tracecore_exporter_failure_rate", &[])
}

/// One of every handle, and one call of each that makes its series at its first call.
fn one_of_each(telemetry: &SelfTelemetry) -> (ReceiverTelemetry, ProcessorTelemetry, ExporterTelemetry) {
    started(telemetry);
    telemetry.record_init_error("clock", Role::Receiver, InitErrorReason::InstrumentRegister);
    (
        telemetry.receiver("clock", &[ErrorKind::Read]),
        telemetry.processor("filter", &[ErrorKind::Parse]),
        telemetry.exporter("stdout", &[ErrorKind::Marshal, ErrorKind::Io]),
    )
}

/// A service of one receiver, which serves clients, one processor, one exporter and one pipeline, once it is ready. No
/// component declares kinds of errors of its own.
fn started(telemetry: &SelfTelemetry) {
    let took = Duration::ZERO;
    telemetry.receiver("clock", &[]).first_emission(took);
    telemetry.ingest("clock");
    telemetry.processor("filter", &[]);
    telemetry.exporter("stdout", &[]);
    telemetry.breaker("stdout");
    telemetry.pipeline("metrics");
    for (id, role) in ["clock", "filter", "stdout"].into_iter().zip(Role::ALL) {
        telemetry.component(id, role).started(took);
    }
    telemetry.service().config_applied(took);
    telemetry.service().ready(took);
}

// The surface

#[test]
fn each_family_is_there_once_and_in_order() {
    let telemetry = telemetry();
    let _twice = (one_of_each(&telemetry), one_of_each(&telemetry));
    telemetry.exporter("stdout/second", &[]);
    let names: Vec<_> = telemetry.gather().iter().map(|family| family.name().to_owned()).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn at_boot_everything_rests() {
    let telemetry = telemetry();
    started(&telemetry);
    let starts = |family: &MetricFamily| family.name() == "tracecore_component_starts_total";
    // What the kernel says of the process is never at rest.
    let process = |family: &MetricFamily| family.name().starts_with("process_");
    for family in telemetry.gather().into_iter().filter(|family| !starts(family) && !process(family)) {
        for metric in family.get_metric() {
            let resting = match family.name() {
                "target_info" | "tracecore_build_info" => 1.0,
                "tracecore_receiver_last_activity_unix_seconds" => BOOT.as_secs_f64(),
                _ => 0.0,
            };
            let counted = u32::try_from(metric.get_histogram().get_sample_count()).unwrap();
            let value = metric.get_counter().get_value() + metric.get_gauge().get_value() + f64::from(counted);
            assert_eq!(value, resting, "{} {:?}", family.name(), metric.get_label());
        }
    }
}

#[test]
fn build_and_resource_are_shown() {
    let resource = Resource::detect(&BUILD).with("host.name", "node-7").with("service.instance.id", "one");
    let telemetry = SelfTelemetry::new(BUILD, resource).unwrap();
    let build = [("command", "tracecore"), ("version", "1.2.3"), ("revision", "abc123")];
    assert_eq!(value(&telemetry, "tracecore_build_info", &build), 1.0);
    let target = [
        ("host_name", "node-7"),
        ("service_instance_id", "one"),
        ("service_name", "tracecore"),
        ("service_version", "1.2.3"),
    ];
    assert_eq!(value(&telemetry, "target_info", &target), 1.0);
}

// Receivers

#[test]
fn a_receiver_shows_the_kinds_it_declared_and_those_of_the_runtime() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("clock", &[ErrorKind::Read, ErrorKind::Downstream]);
    let errors = |kind: ErrorKind| {
        let labels = [("component_id", "clock"), ("kind", kind.as_str())];
        series(&telemetry, "tracecore_receiver_errors_total", &labels).map(|metric| metric.get_counter().get_value())
    };
    let shown: Vec<_> = ErrorKind::ALL.into_iter().filter(|&kind| errors(kind).is_some()).collect();
    assert_eq!(shown, [ErrorKind::Downstream, ErrorKind::Read, ErrorKind::Panic, ErrorKind::Init]);

    receiver.error(ErrorKind::Read);
    receiver.error(ErrorKind::Read);
    assert_eq!(errors(ErrorKind::Read), Some(2.0));
    receiver.error(ErrorKind::Parse);
    assert_eq!(errors(ErrorKind::Parse), Some(1.0), "an undeclared kind is not lost");
}

#[test]
fn latency_falls_into_its_bucket() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("clock", &[]);
    receiver.observe_latency(Duration::from_micros(200));
    receiver.observe_latency(Duration::from_secs(2));
    receiver.observe_latency(Duration::from_secs(60));
    let metric =
        series(&telemetry, "tracecore_receiver_collection_latency_seconds", &[("component_id", "clock")]).unwrap();
    let at_most = |edge: f64| {
        let buckets = metric.get_histogram().get_bucket();
        buckets.iter().find(|bucket| bucket.upper_bound() == edge).unwrap().cumulative_count()
    };
    assert_eq!([at_most(0.0001), at_most(0.0002), at_most(1.0), at_most(2.0), at_most(10.0)], [0, 1, 1, 2, 2]);
    assert_eq!(metric.get_histogram().get_sample_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn degraded_open_interval() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("nvml", &[]);
    let degraded = || value(&telemetry, "tracecore_receiver_degraded_seconds_total", &[("component_id", "nvml")]);
    assert_eq!(degraded(), 0.0, "visible from boot");
    receiver.set_degraded(true);
    advance(Duration::from_millis(1500)).await;
    assert_eq!(degraded(), 1.5);
    advance(Duration::from_secs(1)).await;
    assert_eq!(degraded(), 2.5);
    receiver.set_degraded(false);
    advance(Duration::from_secs(9)).await;
    assert_eq!(degraded(), 2.5);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_boots_degraded_counts_from_its_first_scrape() {
    let telemetry = telemetry();
    telemetry.receiver("nvml", &[]).set_degraded(true);
    advance(Duration::from_secs(15)).await;
    assert_eq!(value(&telemetry, "tracecore_receiver_degraded_seconds_total", &[("component_id", "nvml")]), 15.0);
}

#[tokio::test(start_paused = true)]
async fn activity_is_boot_until_marked() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("clock", &[]);
    let last = || value(&telemetry, "tracecore_receiver_last_activity_unix_seconds", &[("component_id", "clock")]);
    advance(Duration::from_secs(30)).await;
    assert_eq!(last(), BOOT.as_secs_f64());
    receiver.mark_activity();
    assert_eq!(last(), BOOT.as_secs_f64() + 30.0);
}

#[test]
fn concurrent_registration() {
    const RECEIVERS: usize = 8;
    let telemetry = telemetry();
    let start = std::sync::Barrier::new(RECEIVERS * 2);
    thread::scope(|scope| {
        // Two threads for each of eight ids.
        for n in 0..RECEIVERS * 2 {
            let (telemetry, start) = (&telemetry, &start);
            scope.spawn(move || {
                start.wait();
                let receiver = telemetry.receiver(&format!("clock/{}", n % RECEIVERS), &[ErrorKind::Read]);
                receiver.emitted(1);
                receiver.error(ErrorKind::Read);
            });
        }
    });
    for n in 0..RECEIVERS {
        let id = format!("clock/{n}");
        assert_eq!(value(&telemetry, "tracecore_receiver_emissions_total", &[("component_id", &id)]), 2.0);
        let read = [("component_id", id.as_str()), ("kind", "read")];
        assert_eq!(value(&telemetry, "tracecore_receiver_errors_total", &read), 2.0);
        assert_eq!(value(&telemetry, "tracecore_receiver_degraded_seconds_total", &[("component_id", &id)]), 0.0);
    }
}

// Exporters

#[test]
fn calls_are_counted_by_result_and_kind() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[ErrorKind::Connect]);
    let calls = |result: &str, kind: &str| {
        let labels = [("component_id", "otlp"), ("kind", kind), ("result", result)];
        value(&telemetry, "tracecore_exporter_calls_total", &labels)
    };
    assert_eq!([calls("success", ""), calls("failure", "connect"), calls("failure", "panic")], [0.0; 3]);
    exporter.call_succeeded();
    exporter.call_failed(ErrorKind::Connect);
    exporter.call_failed(ErrorKind::Connect);
    assert_eq!([calls("success", ""), calls("failure", "connect"), calls("failure", "panic")], [1.0, 2.0, 0.0]);
    assert_eq!((exporter.success_count(), exporter.failure_count()), (1, 2));
}

#[test]
fn what_is_dropped_has_its_reason() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[]);
    for (reason, items) in DropReason::ALL.into_iter().zip(1..) {
        exporter.dropped(reason, items);
    }
    let processor = telemetry.processor("filter", &[]);
    for (reason, items) in ProcessorDropReason::ALL.into_iter().zip(1..) {
        processor.dropped(reason, items);
    }
    let dropped =
        |name: &str, id: &str, reason: &str| value(&telemetry, name, &[("component_id", id), ("reason", reason)]);
    let by_exporter = [
        "queue_full",
        "too_large",
        "permanent",
        "rejected",
        "retry_exhausted",
        "panic",
        "stopped",
        "ignored",
        "shutdown",
    ]
    .map(|reason| dropped("tracecore_exporter_dropped_total", "otlp", reason));
    assert_eq!(by_exporter, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let by_processor =
        ["filtered", "error", "panic"].map(|reason| dropped("tracecore_processor_dropped_total", "filter", reason));
    assert_eq!(by_processor, [1.0, 2.0, 3.0]);
}

#[tokio::test(start_paused = true)]
async fn an_old_failure_leaves_the_rate_after_a_minute() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[ErrorKind::Connect]);
    let by_component =
        || value(&telemetry, "tracecore_exporter_failure_rate_by_component", &[("component_id", "otlp")]);
    assert_eq!(failure_rate(&telemetry), 0.0);
    exporter.call_failed(ErrorKind::Connect);
    exporter.call_succeeded();
    advance(Duration::from_secs(60)).await;
    assert_eq!((failure_rate(&telemetry), by_component()), (0.5, 0.5));
    exporter.call_succeeded();
    advance(Duration::from_secs(60)).await;
    assert_eq!((failure_rate(&telemetry), by_component()), (0.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_scrapes_once_a_minute_late_or_early_finds_its_last_scrape() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[ErrorKind::Connect]);
    failure_rate(&telemetry);
    for late_millis in [20, 0, 35, 1, 0, 40, 13] {
        exporter.call_failed(ErrorKind::Connect);
        advance(Duration::from_millis(60_000 - 20 + late_millis)).await;
        let rate = failure_rate(&telemetry);
        assert!(rate == 1.0, "{rate} at {late_millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_servers_that_scrape_do_not_disturb_each_other() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[ErrorKind::Connect]);
    for second in 0..300 {
        if second % 4 == 0 {
            exporter.call_failed(ErrorKind::Connect);
        } else {
            exporter.call_succeeded();
        }
        advance(Duration::from_secs(1)).await;
        for at_this_second in [second % 15 == 0, second % 15 == 7] {
            let rate = if at_this_second { failure_rate(&telemetry) } else { continue };
            assert!(second < 75 || (0.23..0.27).contains(&rate), "{rate} at {second} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_calls_is_a_rate_of_zero_and_never_nan() {
    let telemetry = telemetry();
    telemetry.exporter("otlp", &[]);
    telemetry.register_queue("otlp", &Arc::new(Depth { used: AtomicU64::new(0), capacity: 0 }));
    for _ in 0..5 {
        advance(Duration::from_secs(60)).await;
        for family in telemetry.gather() {
            for metric in family.get_metric() {
                assert!(metric.get_gauge().get_value().is_finite(), "{}", family.name());
            }
        }
        assert_eq!(failure_rate(&telemetry), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn shared_exporter_counted_once() {
    let telemetry = telemetry();
    let in_metrics = telemetry.exporter("otlp", &[ErrorKind::Io]);
    let in_logs = telemetry.exporter("otlp", &[ErrorKind::Io]);
    let other = telemetry.exporter("stdout", &[]);
    failure_rate(&telemetry);
    in_metrics.call_failed(ErrorKind::Io);
    in_logs.call_failed(ErrorKind::Io);
    other.call_succeeded();
    other.call_succeeded();
    advance(Duration::from_secs(60)).await;
    assert_eq!(failure_rate(&telemetry), 0.5, "two of four calls");
    let failed = [("component_id", "otlp"), ("kind", "io"), ("result", "failure")];
    assert_eq!(value(&telemetry, "tracecore_exporter_calls_total", &failed), 2.0);
    assert_eq!(in_metrics.failure_count(), 2);
    assert_eq!(telemetry.slo_source().exporter_calls(), Calls { failed: 2, total: 4 });
}

// Queues and restarts

struct Depth {
    used: AtomicU64,
    capacity: u64,
}

impl QueueDepth for Depth {
    fn used_and_capacity(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed), self.capacity)
    }
}

#[test]
fn the_depth_is_that_of_the_fullest_queue_and_falls_when_it_goes() {
    let telemetry = telemetry();
    let depth = || value(&telemetry, "tracecore_queue_depth_ratio", &[]);
    let queue = |used| Arc::new(Depth { used: AtomicU64::new(used), capacity: 200 });
    assert_eq!(depth(), 0.0);
    let (first, second) = (queue(50), queue(0));
    telemetry.register_queue("first", &first);
    telemetry.register_queue("second", &second);
    assert_eq!(depth(), 0.25);
    second.used.store(200, Ordering::Relaxed);
    assert_eq!(depth(), 1.0);
    second.used.store(0, Ordering::Relaxed);
    assert_eq!(depth(), 0.25);
    let replaced = queue(20);
    telemetry.register_queue("first", &replaced);
    assert_eq!(depth(), 0.1, "the earlier queue of the same exporter is out");
    drop((replaced, second));
    assert_eq!(depth(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_rolls_out_of_the_hour() {
    let telemetry = telemetry();
    telemetry.receiver("clock", &[]);
    let last_hour = || value(&telemetry, "tracecore_component_restart_count_per_hour", &[]);
    let labels = [("component_id", "clock"), ("role", "receiver")];
    let ever = || value(&telemetry, "tracecore_component_restarts_total", &labels);
    assert_eq!((last_hour(), ever()), (0.0, 0.0));
    telemetry.component_restarted("clock", Role::Receiver);
    telemetry.component_restarted("stdout", Role::Exporter);
    assert_eq!((last_hour(), ever()), (2.0, 1.0));
    advance(Duration::from_secs(1800)).await;
    telemetry.component_restarted("clock", Role::Receiver);
    advance(Duration::from_secs(1799)).await;
    assert_eq!((last_hour(), ever()), (3.0, 2.0));
    advance(Duration::from_secs(1)).await;
    assert_eq!((last_hour(), ever()), (1.0, 2.0));
    advance(Duration::from_secs(1800)).await;
    assert_eq!((last_hour(), ever()), (0.0, 2.0));
}

#[tokio::test(start_paused = true)]
async fn the_gauges_can_have_another_source() {
    struct Fixed;
    impl SloSource for Fixed {
        fn exporter_calls(&self) -> Calls {
            Calls { failed: 1, total: 4 }
        }
        fn queue_depth_ratio(&self) -> f64 {
            0.75
        }
        fn restarts_last_hour(&self) -> u64 {
            6
        }
    }
    let with = |source: Arc<dyn SloSource>| {
        SelfTelemetry::builder(BUILD, Resource::detect(&BUILD)).slo_source(source).build().unwrap()
    };
    let of = |telemetry: &SelfTelemetry| {
        ["tracecore_queue_depth_ratio", "tracecore_component_restart_count_per_hour"]
            .map(|name| value(telemetry, name, &[]))
    };
    assert_eq!(of(&with(Arc::new(Fixed))), [0.75, 6.0]);
    let zero = with(Arc::new(ZeroSlo));
    zero.component_restarted("clock", Role::Receiver);
    assert_eq!(of(&zero), [0.0, 0.0]);
}

// Processors, pipelines, the surface

#[test]
fn a_processor_and_a_pipeline_count_both_ends() {
    let telemetry = telemetry();
    let processor = telemetry.processor("filter", &[ErrorKind::Parse]);
    processor.received(10);
    processor.sent(7);
    processor.error(ErrorKind::Parse);
    processor.observe_latency(Duration::from_micros(10));
    let of = |name: &str| value(&telemetry, name, &[("component_id", "filter")]);
    assert_eq!([of("tracecore_processor_items_in_total"), of("tracecore_processor_items_out_total")], [10.0, 7.0]);
    let errors = [("component_id", "filter"), ("kind", "parse")];
    assert_eq!(value(&telemetry, "tracecore_processor_errors_total", &errors), 1.0);
    let latency = series(&telemetry, "tracecore_processor_latency_seconds", &[("component_id", "filter")]).unwrap();
    assert_eq!(latency.get_histogram().get_sample_count(), 1);

    let pipeline = telemetry.pipeline("metrics/primary");
    pipeline.received(10, 1000);
    pipeline.delivered(7, 700);
    let of = |name: &str, direction: &str| {
        value(&telemetry, name, &[("pipeline_id", "metrics/primary"), ("direction", direction)])
    };
    assert_eq!(["in", "out"].map(|end| of("tracecore_pipeline_items_total", end)), [10.0, 7.0]);
    assert_eq!(["in", "out"].map(|end| of("tracecore_pipeline_bytes_total", end)), [1000.0, 700.0]);
}

#[test]
fn the_surface_counts_its_troubles() {
    let telemetry = telemetry();
    telemetry.surface().handler_panicked();
    telemetry.surface().exited(net::Exit::ListenerError);
    telemetry.surface().scrape_limited();
    assert_eq!(value(&telemetry, "tracecore_surface_scrape_panics_total", &[]), 1.0);
    assert_eq!(value(&telemetry, "tracecore_surface_rate_limited_total", &[]), 1.0);
    let exits = |reason: &str| value(&telemetry, "tracecore_surface_serve_exited_total", &[("reason", reason)]);
    assert_eq!(["shutdown", "aborted", "listener_error"].map(exits), [0.0, 0.0, 1.0]);
}

#[test]
fn init_error_labels() {
    let telemetry = telemetry();
    for reason in InitErrorReason::ALL {
        telemetry.record_init_error("nvml", Role::Receiver, reason);
    }
    telemetry.record_init_error("nvml", Role::Receiver, InitErrorReason::NilProvider);
    let counted = ["nil_provider", "instrument_register", "unsupported_sdk"].map(|reason| {
        let labels = [("component_id", "nvml"), ("reason", reason), ("role", "receiver")];
        value(&telemetry, "tracecore_selftelemetry_init_errors_total", &labels)
    });
    assert_eq!(counted, [2.0, 1.0, 1.0]);
}

// The whole

#[test]
fn two_services_of_one_process_see_nothing_of_each_other() {
    let (one, other) = (telemetry(), telemetry());
    one.receiver("clock", &[]).emitted(3);
    other.receiver("clock", &[]);
    one.component_restarted("clock", Role::Receiver);
    let emitted = |of: &SelfTelemetry| value(of, "tracecore_receiver_emissions_total", &[("component_id", "clock")]);
    assert_eq!((emitted(&one), emitted(&other)), (3.0, 0.0));
    assert_eq!(value(&other, "tracecore_component_restart_count_per_hour", &[]), 0.0);
}

#[test]
fn noop_default() {
    let telemetry = SelfTelemetry::noop();
    let (receiver, processor, exporter) = one_of_each(&telemetry);
    receiver.emitted(1);
    receiver.set_degraded(true);
    processor.received(1);
    exporter.call_failed(ErrorKind::Io);
    assert_eq!(exporter.failure_count(), 1, "the handles work");
    assert!(telemetry.gather().is_empty());
    telemetry.shutdown().unwrap();
}

#[test]
fn shutdown_idempotent() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("clock", &[]);
    telemetry.shutdown().unwrap();
    telemetry.shutdown().unwrap();
    receiver.emitted(1);
    telemetry.receiver("late", &[]).emitted(1);
    assert!(telemetry.gather().is_empty());
}

#[test]
fn the_last_handle_takes_everything_with_it() {
    let source = Arc::new(ZeroSlo);
    let builder = SelfTelemetry::builder(BUILD, Resource::detect(&BUILD)).slo_source(Arc::clone(&source) as _);
    let telemetry = builder.build().unwrap();
    let handles = one_of_each(&telemetry);
    assert!(!telemetry.gather().is_empty());
    drop((telemetry, handles));
    assert_eq!(Arc::strong_count(&source), 1, "a callback still holds the source");
}

// What a component makes for itself

const WORK: Spec<1> = Spec {
    name: "tracecore.test.work_total",
    help: "Work.",
    unit: "{work}",
    labels: [LabelKey { key: "unit", values: Values::Closed(&["a", "b"]) }],
    level: Level::Basic,
    since: "0.1.0",
};

#[test]
fn a_family_asked_for_twice_is_one() {
    let telemetry = telemetry();
    let children = [(); 2].map(|()| telemetry.instruments().counter(&WORK).unwrap().bind(["a"]));
    children.iter().for_each(|child| child.add(1));
    assert_eq!(value(&telemetry, "tracecore_test_work_total", &[("unit", "a")]), 2.0);
}

#[test]
fn another_family_of_the_same_name_is_an_error() {
    let telemetry = telemetry();
    let instruments = telemetry.instruments();
    instruments.counter(&WORK).unwrap();
    assert!(matches!(instruments.gauge(&WORK), Err(TelemetryError::Conflict { .. })));
    assert!(matches!(instruments.observed_counter(&WORK), Err(TelemetryError::Conflict { .. })));
    let help = Spec { help: "Other.", ..WORK };
    assert!(matches!(instruments.counter(&help), Err(TelemetryError::Conflict { .. })));
    let same_when_exposed = Spec { name: "tracecore.test_work.total", ..WORK };
    assert!(matches!(instruments.counter(&same_when_exposed), Err(TelemetryError::Conflict { .. })));
}

#[test]
fn a_bad_spec_is_an_error() {
    let telemetry = telemetry();
    let instruments = telemetry.instruments();
    for name in ["", "Upper", "1st", "a b", "a-b", ".a"] {
        let got = instruments.counter(&Spec { name, ..WORK });
        assert!(matches!(got, Err(TelemetryError::Name { .. })), "{name:?}");
    }
    for key in ["", "bad-key", "1st", "a..b", ".a", "ä"] {
        let got = instruments.counter(&Spec { labels: [LabelKey { key, ..WORK.labels[0] }], ..WORK });
        assert!(matches!(got, Err(TelemetryError::LabelKey { .. })), "{key:?}");
    }
    let got = instruments.counter(&Spec { unit: "µs", ..WORK });
    assert!(matches!(got, Err(TelemetryError::Unit { .. })));
    for buckets in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[f64::INFINITY]] {
        let got = instruments.histogram(&WORK, buckets);
        assert!(matches!(got, Err(TelemetryError::Buckets { .. })), "{buckets:?}");
    }
}

#[test]
fn past_its_limit_a_family_folds_the_rest_into_one_series() {
    let telemetry = telemetry();
    let family = telemetry.instruments().counter(&WORK).unwrap();
    for unit in ["a", "b", "c", "d"] {
        family.bind([unit]).add(1);
    }
    assert_eq!(value(&telemetry, "tracecore_test_work_total", &[("otel_metric_overflow", "true")]), 2.0);
}

/// A metric that a component declares for its own health.
const OPEN: crate::metrics::Metric = crate::metrics::Metric {
    name: crate::metrics::MetricName::Field("open"),
    unit: "{file}",
    help: "Open files.",
    kind: crate::metrics::Kind::UpDownCounter,
    keys: &[&["disk.unit"]],
    buckets: &[],
    quantiles: &[],
};

#[test]
fn an_up_down_counter_goes_both_ways() {
    let telemetry = telemetry();
    let family =
        telemetry.instruments().declared_up_down_counter("tracecore.test.open", &OPEN, &["disk.unit"]).unwrap();
    let open = family.bind(&["a"]);
    open.add(3);
    open.add(-2);
    assert_eq!(value(&telemetry, "tracecore_test_open", &[("disk_unit", "a")]), 1.0);
}

#[test]
fn a_reader_that_panics_costs_its_own_series() {
    let telemetry = telemetry();
    let spec = Spec { name: "tracecore.test.level", ..WORK };
    let family = telemetry.instruments().observed_gauge(&spec).unwrap();
    family.bind(["bad"], || panic!("a reader of a test"));
    family.bind(["good"], || 7.0);
    for scrapes in [1.0, 2.0] {
        let families = telemetry.gather();
        assert!(families.iter().any(|family| family.name() == "tracecore_test_level"));
        let panics = families.iter().find(|family| family.name() == "tracecore_surface_scrape_panics_total").unwrap();
        assert!(panics.get_metric()[0].get_counter().get_value() >= scrapes);
    }
    assert_eq!(value(&telemetry, "tracecore_test_level", &[("unit", "good")]), 7.0);
    assert!(series(&telemetry, "tracecore_test_level", &[("unit", "bad")]).is_none());
    family.bind(["bad"], || 8.0);
    assert_eq!(value(&telemetry, "tracecore_test_level", &[("unit", "bad")]), 8.0, "the next incarnation's reader");
}
