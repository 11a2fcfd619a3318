//! Whole pipelines in this process and on one thread: a tick from end to end, the encoding of what was measured, a
//! collection of the host's metrics.

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tracecore::component::Role;
use tracecore::config::{Source, load};
use tracecore::prelude::*;
use tracecore::registry::Registry;
use tracecore::runtime::{Builder, Running, Service};
use tracecore::telemetry::{BuildInfo, Level, Resource, SelfTelemetry};

use crate::harness::{Benchmark, Calls, Reference};
use crate::wire::request_of;

/// From the timer to the exporter that got the batch.
const CLOCK: &str = "
receivers: {clock: {interval: 1ms}}
exporters: {sink: {}}
service: {pipelines: {metrics: {receivers: [clock], exporters: [sink]}}}
";

/// As often as it does by default: what goes by time alone (samples, rates) costs what it does in a collector.
const RECEIVER: &str = "
receivers: {clock: {}}
exporters: {sink: {}}
service: {pipelines: {metrics: {receivers: [clock], exporters: [sink]}}}
";

/// No queue: the processor lets nothing through to it.
const POINTS: &str = "
receivers: {points: {}}
processors: {discard: {}}
exporters: {sink: {}}
service: {pipelines: {metrics: {receivers: [points], processors: [discard], exporters: [sink]}}}
";

/// What each batch meets in every pipeline: a processor, a queue, an exporter.
const RELAY: &str = "
receivers: {relay: {lane: LANE}}
processors: {pass: {}}
exporters: {sink: {}}
service: {pipelines: {logs: {receivers: [relay], processors: [pass], exporters: [sink]}}}
";

/// A hundred spans through nothing but the runtime.
const PASSED: &str = "
receivers: {relay: {lane: LANE, spans: 100}}
exporters: {sink: {}}
service: {pipelines: {traces: {receivers: [relay], exporters: [sink]}}}
";

/// A hundred spans through one processor or more: an attribute for each span, another name for one that each has, and one
/// span in a hundred dropped.
const EDITED: &str = "
receivers: {relay: {lane: LANE, spans: 100}}
processors:
  attributes/insert: {actions: [{key: deployment.environment.name, action: insert, value: production}]}
  attributes/rename: {actions: [{key: server.address, action: rename, new_key: peer}]}
  filter: {spans: {exclude: {match_type: strict, attributes: [{key: app.cart.value, value: 61.25}]}}}
exporters: {sink: {}}
service: {pipelines: {traces: {receivers: [relay], processors: [PROCESSORS], exporters: [sink]}}}
";

/// What stands for the processors, and the name of the benchmark.
const EDITS: [(&str, &str); 4] = [
    ("insert", "attributes/insert"),
    ("rename", "attributes/rename"),
    ("drop", "filter"),
    ("insert_rename_drop", "attributes/insert, attributes/rename, filter"),
];

/// Everything that the receiver measures, more often than anybody would.
const HOST: &str = "
receivers: {hostmetrics: {collection_interval: 10ms, initial_delay: 0s}}
exporters: {sink: {}}
service: {pipelines: {metrics: {receivers: [hostmetrics], exporters: [sink]}}}
";

/// Every benchmark here.
pub(crate) fn benchmarks() -> Vec<Benchmark> {
    let mut benchmarks = vec![
        Benchmark {
            item: "tick",
            counted_calls: 1000,
            ..Benchmark::new("pipeline/clock_tick", || batches(CLOCK, Time::Skipped))
        },
        Benchmark {
            items: POINTS_OF_A_SET,
            item: "point",
            counted_calls: 100,
            ..Benchmark::new("pipeline/encode_100_points", points)
        },
        Benchmark {
            item: "batch",
            counted_calls: 2000,
            ..Benchmark::new("pipeline/relay", || relay(RELAY, 0, Level::default(), true))
        },
        Benchmark {
            item: "batch",
            counted_calls: 2000,
            ..Benchmark::new("pipeline/relay_detailed", || relay(RELAY, 1, Level::Detailed, true))
        },
        Benchmark {
            item: "batch",
            counted_calls: 2000,
            ..Benchmark::new("pipeline/relay_untold", || relay(RELAY, 2, Level::None, false))
        },
        Benchmark {
            item: "tick",
            counted_calls: 2000,
            ..Benchmark::new("receiver/clock", || receiver(Level::default(), true))
        },
        Benchmark {
            item: "tick",
            counted_calls: 2000,
            ..Benchmark::new("receiver/clock_untold", || receiver(Level::None, false))
        },
        spans("pipeline/spans".to_owned(), 3, PASSED.to_owned()),
    ];
    for (lane, (name, processors)) in (4..).zip(EDITS) {
        let config = EDITED.replace("PROCESSORS", processors);
        benchmarks.push(spans(format!("pipeline/spans/{name}"), lane, config));
    }
    // A build without the receiver has everything else.
    if Registry::linked().is_ok_and(|registry| registry.find(Role::Receiver, "hostmetrics").is_some()) {
        benchmarks.push(Benchmark {
            item: "collection",
            reference: Reference::None,
            counted_calls: 0,
            ..Benchmark::new("pipeline/hostmetrics", || batches(HOST, Time::Real))
        });
    }
    benchmarks
}

/// A batch of a hundred spans from end to end.
fn spans(name: String, lane: usize, config: String) -> Benchmark {
    Benchmark {
        item: "span",
        items: 100,
        counted_calls: 100,
        ..Benchmark::new(name, move || relay(&config, lane, Level::default(), true))
    }
}

/// Batches that a `sink` was given.
static DELIVERED: Semaphore = Semaphore::const_new(0);

/// Sets of points that are to be emitted.
static ORDERED: Semaphore = Semaphore::const_new(0);

/// Batches that are to be relayed, by the lane of the receiver: a semaphore serves first who came first, and all of them
/// wait in one process.
static RELAYED: [Semaphore; LANES] = [const { Semaphore::const_new(0) }; LANES];

/// Receivers that relay.
const LANES: usize = 4 + EDITS.len();

/// Sets of points that were.
static EMITTED: Semaphore = Semaphore::const_new(0);

/// Counts the batches that it is given.
#[exporter("sink")]
struct Sink;

impl Exporter for Sink {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Sink)
    }

    async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), Never> {
        DELIVERED.add_permits(1);
        Ok(())
    }
}

/// Lets nothing through.
#[processor("discard")]
struct Discard;

impl Processor for Discard {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Discard)
    }

    fn process(&self, _: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        Ok(None)
    }
}

/// Lets everything through.
#[processor("pass")]
struct Pass;

impl Processor for Pass {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Pass)
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        Ok(Some(batch))
    }
}

/// Emits one and the same batch when it is told to.
#[receiver("relay", signals = [Logs, Traces], config = RelayConfig)]
struct Relay {
    config: RelayConfig,
}

/// Settings of the `relay` receiver.
#[config]
struct RelayConfig {
    /// Which of the orders are its own.
    lane: usize,
    /// How many spans the batch has; ten log records without.
    #[default(0)]
    spans: u64,
}

impl Receiver for Relay {
    fn new(config: RelayConfig) -> Result<Self, Never> {
        Ok(Relay { config })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        let batch = match self.config.spans {
            0 => tracecore::testing::logs("relayed", 10),
            spans => Batch::validate(Signal::Traces, request_of(Signal::Traces, spans)).expect("the request is valid"),
        };
        while let Some(Ok(order)) = cx.until_shutdown(RELAYED[self.config.lane].acquire()).await {
            order.forget();
            cx.emit(batch.clone()).await;
        }
        Ok(())
    }
}

/// Emits a hundred points when it is told to.
#[receiver("points", signals = [Metrics], data = Data)]
struct Points;

/// Devices of the set.
const DEVICES: u64 = 20;

/// Points of the set: five per device.
const POINTS_OF_A_SET: u64 = 5 * DEVICES;

/// What a node with many devices measures.
#[derive(MetricSet)]
struct Data {
    /// Share of time in which the device worked.
    #[unit("1")]
    utilization: Gauge<Device>,
    /// Memory in use.
    #[unit("By")]
    memory: UpDownCounter<Device>,
    /// Temperature of the die.
    #[unit("Cel")]
    temperature: Gauge<Device>,
    /// Energy taken since the start.
    #[unit("J")]
    energy: Counter<Device>,
    /// Errors since the start.
    #[unit("{error}")]
    errors: Counter<Device>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("hw.id")]
#[max(64)]
struct Device(Name);

impl Receiver for Points {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Points)
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        for device in 0..DEVICES {
            let name = || Device(Name::new(&format!("GPU-5f0a62f1-6a1b-{device:04}")));
            cx.data.utilization.set(0.97, name());
            cx.data.memory.set(64 << 30, name());
            cx.data.temperature.set(61.5, name());
            cx.data.energy.add(4_711_000, name());
            cx.data.errors.add(0, name());
        }
        while let Some(Ok(order)) = cx.until_shutdown(ORDERED.acquire()).await {
            order.forget();
            cx.emit_data().await;
            EMITTED.add_permits(1);
        }
        Ok(())
    }
}

/// How a pipeline's timers run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    /// Whenever all tasks wait for one, it is due at once.
    Skipped,
    /// As the machine's.
    Real,
}

/// Waits for batches to arrive at the end of the pipeline.
fn batches(config: &str, time: Time) -> Calls {
    arrivals(start(config, time))
}

/// Ticks of a receiver at its default interval, until they have arrived.
fn receiver(level: Level, events: bool) -> Calls {
    arrivals(start_with(told(level, events), RECEIVER, Time::Skipped))
}

fn arrivals((runtime, running): (Runtime, Running)) -> Calls {
    Box::new(move |calls| {
        let _running = &running;
        // What came since the last call is no part of this one.
        DELIVERED.forget_permits(usize::MAX >> 3);
        wait(&runtime, &DELIVERED, calls);
    })
}

/// Orders sets of points and waits until they are encoded, validated and emitted.
fn points() -> Calls {
    let (runtime, running) = start(POINTS, Time::Skipped);
    Box::new(move |calls| {
        let _running = &running;
        ORDERED.add_permits(usize::try_from(calls).expect("calls fit into memory"));
        wait(&runtime, &EMITTED, calls);
    })
}

/// Orders batches one by one, so that none waits for room, and waits until each is delivered.
fn relay(config: &str, lane: usize, level: Level, events: bool) -> Calls {
    let (runtime, running) = start_with(told(level, events), &config.replace("LANE", &lane.to_string()), Time::Skipped);
    Box::new(move |calls| {
        let _running = &running;
        for _ in 0..calls {
            RELAYED[lane].add_permits(1);
            wait(&runtime, &DELIVERED, 1);
        }
    })
}

/// A service that is told of at this level, and on its event bus.
fn told(level: Level, events: bool) -> Builder {
    let build = BuildInfo::new("costs", "0.0.0", "");
    let resource = Resource::detect(&build);
    let telemetry = SelfTelemetry::builder(build, resource).level(level).build().expect("its constants are right");
    Service::builder().telemetry(telemetry).events_enabled(events)
}

fn wait(runtime: &Runtime, semaphore: &Semaphore, permits: u64) {
    runtime.block_on(async {
        for _ in 0..permits {
            semaphore.acquire().await.expect("it is never closed").forget();
        }
    });
}

fn start(config: &str, time: Time) -> (Runtime, Running) {
    start_with(Service::builder(), config, time)
}

fn start_with(builder: Builder, config: &str, time: Time) -> (Runtime, Running) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(time == Time::Skipped).build().expect("a runtime starts");
    let loaded = load(&[Source::Yaml(config.to_owned())], &[], &|_| None).expect("the configuration is right");
    let config = loaded.config().expect("the configuration is right");
    let registry = Registry::linked().expect("components are linked");
    let service = builder.build(config, &registry).expect("the configuration is right");
    let running = runtime.block_on(async {
        let mut running = service.start().await.expect("the service starts");
        running.ready().await;
        running
    });
    (runtime, running)
}
