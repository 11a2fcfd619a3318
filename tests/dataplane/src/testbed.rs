//! The load of the OpenTelemetry Collector's own testbed: 10,000 items a second in requests of 100 from one sender, on two
//! cores. Its limits stand beside what was measured; a quarter of each is wanted.

use std::path::Path;

use tokio::time::{Duration, Instant, sleep};

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::load::{Pace, Shape, Transport};
use crate::process::Cores;
use crate::report::{Report, mib};
use crate::signal::Signal;
use crate::sink::Sink;
use crate::subject::{Setup, Subject};
use crate::trial::{Trial, connect};

/// Items a second.
const RATE: f64 = 10e3;
/// Items of a request.
const ITEMS: usize = 100;
/// How much of a limit is wanted.
const SHARE: f64 = 0.25;
/// Before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// A scenario: its limits are in percent of a core and in MiB.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    signal: Signal,
    transport: Transport,
    encoding: Option<Encoding>,
    cpu: f64,
    ram: f64,
}

const fn scenario(name: &'static str, signal: Signal, transport: Transport, cpu: f64, ram: f64) -> Scenario {
    Scenario { name, signal, transport, encoding: None, cpu, ram }
}

const fn compressed(encoding: Encoding, scenario: Scenario) -> Scenario {
    Scenario { encoding: Some(encoding), ..scenario }
}

const SCENARIOS: [Scenario; 9] = {
    use Signal::{Logs, Metrics, Traces};
    use Transport::{Grpc, Http};
    [
        scenario("Trace OTLP-gRPC", Traces, Grpc, 20.0, 100.0),
        compressed(Encoding::Gzip, scenario("Trace OTLP-gRPC-gzip", Traces, Grpc, 30.0, 100.0)),
        scenario("Trace OTLP-HTTP", Traces, Http, 20.0, 100.0),
        compressed(Encoding::Gzip, scenario("Trace OTLP-HTTP-gzip", Traces, Http, 25.0, 100.0)),
        compressed(Encoding::Zstd, scenario("Trace OTLP-HTTP-zstd", Traces, Http, 22.0, 220.0)),
        scenario("Metric OTLP", Metrics, Grpc, 60.0, 105.0),
        scenario("Metric OTLP-HTTP", Metrics, Http, 60.0, 100.0),
        scenario("Log OTLP", Logs, Grpc, 30.0, 120.0),
        scenario("Log OTLP-HTTP", Logs, Http, 30.0, 120.0),
    ]
};
/// The limits of a collector without load.
const IDLE: (f64, f64) = (20.0, 83.0);

/// Runs every scenario for this time.
pub(crate) async fn run(program: &Path, time: Duration, report: &mut Report) -> Result<(), Failure> {
    report.heading("The Collector's testbed: 10,000 items/s, 100 a request, two cores (limit | ours)");
    report.line(format_args!("{:24} {:>16} {:>18} {:>9} {:>8}", "", "% of a core", "RSS MiB", "p99 ms", "lost"));
    for scenario in SCENARIOS {
        let Scenario { name, signal, transport, encoding, cpu, ram } = scenario;
        let setup = Setup { transport, encoding, cores: Cores::Two, ..Setup::PASS_THROUGH };
        let trial = Trial {
            subject: Subject::Tracecore(setup),
            shape: Shape { signal, items: ITEMS, transport, encoding, streams: 16 },
            pace: Pace::ItemsPerSecond(RATE),
            warm_up: WARM_UP,
            time,
            refuse_one_of: 0,
        };
        let Some(outcome) = report.tried(name, trial.run(program).await) else { continue };
        let (used, memory) = (outcome.cores() * 100.0, outcome.memory.peak as f64);
        report.line(format_args!(
            "{name:24} {:>7} | {used:>6.2} {:>7} | {:>8} {:>9.2} {:>8}",
            cpu,
            ram,
            mib(memory),
            outcome.p99.as_secs_f64() * 1e3,
            outcome.problem().as_deref().unwrap_or("0"),
        ));
        report.wrong(name, &outcome);
        hold(name, (used, memory), (cpu, ram), report);
    }
    let (folder, sink) = (tempfile::tempdir()?, Sink::start().await?);
    let setup = Setup { cores: Cores::Two, ..Setup::PASS_THROUGH };
    let mut running = Subject::Tracecore(setup).start(program, &sink, folder.path())?;
    let shape = Shape { signal: Signal::Traces, items: 1, transport: Transport::Grpc, encoding: None, streams: 1 };
    drop(connect(shape, &mut running).await?);
    let (before, start) = (running.process.usage()?, Instant::now());
    sleep(time).await;
    let used = running.process.usage()?.since(before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    let memory = running.process.memory()?.peak as f64;
    report.line(format_args!("{:24} {:>7} | {used:>6.2} {:>7} | {:>8}", "Idle", IDLE.0, IDLE.1, mib(memory)));
    hold("Idle", (used, memory), IDLE, report);
    running.process.stop().await
}

fn hold(name: &str, (cpu, memory): (f64, f64), limits: (f64, f64), report: &mut Report) {
    report.at_most(&format!("{name}, % of a core"), cpu, limits.0 * SHARE);
    report.at_most(&format!("{name}, peak RSS in MiB"), memory / f64::from(1 << 20), limits.1 * SHARE);
}
