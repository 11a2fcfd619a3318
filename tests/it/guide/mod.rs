//! `docs/WRITING-A-COMPONENT.md` and `docs/DISTRIBUTION.md`: every block of code in them stands in a file that is
//! compiled, or is checked as what it is.

mod entropy;
mod shown;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of a page that are in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs").join(page)).expect("a page");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
        }
    }
    blocks
}

#[track_caller]
fn are_part_of(page: &str, language: &str, files: &[&str]) {
    let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(root().join(file)).expect("a file")).collect();
    let blocks = blocks(page, language);
    assert!(!blocks.is_empty(), "{page} shows something");
    for block in blocks {
        assert!(texts.iter().any(|text| text.contains(&block)), "{page}: in none of {files:?} as it is here:\n{block}");
    }
}

#[test]
fn the_code_of_the_guide_is_compiled() {
    are_part_of("WRITING-A-COMPONENT.md", "rust", &["tests/it/guide/entropy.rs", "tests/it/guide/shown.rs"]);
}

#[test]
fn the_configuration_of_the_guide_is_run() {
    are_part_of("WRITING-A-COMPONENT.md", "yaml", &["tests/it/guide/entropy.yaml"]);
}

#[test]
fn the_program_of_the_guide_is_linked() {
    are_part_of("DISTRIBUTION.md", "rust", &["tests/link/program/src/main.rs", "tests/link/author/src/lib.rs"]);
    let manifests = ["tests/link/program/Cargo.toml", "tests/link/author/Cargo.toml"];
    are_part_of("DISTRIBUTION.md", "toml", &manifests);
}
