//! What is too long for every submission, run once in a while: its figures belong into the note of a release.
//!
//! The whole suite runs again and again while every core is kept busy by somebody else, which is where a test that leans
//! on time shows itself. Properties run with many cases, the simulated runtime with many seeds.

use std::hint::spin_loop;
use std::num::NonZeroU32;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{available_parallelism, scope};

use crate::{Done, root, say, stopwatch};

/// How often, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Times that the suite runs, with every core busy
    #[arg(long, default_value = "50")]
    rounds: NonZeroU32,
    /// Cases of each property
    #[arg(long, default_value = "20000")]
    cases: NonZeroU32,
    /// Seeds of the simulated runtime
    #[arg(long, default_value = "10000")]
    seeds: NonZeroU32,
}

/// The suite: the arguments after `cargo test`. What compiles or compares files is left out: it says the same each time.
const SUITE: [(&str, &[&str]); 4] = [
    ("the libraries", &["--workspace", "--lib"]),
    (
        "the whole in one process",
        &[
            "--package",
            "tracecore-tests",
            "--test",
            "it",
            "--",
            "--skip",
            "ui::",
            "--skip",
            "expand::",
            "--skip",
            "generated::",
        ],
    ),
    ("the simulated runtime", &["--package", "tracecore-tests", "--test", "sim"]),
    ("the program", &["--package", "tracecore-tests", "--test", "e2e"]),
];

pub(crate) fn run(args: &Args) -> Done {
    // Built first, so that the times are those of the tests.
    for (_, arguments) in SUITE {
        if !test(&["--no-run"], arguments, &[])? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let rounds = args.rounds;
    let failed = busy(|| {
        (1..=rounds.get()).try_fold(0, |failed, round| Ok::<_, std::io::Error>(failed + suite(round, rounds)?))
    })?;
    say(format_args!("the suite with every core busy: {failed} failures in {rounds} rounds"));
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

/// Runs the suite once, and tells how many of its parts failed.
fn suite(round: u32, rounds: NonZeroU32) -> Result<u32, std::io::Error> {
    let (mut failures, mut times, whole) = (0, Vec::new(), stopwatch());
    for (what, arguments) in SUITE {
        let elapsed = stopwatch();
        let passed = test(&[], arguments, &[])?;
        failures += u32::from(!passed);
        let verdict = if passed { "" } else { " and FAILED" };
        times.push(format!("{what} {:.0} s{verdict}", elapsed().as_secs_f64()));
    }
    say(format_args!("round {round} of {rounds}: {:.0} s ({})", whole().as_secs_f64(), times.join(", ")));
    Ok(failures)
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
