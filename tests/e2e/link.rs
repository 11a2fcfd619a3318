//! A component in a crate of someone else is there because it is linked, and for no other reason.
//!
//! `tests/link` is a workspace of its own, built with fat link-time optimisation: that is where an entry which nothing
//! refers to would be lost.

use std::fs;
use std::process::Command;

use crate::process::{self, Ended, root, run};

/// Builds the program of `tests/link` with the dependencies that the rest of the tests have.
fn build(features: &[&str]) -> Ended {
    let workspace = root().join("tests/link");
    fs::copy(root().join("Cargo.lock"), workspace.join("Cargo.lock")).expect("the lock file");
    let mut cargo = process::cargo();
    cargo.current_dir(workspace).env("CARGO_TARGET_DIR", root().join("target/link"));
    let output = cargo.args(["build", "--release", "--package", "program"]).args(features).output();
    let output = output.expect("cargo can be run");
    Ended { code: output.status.code(), out: String::new(), log: String::from_utf8_lossy(&output.stderr).into_owned() }
}

#[test]
fn linking_registers_under_fat_lto_and_refuses_a_name_of_two_crates() {
    let built = build(&[]);
    assert_eq!(built.code, Some(0), "{}", built.log);
    let program = root().join("target/link/release/program");
    let listed = run(Command::new(program).arg("components"));
    assert_eq!(listed.code, Some(0), "{}", listed.log);
    // Its own component, and none of a crate that it does not mention.
    assert_eq!(listed.out.matches("- name: ").count(), 1, "{}", listed.out);
    assert!(
        listed.out.contains("- name: from_elsewhere\n    summary: \"Lets every batch through.\""),
        "{}",
        listed.out
    );

    let refused = build(&["--features", "rival"]);
    assert_eq!(refused.code, Some(101), "{}", refused.log);
    assert!(refused.log.contains("tracecore.processor.from_elsewhere"), "the message names it: {}", refused.log);
}
