//! What each level shows, and how many series a service can have.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::{MAX_COMPONENTS, Size};
use super::*;

/// Every series as its name and labels.
fn shown(telemetry: &SelfTelemetry) -> BTreeSet<String> {
    let families = telemetry.gather();
    let series = families.iter().flat_map(|family| {
        family.get_metric().iter().map(move |metric| format!("{} {:?}", family.name(), metric.get_label()))
    });
    series.collect()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[test]
fn each_level_shows_what_the_one_before_shows_and_more() {
    let mut before = BTreeSet::new();
    for level in Level::ALL {
        let telemetry = SelfTelemetry::builder(BUILD, Resource::detect(&BUILD).with("service.instance.id", "one"));
        let telemetry = telemetry.level(level).build().unwrap();
        assert_eq!(telemetry.level(), level);
        one_of_each(&telemetry);
        let now = shown(&telemetry);
        assert!(now.is_superset(&before), "{level:?}: {:?}", before.difference(&now));
        assert_eq!(now.is_empty(), level == Level::None, "{level:?}");
        assert!(level == Level::None || now.len() > before.len(), "{level:?} shows no more");
        let made = telemetry.0.instruments.made();
        for family in telemetry.gather().iter().filter(|family| family.name() != "target_info") {
            assert!(made[family.name()].level <= level, "{} at {level:?}", family.name());
        }
        before = now;
    }
}

#[test]
fn the_default_level_is_normal() {
    assert_eq!((Level::default(), telemetry().level()), (Level::Normal, Level::Normal));
}

#[test]
fn handles_work_at_every_level() {
    for level in Level::ALL {
        let telemetry = telemetry_at(level);
        let (receiver, processor, exporter) = one_of_each(&telemetry);
        let took = Duration::from_millis(1);
        receiver.emitted(1);
        receiver.error(ErrorKind::Parse);
        receiver.observe_latency(took);
        receiver.set_degraded(true);
        receiver.mark_activity();
        processor.received(1);
        processor.error(ErrorKind::Io);
        exporter.call_failed(ErrorKind::Io);
        exporter.call_succeeded();
        exporter.dropped(DropReason::QueueFull, 1);
        telemetry.pipeline("metrics").received(1, 10);
        let component = telemetry.component("clock", Role::Receiver);
        component.task_started();
        component.polled(took);
        component.stopped(StopReason::Graceful);
        telemetry.ingest("clock").answered(StatusClass::Success, took);
        telemetry.breaker("stdout").changed(BreakerState::Open);
        telemetry.component_restarted("clock", Role::Receiver);
        assert_eq!((exporter.success_count(), exporter.failure_count()), (1, 1), "{level:?}");
        assert_eq!(telemetry.slo_source().exporter_calls(), Calls { failed: 1, total: 2 }, "{level:?}");
        assert_eq!(telemetry.slo_source().restarts_last_hour(), 1, "{level:?}");
        telemetry.gather();
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_level_gauges_are_right_at_the_basic_level() {
    let telemetry = telemetry_at(Level::Basic);
    let exporter = telemetry.exporter("stdout", &[ErrorKind::Io]);
    assert_eq!(failure_rate(&telemetry), 0.0);
    exporter.call_failed(ErrorKind::Io);
    exporter.call_succeeded();
    telemetry.component_restarted("stdout", Role::Exporter);
    let queue = Arc::new(Depth { used: AtomicU64::new(50), capacity: 200 });
    telemetry.register_queue("stdout", &queue);
    advance(Duration::from_secs(60)).await;
    assert_eq!(failure_rate(&telemetry), 0.5);
    assert_eq!(value(&telemetry, "tracecore_queue_depth_ratio", &[]), 0.25);
    assert_eq!(value(&telemetry, "tracecore_component_restart_count_per_hour", &[]), 1.0);
}

#[test]
fn a_component_s_own_metrics_are_shown_from_the_normal_level() {
    for (level, shown) in [(Level::Basic, false), (Level::Normal, true)] {
        let telemetry = telemetry_at(level);
        let own =
            telemetry.instruments().declared_up_down_counter("tracecore.test.open", &OPEN, &["disk.unit"]).unwrap();
        own.bind(&["a"]).add(1);
        let found = series(&telemetry, "tracecore_test_open", &[("disk_unit", "a")]);
        assert_eq!(found.is_some(), shown, "{level:?}");
    }
}

#[test]
fn the_alerts_need_no_more_than_the_basic_level() {
    let telemetry = telemetry_at(Level::Basic);
    one_of_each(&telemetry);
    let shown: BTreeSet<_> = telemetry.gather().iter().map(|family| family.name().to_owned()).collect();
    let rules = fs::read_to_string(docs().join("examples/prometheus-alerts.example.yaml")).unwrap();
    let (_, alerts) = rules.split_once("- name: tracecore-alerts").unwrap();
    let words = alerts.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let named: BTreeSet<_> = words.filter(|word| word.starts_with("tracecore_")).map(str::to_owned).collect();
    assert!(named.len() >= 5, "{named:?}");
    assert!(shown.is_superset(&named), "{:?}", named.difference(&shown));
}

/// A service in which everything that can have a series has it.
fn busy(telemetry: &SelfTelemetry, size: Size) {
    let own = |role: Role, n: usize| {
        let id = format!("otlp/{n}");
        for reason in InitErrorReason::ALL {
            telemetry.record_init_error(&id, role, reason);
        }
        let component = telemetry.component(&id, role);
        component.started(Duration::ZERO);
        component.polled(Duration::ZERO);
        StopReason::ALL.into_iter().for_each(|reason| component.stopped(reason));
        id
    };
    for n in 0..size.receivers {
        let id = own(Role::Receiver, n);
        let receiver = telemetry.receiver(&id, &ErrorKind::ALL);
        receiver.first_emission(Duration::ZERO);
        receiver.emitted(1);
        for status in 0..=u16::MAX {
            telemetry.ingest(&id).answered(StatusClass::of(status), Duration::ZERO);
        }
    }
    for n in 0..size.processors {
        telemetry.processor(&own(Role::Processor, n), &ErrorKind::ALL);
    }
    for n in 0..size.exporters {
        let id = own(Role::Exporter, n);
        telemetry.exporter(&id, &ErrorKind::ALL);
        BreakerState::ALL.into_iter().for_each(|to| telemetry.breaker(&id).changed(to));
    }
    for n in 0..size.pipelines {
        telemetry.pipeline(&format!("logs/{n}")).received(1, 1);
    }
    telemetry.service().ready(Duration::ZERO);
    telemetry.service().config_applied(Duration::ZERO);
    telemetry.register_memory(&Memory::new(Some(1 << 30), || Some(1)));
}

#[test]
fn series_budget() {
    let telemetry = telemetry_at(Level::Detailed);
    let size = Size { receivers: 2, processors: 3, exporters: 4, pipelines: 5 };
    busy(&telemetry, size);
    let made = telemetry.0.instruments.made();
    let (mut total, mut budget) = (0, 0);
    for family in telemetry.gather().iter().filter(|family| family.name() != "target_info") {
        let declared = &made[family.name()];
        let most = size.series(&declared.labels);
        let series = family.get_metric().len();
        // Here all that can be is there, so that a bound which is too wide shows too.
        assert_eq!(series, most, "{}", family.name());
        (total, budget) = (total + series, budget + most);
        for label in family.get_metric().iter().flat_map(Metric::get_label) {
            let declared = declared.labels.iter().find(|declared| declared.key == label.name()).unwrap();
            if let Values::Closed(words) | Values::Follows(words) = declared.values {
                assert!(words.contains(&label.value()), "{} {label:?}", family.name());
            }
        }
    }
    assert_eq!(telemetry.gather().len(), made.len() + 1, "a family is not shown, or not in the table");
    assert!(total <= budget && total > 100, "{total} of {budget}");
}

#[test]
fn past_the_limit_components_share_one_series() {
    let telemetry = telemetry();
    let most = MAX_COMPONENTS;
    for n in 0..most + 10 {
        telemetry.ingest(&format!("otlp/{n}")).answered(StatusClass::Success, Duration::ZERO);
    }
    let families = telemetry.gather();
    let durations = families.iter().find(|family| family.name() == "tracecore_ingest_duration_seconds").unwrap();
    assert_eq!(durations.get_metric().len(), most + 1, "the limit, and the one series that has the rest");
}

#[test]
fn a_family_is_named_and_dated_as_the_others() {
    for (exposed, family) in telemetry().0.instruments.made() {
        assert!(exposed.starts_with("tracecore_") || exposed.starts_with("process_"), "{exposed}");
        assert_eq!(exposed.ends_with("_total"), family.kind == crate::metrics::Kind::Counter, "{exposed}");
        assert!(family.level > Level::None, "{exposed} is in no level");
        assert!(family.since.split('.').map(str::parse::<u32>).filter(Result::is_ok).count() == 3, "{exposed}");
        assert!(family.help.ends_with('.') && !family.help.contains('|'), "{exposed}: {}", family.help);
    }
}
