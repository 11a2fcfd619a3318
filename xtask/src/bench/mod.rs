//! `cargo xtask bench`: runs the benchmarks of `tests/benches` and shows their figures; `cargo xtask bench dataplane` puts
//! the whole program under load.

mod dataplane;
mod goals;
mod measure;
pub(crate) mod table;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

pub(crate) use measure::everything;

use crate::{Done, say};
use table::Table;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum, default_value_t = What::Time)]
    what: What,
    /// Only benchmarks whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    #[command(subcommand)]
    whole: Option<Whole>,
}

#[derive(Debug, Subcommand)]
enum Whole {
    /// Put the program under load, between a load generator and a sink
    Dataplane(dataplane::Args),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Processor time and allocations
    Time,
    /// Instructions, with valgrind
    Instructions,
    /// Both
    All,
}

pub(crate) fn run(args: &Args) -> Done {
    if let Some(Whole::Dataplane(args)) = &args.whole {
        return dataplane::run(args);
    }
    let table = match args.what {
        What::Time => measure::time_and_allocations(&args.filter)?,
        What::Instructions => measure::instructions(&args.filter)?,
        What::All => everything(&args.filter)?,
    };
    Ok(show(&table))
}

/// Prints the table and how it stands to the goals; a goal that is missed is an exit code of 1.
fn show(table: &Table) -> ExitCode {
    say(table.to_string().trim_end());
    let goals = goals::of(table);
    if !goals.is_empty() {
        say("");
    }
    for goal in &goals {
        say(goal);
    }
    if goals.iter().all(goals::Goal::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
