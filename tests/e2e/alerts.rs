//! The alert rules that come with the program: each fires and resolves.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::process::{example, root, run};

const RULES: &str = "prometheus-alerts.example.yaml";
const CASES: &str = "tests/e2e/alerts.test.yaml";

#[test]
fn alerts_fire_and_resolve() {
    let ended = run(Command::new("promtool").args(["test", "rules", CASES]).current_dir(root()));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.log);
}

#[test]
fn every_rule_has_a_case() {
    let (rules, cases) = (fs::read_to_string(example(RULES)), fs::read_to_string(root().join(CASES)));
    let (rules, cases) = (rules.expect("the rules"), cases.expect("their cases"));
    let named = |text: &str, key: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key).map(str::to_owned))
            .collect()
    };
    let alerts = named(&rules, "alert: ");
    assert_eq!(alerts.len(), 5, "{alerts:?}");
    assert_eq!(alerts, named(&cases, "alertname: "));
    assert_eq!(named(&rules, "record: "), named(&cases, "expr: "));
}

#[test]
fn rules_name_only_metrics_that_exist() {
    let page = fs::read_to_string(root().join("docs/self-metrics.md")).expect("the families");
    let rules = fs::read_to_string(example(RULES)).expect("the rules");
    let words = rules.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    for name in words.filter(|word| word.starts_with("tracecore_")) {
        let family = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(page.lines().any(|line| line.starts_with(&format!("| `{family}` |"))), "{name}");
    }
}
