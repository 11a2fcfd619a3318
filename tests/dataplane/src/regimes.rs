//! How the collector behaves in the regimes that agents live in: a steady trickle, saturation, nothing, a backend that
//! hangs, a backend that refuses, the start. Traces, in requests of 100 spans, on one core.

use std::path::Path;

use tokio::time::{Duration, Instant, sleep};

use crate::failure::Failure;
use crate::load::{Pace, Shape, Transport};
use crate::process::Memory;
use crate::report::{Report, mib};
use crate::signal::Signal;
use crate::sink::Sink;
use crate::subject::{Overflow, Running, Setup, Subject};
use crate::trial::{Outcome, Trial, connect};

/// How long each regime is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// A steady rate, and nothing.
    pub(crate) steady: Duration,
    /// A rate at which memory must not grow.
    pub(crate) flat: Duration,
    /// Starts, of which the median counts.
    pub(crate) starts: usize,
}

const SHAPE: Shape =
    Shape { signal: Signal::Traces, items: 100, transport: Transport::Grpc, encoding: None, streams: 16 };
/// How long before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// What the queue of a backend that hangs may hold.
const STALLED_QUEUE_MIB: u32 = 64;
/// What may be beside it.
const BESIDE_QUEUE_MIB: u32 = 64;

/// Watches all of them.
pub(crate) async fn run(program: &Path, watch: Watch, report: &mut Report) -> Result<(), Failure> {
    report.heading("Regimes: traces, 100 spans a request, one core");
    report.line(format_args!(
        "{:28} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8}",
        "", "% core", "RSS MiB", "peak MiB", "p50 ms", "p99 ms", "lost"
    ));
    let trial = |pace, time| Trial {
        subject: Subject::Tracecore(Setup::PASS_THROUGH),
        shape: SHAPE,
        pace,
        warm_up: WARM_UP,
        time,
        refuse_one_of: 0,
    };
    let name = "20,000 spans/s";
    if let Some(outcome) = report.tried(name, trial(Pace::ItemsPerSecond(20e3), watch.steady).run(program).await) {
        show(name, &outcome, report);
        report.at_most(&format!("{name}, % of a core"), outcome.cores() * 100.0, 6.0);
        report.at_most(&format!("{name}, peak RSS in MiB"), in_mib(outcome.memory.peak), 20.0);
        report.at_most(&format!("{name}, p99 in ms"), outcome.p99.as_secs_f64() * 1e3, 4.0);
    }
    let name = "50,000 spans/s";
    if let Some(outcome) = report.tried(name, trial(Pace::ItemsPerSecond(50e3), watch.flat).run(program).await) {
        show(name, &outcome, report);
        report.at_most(&format!("{name}, peak RSS in MiB"), in_mib(outcome.memory.peak), 60.0);
        report.at_most(&format!("{name}, MiB grown since the warm-up"), in_mib(outcome.grown), 2.0);
    }
    let name = "saturation";
    if let Some(outcome) = report.tried(name, trial(Pace::Saturation, watch.steady).run(program).await) {
        show(name, &outcome, report);
        report.at_most(&format!("{name}, p99 in ms"), outcome.p99.as_secs_f64() * 1e3, 8.0);
    }
    let name = "a backend that refuses 10 %";
    let refused = Trial { refuse_one_of: 10, ..trial(Pace::ItemsPerSecond(20e3), watch.steady) };
    if let Some(outcome) = report.tried(name, refused.run(program).await) {
        show(name, &outcome, report);
    }
    idle(program, watch.steady, report).await?;
    stalled(program, watch.steady, report).await?;
    starts(program, watch.starts, report).await?;
    size(program, report)
}

fn show(name: &str, outcome: &Outcome, report: &mut Report) {
    let wrong = outcome.problem();
    report.line(format_args!(
        "{name:28} {:>8.2} {:>9} {:>9} {:>9.2} {:>9.2} {:>8}",
        outcome.cores() * 100.0,
        mib(outcome.memory.now as f64),
        mib(outcome.memory.peak as f64),
        outcome.p50.as_secs_f64() * 1e3,
        outcome.p99.as_secs_f64() * 1e3,
        wrong.as_deref().unwrap_or("0"),
    ));
    report.wrong(name, outcome);
}

fn show_memory(name: &str, share: f64, memory: Memory, report: &Report) {
    report.line(format_args!(
        "{name:28} {:>8.2} {:>9} {:>9}",
        share * 100.0,
        mib(memory.now as f64),
        mib(memory.peak as f64)
    ));
}

fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Nothing comes.
async fn idle(program: &Path, time: Duration, report: &mut Report) -> Result<(), Failure> {
    let (folder, sink) = (tempfile::tempdir()?, Sink::start().await?);
    let mut running = Subject::Tracecore(Setup::PASS_THROUGH).start(program, &sink, folder.path())?;
    drop(connect(SHAPE, &mut running).await?);
    sleep(WARM_UP).await;
    let (before, start) = (running.process.usage()?, Instant::now());
    sleep(time).await;
    let share = running.process.usage()?.since(before).as_secs_f64() / start.elapsed().as_secs_f64();
    let memory = running.process.memory()?;
    show_memory("idle", share, memory, report);
    report.at_most("idle, RSS in MiB", in_mib(memory.now), 12.0);
    report.at_most("idle, % of a core", share * 100.0, 0.2);
    running.process.stop().await
}

/// A backend that answers nothing, under more load than fits into the queue.
async fn stalled(program: &Path, time: Duration, report: &mut Report) -> Result<(), Failure> {
    let (folder, sink) = (tempfile::tempdir()?, Sink::start().await?);
    sink.stall();
    let setup = Setup { queue_mib: STALLED_QUEUE_MIB, overflow: Overflow::Refuse, ..Setup::PASS_THROUGH };
    let mut running = Subject::Tracecore(setup).start(program, &sink, folder.path())?;
    let mut load = connect(Shape { items: 1000, ..SHAPE }, &mut running).await?;
    let (before, start) = (running.process.usage()?, Instant::now());
    load.send(Pace::ItemsPerSecond(100e3), time).await;
    let share = running.process.usage()?.since(before).as_secs_f64() / start.elapsed().as_secs_f64();
    let memory = running.process.memory()?;
    let name = "a backend that hangs";
    show_memory(name, share, memory, report);
    let sent = load.sent();
    report.line(format_args!(
        "{:28} {} requests taken, {} refused: {}",
        "",
        sent.requests,
        sent.failed,
        sent.failure.as_deref().unwrap_or("none")
    ));
    if sent.failed == 0 {
        report.problem(format!("{name}: the queue was not filled, so its bound was not seen"));
    }
    let bound = f64::from(STALLED_QUEUE_MIB + BESIDE_QUEUE_MIB);
    report.at_most(&format!("{name}, peak RSS in MiB, full 64 MiB queue"), in_mib(memory.peak), bound);
    // What it holds cannot be delivered: to wait for its end would be to wait for its drain timeout.
    drop(running);
    Ok(())
}

/// From the start of the program to the answer to the first request.
async fn starts(program: &Path, count: usize, report: &mut Report) -> Result<(), Failure> {
    let mut times = Vec::new();
    for _ in 0..count {
        let (folder, sink) = (tempfile::tempdir()?, Sink::start().await?);
        let start = Instant::now();
        let mut running = Subject::Tracecore(Setup::PASS_THROUGH).start(program, &sink, folder.path())?;
        let mut load = connect(Shape { items: 1, streams: 1, ..SHAPE }, &mut running).await?;
        load.one().await;
        times.push(start.elapsed());
        if let Some(failure) = load.sent().failure {
            return Err(Failure::Refused(failure));
        }
        stop(running, &sink).await?;
    }
    times.sort();
    let median = times[count / 2].as_secs_f64() * 1e3;
    report.line(format_args!("{:28} {median:.1} ms, of {count} starts", "start to first acknowledgement"));
    report.at_most("start to first accepted request, ms", median, 15.0);
    Ok(())
}

async fn stop(running: Running, sink: &Sink) -> Result<(), Failure> {
    sink.marked(1).await;
    running.process.stop().await
}

fn size(program: &Path, report: &mut Report) -> Result<(), Failure> {
    let size = std::fs::metadata(program)?.len();
    report.line(format_args!("{:28} {} MiB", "the program", mib(size as f64)));
    report.at_most("stripped binary, MiB", in_mib(size), 15.0);
    Ok(())
}
