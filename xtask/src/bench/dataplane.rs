//! `cargo xtask bench dataplane`: the collector under load, beside the relays of `tests/dataplane`.

use std::ffi::OsStr;
use std::process::{Command, ExitCode, Stdio};

use super::measure;
use crate::Done;

/// What is measured, and how long.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One or more of the tables, with commas between: throughput, regimes, testbed
    #[arg(long, value_name = "TABLES")]
    only: Option<String>,
    /// One signal in the table of throughput: traces, metrics or logs
    #[arg(long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Requests of so many items in that table
    #[arg(long, value_name = "ITEMS")]
    items: Option<String>,
    /// Rows of that table, by their names, with commas between
    #[arg(long, value_name = "ROWS")]
    rows: Option<String>,
    /// Five minutes instead of a quarter of an hour: fewer rounds, and shorter ones
    #[arg(long)]
    quick: bool,
    /// Ten minutes more, to see that memory stays flat
    #[arg(long)]
    long: bool,
}

/// Builds the program as people get it, and what measures it; the two apart, so that neither has features because the
/// other wants them.
pub(super) fn run(args: &Args) -> Done {
    let program = measure::build("tracecore", &["build", "--release", "--package", "tracecore-cli"])?;
    let bench = measure::build("dataplane", &["build", "--release", "--package", "dataplane"])?;
    let mut command = Command::new(bench);
    command.arg("measure").arg("--program").arg(program).stdin(Stdio::null());
    let options =
        [("--only", &args.only), ("--signal", &args.signal), ("--items", &args.items), ("--rows", &args.rows)];
    for (option, value) in options {
        command.args(value.iter().flat_map(|value| [OsStr::new(option), OsStr::new(value)]));
    }
    command.args(args.quick.then_some("--quick")).args(args.long.then_some("--long"));
    // A goal that is missed is 1, as everywhere here; what could not be measured is 2.
    let code = command.status()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::from(2), ExitCode::from))
}
