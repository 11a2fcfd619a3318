//! Rules about every Rust source.

use super::File;

/// Past this, a file has a second subject.
const LINES: usize = 400;

/// What has a second subject and is not cut yet: nothing is to be added here.
const TO_BE_CUT: [&str; 1] = ["tracecore/src/signal/edit/attributes.rs"];

/// Where tasks are spawned and futures raced, with the reason. Everything else goes through `Cx`.
const SEAMS: [(&str, &str); 5] = [
    ("tracecore/src/runtime/", "it owns the tasks"),
    ("tracecore/src/queue/", "consumers are its tasks"),
    ("tracecore/src/net/", "a connection is a task of its server"),
    ("tracecore/src/cx/", "the way in which components spawn"),
    ("tracecore/cli/src/collect.rs", "signals race with the service"),
];

/// What spawns or races.
const SPAWNS: [&str; 4] = ["select!", "tokio::spawn", "spawn_local", "spawn_blocking"];

/// What is left for later. Written apart, so that this file is not found.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// What waits for time to pass. Paused time is no excuse: a test moves it by hand, or waits for what it moves.
const SLEEPS: [&str; 6] = ["sleep", "sleep_until", "interval", "interval_at", "park_timeout", "recv_timeout"];

/// Where a test does, with the reason.
const MAY_SLEEP: [(&str, &str, &str); 11] = [
    ("tracecore/src/testing/exporter.rs", "sleep", "the exporter that is slow when a test wants it to be"),
    ("tests/sim/main.rs", "recv_timeout", "the ceiling on a run that spins: nothing waits for it"),
    ("tests/sim/world.rs", "sleep_until", "a plan says when what happens, by a clock that is always paused"),
    ("tests/dataplane/src/load.rs", "sleep", "how long a load lasts is what the bench is told"),
    ("tests/dataplane/src/load.rs", "interval", "the rate of a load is what the bench is told"),
    ("tests/dataplane/src/process.rs", "sleep", "the end of a program that is no child of an event loop is asked for"),
    ("tests/dataplane/src/regimes.rs", "sleep", "what a program uses while nothing happens is a matter of time"),
    ("tests/dataplane/src/testbed.rs", "sleep", "what a program uses while nothing happens is a matter of time"),
    (
        "tracecore/src/queue/tests/interleaving/sync.rs",
        "sleep_until",
        "the queue's own, which a schedule stands in for",
    ),
    ("tests/e2e/process.rs", "recv_timeout", "the ceiling on a line of a program that hangs: nothing waits for it"),
    ("tests/e2e/prometheus.rs", "recv_timeout", "the ceiling on a scrape that does not come: nothing waits for it"),
];

/// The test kit: code like any other, and test code to the rule against sleeping.
const KIT: &str = "tracecore/src/testing/";

pub(super) fn check(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            problems.push(file.at(number, &format!("`{word}`: finish it, or leave it out and file an issue")));
        }
    }
    problems.extend(sleeps(file));
    problems.extend(spawns(file));
    let lines = file.code_lines();
    if lines > LINES && !TO_BE_CUT.contains(&file.path.as_str()) {
        problems.push(file.at(lines, &format!("{lines} lines of code: what is the second subject?")));
    }
    problems
}

fn sleeps(file: &File) -> Vec<String> {
    let code = if file.path.starts_with(KIT) { 0 } else { file.code_lines() };
    let may = |word| MAY_SLEEP.iter().any(|(path, exception, _)| *path == file.path && *exception == word);
    let mut problems = Vec::new();
    for (number, line) in file.text.lines().enumerate().skip(code) {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        for word in SLEEPS.into_iter().filter(|word| sleeps_with(line, word) && !may(*word)) {
            problems.push(file.at(number, &format!("a test waits for an event, so no `{word}`: {line}")));
        }
    }
    problems
}

/// Whether a line calls a function of this name, names it by its path, or has a shell do the same.
fn sleeps_with(line: &str, name: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + name.len()..]);
        let whole = !before.ends_with(in_word) && !after.starts_with(in_word);
        let shell = name == "sleep" && after.starts_with(' ');
        let path = before.ends_with("::") && !after.starts_with(':');
        whole && (after.starts_with('(') || path || shell)
    })
}

fn spawns(file: &File) -> Vec<String> {
    let runs = file.path.starts_with("tracecore/") || file.path.starts_with("components/");
    if !runs || SEAMS.iter().any(|(seam, _)| file.path.starts_with(seam)) {
        return Vec::new();
    }
    let code = file.text.lines().enumerate().take(file.code_lines());
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let code = code.filter(|(_, line)| SPAWNS.iter().any(|spawn| line.contains(spawn)));
    code.map(|(number, _)| file.at(number, "only the runtime spawns and selects: use the component's `Cx`")).collect()
}
