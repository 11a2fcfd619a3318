//! Builds the benchmarks and runs them: for processor time, for allocations, for instructions.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::{available_parallelism, scope};

use serde_json::Value;

use super::table::{Row, Table, TableError};
use crate::{cargo, complain};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeasureError {
    /// A program did not start.
    #[error("cannot run {program}")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {status}\n{stderr}")]
    Failed {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// Cargo did not say where the program is.
    #[error("cargo built no program of that name")]
    NotBuilt,
    /// The program printed something else.
    #[error("the benchmarks printed no table")]
    Table(#[from] TableError),
    /// The program printed something else.
    #[error("the benchmarks printed `{0}` for one of them")]
    List(String),
    /// Valgrind said nothing of instructions.
    #[error("valgrind counted nothing")]
    NotCounted,
}

/// What is measured of all benchmarks whose name contains `filter`; instructions only if valgrind is there.
pub(crate) fn everything(filter: &str) -> Result<Table, MeasureError> {
    let program = build_benchmarks(&[])?;
    let mut table = time_and_allocations_of(&program, filter)?;
    match instructions_of(&program, filter) {
        Ok(instructions) => table.merge(instructions),
        Err(MeasureError::Start { program: VALGRIND, .. }) => {
            complain("valgrind is not installed: instructions are not counted");
        }
        Err(error) => return Err(error),
    }
    Ok(table)
}

/// Processor time, and, in a program of its own, allocations.
pub(crate) fn time_and_allocations(filter: &str) -> Result<Table, MeasureError> {
    time_and_allocations_of(&build_benchmarks(&[])?, filter)
}

/// Instructions.
pub(crate) fn instructions(filter: &str) -> Result<Table, MeasureError> {
    instructions_of(&build_benchmarks(&[])?, filter)
}

fn time_and_allocations_of(times: &Path, filter: &str) -> Result<Table, MeasureError> {
    let measure = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--bench");
        if !filter.is_empty() {
            command.arg(filter);
        }
        Ok::<Table, MeasureError>(output(BENCHMARKS, command.stderr(Stdio::inherit()))?.stdout.parse()?)
    };
    let allocations = build_benchmarks(&["--features", "allocations"])?;
    let mut table = measure(times)?;
    table.merge(measure(&allocations)?);
    Ok(table)
}

/// The difference between twice as many calls and as many: starting the program, setting up and the first calls do not
/// count.
fn instructions_of(program: &Path, filter: &str) -> Result<Table, MeasureError> {
    let list = output(BENCHMARKS, Command::new(program).arg("--list"))?.stdout;
    let counted: Vec<Counted<'_>> = list.lines().map(Counted::parse).collect::<Result<_, _>>()?;
    let chosen: Vec<_> = counted.into_iter().filter(|counted| counted.name.contains(filter)).collect();
    let (left, rows) = (Mutex::new(chosen.iter().enumerate()), Mutex::new(Vec::new()));
    let work = || -> Result<(), MeasureError> {
        loop {
            let Some((place, counted)) = left.lock().expect(NO_PANIC).next() else { return Ok(()) };
            let row = counted.row(program)?;
            rows.lock().expect(NO_PANIC).push((place, row));
        }
    };
    scope(|scope| {
        let threads = available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect(NO_PANIC))
    })?;
    let mut rows = rows.into_inner().expect(NO_PANIC);
    rows.sort_by_key(|(place, _)| *place);
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}

const NO_PANIC: &str = "the workers return errors";
const BENCHMARKS: &str = "the benchmarks";
const CARGO: &str = "cargo";
const VALGRIND: &str = "valgrind";

/// A benchmark whose instructions can be counted.
#[derive(Clone, Copy)]
struct Counted<'a> {
    name: &'a str,
    item: &'a str,
    calls: u64,
    items: u64,
}

impl<'a> Counted<'a> {
    fn parse(line: &'a str) -> Result<Self, MeasureError> {
        let words: Vec<&str> = line.split(' ').collect();
        if let [name, item, calls, items] = words[..]
            && let (Ok(calls), Ok(items)) = (calls.parse(), items.parse())
        {
            return Ok(Counted { name, item, calls, items });
        }
        Err(MeasureError::List(line.to_owned()))
    }

    fn row(&self, program: &Path) -> Result<Row, MeasureError> {
        let Counted { name, item, calls, items } = *self;
        let count = |calls: u64| {
            let mut command = Command::new(VALGRIND);
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            command.arg(program).args(["--calls", name, &calls.to_string()]);
            collected(&output(VALGRIND, &mut command)?.stderr).ok_or(MeasureError::NotCounted)
        };
        let instructions = count(2 * calls)?.saturating_sub(count(calls)?) as f64 / (calls * items) as f64;
        Ok(Row {
            name: name.to_owned(),
            item: item.to_owned(),
            ns: None,
            mb_per_s: None,
            ratio: None,
            reference: "-".to_owned(),
            allocations: None,
            instructions: Some(instructions),
        })
    }
}

/// The figure of callgrind's last words: `==4711== Collected : 123456`.
fn collected(stderr: &str) -> Option<u64> {
    let line = stderr.lines().rev().find(|line| line.contains("Collected :"))?;
    line.rsplit_once(':')?.1.trim().parse().ok()
}

/// Builds the benchmarks and says where they are.
fn build_benchmarks(features: &[&str]) -> Result<PathBuf, MeasureError> {
    let bench = ["bench", "--no-run", "--package", "tracecore-tests", "--bench", "costs"];
    build("costs", &[&bench, features].concat())
}

/// Has Cargo build something: where the executable of this name is.
pub(super) fn build(name: &str, arguments: &[&str]) -> Result<PathBuf, MeasureError> {
    let mut command = cargo();
    command.args(arguments).args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let messages = output(CARGO, &mut command)?.stdout;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |artifact: Value| {
        let ours = artifact["target"]["name"] == name;
        artifact["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    };
    artifacts.filter_map(executable).next_back().ok_or(MeasureError::NotBuilt)
}

struct Output {
    stdout: String,
    stderr: String,
}

fn output(program: &'static str, command: &mut Command) -> Result<Output, MeasureError> {
    let output = command.output().map_err(|source| MeasureError::Start { program, source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if !output.status.success() {
        return Err(MeasureError::Failed { program, status: output.status, stderr });
    }
    Ok(Output { stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_callgrind_says_last() {
        let stderr =
            "==1== Callgrind, a call-graph generating cache profiler\n==1== Events    : Ir\n==1== Collected : 4711\n";
        assert_eq!(collected(stderr), Some(4711));
        assert_eq!(collected("==1== Events    : Ir\n"), None);
    }

    #[test]
    fn reads_the_list_of_benchmarks() {
        assert!(matches!(Counted::parse("a/b span 10 100"), Ok(Counted { name: "a/b", calls: 10, items: 100, .. })));
        assert!(matches!(Counted::parse("a/b span ten 100"), Err(MeasureError::List(_))));
    }
}
