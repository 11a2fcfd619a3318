//! The bench of the data plane: a load generator and a counting sink around tracecore, or around a relay that it is held
//! against. `cargo xtask bench dataplane` builds all of it and runs it.
//!
//! One core is the program's under test, the other this program's. What counts is processor time, by the scheduler's
//! clock: other programs on the machine make a run longer and its figures worse by what they do to caches, no more.
//! Nothing here is tracecore's: neither a mistake in its parser nor one in its HTTP/2 can hide behind itself.

mod encoding;
mod failure;
mod histogram;
mod http1;
mod http2;
mod load;
mod process;
mod regimes;
mod relay;
mod report;
mod requests;
mod signal;
mod sink;
mod subject;
mod testbed;
mod throughput;
mod trial;
mod walk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::time::Duration;

use failure::Failure;
use regimes::Watch;
use report::Report;
use signal::Signal;
use throughput::Effort;

/// The bench of the data plane.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Pass requests on until killed
    Relay {
        /// What is done with a request
        kind: relay::Kind,
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
        /// Where to send
        #[arg(long)]
        to: SocketAddr,
        /// Keep memory that was freed, as the collector does
        #[arg(long)]
        keep_heap: bool,
    },
    /// Measure
    Measure {
        /// The collector; without it, the relays alone
        #[arg(long)]
        program: Option<PathBuf>,
        #[command(flatten)]
        scope: Scope,
    },
}

/// What is measured, and how long.
#[derive(Debug, clap::Args)]
struct Scope {
    /// One or more of the tables; without it, all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// One signal in the table of throughput
    #[arg(long)]
    signal: Option<Signal>,
    /// Requests of so many items in that table
    #[arg(long)]
    items: Option<usize>,
    /// Rows of that table, by their names
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Five minutes instead of a quarter of an hour: fewer rounds, and shorter ones
    #[arg(long)]
    quick: bool,
    /// Ten minutes more, to see that memory stays flat
    #[arg(long)]
    long: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Items by processor time, beside the relays
    Throughput,
    /// A trickle, saturation, nothing, a backend that hangs, the start
    Regimes,
    /// The load of the Collector's testbed
    Testbed,
}

/// How long memory is watched in a long run.
const FLAT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run(Args::parse().task)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(2)
        }
    }
}

async fn run(task: Task) -> Result<bool, Failure> {
    match task {
        Task::Relay { kind, listen, to, keep_heap } => {
            if keep_heap {
                relay::keep_heap();
            }
            relay::run(kind, listen, to).await.map(|()| true)
        }
        Task::Measure { program, scope } => measure(program.as_deref(), &scope).await,
    }
}

async fn measure(program: Option<&Path>, scope: &Scope) -> Result<bool, Failure> {
    process::stay_aside()?;
    let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
    let (effort, mut watch, testbed) = if scope.quick {
        let effort = Effort { rounds: 3, warm_up: millis(200), time: millis(700) };
        (effort, Watch { steady: seconds(5), flat: seconds(5), starts: 5 }, seconds(4))
    } else {
        let effort = Effort { rounds: 5, warm_up: millis(500), time: millis(1500) };
        (effort, Watch { steady: seconds(15), flat: seconds(15), starts: 11 }, seconds(15))
    };
    if scope.long {
        watch.flat = FLAT;
    }
    let wanted = |part| scope.only.is_empty() || scope.only.contains(&part);
    let mut report = Report::default();
    if wanted(Part::Throughput) {
        throughput::run(program, scope, effort, &mut report).await;
    }
    if let Some(program) = program {
        if wanted(Part::Regimes) {
            regimes::run(program, watch, &mut report).await?;
        }
        if wanted(Part::Testbed) {
            testbed::run(program, testbed, &mut report).await?;
        }
    }
    Ok(report.end())
}

/// Runs a task beside this one.
#[expect(clippy::disallowed_methods, reason = "this is no part of tracecore, and has no components to supervise")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

#[expect(clippy::print_stderr, reason = "it says why there are no figures")]
fn complain(failure: &Failure) {
    eprintln!("error: {failure}");
}
