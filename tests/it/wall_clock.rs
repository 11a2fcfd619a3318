//! A wall clock that is set while the collector runs: nothing waits for it, nothing expires by it, and what bears a time
//! bears the one that it says. That no timer follows it is for `tests/sim/wall_clock.rs`.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use tracecore::signal::Batch;
use tracecore::signal::view::{DataRef, View};
use tracecore::status::State;
use tracecore::testing::{
    Answer, ExportFailure, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, event, metrics,
    needs_events, pipeline,
};
use tracecore::time::Clock;

use crate::status::{get, surface};

/// Where the clock begins, and to what it is set: an hour on, an hour back, before the epoch, and right again. In
/// seconds of Unix time.
const BEGIN: i64 = 1_000_000_000;
const SETTINGS: [i64; 4] = [BEGIN + 3600, BEGIN - 3600, -3600, BEGIN];

/// A wall clock that a test sets, and that goes on from there.
#[derive(Clone)]
struct Hands(Arc<Mutex<(i64, Instant)>>);

impl Hands {
    fn new() -> Self {
        Hands(Arc::new(Mutex::new((BEGIN, Instant::now()))))
    }

    fn set(&self, seconds: i64) {
        *self.0.lock().expect("nobody panics with it") = (seconds, Instant::now());
    }

    fn now(&self) -> SystemTime {
        let (seconds, at) = *self.0.lock().expect("nobody panics with it");
        let since_epoch = Duration::from_secs(seconds.unsigned_abs());
        let set = if seconds < 0 { SystemTime::UNIX_EPOCH - since_epoch } else { SystemTime::UNIX_EPOCH + since_epoch };
        set + at.elapsed()
    }

    /// Nanoseconds of Unix time, which begins at the epoch.
    fn unix_nanos(&self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).expect("it is before 2554")
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::new(move || hands.now())
    }
}

/// A service by this clock.
async fn start(yaml: &str, hands: &Hands) -> Rig {
    Rig::start_with(yaml, hands.clock()).await
}

fn address(rig: &Rig) -> SocketAddr {
    rig.running.surface_address().expect("it is enabled")
}

async fn page(rig: &Rig) -> Value {
    let (status, body) = get(address(rig), "/status").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("it is JSON")
}

fn component<'a>(page: &'a Value, id: &str) -> &'a Value {
    let components = page["components"].as_array().expect("a list");
    components.iter().find(|component| component["id"] == id).expect("it is there")
}

/// The page without any time of day, of which there are this many.
fn without_times(page: &mut Value) -> usize {
    match page {
        Value::Object(fields) => fields.values_mut().map(without_times).sum(),
        Value::Array(values) => values.iter_mut().map(without_times).sum(),
        Value::String(text) if text.ends_with('Z') && text.contains('T') => {
            *page = json!("a time");
            1
        }
        _ => 0,
    }
}

/// The page of a service that has delivered, then failed until its breaker opened, with the clock set in the middle; and
/// its readiness.
async fn story(setting: Option<i64>) -> (Value, u16) {
    let (hands, source, sink) = (Hands::new(), Source::new(), Sink::new());
    let breaker = "circuit_breaker: {failure_threshold: 1, open_duration: 30s}";
    let rig = start(&(pipeline(&source, &sink, breaker) + &surface("")), &hands).await;
    for _ in 0..6 {
        assert!(source.emit(metrics("well", 100)).await.is_accepted());
        advance(Duration::from_secs(10)).await;
    }
    if let Some(setting) = setting {
        hands.set(setting);
    }
    sink.answer(|_| Answer::Fail(ExportFailure::Away));
    assert!(source.emit(metrics("away", 100)).await.is_accepted());
    rig.wait_status("test_sink", State::RecoverableError).await;
    advance(Duration::from_secs(20)).await;
    let (shown, ready) = (page(&rig).await, get(address(&rig), "/readyz").await.0);
    sink.answer(|_| Answer::Accept);
    rig.wait_status("test_sink", State::Ok).await;
    rig.stop().await;
    assert_eq!(sink.items(), 700);
    (shown, ready)
}

#[tokio::test(start_paused = true)]
async fn setting_it_changes_nothing_on_the_page_but_the_times() {
    let (mut undisturbed, ready) = story(None).await;
    let times = without_times(&mut undisturbed);
    assert!(times >= 5, "since when and when: {undisturbed:#}");
    assert_eq!(component(&undisturbed, "test_sink")["breaker"]["state"], "open");
    for setting in SETTINGS {
        let (mut shown, still_ready) = story(Some(setting)).await;
        without_times(&mut shown);
        assert_eq!((shown, still_ready), (undisturbed.clone(), ready), "set to {setting}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_times_on_the_page_are_what_it_says_and_the_epoch_before_that() {
    for (setting, at, retry_at) in [
        (BEGIN + 3600, "2001-09-09T02:46:40.000Z", "2001-09-09T02:47:10.000Z"),
        (BEGIN - 3600, "2001-09-09T00:46:40.000Z", "2001-09-09T00:47:10.000Z"),
        (-3600, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
        (-10, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:20.000Z"),
    ] {
        let (hands, source, sink) = (Hands::new(), Source::new(), Sink::failing(ExportFailure::Away));
        let breaker = "circuit_breaker: {failure_threshold: 1, open_duration: 30s}";
        let rig = start(&(pipeline(&source, &sink, breaker) + &surface("")), &hands).await;
        hands.set(setting);
        assert!(source.emit(metrics("away", 1)).await.is_accepted());
        rig.wait_status("test_sink", State::RecoverableError).await;
        let page = page(&rig).await;
        let shown = component(&page, "test_sink");
        let times = (&shown["since"], &shown["last_error"]["at"], &shown["breaker"]["retry_at"]);
        assert_eq!(times, (&json!(at), &json!(at), &json!(retry_at)), "set to {setting}");
        sink.answer(|_| Answer::Accept);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_activity_is_what_it_says_and_windows_go_on() {
    let (hands, source, sink) = (Hands::new(), Source::new(), Sink::failing(ExportFailure::Away));
    let rig = start(&pipeline(&source, &sink, "retry_on_failure: {enabled: false}"), &hands).await;
    let failures = || rig.sample("tracecore_exporter_failure_rate", &[]);
    assert_eq!(failures(), 0.0, "the window begins");
    advance(Duration::from_secs(60)).await;
    assert!(source.emit(metrics("away", 1)).await.is_accepted());
    rig.wait_metric("tracecore_exporter_failure_rate", &[], |rate| rate == 1.0).await;
    sink.answer(|_| Answer::Accept);
    for setting in SETTINGS {
        hands.set(setting);
        assert!(source.emit(metrics("well", 1)).await.is_accepted());
        let shown = rig.sample("tracecore_receiver_last_activity_unix_seconds", &[("component_id", "test_source")]);
        assert_eq!(shown, setting.max(0) as f64);
        assert!(failures() > 0.0, "the window of a minute has not passed: set to {setting}");
        advance(Duration::from_secs(10)).await;
    }
    advance(Duration::from_secs(30)).await;
    assert_eq!(failures(), 0.0, "now it has");
    rig.stop().await;
}

/// The times of the points of the only metric in a batch.
fn times(batch: &Batch) -> Vec<u64> {
    let View::Metrics(resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    let metrics = resources.flat_map(|resource| resource.metrics());
    let points = metrics.flat_map(|(_, _, metric)| match metric.data {
        Some(DataRef::Sum { data_points, .. }) => data_points,
        other => panic!("{other:?} where a sum is expected"),
    });
    points.map(|point| point.time_unix_nano).collect()
}

/// The `clock` receiver, which ticks once a second, before this exporter and the `prometheus` exporter on this port.
fn ticking(sink: &Sink, port: SocketAddr) -> String {
    format!(
        "
receivers:
  clock: {{interval: 1s}}
exporters:
  test_sink: {{key: {sink}}}
  prometheus: {{endpoint: '{port}'}}
service:
  pipelines:
    metrics: {{receivers: [clock], exporters: [test_sink, prometheus]}}
"
    )
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

#[tokio::test(start_paused = true)]
async fn a_receiver_keeps_its_interval_and_stamps_what_it_measures() {
    let (hands, mut sink) = (Hands::new(), Sink::new());
    let rig = start(&ticking(&sink, free_port()), &hands).await;
    sink.called().await;
    for setting in SETTINGS {
        let set = Instant::now();
        hands.set(setting);
        for tick in 1..=10 {
            let batch = sink.called().await;
            assert_eq!(set.elapsed(), Duration::from_secs(tick), "set to {setting}");
            assert_eq!(times(&batch), [hands.unix_nanos()], "set to {setting}");
        }
    }
    assert_eq!(rig.sample("tracecore_component_restarts_total", &[("component_id", "clock")]), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_bears_the_time_that_it_says() {
    needs_events!();
    let (hands, source, sink) = (Hands::new(), Source::new(), Sink::new());
    let mut rig = start(&pipeline(&source, &sink, ""), &hands).await;
    for setting in SETTINGS {
        hands.set(setting);
        assert!(source.emit(metrics("one", 1)).await.is_accepted());
        assert_eq!(rig.wait_for(event!("export.succeeded")).await.meta.time, hands.now());
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_series_of_the_prometheus_exporter_vanishes_or_stands_still() {
    let (hands, mut sink, port) = (Hands::new(), Sink::new(), free_port());
    let rig = start(&ticking(&sink, port), &hands).await;
    let shown = async || -> f64 {
        let body = get(port, "/metrics").await.1;
        let line = body.lines().find(|line| line.starts_with("clock_ticks_total"));
        let value = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("it is there: {body}"));
        value.parse().expect("a number")
    };
    let mut ticks = async |ticks: usize| {
        // When one begins to be delivered, those before it have been.
        for _ in 0..=ticks {
            sink.called().await;
        }
    };
    ticks(1).await;
    for setting in SETTINGS {
        let before = shown().await;
        hands.set(setting);
        ticks(1).await;
        assert!(shown().await >= before, "set to {setting}");
        // As long as it takes to tell a clock that was set from a batch that is late, and then some.
        ticks(40).await;
        let now = shown().await;
        assert!(now >= before + 40.0, "set to {setting}: {now} after {before}");
    }
    rig.stop().await;
}
