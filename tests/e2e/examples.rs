//! What `docs/examples` shows is true.

use std::fs;

use crate::process::{example, root, run, tracecore};

/// Rules are Prometheus's, and checked by `promtool`.
const RULES: &str = "prometheus-alerts.example.yaml";

#[test]
fn every_example_is_valid() {
    let files = fs::read_dir(root().join("docs/examples")).expect("the examples");
    let names = files.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let names: Vec<_> = names.filter(|name| name != RULES).collect();
    assert!(names.iter().any(|name| name == "with-telemetry.yaml"), "{names:?}");
    for name in names {
        let ended = run(&mut tracecore(["validate", "--config", &example(&name)]));
        assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""), "{name}: no error, no warning");
    }
}

#[test]
fn host_yaml_is_what_runs_without_a_configuration() {
    let said = |path| -> Vec<String> {
        let text: String = fs::read_to_string(path).expect("a configuration");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(said(example("host.yaml").into()), said(root().join("tracecore/cli/src/default.yaml")));
}
