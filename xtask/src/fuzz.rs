//! The fuzz targets of `tests/fuzz`: built once, then run some at a time, each with the seeds that are committed and with
//! what earlier runs have found.
//!
//! Built by `cargo fuzz` without a sanitizer: there is no unsafe code of ours for one to watch, and stable Rust has none.
//! An input that fails is kept in `tests/fuzz/artifacts`, and its target ends there and then.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::scope;

use crate::{Done, cargo, complain, root, say};

/// Every target.
const TARGETS: [&str; 8] = ["walk", "views", "edits", "json", "decompress", "http", "receiver", "config"];

/// What each target runs with: no input takes longer than this, none makes the program larger, and none is longer, for
/// short ones find as much and sooner. In seconds, MiB and bytes.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=8192"];

/// How long, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Targets; all without
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value = "60")]
    seconds: NonZeroU32,
    /// How many run at a time
    #[arg(long, default_value = "2")]
    jobs: NonZeroU32,
    /// What chance begins with: the same in each run that a submission must pass, of chance without
    #[arg(long)]
    seed: Option<NonZeroU32>,
}

pub(crate) fn run(args: &Args) -> Done {
    let targets = chosen(&args.targets)?;
    let Some(host) = host()? else { return Err("rustc does not say what it compiles for".into()) };
    // With the versions of everything that the program has.
    fs::copy(root().join("Cargo.lock"), root().join("tests/fuzz/Cargo.lock"))?;
    let mut build = cargo();
    build.args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir", "tests/fuzz", "--target-dir", "target/fuzz"]);
    if !build.status()?.success() {
        complain("the targets cannot be built: .ci/setup installs what they need");
        return Ok(ExitCode::FAILURE);
    }
    let programs = root().join("target/fuzz").join(host).join("release");
    let (waiting, failed) = (Mutex::new(targets), Mutex::new(Vec::new()));
    scope(|threads| {
        for _ in 0..args.jobs.get() {
            threads.spawn(|| {
                // The lock is given back before the target runs.
                while let Some(target) = { lock(&waiting).pop_front() } {
                    match fuzz(programs.join(&target), &target, args) {
                        Ok(figures) => say(format_args!("{target}: {figures}")),
                        Err(error) => {
                            complain(format_args!("{target}: {error}"));
                            lock(&failed).push(target);
                        }
                    }
                }
            });
        }
    });
    let failed = lock(&failed);
    if !failed.is_empty() {
        complain(format_args!("failed: {}; what did it is in tests/fuzz/artifacts", failed.join(", ")));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The targets of these names, or all.
fn chosen(names: &[String]) -> Result<VecDeque<String>, String> {
    match names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        Some(unknown) => Err(format!("there is no target `{unknown}`: there are {}", TARGETS.join(", "))),
        None if names.is_empty() => Ok(TARGETS.map(str::to_owned).into()),
        None => Ok(names.iter().cloned().collect()),
    }
}

/// What this machine is to the compiler, which is the name of a folder.
fn host() -> io::Result<Option<String>> {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned))
}

/// Runs a target, and gives what it did: executions, and how much of the program they reached.
fn fuzz(program: PathBuf, target: &str, args: &Args) -> Result<String, String> {
    let folder = root().join("tests/fuzz");
    let (corpus, artifacts) = (folder.join("corpus").join(target), folder.join("artifacts").join(target));
    for made in [&corpus, &artifacts] {
        fs::create_dir_all(made).map_err(|error| format!("{}: {error}", made.display()))?;
    }
    let mut command = Command::new(program);
    command.args(LIMITS).arg(format!("-max_total_time={}", args.seconds)).arg("-print_final_stats=1");
    command.args(args.seed.map(|seed| format!("-seed={seed}")));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // What is new is written to the first folder.
    command.arg(corpus).arg(folder.join("seeds").join(target));
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&output.stderr);
    match figures(&log).filter(|_| output.status.success()) {
        Some(figures) => Ok(figures),
        None => Err(format!("{}\n{}", output.status, last_lines(&log))),
    }
}

/// From libFuzzer's words: `#2 DONE cov: 1 ft: 2 corp: 3/4b ...` and `stat::number_of_executed_units: 2`.
fn figures(log: &str) -> Option<String> {
    let after = |text: &str, word: &str| {
        let (_, rest) = text.split_once(word)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let executions = after(log, "stat::number_of_executed_units:")?;
    let done = log.lines().rfind(|line| line.contains(" cov: "))?;
    let (edges, inputs) = (after(done, "cov:")?, after(done, "corp:")?);
    Some(format!("{executions} executions, {edges} edges, corpus {inputs}"))
}

/// Where a failure says what it is.
fn last_lines(log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_run_did() {
        let log = "#9 NEW    cov: 7 ft: 8 corp: 2/3b\n#64\tDONE   cov: 70 ft: 80 corp: 20/3Kb lim: 64 exec/s: 1\n\
                   stat::number_of_executed_units: 64\nstat::average_exec_per_sec:     1\n";
        assert_eq!(figures(log).as_deref(), Some("64 executions, 70 edges, corpus 20/3Kb"));
        assert_eq!(figures("ERROR: libFuzzer: deadly signal"), None);
    }

    #[test]
    fn an_unknown_target_is_refused_and_none_means_all() {
        assert_eq!(chosen(&[]).map(|all| all.len()), Ok(TARGETS.len()));
        assert_eq!(chosen(&["json".to_owned()]), Ok(VecDeque::from(["json".to_owned()])));
        assert!(chosen(&["jso".to_owned()]).is_err_and(|error| error.contains("json")));
    }

    #[test]
    fn every_target_has_its_program_and_its_seeds() {
        let manifest = fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).expect("it is there");
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            let seeds = fs::read_dir(root().join("tests/fuzz/seeds").join(target)).expect("it has seeds");
            assert!(seeds.count() > 0, "{target}");
        }
    }
}
