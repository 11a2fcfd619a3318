//! Generated files are written by the tests that compare them, so that there is one way to make them.

use std::process::ExitCode;

use crate::{Done, cargo};

/// Rewrites what another component changes: schemas, the catalog, pages, and the message that lists what there is.
pub(crate) fn of_components() -> Done {
    rewrite(&["--package", "tracecore-tests", "--test", "it", "--test", "e2e", "--", "generated::", "twelve_mistakes"])
}

/// Rewrites every generated file.
pub(crate) fn run() -> Done {
    // The modules whose tests look at `UPDATE` or, for the compiler's messages, at trybuild's own variable.
    let binaries = ["--workspace", "--lib", "--test", "it", "--test", "e2e", "--"];
    let modules = ["tests::", "compat::", "expand::", "generated::", "ui::", "mistakes::"];
    rewrite(&[&binaries[..], &modules].concat())
}

fn rewrite(tests: &[&str]) -> Done {
    let mut command = cargo();
    command.args(["test", "--quiet"]).args(tests).env("UPDATE", "1").env("TRYBUILD", "overwrite");
    Ok(if command.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
