//! A new component: a copy of the smallest one of its role, which is compiled and tested, under another name.
//!
//! Nothing is written before the name is known to be good and free. What is written: the component's file, its line in
//! the module of its role, an example configuration; then the schemas and pages are made. Deliberately absent: templates,
//! which nothing would compile.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use serde_json::Value;

use crate::{Done, gen_files, root, say};

/// The name of a new component.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its type in a configuration: up to 63 of a-z, 0-9 and _, a letter first
    name: String,
}

/// A component to copy.
#[derive(Debug)]
pub(crate) struct Model {
    role: &'static str,
    /// The folder that components of the role are in.
    section: &'static str,
    path: &'static str,
    name: &'static str,
    /// Its struct.
    item: &'static str,
    /// The receivers, processors and exporters of the example, `{}` being the new one.
    example: [&'static str; 3],
    /// Whether the example is to be scraped.
    scraped: bool,
}

/// Where a receiver's values are shown, as in `docs/examples/host.yaml`.
const SCRAPED: &str = "prometheus:\n    endpoint: localhost:8889";

pub(crate) const RECEIVER: Model = Model {
    role: "receiver",
    section: "receivers",
    path: "components/src/receivers/clock.rs",
    name: "clock",
    item: "Clock",
    example: ["{}:", "", SCRAPED],
    scraped: true,
};

pub(crate) const PROCESSOR: Model = Model {
    role: "processor",
    section: "processors",
    path: "tests/src/every_nth.rs",
    name: "every_nth",
    item: "EveryNth",
    example: ["clock:", "{}:", "stdout:"],
    scraped: false,
};

pub(crate) const EXPORTER: Model = Model {
    role: "exporter",
    section: "exporters",
    path: "components/src/exporters/stdout.rs",
    name: "stdout",
    item: "StandardOutput",
    example: ["clock:", "", "{}:"],
    scraped: false,
};

/// Words that a module cannot be called by.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Why there is no new component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaffoldError {
    #[error("`{0}` cannot name a component: use up to 63 of `a-z`, `0-9` and `_`, a letter first")]
    Name(String),
    #[error("`{0}` cannot name a component: it is a word of Rust")]
    Keyword(String),
    #[error("the {role} `{name}` is there already: {place}")]
    Taken { role: &'static str, name: String, place: String },
    #[error("{path}: {reason}")]
    Model { path: PathBuf, reason: &'static str },
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
}

/// Makes a component after this model, and what is generated of it.
pub(crate) fn run(model: &Model, args: &Args) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let written = write(root(), model, &args.name, version)?;
    written.iter().for_each(|path| say(format_args!("wrote {}", path.display())));
    let made = gen_files::of_components()?;
    if made == ExitCode::SUCCESS {
        let (role, name) = (model.role, &args.name);
        say(format_args!("wrote schemas/{role}.{name}.json and docs/components/{role}.{name}.md"));
        say(format_args!("run it: cargo run -- collect --config docs/examples/{name}.yaml"));
        if model.scraped {
            say("see its values: curl -s localhost:8889/metrics");
        }
        say("once it is more than a copy: cargo xtask gen, then cargo xtask ci");
    }
    Ok(made)
}

/// Writes the files of a component named `name` into the project at `root`, and gives their paths. Nothing is written if
/// it cannot be.
pub(crate) fn write(root: &Path, model: &Model, name: &str, version: &str) -> Result<Vec<PathBuf>, ScaffoldError> {
    let folder = PathBuf::from("components/src").join(model.section);
    let file = folder.join(name).with_extension("rs");
    let module = folder.join("mod.rs");
    let example = PathBuf::from("docs/examples").join(name).with_extension("yaml");
    check(root, model, name, &[file.clone(), folder.join(name), example.clone()])?;
    let files = [
        (file, component(model, &read(root, model.path.as_ref())?, name, version)?),
        (module.clone(), with_module(&read(root, &module)?, name)),
        (example, configuration(model, name)),
    ];
    for (path, text) in &files {
        fs::write(root.join(path), text).map_err(|error| ScaffoldError::File(path.clone(), error))?;
    }
    Ok(files.map(|(path, _)| path).into())
}

fn read(root: &Path, path: &Path) -> Result<String, ScaffoldError> {
    fs::read_to_string(root.join(path)).map_err(|error| ScaffoldError::File(path.to_owned(), error))
}

/// Refuses a name that is not one, or is taken: by a file, or in the catalog, where aliases stand too.
fn check(root: &Path, model: &Model, name: &str, files: &[PathBuf]) -> Result<(), ScaffoldError> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_word) {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    if KEYWORDS.contains(&name) {
        return Err(ScaffoldError::Keyword(name.to_owned()));
    }
    let taken = |place: String| ScaffoldError::Taken { role: model.role, name: name.to_owned(), place };
    if name == model.name {
        return Err(taken(model.path.to_owned()));
    }
    if let Some(path) = files.iter().find(|path| root.join(path).exists()) {
        return Err(taken(path.display().to_string()));
    }
    let path = Path::new("schemas/catalog.json");
    let catalog: Value =
        serde_json::from_str(&read(root, path)?).map_err(|error| ScaffoldError::File(path.to_owned(), error.into()))?;
    let components = catalog["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same_role = components.iter().filter(|component| component["role"] == model.role);
    let has_name = |component: &&Value| {
        component["type"] == name || component["aliases"].as_array().is_some_and(|all| all.contains(&name.into()))
    };
    let component = same_role.clone().find(has_name);
    component.map_or(Ok(()), |component| Err(taken(component["source"].as_str().unwrap_or_default().to_owned())))
}

/// The model under another name: its first line, its name where it is quoted, its struct; without its aliases.
fn component(model: &Model, text: &str, name: &str, version: &str) -> Result<String, ScaffoldError> {
    let broken = |reason| ScaffoldError::Model { path: model.path.into(), reason };
    let (_, body) = text.split_once('\n').ok_or_else(|| broken("a component begins with a line on what it is"))?;
    let attribute = format!("#[{}(\"{}\", ", model.role, model.name);
    let (before, after) =
        body.split_once(&attribute).ok_or_else(|| broken("the attribute is not where it is expected"))?;
    let after = match after.strip_prefix("aliases = [").and_then(|rest| rest.split_once("], ")) {
        Some((_, rest)) => rest,
        None => after,
    };
    let (arguments, after) =
        after.split_once(")]\n").ok_or_else(|| broken("the attribute does not end on its line"))?;
    let attribute = format!("#[{}(\"{name}\", {arguments}, since = \"{version}\")]\n", model.role);
    let body = format!("{before}{attribute}{after}");
    let body = body.replace(&format!("`{}`", model.name), &format!("`{name}`"));
    Ok(format!("//! The `{name}` {}.\n{}", model.role, with_struct(&body, model.item, &camel_case(name))))
}

/// The text with another identifier in the place of `item`.
fn with_struct(text: &str, item: &str, new: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut renamed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(item) {
        let (before, from) = rest.split_at(at);
        let after = &from[item.len()..];
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        renamed += before;
        renamed += if whole { new } else { item };
        rest = after;
    }
    renamed + rest
}

fn camel_case(name: &str) -> String {
    let capitalized = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    name.split('_').map(capitalized).collect()
}

/// The module of a role with one more, in its place of the alphabet.
fn with_module(text: &str, name: &str) -> String {
    let new = format!("mod {name};");
    let mut lines: Vec<&str> = text.lines().collect();
    let later = lines.iter().position(|line| line.starts_with("mod ") && *line > new.as_str());
    let last = lines.iter().rposition(|line| line.starts_with("mod ")).map(|at| at + 1);
    lines.insert(later.or(last).unwrap_or(lines.len()), &new);
    lines.join("\n") + "\n"
}

/// A configuration with the component that can be run.
fn configuration(model: &Model, name: &str) -> String {
    let parts = model.example.map(|part| part.replace("{}", name));
    let ids: Vec<&str> = parts.iter().map(|part| part.split(':').next().unwrap_or_default()).collect();
    let mut text = format!("# The `{name}` {}, between others that show what it does.\n", model.role);
    for (section, part) in
        ["receivers", "processors", "exporters"].iter().zip(&parts).filter(|(_, part)| !part.is_empty())
    {
        text += &format!("{section}:\n  {part}\n\n");
    }
    text += &format!("service:\n  pipelines:\n    metrics:\n      receivers: [{}]\n", ids[0]);
    if !ids[1].is_empty() {
        text += &format!("      processors: [{}]\n", ids[1]);
    }
    text + &format!("      exporters: [{}]\n", ids[2])
}
