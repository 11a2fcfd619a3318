//! What a submission must pass, in order: cheap things first.
//!
//! Generated files have no stage of their own: a test compares each with what would be written. The rules of
//! [`tidy`](super::tidy) are a test too.

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::{Done, complain, root, stopwatch};

/// The last stage is the README's test command, so that the runner's closing lines are the last on standard output.
const STAGES: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lint", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    ("test", &["test", "--workspace"]),
];

pub(crate) fn run() -> Done {
    let mut whole = Duration::ZERO;
    for (name, arguments) in STAGES {
        let elapsed = stopwatch();
        let status = Command::new(env!("CARGO")).args(arguments).current_dir(root()).status()?;
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
