//! From nothing to a value on `/metrics`: the path of somebody who writes a component, in a copy of the project.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

use crate::http::{get, value};
use crate::process::{self, Ended, Process, eventually, root};
use crate::scarcity::free_address;

/// A copy of what is in the repository, committed or not. The last one stays, with what was built in it.
fn copy() -> PathBuf {
    let tree = root().join("target/scaffold/tree");
    let _ = fs::remove_dir_all(&tree);
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().expect("git can be run");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    for path in listed.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let path = str::from_utf8(path).expect("a name in UTF-8");
        let (from, to) = (root().join(path), tree.join(path));
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("a folder");
        // A file may be deleted and not yet committed.
        if from.exists() {
            fs::copy(from, to).expect("a copy");
        }
    }
    tree
}

fn cargo(tree: &Path, arguments: &[&str]) -> Ended {
    let mut cargo = process::cargo();
    cargo.current_dir(tree).env("CARGO_TARGET_DIR", root().join("target/scaffold")).args(arguments);
    cargo.env_remove("UPDATE");
    // A build says nothing for minutes: it has no ceiling but the run's own.
    let output = cargo.output().expect("cargo can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), out: text(&output.stdout), log: text(&output.stderr) }
}

#[track_caller]
fn succeeds(tree: &Path, arguments: &[&str]) -> Ended {
    let ended = cargo(tree, arguments);
    assert_eq!(ended.code, Some(0), "cargo {arguments:?}\n{}\n{}", ended.out, ended.log);
    ended
}

/// What the new receiver is called: as nobody calls one of this project, for the project may have any other.
const NAME: &str = "made_by_a_test";

/// What the author writes: lines of the copied receiver, and what stands in their place.
const AUTHORED: [(&str, &str); 4] = [
    ("/// Sends one tick per interval.", "/// Reads the temperature of a thermal zone."),
    (
        "    interval: Period,\n",
        "    interval: Period,\n    /// The file with the temperature, in thousandths of a degree.\n    path: String,\n",
    ),
    (
        "    /// Ticks sent since the start.\n    #[unit(\"{tick}\")]\n    ticks: Counter,\n",
        "    /// Temperature of the zone.\n    #[unit(\"Cel\")]\n    temperature: Gauge,\n",
    ),
    (
        "            cx.data.ticks.add(1, ());\n",
        "            let text = std::fs::read_to_string(&self.config.path).unwrap_or_default();\n            \
         if let Ok(thousandths) = text.trim().parse::<f64>() {\n                \
         cx.data.temperature.set(thousandths / 1000.0, ());\n            }\n",
    ),
];

#[test]
fn a_new_receiver_is_on_metrics_after_ten_lines() {
    let tree = copy();
    let made = succeeds(&tree, &["xtask", "new-receiver", NAME]);
    assert!(made.out.contains("docs/examples/made_by_a_test.yaml"), "{}", made.out);
    for made in [
        "schemas/receiver.made_by_a_test.json",
        "docs/components/receiver.made_by_a_test.md",
        "docs/examples/made_by_a_test.yaml",
    ] {
        assert!(tree.join(made).exists(), "{made}");
    }
    let again = cargo(&tree, &["xtask", "new-receiver", NAME]);
    assert_eq!(again.code, Some(2), "{}", again.out);
    assert!(again.log.contains("there already"), "{}", again.log);
    // As it is, it is formatted, keeps the rules of the project and the contract, and its generated files are its own.
    succeeds(&tree, &["fmt", "--all", "--check"]);
    succeeds(&tree, &["xtask", "tidy"]);
    let checks = ["conformance::every", "generated::", "registry::", "schema::", "compat::", "pages::", "guide::"];
    let tests = ["test", "--package", "tracecore-tests", "--test", "it", "--"];
    succeeds(&tree, &[&tests[..], &checks[..]].concat());
    let of_program =
        ["test", "--package", "tracecore-tests", "--test", "e2e", "--", "examples::", "twelve_mistakes", "docs_"];
    succeeds(&tree, &of_program);

    let file = tree.join("components/src/receivers/made_by_a_test.rs");
    let mut text = fs::read_to_string(&file).expect("the component");
    for (before, after) in AUTHORED {
        assert!(text.contains(before), "{text}");
        text = text.replace(before, after);
    }
    fs::write(&file, text).expect("the component");
    let zone = tree.join("zone");
    fs::write(&zone, "61500\n").expect("a file");

    let address = free_address();
    let endpoint = format!("exporters.prometheus.endpoint={address}");
    let path = format!("receivers.made_by_a_test.path={}", zone.display());
    succeeds(&tree, &["build", "--bin", "tracecore"]);
    let mut collect = Command::new(root().join("target/scaffold/debug/tracecore"));
    collect.current_dir(&tree).args(["collect", "--config", "docs/examples/made_by_a_test.yaml"]);
    let mut process = Process::start(collect.args(["--set", &endpoint, "--set", &path]));
    process.logs("component started component=made_by_a_test");
    let url = format!("http://{address}/metrics");
    let shown =
        |text: &String| value(text, "made_by_a_test_temperature_celsius{").is_some_and(|celsius| celsius == 61.5);
    let scraped = eventually("the value is shown", || Some(get(&url).body).filter(shown));
    assert!(scraped.contains("# HELP made_by_a_test_temperature_celsius Temperature of the zone.\n"), "{scraped}");
}
