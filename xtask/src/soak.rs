//! What is too long for every submission, run once in a while: its figures belong into the note of a release.
//!
//! Lifecycle tests run again and again while every core is kept busy by somebody else, which is where a test that leans
//! on time shows itself. Properties run with many cases, the simulated runtime with many seeds.

use std::hint::spin_loop;
use std::num::NonZeroU32;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::Duration;

use crate::{Done, root, say, stopwatch};

/// How often, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Times that the lifecycle tests run
    #[arg(long, default_value = "20")]
    rounds: NonZeroU32,
    /// Cases of each property
    #[arg(long, default_value = "20000")]
    cases: NonZeroU32,
    /// Seeds of the simulated runtime
    #[arg(long, default_value = "10000")]
    seeds: NonZeroU32,
}

/// The tests about starting, stopping and signals: the arguments after `cargo test`.
const LIFECYCLE: [(&str, &[&str]); 3] = [
    ("the program", &["--package", "tracecore-tests", "--test", "e2e", "--", "shutdown::", "surface::", "cli::"]),
    ("the service", &["--package", "tracecore-tests", "--test", "it", "--", "start::", "shutdown::", "supervision::"]),
    ("the servers", &["--package", "tracecore", "--lib", "--", "surface::", "net::"]),
];

pub(crate) fn run(args: &Args) -> Done {
    let mut failed = 0;
    for (what, arguments) in LIFECYCLE {
        // Built first, so that the times are those of the tests.
        if !test(&["--no-run"], arguments, &[])? {
            return Ok(ExitCode::FAILURE);
        }
        let (failures, times) = busy(|| again(args.rounds, arguments))?;
        failed += failures;
        let (shortest, longest) = (times.iter().min(), times.iter().max());
        let [shortest, longest] = [shortest, longest].map(|time| time.map_or(0.0, Duration::as_secs_f64));
        say(format_args!(
            "{what}: {} rounds with every core busy, {failures} failed, {shortest:.1} to {longest:.1} s each",
            args.rounds
        ));
    }
    let elapsed = stopwatch();
    let cases = args.cases.to_string();
    let held =
        test(&[], &["--package", "tracecore", "--lib", "--", "signal::"], &[("TRACECORE_PROPTEST_CASES", &cases)])?;
    let verdict = if held { "held" } else { "FAILED" };
    say(format_args!("properties of what flows: {verdict} with {cases} cases each, {:.0} s", elapsed().as_secs_f64()));
    let elapsed = stopwatch();
    let seeds = args.seeds.to_string();
    let simulated = test(&[], &["--package", "tracecore-tests", "--test", "sim"], &[("SEEDS", &seeds)])?;
    let verdict = if simulated { "held" } else { "FAILED" };
    say(format_args!("the simulated runtime: {verdict} with {seeds} seeds, {:.0} s", elapsed().as_secs_f64()));
    Ok(if failed == 0 && held && simulated { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs tests `rounds` times: how many of these failed, and how long each took.
fn again(rounds: NonZeroU32, arguments: &[&str]) -> Result<(u32, Vec<Duration>), std::io::Error> {
    let (mut failures, mut times) = (0, Vec::new());
    for _ in 0..rounds.get() {
        let elapsed = stopwatch();
        failures += u32::from(!test(&[], arguments, &[])?);
        times.push(elapsed());
    }
    Ok((failures, times))
}

/// Runs `cargo test`, and tells whether it passed. What failed is on the terminal.
fn test(options: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Result<bool, std::io::Error> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet"]).args(options).args(arguments).envs(variables.iter().copied()).current_dir(root());
    Ok(cargo.status()?.success())
}

/// Does something while every core is busy.
fn busy<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}
