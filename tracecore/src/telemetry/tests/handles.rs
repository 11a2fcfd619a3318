//! What each handle of the runtime makes of its calls.

use std::sync::atomic::AtomicBool;

use super::*;

const CLOCK: [(&str, &str); 2] = [("component_id", "clock"), ("role", "receiver")];

#[test]
fn stop_reasons() {
    let telemetry = telemetry();
    let clock = telemetry.component("clock", Role::Receiver);
    clock.started(Duration::from_millis(250));
    clock.stopped(StopReason::Crashed);
    clock.started(Duration::from_millis(500));
    clock.stopped(StopReason::Graceful);
    clock.health_check_failed();
    telemetry.component("clock", Role::Exporter).started(Duration::ZERO);
    assert_eq!(value(&telemetry, "tracecore_component_starts_total", &CLOCK), 2.0, "not those of its namesake");
    assert_eq!(value(&telemetry, "tracecore_component_start_seconds", &CLOCK), 0.5, "the last");
    assert_eq!(value(&telemetry, "tracecore_health_checks_failed_total", &CLOCK), 1.0);
    let stopped = StopReason::ALL.map(|reason| {
        let labels = [CLOCK[0], CLOCK[1], ("reason", reason.as_str())];
        value(&telemetry, "tracecore_component_stopped_total", &labels)
    });
    assert_eq!(StopReason::ALL.map(StopReason::as_str), ["graceful", "crashed", "idle_timeout", "config_removed"]);
    assert_eq!(stopped, [1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn what_has_not_happened_has_no_duration() {
    let telemetry = telemetry();
    let receiver = telemetry.receiver("clock", &[]);
    let names = [
        "tracecore_component_start_seconds",
        "tracecore_component_first_emission_seconds",
        "tracecore_startup_seconds",
        "tracecore_config_apply_seconds",
    ];
    let shown = || {
        let families = telemetry.gather();
        names.map(|name| {
            let family = families.iter().find(|family| family.name() == name);
            family.map(|family| family.get_metric()[0].get_gauge().get_value())
        })
    };
    assert_eq!(shown(), [None; 4]);
    telemetry.component("clock", Role::Receiver).started(Duration::from_secs(1));
    receiver.first_emission(Duration::from_secs(2));
    telemetry.service().ready(Duration::from_secs(3));
    telemetry.service().config_applied(Duration::from_secs(4));
    assert_eq!(shown(), [1.0, 2.0, 3.0, 4.0].map(Some));
}

/// Three components, of which two run; and none any more once it is stopped.
#[derive(Default)]
struct Three {
    stopped: AtomicBool,
}

impl ComponentStates for Three {
    fn count(&self, state: ComponentState) -> u64 {
        match state {
            ComponentState::Busy | ComponentState::Draining => u64::from(!self.stopped.load(Ordering::Relaxed)),
            ComponentState::Idle => 3 - 2 * u64::from(!self.stopped.load(Ordering::Relaxed)),
        }
    }

    fn active(&self) -> u64 {
        self.count(ComponentState::Busy) + self.count(ComponentState::Draining)
    }
}

#[test]
fn states_sum() {
    let telemetry = telemetry();
    let read = || {
        let states =
            ["busy", "idle", "draining"].map(|state| value(&telemetry, "tracecore_components", &[("state", state)]));
        (states, value(&telemetry, "tracecore_components_active", &[]))
    };
    assert_eq!(read(), ([0.0; 3], 0.0), "nobody told");
    let three = Arc::new(Three::default());
    telemetry.register_components(&three);
    assert_eq!(read(), ([1.0, 1.0, 1.0], 2.0));
    three.stopped.store(true, Ordering::Relaxed);
    assert_eq!(read(), ([0.0, 3.0, 0.0], 0.0));
    drop(three);
    assert_eq!(read(), ([0.0; 3], 0.0), "its source has gone");
}

#[test]
fn requests_are_counted_by_class() {
    let telemetry = telemetry();
    let ingest = telemetry.ingest("otlp");
    let took = Duration::from_millis(1);
    for status in [200, 204, 418, 499, 520, 0, 99, 600] {
        ingest.answered(StatusClass::of(status), took);
    }
    let requests = StatusClass::ALL.map(|class| {
        let labels = [("receiver", "otlp"), ("status_class", class.as_str())];
        value(&telemetry, "tracecore_ingest_requests_total", &labels)
    });
    assert_eq!(requests, [0.0, 2.0, 0.0, 2.0, 1.0, 3.0]);
    let duration = series(&telemetry, "tracecore_ingest_duration_seconds", &[("receiver", "otlp")]).unwrap();
    assert_eq!(duration.get_histogram().get_sample_count(), 8);

    ingest.connection_opened();
    ingest.connection_opened();
    ingest.connection_closed();
    assert_eq!(value(&telemetry, "tracecore_receiver_connections_active", &[("component_id", "otlp")]), 1.0);
}

#[test]
fn a_breaker_shows_where_it_stands_and_where_it_went() {
    let telemetry = telemetry();
    let breaker = telemetry.breaker("otlp");
    let state = || value(&telemetry, "tracecore_breaker_state", &[("component_id", "otlp")]);
    let mut seen = vec![state()];
    for to in [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Open] {
        breaker.changed(to);
        seen.push(state());
    }
    assert_eq!(seen, [0.0, 1.0, 2.0, 1.0]);
    let went = ["closed", "open", "half_open"]
        .map(|to| value(&telemetry, "tracecore_breaker_transitions_total", &[("component_id", "otlp"), ("to", to)]));
    assert_eq!(went, [0.0, 2.0, 1.0]);
}

#[test]
fn an_exporter_times_its_calls_and_counts_its_retries() {
    let telemetry = telemetry();
    let exporter = telemetry.exporter("otlp", &[]);
    exporter.observe_export(Duration::from_secs(2));
    exporter.retried();
    exporter.retried();
    let otlp = [("component_id", "otlp")];
    assert_eq!(value(&telemetry, "tracecore_exporter_retries_total", &otlp), 2.0);
    let duration = series(&telemetry, "tracecore_exporter_export_duration_seconds", &otlp).unwrap();
    assert_eq!(duration.get_histogram().get_sample_sum(), 2.0);
}

#[test]
fn lost_events_are_counted() {
    let telemetry = telemetry();
    telemetry.service().events_lagged(5);
    telemetry.service().events_lagged(2);
    assert_eq!(value(&telemetry, "tracecore_events_lagged_total", &[]), 7.0);
    telemetry.service().events_refused(3);
    assert_eq!(value(&telemetry, "tracecore_events_refused_total", &[]), 3.0);
}

#[test]
fn polls_are_measured_at_the_detailed_level() {
    let telemetry = telemetry_at(Level::Detailed);
    let clock = telemetry.component("clock", Role::Receiver);
    assert!(clock.measures_polls());
    clock.task_started();
    clock.task_started();
    clock.task_ended();
    clock.polled(Duration::from_micros(5));
    clock.polled(Duration::from_micros(250));
    assert_eq!(value(&telemetry, "tracecore_component_tasks", &CLOCK), 1.0);
    assert_eq!(value(&telemetry, "tracecore_component_polls_total", &CLOCK), 2.0);
    assert_eq!(value(&telemetry, "tracecore_component_poll_seconds_total", &CLOCK), 0.000_255);
    let durations = series(&telemetry, "tracecore_component_poll_duration_seconds", &CLOCK).unwrap();
    let below: Vec<_> =
        durations.get_histogram().get_bucket().iter().map(prometheus::proto::Bucket::cumulative_count).collect();
    assert_eq!(below[..4], [0, 1, 1, 2]);

    let clock = super::telemetry().component("clock", Role::Receiver);
    assert!(!clock.measures_polls());
    clock.polled(Duration::from_micros(5));
}

#[test]
fn the_process_shows_what_it_uses() {
    let telemetry = telemetry();
    for name in ["cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "threads"]
    {
        let shown = value(&telemetry, &format!("process_{name}"), &[]);
        assert!(shown > 0.0 || name == "cpu_seconds_total", "{name}: {shown}");
    }
    assert!(value(&telemetry, "process_start_time_seconds", &[]) > 1.0e9);
}

#[test]
fn a_component_s_own_gauge_has_no_series_before_its_first_value() {
    let telemetry = telemetry();
    let level = crate::metrics::Metric { kind: crate::metrics::Kind::Gauge, ..OPEN };
    let family = telemetry.instruments().declared_gauge("tracecore.test.level", &level, &["disk.unit"]).unwrap();
    let (gauge, labels) = (family.bind(&["a"]), [("disk_unit", "a")]);
    assert!(series(&telemetry, "tracecore_test_level", &labels).is_none());
    gauge.set(3.0);
    gauge.set(-2.0);
    assert_eq!(value(&telemetry, "tracecore_test_level", &labels), -2.0);
}
