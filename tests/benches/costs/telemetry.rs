//! The collector's account of itself: a count, a rate, the service-level figures, a scrape.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracecore::component::Role;
use tracecore::exposition::{Format, encode, from_prometheus};
use tracecore::telemetry::{BuildInfo, Level, QueueDepth, Resource, SelfTelemetry, WindowedRate};
use tracecore::time::{Duration, Instant};

use crate::harness::{Benchmark, Calls};

/// The window of the failure rates.
const WINDOW: Duration = Duration::from_secs(60);

/// How often a server scrapes.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

/// Every benchmark here.
pub(crate) fn benchmarks() -> Vec<Benchmark> {
    let mut benchmarks = vec![
        Benchmark::new("reference/atomic_add", atomic_add),
        Benchmark::new("telemetry/count", || count(Level::Normal)),
        Benchmark::new("telemetry/count_not_shown", || count(Level::None)),
        Benchmark::new("telemetry/poll", || poll(Level::Detailed)),
        Benchmark::new("telemetry/poll_not_shown", || poll(Level::Normal)),
        Benchmark::new("telemetry/windowed_rate", windowed_rate),
    ];
    let exporters = [1, 10, 100]
        .map(|exporters| Benchmark::new(format!("telemetry/slo/{exporters}_exporters"), move || slo(exporters)));
    let scrapes = [100, 1000].map(|series| Benchmark {
        item: "scrape",
        counted_calls: 10,
        ..Benchmark::new(format!("telemetry/scrape/{series}_series"), move || scrape(series))
    });
    benchmarks.extend(exporters.into_iter().chain(scrapes));
    benchmarks
}

fn self_telemetry(level: Level) -> SelfTelemetry {
    let build = BuildInfo::new("tracecore", "0.0.0", "");
    let resource = Resource::detect(&build);
    SelfTelemetry::builder(build, resource).level(level).build().expect("the families are right")
}

/// What the hot path would do if it had no instruments.
fn atomic_add() -> Calls {
    let total = AtomicU64::new(0);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(&total).fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// What each accepted emission does.
fn count(level: Level) -> Calls {
    let receiver = self_telemetry(level).receiver("clock", &[]);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(&receiver).emitted(1);
        }
    })
}

/// What each poll of a task does, but for reading the clock.
fn poll(level: Level) -> Calls {
    let component = self_telemetry(level).component("clock", Role::Receiver);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(&component).polled(black_box(Duration::from_micros(3)));
        }
    })
}

/// Observations of a full window, each of which moves it.
fn windowed_rate() -> Calls {
    let mut rate = WindowedRate::new(WINDOW);
    let mut now = Instant::now();
    let mut total = 0;
    let mut calls = move |calls| {
        for _ in 0..calls {
            // A slot: 60 s over 4095, and a bit more.
            now += Duration::from_millis(15);
            total += 3;
            black_box(rate.observe(now, total / 3, total));
        }
    };
    calls(10_000);
    Box::new(calls)
}

/// What a collection reads for the three service-level gauges.
fn slo(exporters: u64) -> Calls {
    struct HalfFull;
    impl QueueDepth for HalfFull {
        fn used_and_capacity(&self) -> (u64, u64) {
            black_box((500, 1000))
        }
    }
    let telemetry = self_telemetry(Level::Normal);
    let mut queues = Vec::new();
    for exporter in 0..exporters {
        let id = format!("otlp/{exporter}");
        telemetry.exporter(&id, &[]).call_succeeded();
        let queue = Arc::new(HalfFull);
        telemetry.register_queue(&id, &queue);
        queues.push(queue);
    }
    let mut rate = WindowedRate::new(WINDOW);
    let mut now = Instant::now();
    Box::new(move |calls| {
        // They live as long as the calls.
        black_box(&queues);
        let slo = telemetry.slo_source();
        for _ in 0..calls {
            now += SCRAPE_INTERVAL;
            let exporter_calls = slo.exporter_calls();
            black_box(rate.observe(now, exporter_calls.failed, exporter_calls.total));
            black_box(slo.queue_depth_ratio());
            black_box(slo.restarts_last_hour());
        }
    })
}

/// What `/metrics` does: gather, and write as text.
fn scrape(series: usize) -> Calls {
    let telemetry = self_telemetry(Level::Normal);
    let count = || telemetry.gather().iter().map(|family| family.get_metric().len()).sum::<usize>();
    let mut receivers = 0;
    while count() < series {
        telemetry.receiver(&format!("clock/{receivers}"), &[]).emitted(1);
        receivers += 1;
    }
    Box::new(move |calls| {
        for _ in 0..calls {
            let mut body = String::new();
            encode(&from_prometheus(&telemetry.gather()), Format::Text, &mut body);
            black_box(body);
        }
    })
}
