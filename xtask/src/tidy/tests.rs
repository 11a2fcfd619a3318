use super::{File, check, components, paths, shell, sources};
use crate::root;

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn the_project_is_tidy() {
    let problems = check(root()).expect("the repository can be read");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn finds_what_is_unfinished() {
    let text = format!("fn later() {{\n    {}!()\n}}\n", "todo");
    assert_eq!(sources::check(&file("tracecore/src/graph.rs", &text)).len(), 1);
}

#[test]
fn finds_a_test_that_sleeps() {
    let nap = concat!("sle", "ep");
    let sleeps = [
        format!("    tokio::time::{nap}(ONE_SECOND).await;"),
        format!("    {nap}(ONE_SECOND).await;"),
        format!("    use std::thread::{nap} as nap;"),
        format!("    tokio::time::{nap}_until(then).await;"),
        format!("    let mut ticks = {}(ONE_SECOND);", concat!("inter", "val")),
        format!("    thread::{}(ONE_SECOND);", concat!("park_", "timeout")),
        format!("    lines.{}(ONE_SECOND);", concat!("recv_", "timeout")),
        format!("    Command::new(\"sh\").args([\"-c\", \"{nap} 1; true\"]);"),
    ];
    for line in &sleeps {
        let paused = format!("#[tokio::test(start_paused = true)]\n{line}\n");
        assert_eq!(sources::check(&file("tests/it/queue.rs", &paused)).len(), 1, "{line}");
        let inline = format!("fn wait() {{}}\n#[cfg(test)]\nmod tests {{\n{line}\n}}\n");
        assert_eq!(sources::check(&file("tracecore/src/graph.rs", &inline)).len(), 1, "{line}");
        assert_eq!(sources::check(&file("tracecore/src/testing/receiver.rs", line)).len(), 1, "{line}");
        assert!(sources::check(&file("tracecore/src/graph.rs", line)).is_empty(), "not a test: {line}");
    }
    for line in [
        "// It does not sle\u{65}p (ever).",
        "    \"yaml:receivers::clock::interval: 1s\"",
        "    Self::default_interval();",
        "    asleep(1);",
    ] {
        assert!(sources::check(&file("tests/it/queue.rs", line)).is_empty(), "{line}");
    }
}

#[test]
fn lets_a_test_sleep_only_where_a_reason_stands_for_it() {
    let line = format!("        match self.lines.{}(CEILING) {{", concat!("recv_", "timeout"));
    assert!(sources::check(&file("tests/e2e/process.rs", &line)).is_empty());
    let other = line.replace(concat!("recv_", "timeout"), concat!("sle", "ep"));
    assert_eq!(sources::check(&file("tests/e2e/process.rs", &other)).len(), 1);
}

#[test]
fn finds_a_shell_that_sleeps() {
    let nap = concat!("sle", "ep");
    for path in [".ci/run", "tests/e2e/collect.sh", "tests/e2e/alerts.test.yaml"] {
        assert!(shell::holds(path), "{path}");
        for line in [format!("{nap} 5"), format!("make && {nap} 0.1; curl"), format!("  - run: /bin/{nap} 1")] {
            assert_eq!(shell::check(&file(path, &line)).len(), 1, "{line}");
        }
        for line in [format!("# {nap} 5"), format!("systemctl {nap}"), format!("./{nap} 1"), format!("no-{nap} 1")] {
            assert!(shell::check(&file(path, &line)).is_empty(), "{line}");
        }
    }
    assert!(!shell::holds("docs/examples/clock.yaml"));
}

#[test]
fn finds_a_spawn_outside_the_seams() {
    let text = "async fn run() {\n    tokio::spawn(work());\n}\n";
    assert_eq!(sources::check(&file("components/src/receivers/clock.rs", text)).len(), 1);
    assert!(sources::check(&file("tracecore/src/cx/mod.rs", text)).is_empty());
}

#[test]
fn finds_a_long_file_and_leaves_out_its_tests() {
    let long = "fn f() {}\n".repeat(401);
    assert_eq!(sources::check(&file("tracecore/src/graph.rs", &long)).len(), 1);
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(sources::check(&file("tracecore/src/graph.rs", &tested)).is_empty());
}

#[test]
fn finds_a_component_that_does_not_read_top_down() {
    let text = "//! It.\n#[config]\nstruct Config;\n#[exporter(\"it\")]\nstruct It;\nimpl Exporter for It {}\n";
    let problems = components::check(&file("components/src/exporters/it.rs", text));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("components/src/exporters/it.rs:2: its settings goes after the struct"),
        "{problems:?}"
    );
}

#[test]
fn finds_a_path_that_leads_nowhere() {
    let text = "`tracecore/src/lib.rs` and `tracecore/src/none.rs`\n";
    let problems = paths::check(root(), &file("docs/ARCHITECTURE.md", text));
    assert_eq!(problems, ["docs/ARCHITECTURE.md:1: there is no tracecore/src/none.rs"]);
}
