//! A component's file reads top down, and its siblings read alike.

use super::File;

/// The parts of a component's file, in order, each by how its line begins. A file has those that it needs.
const PARTS: [(&str, &[&str]); 7] = [
    ("what it is (`//!`)", &["//!"]),
    ("imports", &["use "]),
    ("the struct with its attribute", &["#[receiver(", "#[processor(", "#[exporter("]),
    ("its settings", &["#[config]"]),
    ("what it measures", &["#[derive(MetricSet"]),
    ("what it does", &["impl Receiver for", "impl Processor for", "impl Exporter for"]),
    ("its tests", &["#[cfg(test)]"]),
];

/// Of these there must be one: without it the file is no component's.
const DECLARATION: usize = 2;

pub(super) fn check(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let first = |starts: &[&str]| lines.iter().position(|line| starts.iter().any(|start| line.starts_with(start)));
    let places: Vec<Option<usize>> = PARTS.iter().map(|(_, starts)| first(starts)).collect();
    if !file.path.starts_with("components/src/") || places[DECLARATION].is_none() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut before: Option<(usize, &str)> = None;
    for ((part, starts), place) in PARTS.iter().zip(places) {
        // Of a module that is declared at the top and only tested, the tests are elsewhere.
        let inline = |line: usize| lines.get(line + 1).is_some_and(|next| !next.ends_with(';'));
        let Some(line) = place.filter(|line| starts[0] != "#[cfg(test)]" || inline(*line)) else { continue };
        if let Some((earlier, what)) = before.filter(|(earlier, _)| *earlier > line) {
            problems.push(file.at(line, &format!("{part} goes after {what}, which is in line {}", earlier + 1)));
        }
        before = Some((line, part));
    }
    problems
}
