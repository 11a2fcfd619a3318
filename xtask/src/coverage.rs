//! How many lines the tests run, by crate, with a floor under each.
//!
//! Measured by `cargo tarpaulin` with the compiler's own instrumentation; it builds everything a second time, so it is not
//! a part of `ci`. The program (`tracecore/cli`) has no floor: its tests run it as a process of its own, which is not
//! measured. What must not compile, and the link fixture, are left out: they measure the compiler and the linker.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use serde_json::Value;

use crate::{Done, cargo, complain, root, say};

/// The least share of lines, in percent, that the tests of each crate run.
const FLOORS: [(&str, f64); 3] = [("tracecore", 80.0), ("tracecore-macros", 80.0), ("components", 80.0)];

/// Lines of a crate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lines {
    covered: u64,
    coverable: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.coverable == 0 { 0.0 } else { 100.0 * self.covered as f64 / self.coverable as f64 }
    }
}

pub(crate) fn run() -> Done {
    let folder = root().join("target/coverage");
    fs::create_dir_all(&folder)?;
    let status = cargo()
        .args(["tarpaulin", "--engine", "llvm", "--workspace", "--skip-clean", "--timeout", "600", "--out", "Json"])
        .arg("--output-dir")
        .arg(&folder)
        .arg("--target-dir")
        .arg(folder.join("build"))
        .args(["--", "--skip", "mistakes_are_shown", "--skip", "link"])
        .status()?;
    if !status.success() {
        complain(
            "no coverage: is `cargo tarpaulin` installed (`cargo install cargo-tarpaulin`), and do the tests pass?",
        );
        return Ok(ExitCode::FAILURE);
    }
    let report = serde_json::from_str(&fs::read_to_string(folder.join("tarpaulin-report.json"))?)?;
    let crates =
        by_crate(&report, &root().components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>());
    Ok(judge(&crates))
}

/// The lines of each crate of a report, whose paths are lists of their parts and begin with those of `root`.
fn by_crate(report: &Value, root: &[impl AsRef<str>]) -> BTreeMap<String, Lines> {
    let mut crates = BTreeMap::<String, Lines>::new();
    for file in report["files"].as_array().into_iter().flatten() {
        let parts: Vec<_> = file["path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let ours = parts.len() > root.len() && parts.iter().zip(root).all(|(part, root)| *part == root.as_ref());
        let name = match parts.get(root.len()..) {
            Some(["tracecore", "cli", ..]) => "tracecore/cli",
            Some([first, ..]) if ours => first,
            _ => continue,
        };
        let lines = crates.entry(name.to_owned()).or_default();
        lines.covered += file["covered"].as_u64().unwrap_or_default();
        lines.coverable += file["coverable"].as_u64().unwrap_or_default();
    }
    crates.retain(|_, lines| lines.coverable > 0);
    crates
}

fn judge(crates: &BTreeMap<String, Lines>) -> ExitCode {
    for (name, lines) in crates {
        say(format_args!("{name}: {:.1} % of {} lines", lines.percent(), lines.coverable));
    }
    let below = below_floor(crates);
    for (name, floor) in &below {
        complain(format_args!("{name} is below its floor of {floor} %"));
    }
    if below.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The crates that are below their floors; one without lines is.
fn below_floor(crates: &BTreeMap<String, Lines>) -> Vec<(&'static str, f64)> {
    let percent = |name| crates.get(name).copied().unwrap_or_default().percent();
    FLOORS.into_iter().filter(|(name, floor)| percent(*name) < *floor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_added_up_by_crate_and_held_against_the_floors() {
        let file = |path: &[&str], covered: u64| json!({"path": path, "covered": covered, "coverable": 10});
        let report = json!({"files": [
            file(&["/", "here", "tracecore", "src", "emit.rs"], 10),
            file(&["/", "here", "tracecore", "src", "graph.rs"], 7),
            file(&["/", "here", "tracecore", "cli", "src", "lib.rs"], 0),
            file(&["/", "here", "components", "src", "lib.rs"], 7),
            file(&["/", "elsewhere", "components", "src", "lib.rs"], 0),
        ]});
        let crates = by_crate(&report, &["/", "here"]);
        assert_eq!(crates["tracecore"], Lines { covered: 17, coverable: 20 });
        assert_eq!(crates["tracecore/cli"].percent(), 0.0);
        assert_eq!(crates.len(), 3);
        // 85 % is above 80, 70 % is not, and a crate that was not measured is not either.
        assert_eq!(below_floor(&crates), [("tracecore-macros", 80.0), ("components", 80.0)]);
    }
}
