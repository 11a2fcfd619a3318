//! Rules about every Rust source.

use super::File;

/// Past this, a file has a second subject.
const LINES: usize = 400;

/// Files that are longer, with the reason.
const LONG: [(&str, &str); 2] = [
    ("tracecore/src/cx.rs", "what a component may do is one page, to be read as one"),
    ("tracecore/src/runtime/service.rs", "the order of the start is one story"),
];

/// Where tasks are spawned and futures raced, with the reason. Everything else goes through `Cx`.
const SEAMS: [(&str, &str); 5] = [
    ("tracecore/src/runtime/", "it owns the tasks"),
    ("tracecore/src/queue/", "consumers are its tasks"),
    ("tracecore/src/net/", "a connection is a task of its server"),
    ("tracecore/src/cx.rs", "the way in which components spawn"),
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

/// What waits for time to pass, on a real clock.
const SLEEPS: [&str; 2] = [concat!("thread::", "sleep"), concat!("time::", "sleep")];

/// What makes the clock of a test one that waits for nobody.
const PAUSED: [&str; 2] = ["start_paused = true", "time::pause()"];

pub(super) fn check(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            problems.push(file.at(number, &format!("`{word}`: finish it, or leave it out and file an issue")));
        }
    }
    if !PAUSED.iter().any(|paused| file.text.contains(paused)) {
        let tests = file.text.lines().enumerate().skip(file.code_lines());
        for (number, line) in tests.filter(|(_, line)| SLEEPS.iter().any(|sleep| line.contains(sleep))) {
            problems.push(file.at(number, &format!("a test waits for an event or pauses the clock: {}", line.trim())));
        }
    }
    problems.extend(spawns(file));
    let lines = file.code_lines();
    if lines > LINES && !LONG.iter().any(|(path, _)| *path == file.path) {
        problems.push(file.at(lines, &format!("{lines} lines of code: what is the second subject?")));
    }
    problems
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
