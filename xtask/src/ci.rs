//! What a submission must pass, in order: cheap things first.
//!
//! Generated files have no stage of their own: a test compares each with what would be written. The rules of
//! [`tidy`](super::tidy) are a test too.

use std::process::ExitCode;
use std::time::Duration;

use crate::{Done, cargo, complain, stopwatch};

/// Switches the events of every service under test off.
const WITHOUT_EVENTS: (&str, &str) = ("TRACECORE_TEST_EVENTS", "off");

/// A command of cargo, and a variable that it runs with.
type Stage = (&'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

/// The last stage is the README's test command, so that the runner's closing lines are the last on standard output. The
/// tests of the whole run once more without events, those left out that run no service. The other tests have nothing to
/// switch off: those of the libraries test the bus itself or run no service, and the simulation's oracle reads events.
const STAGES: [Stage; 5] = [
    ("format", &["fmt", "--all", "--check"], None),
    ("lint", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], None),
    (
        "test without events",
        &["test", "--workspace", "--test", "it", "--", "--skip", "ui::", "--skip", "expand::", "--skip", "generated::"],
        Some(WITHOUT_EVENTS),
    ),
    ("fuzz", &["run", "--quiet", "--package", "xtask", "--", "fuzz", "--seed", "1"], None),
    ("test", &["test", "--workspace"], None),
];

pub(crate) fn run() -> Done {
    let mut whole = Duration::ZERO;
    for (name, arguments, variable) in STAGES {
        let elapsed = stopwatch();
        let status = cargo().args(arguments).envs(variable).status()?;
        let took = elapsed();
        whole += took;
        complain(format_args!("stage {name}: {} s of {} s", took.as_secs(), whole.as_secs()));
        if !status.success() {
            complain(format_args!("failed: cargo {}", arguments.join(" ")));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
