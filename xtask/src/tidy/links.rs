//! What a page points to exists.

use std::path::Path;

use super::{File, TOP};

pub(super) fn check(root: &Path, file: &File) -> Vec<String> {
    let folder = root.join(&file.path);
    let folder = folder.parent().unwrap_or(root);
    let mut problems = Vec::new();
    let mut code = false;
    for (number, line) in file.text.lines().enumerate() {
        code ^= line.starts_with("```");
        if code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let pages = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
        let pages = pages.map(|target| target.split_once('#').map_or(target, |(page, _)| page));
        for missing in pages.filter(|page| !folder.join(page).exists()) {
            problems.push(file.at(number, &format!("there is no {missing} to link to")));
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
