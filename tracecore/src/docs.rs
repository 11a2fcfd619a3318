//! The pages that a program can write about its components, each made of a declaration alone.
//!
//! They are Markdown, and say what the schema and the catalog say, for people. A page refers to no file but to its
//! siblings, so that it is as true beside any program. Deliberately absent: whatever a declaration does not say.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::component::Role;
use crate::config::{self, Node, Origin, Show, Source};
use crate::error::ErrorKind;
use crate::metrics::Metric;
use crate::metrics::health::OF_HEALTH;
use crate::registry::{Entry, Registry};
use crate::schema;

/// The page that lists the others.
pub const INDEX: &str = "README.md";

/// The page of all kinds of errors.
pub const ERRORS: &str = "errors.md";

/// Kinds that the runtime gives, whatever a component declares: it did not start, was too late, has too many series, was
/// refused.
pub(crate) const OF_THE_RUNTIME: [ErrorKind; 4] =
    [ErrorKind::Init, ErrorKind::Io, ErrorKind::Cardinality, ErrorKind::Downstream];

const GENERATED: &str =
    "<!-- Generated from the declarations of the components by `tracecore docs`: do not edit. -->\n\n";

/// Every page, by the name of its file: one for each component, [`INDEX`] and [`ERRORS`].
pub fn pages(registry: &Registry) -> BTreeMap<String, String> {
    let components = registry.iter().map(|entry| (file_name(entry), component(entry)));
    let whole = [(INDEX, index(registry)), (ERRORS, errors(registry))];
    components.chain(whole.map(|(name, page)| (name.to_owned(), page))).collect()
}

fn file_name(entry: &Entry) -> String {
    format!("{}.{}.md", entry.role, entry.name)
}

/// The list of all components.
pub fn index(registry: &Registry) -> String {
    let mut page =
        format!("{GENERATED}# Components\n\nWhat can go wrong with each, and what to do then: [{ERRORS}]({ERRORS}).\n");
    for role in Role::ALL {
        let _ = writeln!(page, "\n## {}\n", capitalized(role.section()));
        page += "| Type | What it does | Signals | Stability | Since |\n| --- | --- | --- | --- | --- |\n";
        for entry in registry.iter().filter(|entry| entry.role == role) {
            let (name, file, stability) = (entry.name, file_name(entry), entry.stability.as_str());
            let _ = writeln!(
                page,
                "| [`{name}`]({file}) | {} | {} | {stability} | {} |",
                cell(entry.summary),
                signals(entry),
                entry.since
            );
        }
    }
    page
}

/// The page of one component.
pub fn component(entry: &Entry) -> String {
    let Entry { name, role, summary, location, .. } = entry;
    let mut page = format!("{GENERATED}# The `{name}` {role}\n\n{summary}\n\n| | |\n| --- | --- |\n");
    let source = location.split(':').next().unwrap_or_default();
    let mut row = |what: &str, value: &str| {
        let _ = writeln!(page, "| {what} | {value} |");
    };
    row("Signals", &signals(entry));
    row("Stability", entry.stability.as_str());
    row("Since", entry.since);
    if !entry.aliases.is_empty() {
        row("Also called", &codes(entry.aliases.iter().copied()));
    }
    row("Declared in", &format!("`{source}`"));
    row("Schema", &format!("`tracecore schema --component {role}/{name}`"));
    page += &examples(entry);
    page += &settings(entry);
    page += &metrics("What it measures", "", entry, entry.data);
    page += &metrics("What it tells of itself", OF_HEALTH, entry, entry.telemetry);
    page += &kinds(entry);
    page
}

/// A configuration with as little as it works with, and one with all that has a default.
fn examples(entry: &Entry) -> String {
    let mut text = format!("\n## Example\n\nThe least:\n\n```yaml\n{}```\n", section(entry, entry.example));
    let full = full_example(entry);
    if !full.is_empty() {
        let _ = write!(text, "\nEvery setting that has a default, with it:\n\n```yaml\n{}```\n", section(entry, &full));
    }
    text
}

/// The settings of the least example, and all that have a default, as YAML.
pub fn full_example(entry: &Entry) -> String {
    let show = Show { defaults: true, origins: false, secrets: true };
    config::resolved(&example(entry), &schema::component(entry), show)
}

/// The settings of the least example. What cannot be read counts as empty: that it can is a test's to say.
fn example(entry: &Entry) -> Node {
    let source = Source::Embedded { name: "example", text: entry.example };
    let loaded = config::load(&[source], &[], &|_| None).ok().map(|loaded| loaded.root().clone());
    loaded.unwrap_or_else(|| Node::empty(Origin::whole("example")))
}

/// The part of a configuration that holds this component with these settings.
fn section(entry: &Entry, settings: &str) -> String {
    let mut text = format!("{}:\n  {}:\n", entry.role.section(), entry.name);
    for line in settings.lines().filter(|line| !line.trim().is_empty()) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

fn settings(entry: &Entry) -> String {
    let mut text =
        "\n## Settings\n\n| Setting | Type | Default | What it says |\n| --- | --- | --- | --- |\n".to_owned();
    let rows = schema::settings(entry);
    for row in rows.as_array().into_iter().flatten() {
        let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let default = match row.get("default") {
            _ if row.get("required") == Some(&Value::Bool(true)) => "*required*".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if !text.is_empty() => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        };
        let (setting, kind, description) = (word("setting"), word("type"), word("description"));
        let _ = writeln!(text, "| `{setting}` | {} | {} | {} |", cell(kind), cell(&default), cell(description));
    }
    text
}

fn metrics(heading: &str, prefix: &str, entry: &Entry, describe: fn(&mut dyn FnMut(&'static Metric))) -> String {
    let mut rows = String::new();
    describe(&mut |metric| {
        let keys: Vec<_> = metric.keys.iter().flat_map(|keys| keys.iter().copied()).collect();
        let _ = writeln!(
            rows,
            "| `{prefix}{}` | `{}` | {} | {} | {} |",
            metric.name.of(entry.name),
            metric.unit,
            metric.kind.as_str(),
            codes(keys),
            cell(metric.help)
        );
    });
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n## {heading}\n\n| Metric | Unit | Kind | Attributes | What it says |\n| --- | --- | --- | --- | --- |\n{rows}"
    )
}

fn kinds(entry: &Entry) -> String {
    let mut text = "\n## Errors\n\n".to_owned();
    let _ = writeln!(
        text,
        "What each means, with what to do: [{ERRORS}]({ERRORS}). The runtime may add {}.\n",
        codes(OF_THE_RUNTIME.map(ErrorKind::as_str))
    );
    text += "| Kind | What happened |\n| --- | --- |\n";
    for kind in entry.kinds.iter().chain([&ErrorKind::Panic]) {
        let _ = writeln!(text, "| [`{kind}`]({ERRORS}#{kind}) | {} |", kind.meaning());
    }
    text
}

/// Every kind of error: what it says, and what to do.
pub fn errors(registry: &Registry) -> String {
    let mut page = format!("{GENERATED}# Kinds of errors\n\n");
    page += "The values of `kind` in `tracecore_receiver_errors_total`, `tracecore_processor_errors_total` and\n\
             `tracecore_exporter_errors_total`, in the log and in `/status`. They are a closed set: no error makes a series of its\n\
             own. The message beside it in the log says what exactly happened, `last_error` in `/status` the latest.\n";
    for kind in ErrorKind::ALL {
        let _ = write!(page, "\n## {kind}\n\n{}\n\n{}\n", kind.meaning(), kind.advice());
        let declared: Vec<_> = registry.iter().filter(|entry| entry.kinds.contains(&kind)).collect();
        let names = declared.iter().map(|entry| format!("[`{}` {}]({})", entry.name, entry.role, file_name(entry)));
        let names: Vec<_> = names.collect();
        if !names.is_empty() {
            let _ = write!(page, "\nDeclared by: {}.\n", names.join(", "));
        }
    }
    page
}

fn signals(entry: &Entry) -> String {
    entry.signals.iter().map(|signal| signal.as_str()).collect::<Vec<_>>().join(", ")
}

fn codes<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A text as the cell of a table: on one line, its bars escaped.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
