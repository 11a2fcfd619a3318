//! What the bench says: tables, and how they stand to what is wanted.

use std::fmt::Display;
use std::io::{Write, stdout};

use crate::failure::Failure;
use crate::trial::Outcome;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    goals: Vec<String>,
    missed: usize,
    problems: Vec<String>,
}

impl Report {
    /// A line on standard output. Whoever reads may have gone.
    pub(crate) fn line(&self, line: impl Display) {
        let _ = writeln!(stdout(), "{}", line.to_string().trim_end());
    }

    /// A line before a table.
    pub(crate) fn heading(&self, heading: &str) {
        self.line(format_args!("\n{heading}"));
    }

    /// A goal that is met from this figure on.
    pub(crate) fn at_least(&mut self, what: &str, is: f64, bound: f64) {
        self.goal(what, is, "at least", bound, is >= bound);
    }

    /// A goal that is met up to this figure.
    pub(crate) fn at_most(&mut self, what: &str, is: f64, bound: f64) {
        self.goal(what, is, "at most", bound, is <= bound);
    }

    /// A figure that nobody asked for, or whose trial failed and is a problem, is not a number and no goal.
    fn goal(&mut self, what: &str, is: f64, words: &str, bound: f64, met: bool) {
        if is.is_nan() {
            return;
        }
        let verdict = if met { "goal met:" } else { "GOAL MISSED:" };
        self.goals.push(format!("{verdict} {what}: {is:.2}, {words} {bound:.2} wanted"));
        self.missed += usize::from(!met);
    }

    /// A figure below which the run says nothing.
    pub(crate) fn void_below(&mut self, what: &str, is: f64, bound: f64) {
        if is < bound {
            let (is, bound) = (thousands(is), thousands(bound));
            self.problem(format!("VOID: {what}: {is} thousand a CPU-second, and below {bound} ratios say nothing"));
        }
    }

    /// Something that is wrong.
    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// What is wrong with what a trial gave, if something is.
    pub(crate) fn wrong(&mut self, what: &str, outcome: &Outcome) {
        if let Some(problem) = outcome.problem() {
            self.problem(format!("{what}: {problem}"));
        }
        if outcome.failed > 0 {
            let (failed, failure) = (outcome.failed, outcome.failure.as_deref().unwrap_or_default());
            self.problem(format!("{what}: {failed} calls failed, the last: {failure}"));
        }
    }

    /// What a trial gave; one that failed is a problem.
    pub(crate) fn tried<T>(&mut self, what: &str, outcome: Result<T, Failure>) -> Option<T> {
        outcome.map_err(|failure| self.problem(format!("{what}: {failure}"))).ok()
    }

    /// Prints goals and problems; whether all is well.
    pub(crate) fn end(self) -> bool {
        if !self.goals.is_empty() {
            self.heading("Goals");
        }
        self.goals.iter().for_each(|goal| self.line(goal));
        if !self.problems.is_empty() {
            self.heading("Problems");
        }
        self.problems.iter().for_each(|problem| self.line(problem));
        self.missed == 0 && self.problems.is_empty()
    }
}

/// A number of items in thousands.
pub(crate) fn thousands(items: f64) -> String {
    format!("{:.0}", items / 1e3)
}

/// A number of bytes in MiB.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.1}", bytes / f64::from(1 << 20))
}
