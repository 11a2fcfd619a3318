//! Generated files are written by the tests that compare them, so that there is one way to make them.

use std::process::{Command, ExitCode};

use crate::{Done, root};

/// Rewrites what is made of the declarations of the components: schemas, the catalog, pages.
pub(crate) fn of_components() -> Done {
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--quiet", "--package", "tracecore-tests", "--test", "it", "--", "generated::"]);
    let status = tests.env("UPDATE", "1").current_dir(root()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Rewrites every generated file.
pub(crate) fn run() -> Done {
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--quiet", "--workspace", "--lib", "--test", "it", "--test", "e2e", "--"]);
    // The modules whose tests look at `UPDATE` or, for the compiler's messages, at trybuild's own variable.
    tests.args(["tests::", "compat::", "expand::", "generated::", "ui::", "mistakes::"]);
    let status = tests.env("UPDATE", "1").env("TRYBUILD", "overwrite").current_dir(root()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
