//! The rules of this project that neither the compiler nor clippy knows.
//!
//! A rule looks at the text of files and says what is wrong, with the place. It reads lines and does not parse: what
//! needs a parser is a lint's or a macro's to say. A test runs them all, so that `cargo test` is enough. Deliberately
//! absent: exceptions at the place of the mistake; each stands in a list here, with its reason.

mod components;
mod paths;
mod shell;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{fs, io};

use crate::{Done, root, say};

/// What stands at the top of the repository. A new entry is a decision of the architecture, not of a change.
const TOP: [&str; 18] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "components",
    "docs",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "schemas",
    "tests",
    "tracecore",
    "tracecore-macros",
    "xtask",
];

/// The line that a reader copies from the README to run the tests.
const TEST_COMMAND: &str = ".ci/setup && cargo test --workspace";

/// A file of the repository.
struct File {
    /// Its path from the root.
    path: String,
    text: String,
}

impl File {
    /// What a rule says about a line, counted from 0.
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }

    /// Whether all of it is tests, or what only tests use.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| ["tests", "benches", "tests.rs", "testing.rs"].contains(&part))
    }

    /// How many of its lines are code; the rest are tests.
    fn code_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
        if self.is_test() { 0 } else { tests.unwrap_or(lines.len()) }
    }
}

pub(crate) fn run() -> Done {
    let problems = check(root())?;
    for problem in &problems {
        say(problem);
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that is wrong with the repository at `root`.
fn check(root: &Path) -> io::Result<Vec<String>> {
    let mut problems = top_level(root)?;
    let mut files = Vec::new();
    read(root, "", &mut files)?;
    for file in &files {
        if file.path.ends_with(".rs") {
            problems.extend(sources::check(file));
            problems.extend(components::check(file));
        }
        if shell::holds(&file.path) {
            problems.extend(shell::check(file));
        }
        if file.path.ends_with(".md") {
            problems.extend(paths::check(root, file));
        }
        if file.path == "README.md" && !file.text.lines().any(|line| line == TEST_COMMAND) {
            problems.push(format!("README.md: the test command is not `{TEST_COMMAND}`, which CI runs"));
        }
    }
    Ok(problems)
}

/// What is committed at the top; what merely lies there is nobody's business.
fn top_level(root: &Path) -> io::Result<Vec<String>> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    let present: BTreeSet<&str> = listed.lines().filter_map(|path| path.split('/').next()).collect();
    let known = BTreeSet::from(TOP);
    let extra = present.difference(&known).map(|name| format!("{name}: does not belong at the top of the repository"));
    let missing = known.iter().filter(|name| !root.join(name).exists());
    Ok(extra.chain(missing.map(|name| format!("{name}: is missing at the top of the repository"))).collect())
}

/// Gathers the sources, the scripts and the written pages below a folder.
fn read(root: &Path, folder: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && name != ".git" {
            read(root, &path, files)?;
        } else if kind.is_file() && (name.ends_with(".rs") || name.ends_with(".md") || shell::holds(&path)) {
            files.push(File { text: fs::read_to_string(entry.path())?, path });
        }
    }
    Ok(())
}
