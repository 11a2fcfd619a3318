//! What the program prints for people: results on standard output, errors on standard error.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};
use tracecore::component::Role;
use tracecore::config::{ConfigError, Severity};
use tracecore::graph::{Graph, Pipeline};
use tracecore::registry::Registry;

/// A line on standard output. Whoever reads may have gone, as in `tracecore components | head -1`.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What is printed as it is: a script, a page.
pub(crate) fn bytes(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// An error on standard error.
pub(crate) fn error(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// What is wrong with a configuration: each problem with its place, its line and what is probably meant.
pub(crate) fn problems(problems: &[ConfigError]) -> String {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{}: {problem}", problem.severity.as_str());
        let number = problem.origin.line().to_string();
        let margin = " ".repeat(number.len() + 2);
        // What is behind a secret is not shown.
        if let Some(line) = problem.line.as_ref().filter(|line| column(problem) < line.chars().count()) {
            let before: String = line.chars().take(column(problem)).map(|c| if c == '\t' { c } else { ' ' }).collect();
            let _ = writeln!(text, "  {number} | {line}\n{margin} | {before}{}", "^".repeat(marked(problem, line)));
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "{margin} = {hint}");
        }
    }
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors > 0 {
        let _ = write!(text, "config invalid: {errors} error(s), {warnings} warning(s)");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Where the problem begins in its line, in characters from 0.
fn column(problem: &ConfigError) -> usize {
    usize::try_from(problem.origin.column()).unwrap_or(usize::MAX).saturating_sub(1)
}

/// How many characters of the line are marked: the word or the quoted text that begins there.
fn marked(problem: &ConfigError, line: &str) -> usize {
    let mut rest = line.chars().skip(column(problem)).peekable();
    let quote = rest.next_if(|c| matches!(c, '"' | '\''));
    let inside = match quote {
        Some(quote) => rest.take_while(|c| *c != quote).count() + 2,
        None => rest.take_while(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | ']' | '}')).count(),
    };
    inside.max(1)
}

/// What a valid configuration puts together.
pub(crate) fn wiring(graph: &Graph) -> String {
    let mut text = format!("config valid: {} pipeline(s)", graph.pipelines.len());
    for pipeline in &graph.pipelines {
        let Pipeline { id, receivers, processors, exporters } = pipeline;
        let (receivers, processors, exporters) = (receivers.len(), processors.len(), exporters.len());
        let _ = write!(text, "\n{id}: receivers={receivers} processors={processors} exporters={exporters}");
    }
    text
}

/// The outcome of a check as JSON, for programs: `valid`, `problems`, `pipelines`.
pub(crate) fn checked(problems: &[ConfigError], graph: Option<&Graph>) -> Value {
    let problem = |problem: &ConfigError| {
        let ConfigError { severity, path, origin, message, hint, line } = problem;
        let some = |number: u32| (number > 0).then_some(number);
        json!({
            "severity": severity.as_str(), "file": origin.source(), "line": some(origin.line()), "column": some(origin.column()),
            "path": path, "message": message, "hint": hint, "source_line": line, "value_from": origin.via(),
        })
    };
    let pipeline = |pipeline: &Pipeline| {
        json!({
            "id": pipeline.id.to_string(), "receivers": pipeline.receivers.len(),
            "processors": pipeline.processors.len(), "exporters": pipeline.exporters.len(),
        })
    };
    let pipelines = graph.map(|graph| graph.pipelines.iter().map(pipeline).collect::<Vec<_>>());
    let problems: Vec<_> = problems.iter().map(problem).collect();
    json!({ "valid": graph.is_some(), "problems": problems, "pipelines": pipelines })
}

/// JSON for programs, in lines for people.
pub(crate) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// A resolved configuration under its heading.
pub(crate) fn explained(resolved: &str, surface_is_on: bool) -> String {
    let surface = if surface_is_on { "" } else { "# HTTP surface OFF; no port bound\n" };
    format!("resolved configuration (after defaults applied):\n{surface}{}", resolved.trim_end())
}

/// The receivers as a table.
pub(crate) fn receivers(registry: &Registry) -> String {
    let of_role = registry.iter().filter(|entry| entry.role == Role::Receiver);
    let mut rows = vec![["NAME", "STABILITY", "SIGNALS", "SUMMARY"].map(str::to_owned)];
    rows.extend(of_role.map(|entry| {
        let signals: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
        [entry.name, entry.stability.as_str(), &signals.join(","), entry.summary].map(str::to_owned)
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (name, stability, signals) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| format!("{a:name$}  {b:stability$}  {c:signals$}  {d}");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The components as YAML. Their words are constants of the declarations, checked at compile time; JSON strings are
/// YAML strings.
pub(crate) fn components(registry: &Registry) -> String {
    let mut yaml = String::new();
    for role in [Role::Receiver, Role::Processor, Role::Exporter] {
        let mut entries = registry.iter().filter(|entry| entry.role == role).peekable();
        let _ = writeln!(yaml, "{}:{}", role.section(), if entries.peek().is_none() { " []" } else { "" });
        for entry in entries {
            let signals: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
            let _ = writeln!(yaml, "  - name: {}", entry.name);
            if !entry.aliases.is_empty() {
                let _ = writeln!(yaml, "    aliases: [{}]", entry.aliases.join(", "));
            }
            let _ = writeln!(yaml, "    summary: {:?}", entry.summary);
            let _ = writeln!(yaml, "    signals: [{}]", signals.join(", "));
            let _ = writeln!(yaml, "    stability: {}", entry.stability.as_str());
            let _ = writeln!(yaml, "    since: {}", entry.since);
        }
    }
    yaml
}
