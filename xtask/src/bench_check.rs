//! `cargo xtask bench-check`: is a run of the benchmarks worse than the baseline?
//!
//! What is compared means the same on another machine: instructions, allocations, and processor time as a ratio to the
//! reference of the same run. Nanoseconds are never compared.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::everything;
use crate::bench::table::{Row, Table};
use crate::{Done, root, say};

/// Where the baseline is kept.
const BASELINE: &str = "tests/benches/baseline.txt";

/// What stands above the figures of a baseline.
const BASELINE_HEADING: &str = "\
# What the benchmarks cost when somebody last looked. Written by `cargo xtask bench-check --update`; instructions,
# allocations and ratios are compared, ns and MB/s are those of the machine it ran on. See docs/BENCHMARKS.md.
";

/// By how much a ratio of times may be worse than in the baseline, in percent. On one idle machine it moves by tens of
/// percent from run to run, and another machine has other caches: it shows blunders, instructions show the rest.
const TIME_THRESHOLD: f64 = 200.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Percent by which instructions and allocations may be worse
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    threshold: f64,
    /// Percent by which ratios of time may be worse
    #[arg(long, value_name = "PERCENT", default_value_t = TIME_THRESHOLD)]
    time_threshold: f64,
    /// Make the new run the baseline; of a file with some benchmarks only those are taken
    #[arg(long)]
    update: bool,
    /// The run to compare with; none means the committed baseline
    old: Option<PathBuf>,
    /// The run to compare; none means a run now
    new: Option<PathBuf>,
}

/// Why two runs could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error>,
    },
    /// The baseline cannot be written.
    #[error("cannot write {BASELINE}")]
    Write(#[source] std::io::Error),
}

pub(crate) fn run(args: &Args) -> Done {
    let new = args
        .new
        .as_ref()
        .map_or_else(|| Ok(everything("")?), |path| Ok::<_, Box<dyn std::error::Error>>(read(path)?))?;
    let baseline = root().join(BASELINE);
    if args.update {
        let new = if args.new.is_some() { read(&baseline)?.updated(new) } else { new };
        fs::write(&baseline, format!("{BASELINE_HEADING}{new}")).map_err(CheckError::Write)?;
        say(format_args!("wrote {BASELINE}"));
        return Ok(ExitCode::SUCCESS);
    }
    let old = read(args.old.as_ref().unwrap_or(&baseline))?;
    let report = compare(&old, &new, Thresholds { counts: args.threshold, time: args.time_threshold });
    say(&report);
    Ok(if report.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &PathBuf) -> Result<Table, CheckError> {
    let error = |source: Box<dyn std::error::Error>| CheckError::Read { path: path.clone(), source };
    let text = fs::read_to_string(path).map_err(|source| error(source.into()))?;
    text.parse().map_err(|source: crate::bench::table::TableError| error(source.into()))
}

/// By how many percent a figure may be worse.
#[derive(Clone, Copy)]
struct Thresholds {
    counts: f64,
    time: f64,
}

/// What two runs differ in.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
    compared: usize,
}

#[derive(Debug, PartialEq)]
enum Finding {
    /// Worse by more than the threshold.
    Regression { row: String, measure: &'static str, percent: f64 },
    /// Better by more than the threshold: the baseline no longer holds anybody to it.
    Improvement { row: String, measure: &'static str, percent: f64 },
    /// In the baseline and not in the run.
    Missing { row: String },
    /// In the run and not in the baseline.
    Unknown { row: String },
    /// Measured for the baseline and not, for any benchmark, in the run.
    Unmeasured { measure: &'static str },
}

impl Finding {
    fn fails(&self) -> bool {
        matches!(self, Finding::Regression { .. } | Finding::Missing { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Regression { row, measure, percent } => write!(f, "REGRESSION: {row} {percent:+.2} % ({measure})"),
            Finding::Improvement { row, measure, percent } => {
                write!(f, "improved: {row} {percent:+.2} % ({measure}): --update keeps it so")
            }
            Finding::Missing { row } => write!(f, "MISSING: {row} is in the baseline and was not measured"),
            Finding::Unknown { row } => write!(f, "unknown: {row} is not in the baseline: --update adds it"),
            Finding::Unmeasured { measure } => write!(f, "not compared: the run has no {measure}"),
        }
    }
}

impl Report {
    fn passes(&self) -> bool {
        !self.findings.iter().any(Finding::fails)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let verdict = if self.passes() { "PASS" } else { "FAIL" };
        write!(f, "{verdict}: {} figures compared", self.compared)
    }
}

type Figure = fn(&Row) -> Option<f64>;

/// What is compared: its name, the figure, and the percent it may be worse by.
type Measure = (&'static str, Figure, fn(Thresholds) -> f64);

const MEASURES: [Measure; 3] = [
    ("instructions", |row| row.instructions, |thresholds| thresholds.counts),
    ("allocations", |row| row.allocations, |thresholds| thresholds.counts),
    ("time", |row| row.ratio, |thresholds| thresholds.time),
];

fn compare(old: &Table, new: &Table, thresholds: Thresholds) -> Report {
    let mut report = Report::default();
    let mut find = |finding| report.findings.push(finding);
    let measured = |table: &Table, figure: Figure| table.0.iter().any(|row| figure(row).is_some());
    for (measure, figure, _) in MEASURES {
        if measured(old, figure) && !measured(new, figure) {
            find(Finding::Unmeasured { measure });
        }
    }
    for was in &old.0 {
        let row = was.name.clone();
        let Some(is) = new.row(&row) else {
            find(Finding::Missing { row });
            continue;
        };
        for (measure, figure, threshold) in MEASURES {
            let Some(was) = figure(was) else { continue };
            let Some(is) = figure(is) else {
                if measured(new, figure) {
                    find(Finding::Missing { row: format!("{row} ({measure})") });
                }
                continue;
            };
            report.compared += 1;
            let (row, percent) = (row.clone(), change(was, is));
            if percent > threshold(thresholds) {
                find(Finding::Regression { row, measure, percent });
            } else if percent < -threshold(thresholds) {
                find(Finding::Improvement { row, measure, percent });
            }
        }
    }
    for row in new.0.iter().filter(|row| old.row(&row.name).is_none()) {
        find(Finding::Unknown { row: row.name.clone() });
    }
    report
}

/// From `was` to `is` in percent. Anything is infinitely more than nothing.
fn change(was: f64, is: f64) -> f64 {
    if was == is { 0.0 } else { (is - was) / was * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
telemetry/count       call  7.57    -     1.36   reference/atomic_add  0.00  49.0
wire/traces/walk      span  122.07  3618  25.12  reference/memcpy      0.00  10000.0
pipeline/hostmetrics  collection  9 -     -      -                     -     -
";

    fn check(old: &str, new: &str) -> Report {
        compare(&old.parse().unwrap(), &new.parse().unwrap(), Thresholds { counts: 10.0, time: TIME_THRESHOLD })
    }

    #[test]
    fn an_identical_run_passes() {
        let report = check(OLD, OLD);
        assert!(report.passes());
        assert_eq!(report.to_string(), "PASS: 6 figures compared");
    }

    #[test]
    fn a_row_past_the_threshold_is_a_regression() {
        let report = check(OLD, &OLD.replace("10000.0", "13128.0"));
        assert!(!report.passes());
        let text = report.to_string();
        assert!(text.starts_with("REGRESSION: wire/traces/walk +31.28 % (instructions)\nFAIL"), "{text}");
    }

    #[test]
    fn up_to_the_threshold_nothing_is_a_regression() {
        assert!(check(OLD, &OLD.replace("10000.0", "11000.0")).passes());
        assert!(!check(OLD, &OLD.replace("10000.0", "11001.0")).passes());
    }

    #[test]
    fn the_first_allocation_is_a_regression() {
        assert!(!check(OLD, &OLD.replace("0.00  49.0", "0.01  49.0")).passes());
    }

    #[test]
    fn time_is_compared_as_a_ratio_and_loosely() {
        assert!(check(OLD, &OLD.replace("122.07", "9000")).passes(), "another machine has other nanoseconds");
        assert!(check(OLD, &OLD.replace("25.12", "50.00")).passes());
        assert!(!check(OLD, &OLD.replace("25.12", "80.00")).passes());
    }

    #[test]
    fn a_row_that_is_missing_fails_and_one_that_is_new_is_named() {
        let shorter = OLD.replace("telemetry/count ", "# ");
        let report = check(OLD, &shorter);
        assert!(!report.passes());
        assert_eq!(report.findings, [Finding::Missing { row: "telemetry/count".to_owned() }]);

        let report = check(OLD, &OLD.replace("49.0", "-"));
        assert!(!report.passes());
        assert_eq!(report.findings, [Finding::Missing { row: "telemetry/count (instructions)".to_owned() }]);

        let report = check(&shorter, OLD);
        assert!(report.passes());
        assert_eq!(report.findings, [Finding::Unknown { row: "telemetry/count".to_owned() }]);
    }

    #[test]
    fn a_run_without_instructions_says_so() {
        let report = check(OLD, &OLD.replace("10000.0", "-").replace("49.0", "-"));
        assert!(report.passes());
        assert_eq!(report.findings, [Finding::Unmeasured { measure: "instructions" }]);
    }

    #[test]
    fn an_improvement_is_named_and_passes() {
        let report = check(OLD, &OLD.replace("10000.0", "5000.0"));
        assert!(report.passes());
        assert!(report.to_string().starts_with("improved: wire/traces/walk -50.00 % (instructions)"));
    }
}
