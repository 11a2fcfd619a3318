//! What is too long for every submission, run once in a while: its figures belong into the note of a release.
//!
//! The whole suite runs again and again while every core is kept busy by somebody else, which is where a test that leans
//! on time shows itself. A round is short, and each has seeds of its own: what a round has less of, fifty have more of. Its
//! binaries are run as they are, so that a round is the time of the tests. Then properties run with many cases, the
//! simulated runtime with many seeds.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::hint::spin_loop;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{available_parallelism, scope};

use serde_json::Value;

use crate::{Done, cargo, say, stopwatch};

/// How often, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Times that the suite runs, with every core busy
    #[arg(long, default_value = "50")]
    rounds: NonZeroU32,
    /// Seed of the first round, as a failure names it; without it one of chance
    #[arg(long)]
    seed: Option<u32>,
    /// Cases of each property, afterwards
    #[arg(long, default_value = "20000")]
    cases: NonZeroU32,
    /// Seeds of the simulated runtime, afterwards
    #[arg(long, default_value = "10000")]
    seeds: NonZeroU32,
    /// End after the rounds
    #[arg(long)]
    rounds_only: bool,
}

/// What is built for a round: the arguments of `cargo test`.
const BUILT: [&str; 8] = ["--workspace", "--lib", "--test", "it", "--test", "sim", "--test", "e2e"];
/// The macros are a function from text to text.
const NOT_RUN: &str = "tracecore_macros";
/// Tests that say the same each time, or to which it is nothing how busy the machine is: what compiles or compares files,
/// what tries all orders of a few steps, what runs fixed seeds on a paused clock.
const SKIPPED: [&str; 8] = [
    "ui::",
    "expand::",
    "generated::",
    "link::",
    "scaffold::",
    "the_program_is_built_without_the_test_kit",
    "interleaving",
    "a_run_is_the_same_whatever_the_wall_clock_does",
];
/// Seeds of the simulated runtime in a round, and so the distance from one round's seed to the next.
const SEEDS_A_ROUND: u32 = 40;
/// Cases of each property in a round.
const CASES_A_ROUND: u32 = 20;

pub(crate) fn run(args: &Args) -> Done {
    let binaries = build()?;
    let chance = || u32::from(RandomState::new().hash_one(0) as u16) * SEEDS_A_ROUND;
    let (rounds, seed) = (args.rounds, args.seed.unwrap_or_else(chance));
    let failed = busy(|| {
        (0..rounds.get()).try_fold(0, |failed, round| {
            let seed = seed.wrapping_add(round.wrapping_mul(SEEDS_A_ROUND));
            Ok::<_, io::Error>(failed + suite(&binaries, format_args!("round {} of {rounds}", round + 1), seed)?)
        })
    })?;
    say(format_args!("the suite with every core busy: {failed} failures in {rounds} rounds"));
    let held = args.rounds_only || long(args, &binaries)?;
    Ok(if failed == 0 && held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is run once, with many cases and nobody beside it. Whether all of it held.
fn long(args: &Args, binaries: &[Binary]) -> io::Result<bool> {
    let (cases, seeds) = (args.cases.to_string(), args.seeds.to_string());
    let parts = [
        ("tracecore", "properties of what flows", "signal::", ("TRACECORE_PROPTEST_CASES", cases.as_str())),
        ("sim", "the simulated runtime", "whatever_goes_wrong", ("SEEDS", seeds.as_str())),
    ];
    let mut all = true;
    for (name, what, filter, variable) in parts {
        let elapsed = stopwatch();
        let mut held = true;
        for binary in binaries.iter().filter(|binary| binary.name == name) {
            held &= binary.passes(&[filter], &[variable])?;
        }
        let verdict = if held { "held" } else { "FAILED" };
        say(format_args!("{what}: {verdict} with {} each, {:.0} s", variable.1, elapsed().as_secs_f64()));
        all &= held;
    }
    Ok(all)
}

/// Runs the suite once, and tells how many of its parts failed.
fn suite(binaries: &[Binary], round: impl std::fmt::Display, seed: u32) -> io::Result<u32> {
    let (cases, seeds, seed) = (CASES_A_ROUND.to_string(), SEEDS_A_ROUND.to_string(), seed.to_string());
    let variables = [
        ("SEED", seed.as_str()),
        ("SEEDS", &seeds),
        ("PROPTEST_RNG_SEED", &seed),
        ("PROPTEST_CASES", &cases),
        ("TRACECORE_PROPTEST_CASES", &cases),
    ];
    let skipped: Vec<&str> = SKIPPED.iter().flat_map(|test| ["--skip", test]).collect();
    let (mut failures, mut times, whole) = (0, Vec::new(), stopwatch());
    for binary in binaries {
        let elapsed = stopwatch();
        let passed = binary.passes(&skipped, &variables)?;
        failures += u32::from(!passed);
        let verdict = if passed { "" } else { " and FAILED" };
        times.push(format!("{} {:.0} s{verdict}", binary.name, elapsed().as_secs_f64()));
    }
    say(format_args!("{round}, seed {seed}: {:.0} s ({})", whole().as_secs_f64(), times.join(", ")));
    Ok(failures)
}

/// A binary with tests.
struct Binary {
    name: String,
    executable: PathBuf,
    /// Of its package: where Cargo runs it.
    folder: PathBuf,
}

impl Binary {
    /// Runs the tests that the arguments choose. What a failure says is shown.
    fn passes(&self, arguments: &[&str], variables: &[(&str, &str)]) -> io::Result<bool> {
        let mut tests = Command::new(&self.executable);
        tests.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).envs(variables.iter().copied());
        let ended = tests.arg("--quiet").args(arguments).output()?;
        if !ended.status.success() {
            say(String::from_utf8_lossy(&ended.stdout));
            say(String::from_utf8_lossy(&ended.stderr));
            say(format_args!("{}: {}", self.name, ended.status));
        }
        Ok(ended.status.success())
    }
}

/// Builds the tests.
fn build() -> Result<Vec<Binary>, Box<dyn Error>> {
    let mut tests = cargo();
    tests.args(["test", "--no-run", "--message-format", "json"]).args(BUILT);
    let built = tests.stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        return Err("the tests do not compile".into());
    }
    let messages = String::from_utf8(built.stdout)?;
    let binaries: Vec<Binary> = messages.lines().filter_map(|line| binary(&serde_json::from_str(line).ok()?)).collect();
    if binaries.is_empty() {
        return Err("cargo names no binary with tests".into());
    }
    Ok(binaries)
}

/// The binary that a message of Cargo tells of.
fn binary(message: &Value) -> Option<Binary> {
    let name = message["target"]["name"].as_str()?.to_owned();
    let executable = message["executable"].as_str()?.into();
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    (message["profile"]["test"] == true && name != NOT_RUN).then_some(Binary { name, executable, folder })
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
