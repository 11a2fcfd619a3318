//! Files of the OpenTelemetry Collector: those that load as they are, and those that are refused, with what is said of each.
//!
//! A file in `tests/collector` begins with a line on what it is, then a line for each warning. One in the folder `refused`
//! has errors too. `docs/COMPATIBILITY.md` is made of them and of the registry; `cargo xtask gen` writes it (it sets
//! `UPDATE=1`).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracecore::component::Role;
use tracecore::config::{ConfigError, Source, load};
use tracecore::registry::{Entry, Registry};
use tracecore::runtime::{BuildError, Service};
use tracecore::schema::configuration;

use crate::generated::{is_as_generated, ours};

/// The components that this is about, whatever else the project has: those of the Collector …
const THE_COLLECTORS: [&str; 12] = [
    "attributes",
    "debug",
    "file",
    "filter",
    "hostmetrics",
    "memory_limiter",
    "otlp",
    "otlp_grpc",
    "otlp_http",
    "prometheus",
    "resource",
    "resource_detection",
];
/// … and some that it does not have.
const NOT_THE_COLLECTORS: [&str; 3] = ["clock", "generator", "stdout"];

fn known() -> Registry {
    ours().only(|entry| THE_COLLECTORS.contains(&entry.name) || NOT_THE_COLLECTORS.contains(&entry.name))
}

/// What the environment has.
const VARIABLES: [(&str, &str); 2] = [("MY_POD_IP", "10.1.2.3"), ("VENDOR_TOKEN", "hunter2")];

/// A file, and what is said of it.
struct Sample {
    /// Below `tests/collector`.
    name: String,
    title: String,
    /// What is to be said: `warning: path: message`, in the order of the file.
    expected: Vec<String>,
    text: String,
    problems: Vec<ConfigError>,
    /// What it is after loading.
    json: Value,
    loads: bool,
}

impl Sample {
    fn read(folder: &str, path: &Path, registry: &Registry) -> Sample {
        let text = fs::read_to_string(path).expect("a text");
        let mut comments = text.lines().map_while(|line| line.strip_prefix("# ")).map(str::to_owned);
        let title = comments.next().expect("it says what it is");
        let expected = comments.collect();
        let environment = |name: &str| {
            let variable = VARIABLES.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| (*value).to_owned())
        };
        let loaded = load(&[Source::File(path.to_owned())], &[], &environment).expect("it is YAML");
        let json = loaded.root().deserialize("").expect("all YAML that we take is JSON");
        let (problems, loads) = match Service::builder().build_loaded(loaded, registry) {
            Ok(service) => (service.warnings().to_vec(), true),
            Err(BuildError::Config(errors)) => (errors.0, false),
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let file = path.file_name().expect("a file has a name").to_string_lossy();
        Sample { name: format!("{folder}{file}"), title, expected, text, problems, json, loads }
    }

    fn told(&self) -> Vec<String> {
        let told =
            |problem: &ConfigError| format!("{}: {}: {}", problem.severity.as_str(), problem.path, said(problem));
        self.problems.iter().map(told).collect()
    }
}

/// What is said of a problem.
fn said(problem: &ConfigError) -> String {
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{hint}", problem.message)
}

/// The files of a folder below `tests/collector`, by name.
fn samples(folder: &str) -> Vec<Sample> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("collector").join(folder);
    let mut files: Vec<_> = fs::read_dir(root).expect("the samples").map(|file| file.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let registry = known();
    files.iter().map(|path| Sample::read(folder, path, &registry)).collect()
}

fn accepted() -> Vec<Sample> {
    samples("")
}

fn refused() -> Vec<Sample> {
    samples("refused/")
}

#[test]
fn files_of_the_collector_load_as_they_are_and_each_warning_is_foreseen() {
    let samples = accepted();
    assert!(samples.len() >= 12, "{} samples", samples.len());
    let validator = jsonschema::options().build(&configuration(&known())).expect("a schema");
    for sample in samples {
        assert_eq!(sample.told(), sample.expected, "{}", sample.name);
        assert!(sample.loads, "{}", sample.name);
        let errors: Vec<_> =
            validator.iter_errors(&sample.json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: the schema refuses it: {errors:#?}", sample.name);
    }
}

#[test]
fn what_is_refused_says_what_to_do_and_each_mistake_is_told_once() {
    let samples = refused();
    assert!(samples.len() >= 8, "{} samples", samples.len());
    for sample in samples {
        assert_eq!(sample.told(), sample.expected, "{}", sample.name);
        assert!(!sample.loads, "{}", sample.name);
    }
}

#[test]
fn each_is_told_in_its_place_and_without_what_was_fetched() {
    for sample in accepted().iter().chain(&refused()) {
        for problem in &sample.problems {
            let line = usize::try_from(problem.origin.line()).expect("a line");
            let line = sample.text.lines().nth(line.checked_sub(1).expect("it has a line")).expect("it is in the file");
            assert!(!line.starts_with('#'), "{}: {problem}", sample.name);
            for (_, value) in VARIABLES {
                assert!(!said(problem).contains(value), "{}: {problem}", sample.name);
            }
        }
    }
}

/// The names of a component.
fn names(entry: &Entry) -> impl Iterator<Item = &'static str> {
    std::iter::once(&entry.name).chain(entry.aliases).copied()
}

#[test]
fn every_component_that_the_collector_has_too_is_in_a_file_that_loads() {
    let samples = accepted();
    let used: BTreeSet<(Role, String)> = samples
        .iter()
        .flat_map(|sample| Role::ALL.map(|role| (role, &sample.json[role.section()])))
        .flat_map(|(role, section)| section.as_object().into_iter().flatten().map(move |(id, _)| (role, id.clone())))
        .map(|(role, id)| (role, id.split('/').next().unwrap_or_default().to_owned()))
        .collect();
    for entry in known().iter().filter(|entry| THE_COLLECTORS.contains(&entry.name)) {
        let in_use = names(entry).any(|name| used.contains(&(entry.role, name.to_owned())));
        assert!(in_use, "{entry:?}: write a file of the Collector with it into tests/collector");
    }
    for (role, name) in [
        (Role::Exporter, "otlp"),
        (Role::Exporter, "otlp_grpc"),
        (Role::Exporter, "otlphttp"),
        (Role::Exporter, "otlp_http"),
        (Role::Processor, "batch"),
    ] {
        assert!(used.contains(&(role, name.to_owned())), "no file has {role} {name}");
    }
}

/// The page.
fn page() -> String {
    let mut page = String::from(
        "# Files of the OpenTelemetry Collector

<!-- Made by tests/it/compat.rs from the registry and tests/collector; `cargo xtask gen` writes it. -->

A configuration of the Collector that uses what is listed here loads as it is. Where something has become something else, or has
no effect, a warning says so and what to write in its place; `validate --strict` makes errors of them. What cannot be had is an
error that says what to do. Everything on this page is what the files in [tests/collector](../tests/collector), which were written
for it after the examples of the Collector, make the program say.

## Components

Keys and defaults are the Collector's, unless [DECISIONS.md](DECISIONS.md) says otherwise. Another name than the first is
accepted with a warning.

| Role | Name | Other names | Signals |
| --- | --- | --- | --- |
",
    );
    let registry = known();
    for entry in registry.iter().filter(|entry| THE_COLLECTORS.contains(&entry.name)) {
        let aliases: Vec<_> = entry.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let signals: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
        let _ =
            writeln!(page, "| {} | `{}` | {} | {} |", entry.role, entry.name, aliases.join(", "), signals.join(", "));
    }
    page.push_str("| processor | `batch` | | traces, metrics, logs |\n\nThe Collector does not have ");
    let of_ours = registry.iter().filter(|entry| NOT_THE_COLLECTORS.contains(&entry.name));
    let of_ours: Vec<_> = of_ours.map(|entry| format!("the {} `{}`", entry.role, entry.name)).collect();
    let _ = writeln!(page, "{}.", of_ours.join(", "));

    let (accepted, refused) = (accepted(), refused());
    page.push_str(
        "
## Accepted with a warning

Of what is said of several files in the same words, one is shown.

| Where | What is said |
| --- | --- |
",
    );
    write_problems(&mut page, &accepted, "warning");
    page.push_str("\n## Refused\n\n| Where | What is said |\n| --- | --- |\n");
    write_problems(&mut page, &refused, "error");
    page.push_str("\n## The files\n\nThese load as they are:\n\n");
    write_files(&mut page, &accepted);
    page.push_str("\nThese are refused:\n\n");
    write_files(&mut page, &refused);
    page
}

fn write_problems(page: &mut String, samples: &[Sample], severity: &str) {
    let mut shown = BTreeSet::new();
    let problems = samples.iter().flat_map(|sample| &sample.problems);
    for problem in problems.filter(|problem| problem.severity.as_str() == severity) {
        let message = said(problem).replace('|', "\\|");
        if shown.insert(message.clone()) {
            let _ = writeln!(page, "| `{}` | {message} |", problem.path);
        }
    }
}

fn write_files(page: &mut String, samples: &[Sample]) {
    for Sample { name, title, .. } in samples {
        let _ = writeln!(page, "- [{name}](../tests/collector/{name}): {title}");
    }
}

#[test]
fn the_page_is_as_generated() {
    is_as_generated("docs/COMPATIBILITY.md", &page());
}
