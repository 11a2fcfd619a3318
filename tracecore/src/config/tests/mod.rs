//! The behaviour of configuration through its public surface.

mod batch_processor;
mod collector;
mod deserialize;
mod hostile;
mod load;
mod model;
mod properties;
mod substitute;

use super::*;

/// Loads texts as sources named `env:S0`, `env:S1` …, earliest first, with variables and overrides.
fn try_load(texts: &[&str], variables: &[(&str, &str)], overrides: &[&str]) -> Result<Loaded, ConfigErrors> {
    let sources: Vec<Source> = (0..texts.len()).map(|index| Source::Env(format!("S{index}"))).collect();
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let loaded = load(&sources, &overrides, &|name| {
        let text =
            name.strip_prefix('S').and_then(|index| index.parse().ok()).and_then(|index: usize| texts.get(index));
        let variable = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        text.or(variable).map(ToString::to_string)
    })?;
    ConfigErrors::unless_empty(loaded.errors.clone(), loaded)
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Loaded {
    try_load(&[text], variables, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The configuration that a tree is.
fn from_tree(root: Node) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let config = Config::read(root, &mut errors);
    ConfigErrors::unless_empty(errors, config)
}

/// The tree of one text.
fn tree(text: &str) -> Node {
    load_with(text, &[]).root
}

/// What is wrong with one text.
fn errors(text: &str, variables: &[(&str, &str)]) -> String {
    try_load(&[text], variables, &[]).expect_err("the text has a mistake").to_string()
}

/// A tree as short text.
fn show(node: &Node) -> String {
    format!("{node:?}")
}
