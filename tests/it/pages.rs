//! The written pages lead somewhere: every link, anchor, test, metric, event and setting that they name is there.
//!
//! A page names a test as `cargo test` takes it, behind the suite that it stands in: `it: queue::empty_payload_is_success`.
//! Where a table has the column [`SHOWN`], each of its rows names a test; in the page of failures, each section has all of
//! [`FIELDS`]. What is checked is text: nothing here runs a test that is named, `cargo test` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tracecore::schema::{catalog, configuration};

use crate::generated::ours;

/// The suites, and where their modules stand.
const SUITES: [(&str, &str); 5] = [
    ("it", "tests/it"),
    ("e2e", "tests/e2e"),
    ("sim", "tests/sim"),
    ("tracecore", "tracecore/src"),
    ("components", "components/src"),
];

/// The column whose cells say which test shows what the row says.
const SHOWN: &str = "Shown by";

/// What the page of failures says of each, in this order.
const FIELDS: [&str; 5] = ["tracecore", "Lost", "You see", "Do", SHOWN];

/// The pages that say what a test shows.
const WRITTEN: [&str; 5] =
    ["docs/BACKENDS.md", "docs/DEPRECATION.md", "docs/DESIGN.md", "docs/FAILURE-MODES.md", "docs/SECURITY.md"];

/// What stands before the first dot of the name of an event, or of a setting that is not a component's.
const GROUPS: [&str; 13] = [
    "batch",
    "breaker",
    "config",
    "connection",
    "export",
    "pool",
    "resource",
    "retry",
    "service",
    "signal",
    "task",
    "telemetry",
    "sending_queue",
];

/// A page, by its path from the root.
struct Page {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(path: &str) -> Page {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page { path: path.to_owned(), text }
}

/// Every page for readers, written or generated.
fn pages() -> Vec<Page> {
    let mut paths = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match entry.file_type().expect("it has a type").is_dir() {
                true => folders.push(path),
                false if path.ends_with(".md") => paths.push(path),
                false => {}
            }
        }
    }
    paths.iter().map(|path| page(path)).collect()
}

/// The lines that are not code, by their number from 1.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut code = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        if !code && !fence {
            lines.push((number + 1, line));
        }
    }
    lines
}

/// What stands in code type in a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Where the links of a line lead to.
fn targets(line: &str) -> Vec<String> {
    // A link in code type is none.
    let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let ends = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title.trim());
        let again = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// Of a heading's text: lower case, hyphens for blanks, and no other punctuation. Of a link its text alone counts.
fn slug(title: &str) -> String {
    let mut text = String::new();
    let mut rest = title;
    while let Some((before, link)) = rest.split_once("](") {
        text += before;
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    text += rest;
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Each link that leads nowhere.
fn broken_links(page: &Page) -> Vec<String> {
    let root = root();
    let folder = root.join(&page.path).parent().expect("a page is a file").to_owned();
    let mut broken = Vec::new();
    for (number, line) in prose(&page.text) {
        for target in targets(line).into_iter().filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').map_or((&*target, None), |(file, anchor)| (file, Some(anchor)));
            let path = folder.join(file);
            let has = |text: &str| anchor.is_none_or(|anchor| anchors(text).contains(anchor));
            let leads = match (file, anchor) {
                ("", _) => has(&page.text),
                (_, None) => path.exists(),
                (_, Some(_)) => fs::read_to_string(&path).is_ok_and(|text| has(&text)),
            };
            if !leads {
                broken.push(format!("{}:{number}: {target} leads nowhere", page.path));
            }
        }
    }
    broken
}

/// The suite and the path of a test, if that is what stands in code type.
fn named_test(span: &str) -> Option<(&str, &str)> {
    let (suite, path) = span.split_once(": ")?;
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b));
    let known = SUITES.iter().any(|(name, _)| *name == suite);
    (word(suite) && word(path) && !path.is_empty() && (known || path.contains("::"))).then_some((suite, path))
}

/// Whether this suite has a test of this path.
fn has_test(suite: &str, path: &str) -> bool {
    let Some((_, folder)) = SUITES.iter().find(|(name, _)| *name == suite) else { return false };
    let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
    let file = |modules: &str| {
        let stem = format!("{folder}/{}", modules.replace("::", "/"));
        let ways = if modules.is_empty() { ["main.rs", "lib.rs"] } else { [".rs", "/mod.rs"] };
        ways.iter().find_map(|way| fs::read_to_string(root().join(format!("{stem}{way}"))).ok())
    };
    // The tests of a file may stand in it.
    let source = file(modules).or_else(|| file(modules.strip_suffix("tests")?.trim_end_matches(':')));
    source.is_some_and(|source| holds_test(&source, name))
}

/// Whether a source has a test of this name that is run.
fn holds_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let declared = |line: &&str| {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        function.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().enumerate().filter(|(_, line)| declared(line)).any(|(at, _)| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let attributes: Vec<_> = above.filter(|line| line.starts_with("#[")).collect();
        let starts = |word: &str| attributes.iter().any(|line| line.starts_with(word));
        (starts("#[test]") || starts("#[tokio::test")) && !starts("#[ignore")
    })
}

/// Each test that is named and is not there.
fn missing_tests(page: &Page) -> Vec<String> {
    let mut missing = Vec::new();
    for (number, line) in prose(&page.text) {
        for (suite, path) in spans(line).filter_map(named_test).filter(|(suite, path)| !has_test(suite, path)) {
            missing.push(format!("{}:{number}: there is no test `{suite}: {path}`", page.path));
        }
    }
    missing
}

/// Each line in which code type begins or ends, and not both: what is in it would not be looked at.
fn open_spans(page: &Page) -> Vec<String> {
    let open = prose(&page.text).into_iter().filter(|(_, line)| line.matches('`').count() % 2 == 1);
    open.map(|(number, _)| format!("{}:{number}: code type goes on in another line", page.path)).collect()
}

/// Each row of a table with the column [`SHOWN`] that names no test.
fn rows_without_a_test(page: &Page) -> Vec<String> {
    let mut without = Vec::new();
    let mut heads: Option<&str> = None;
    for (number, line) in prose(&page.text) {
        if !line.starts_with('|') {
            heads = None;
        } else if let Some(head) = heads {
            let asked = head.trim_end_matches(['|', ' ']).ends_with(SHOWN) && !line.starts_with("| ---");
            if asked && spans(line).find_map(named_test).is_none() {
                without.push(format!("{}:{number}: which test shows this?", page.path));
            }
        } else {
            heads = Some(line);
        }
    }
    without
}

/// Each section of the page of failures that does not say all that it must, and name a test.
fn incomplete_sections(page: &Page) -> Vec<String> {
    let mut incomplete = Vec::new();
    let mut sections: Vec<(usize, Vec<&str>)> = Vec::new();
    for (number, line) in prose(&page.text) {
        if line.starts_with("### ") {
            sections.push((number, Vec::new()));
        } else if line.starts_with("## ") {
            sections.push((0, Vec::new()));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line);
        }
    }
    for (number, lines) in sections.iter().filter(|(number, _)| *number > 0) {
        let field = |line: &&str| line.strip_prefix("- **")?.split_once(":** ").map(|(field, _)| field.to_owned());
        let fields: Vec<String> = lines.iter().filter_map(field).collect();
        let shown = lines.iter().position(|line| line.starts_with(&format!("- **{SHOWN}")));
        let tests = shown.map(|at| lines[at..].iter().flat_map(|line| spans(line)).filter_map(named_test).count());
        if fields != FIELDS || tests.unwrap_or(0) == 0 {
            incomplete.push(format!("{}:{number}: this section has {fields:?} and not {FIELDS:?}", page.path));
        }
    }
    incomplete
}

/// What a page may name: metrics as `/metrics` shows them, and events and settings with their dots.
struct Names {
    metrics: BTreeSet<String>,
    events: BTreeSet<String>,
    /// Of the schema of a whole configuration, which is where settings are.
    schema: String,
}

impl Names {
    fn read() -> Self {
        let rows = |path: &str| -> BTreeSet<String> {
            let text = page(path).text;
            let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            rows.map(|(name, _)| name.to_owned()).collect()
        };
        let mut metrics = rows("docs/self-metrics.md");
        let catalog = catalog(&ours());
        let components = catalog["components"].as_array().expect("a list").iter();
        let own = components.flat_map(|component| component["telemetry"].as_array().expect("a list"));
        metrics.extend(own.map(|metric| metric["name"].as_str().expect("a name").replace('.', "_")));
        Names { metrics, events: rows("docs/events.md"), schema: configuration(&ours()).to_string() }
    }

    /// Whether what stands in code type is no name, or that of something.
    fn has(&self, span: &str) -> bool {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = span.split(|c| !word(c)).next().unwrap_or_default();
        if ["tracecore_", "process_"].iter().any(|start| name.starts_with(start)) {
            return self.metrics.contains(name);
        }
        let dotted = span.split_once(|c| !(word(c) || c == '.')).map_or(span, |(dotted, _)| dotted);
        let Some((group, rest)) = dotted.split_once('.') else { return true };
        let setting = |part: &str| self.schema.contains(&format!("\"{part}\":"));
        !GROUPS.contains(&group) || self.events.contains(dotted) || rest.split('.').all(setting)
    }
}

/// Each metric, event or setting that is named and is not there.
fn missing_names(page: &Page, names: &Names) -> Vec<String> {
    let spans = prose(&page.text).into_iter().flat_map(|(number, line)| spans(line).map(move |span| (number, span)));
    let missing = spans.filter(|(_, span)| !names.has(span));
    missing.map(|(number, span)| format!("{}:{number}: there is no `{span}`", page.path)).collect()
}

#[track_caller]
fn assert_none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    assert_none(pages().iter().flat_map(broken_links));
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let (pages, written) = (pages(), WRITTEN.map(page));
    let missing = pages.iter().flat_map(missing_tests).chain(pages.iter().flat_map(rows_without_a_test));
    assert_none(missing.chain(written.iter().flat_map(open_spans)));
}

#[test]
fn every_failure_says_what_to_do_and_which_test_shows_it() {
    let page = page("docs/FAILURE-MODES.md");
    assert!(page.text.lines().filter(|line| line.starts_with("### ")).count() > 10, "they are sections");
    assert_none(incomplete_sections(&page));
}

#[test]
fn every_metric_event_and_setting_that_a_page_names_is_there() {
    let names = Names::read();
    // One that was renamed, or says so, is nowhere but in its own page.
    let written = WRITTEN.into_iter().filter(|path| !path.ends_with("DEPRECATION.md")).map(page);
    assert_none(written.flat_map(|page| missing_names(&page, &names)));
}

/// A page of the folder `docs`.
fn made_up(text: &str) -> Page {
    Page { path: "docs/MADE-UP.md".to_owned(), text: text.to_owned() }
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "\
# One
## Two `words`, and a [link](../README.md)!
## One
[good](../README.md), [good](#one), [good](#one-1), [good](#two-words-and-a-link), [`code`](events.md#retry)
[good](https://example.com/nothing) `[good](code.md)`
```text
[good](code.md)
# Three
```
[bad](nowhere.md) [bad](#three) [bad](events.md#nothing) [`bad`](#one-2) [bad](../src)
";
    let broken = broken_links(&made_up(text));
    let expected = ["nowhere.md", "#three", "events.md#nothing", "#one-2", "../src"];
    let expected = expected.map(|target| format!("docs/MADE-UP.md:10: {target} leads nowhere"));
    assert_eq!(broken, expected);
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let good = "`it: pages::a_test_that_is_not_there_is_found`, `sending_queue: {enabled: false}`, `on_overflow: drop`,
`tracecore: memory::guard::tests::pressure_goes_when_clearly_less_is_used_and_not_before`,
`it: otlp_grpc::each_signal_arrives_byte_by_byte`, `tracecore: net::tests::http_2_is_refused`";
    assert_none(missing_tests(&made_up(good)));
    for bad in [
        "`it: pages::no_such_test`",
        "`it: pages::made_up`",
        "`it: nowhere::a_test_that_is_not_there_is_found`",
        "`it: pages::tests::nothing`",
        "`it: a_test_that_is_not_there_is_found`",
        "`itt: pages::a_test_that_is_not_there_is_found`",
        "`it: pages::a_test_that_is_not_there_is_foun`",
    ] {
        assert_eq!(missing_tests(&made_up(bad)).len(), 1, "{bad}");
    }
    assert_eq!(open_spans(&made_up("`it: pages::`\nwhat begins `in code type")).len(), 1);
    let source = "#[test]\n#[ignore = \"slow\"]\nfn slow() {}\n/// Says.\n#[tokio::test(start_paused = true)]\nasync fn fast() {}\nfn helper() {}";
    assert_eq!(["slow", "fast", "helper", "fas"].map(|name| holds_test(source, name)), [false, true, false, false]);
}

#[test]
fn a_row_or_a_section_that_shows_no_test_is_found() {
    let row = "`it: queue::empty_payload_is_success`";
    let table = |head: &str| format!("| Against | {head} |\n| --- | --- |\n| a | {row} |\n| b | nothing |\n");
    assert_eq!(rows_without_a_test(&made_up(&table(SHOWN))), ["docs/MADE-UP.md:4: which test shows this?"]);
    assert_none(rows_without_a_test(&made_up(&table("Why"))));

    let section = |fields: &[&str], shown: &str| {
        let fields: String = fields.iter().map(|field| format!("- **{field}:** {shown}\n  and more\n")).collect();
        incomplete_sections(&made_up(&format!("# Page\n\n### It fails\n\n{fields}\n## Another\n\n- **Any:** thing\n")))
            .len()
    };
    assert_eq!([section(&FIELDS, row), section(&FIELDS[..4], row), section(&FIELDS, "nothing")], [0, 1, 1]);
    let mut other = FIELDS;
    other.swap(0, 1);
    assert_eq!(section(&other, row), 1);
}

#[test]
fn a_name_that_is_not_there_is_found() {
    let names = Names::read();
    let good = "`tracecore_breaker_state` `tracecore_exporter_calls_total{result=\"failure\"}` `breaker.state_changed`
`service.drain_timeout: 30s` `telemetry.paths.healthz` `sending_queue.queue_size` `README.md` `a.b` `process_open_fds`";
    assert_none(missing_names(&made_up(good), &names));
    let bad = "`tracecore_breaker` `process_nothing` `breaker.changed` `service.drain` `telemetry.paths.nothing`";
    assert_eq!(missing_names(&made_up(bad), &names).len(), 5, "{:?}", missing_names(&made_up(bad), &names));
}
