//! What a page names of this repository exists. Where its links lead is looked at by `tests/it/pages.rs`.

use std::path::Path;

use super::{File, TOP};

pub(super) fn check(root: &Path, file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    let mut code = false;
    for (number, line) in file.text.lines().enumerate() {
        code ^= line.starts_with("```");
        if code {
            continue;
        }
        for missing in line.split('`').skip(1).step_by(2).filter(|word| is_path(word) && !root.join(word).exists()) {
            problems.push(file.at(number, &format!("there is no {missing}")));
        }
    }
    problems
}

/// Whether a word in code type names something of this repository: `tracecore/src/cx.rs`.
fn is_path(word: &str) -> bool {
    let top = word.split('/').next().unwrap_or_default();
    TOP.contains(&top) && word.contains('/') && !word.contains(|c: char| c.is_whitespace() || "*<{…".contains(c))
}
