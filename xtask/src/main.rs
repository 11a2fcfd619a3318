//! Project tasks: `cargo xtask TASK`.

mod bench;
mod bench_check;
mod ci;
mod coverage;
mod fuzz;
mod gen_files;
mod scaffold;
mod soak;
mod tidy;

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

/// Project tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure what tracecore costs
    Bench(bench::Args),
    /// Compare a run of the benchmarks with the baseline: exit 0 if nothing is worse, 1 if something is
    BenchCheck(bench_check::Args),
    /// Run what a submission must pass, and tell the time of each stage
    Ci,
    /// Measure which lines the tests run: exit 1 if a crate is below its floor; needs cargo-tarpaulin
    Coverage,
    /// Run the fuzz targets: exit 1 if one finds something; needs cargo-fuzz
    Fuzz(fuzz::Args),
    /// Rewrite the generated files: schemas, pages, expansions, golden outputs, compiler messages
    Gen,
    /// Make a new receiver: a copy of the smallest one, with its example, schema and page
    NewReceiver(scaffold::Args),
    /// Make a new processor, likewise
    NewProcessor(scaffold::Args),
    /// Make a new exporter, likewise
    NewExporter(scaffold::Args),
    /// Run what is too long for every submission: the suite over and over, properties with many cases
    Soak(soak::Args),
    /// Check the rules of this project that no compiler knows: exit 0 if they hold, 1 if not
    Tidy,
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Bench(args) => bench::run(&args),
        Task::BenchCheck(args) => bench_check::run(&args),
        Task::Ci => ci::run(),
        Task::Coverage => coverage::run(),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Gen => gen_files::run(),
        Task::NewReceiver(args) => scaffold::run(&scaffold::RECEIVER, &args),
        Task::NewProcessor(args) => scaffold::run(&scaffold::PROCESSOR, &args),
        Task::NewExporter(args) => scaffold::run(&scaffold::EXPORTER, &args),
        Task::Soak(args) => soak::run(&args),
        Task::Tidy => tidy::run(),
    };
    done.unwrap_or_else(|error| {
        complain(format_args!("error: {error}"));
        let mut cause = error.source();
        while let Some(error) = cause {
            complain(format_args!("  because {error}"));
            cause = error.source();
        }
        // Apart from 1, which says that a check found something.
        ExitCode::from(2)
    })
}

/// How a task ends: with the program's exit code, or because it could not be done.
type Done = Result<ExitCode, Box<dyn Error>>;

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the workspace")
}

/// Cargo, in the root of the workspace. What the Cargo around this program said of its package is taken away: build scripts
/// read it, and all that depends on them would be built anew for each caller.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(root());
    cargo
}

/// A line on standard output. Whoever reads may have gone.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The time since this call.
#[expect(clippy::disallowed_methods, reason = "a task takes the time of programs; there is none of its own to pause")]
fn stopwatch() -> impl Fn() -> Duration {
    let start = Instant::now();
    move || start.elapsed()
}
