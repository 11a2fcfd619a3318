//! What tracecore costs. `cargo xtask bench` runs this and shows the figures; `docs/BENCHMARKS.md` explains them.
//!
//! No framework: the figures are compared as ratios to a reference of the same run, counted in instructions by running
//! one benchmark alone for an exact number of calls, and read back by a program. The frameworks print for people.

#[cfg(feature = "allocations")]
mod allocations;
mod codecs;
mod events;
mod harness;
mod pipelines;
mod telemetry;
#[cfg(not(feature = "allocations"))]
mod times;
mod wire;

use std::process::ExitCode;

#[cfg(feature = "allocations")]
use allocations::measure;
use harness::Benchmark;
#[cfg(not(feature = "allocations"))]
use times::measure;

// Linking is registering: the pipelines are made of these.
use components as _;

/// How the program is called.
const USAGE: &str = "usage: costs [--bench] [FILTER] | --list | --calls NAME COUNT | --sizes";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let benchmarks = [
        telemetry::benchmarks(),
        events::benchmarks(),
        wire::benchmarks(),
        codecs::benchmarks(),
        pipelines::benchmarks(),
    ]
    .concat();
    match args[..] {
        ["--sizes"] | ["--sizes", "--bench"] => codecs::print_sizes(),
        ["--bench"] => measure(&benchmarks),
        ["--bench", filter] => {
            let chosen = |benchmark: &Benchmark| benchmark.is_reference() || benchmark.name.contains(filter);
            measure(&benchmarks.into_iter().filter(chosen).collect::<Vec<_>>());
        }
        ["--list"] => harness::list(&benchmarks),
        ["--calls", name, count] => {
            let benchmark = benchmarks.iter().find(|benchmark| benchmark.name == name);
            let (Some(benchmark), Ok(count)) = (benchmark, count.parse()) else { return usage() };
            benchmark.start()(count);
        }
        // As a test: each of them works.
        [] => benchmarks.iter().for_each(|benchmark| benchmark.start()(1)),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    harness::complain(USAGE);
    ExitCode::FAILURE
}
