//! Where configuration comes from: sources in order, then `--set`, merged and resolved.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::Env;
use super::error::{ConfigError, ConfigErrors, Warning};
use super::node::{Key, Node, Value};
use super::origin::{Origin, Path};
use super::substitute::{Substitution, is_variable_name};
use super::yaml::{self, Budget, MAX_DEPTH, MAX_SOURCE_BYTES, Place, Refusal};

/// Separates the keys of a path inside one key, in `yaml:` sources and `--set`.
const KEY_SEPARATOR: &str = "::";

/// One source of configuration, as `--config` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A YAML file.
    File(PathBuf),
    /// A text that is part of the program.
    Embedded {
        /// What messages call it.
        name: &'static str,
        /// The YAML text.
        text: &'static str,
    },
    /// YAML on the command line. Keys may be paths: `service::drain_timeout: 1s`.
    Yaml(String),
    /// An environment variable that holds YAML.
    Env(String),
}

/// Why an argument names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Nothing is named.
    #[error("the name of a configuration file is empty")]
    Empty,
    /// `http:` or `https:`.
    #[error("{0:?}: no configuration is read over the network; fetch the file first")]
    Network(String),
    /// Some other scheme.
    #[error("{0:?}: unknown scheme; there are file:, env: and yaml:, and a bare path is a file")]
    Scheme(String),
    /// `env:` with something that cannot be a variable's name.
    #[error("{0:?} cannot name an environment variable")]
    Variable(String),
}

impl Source {
    /// Reads `file:PATH`, `env:NAME`, `yaml:TEXT` or a bare path.
    pub fn from_uri(uri: &str) -> Result<Self, UriError> {
        let source = match uri.split_once(':') {
            None => Source::File(uri.into()),
            Some(("file", path)) => Source::File(path.into()),
            Some(("yaml", text)) => Source::Yaml(text.into()),
            Some(("env", name)) if is_variable_name(name) => Source::Env(name.into()),
            Some(("env", name)) => return Err(UriError::Variable(name.into())),
            Some(("http" | "https", _)) => return Err(UriError::Network(uri.into())),
            Some(_) => return Err(UriError::Scheme(uri.into())),
        };
        if source == Source::File(PathBuf::new()) { Err(UriError::Empty) } else { Ok(source) }
    }

    fn read(&self, env: &Env<'_>, budget: &mut Budget) -> Result<Node, Vec<ConfigError>> {
        let parsed = match self {
            Source::File(path) => {
                let name: Arc<str> = path.display().to_string().into();
                let bytes = read_file(path).map_err(|error| {
                    let message = format!("cannot read the file: {error}");
                    vec![ConfigError::new("", &Origin::whole(name.clone()), message)]
                })?;
                if bytes.len() > MAX_SOURCE_BYTES {
                    return Err(vec![yaml::too_large(&Origin::whole(name))]);
                }
                yaml::parse_bytes(&bytes, &Place::Source(name), budget)
            }
            Source::Embedded { name, text } => yaml::parse(text, &Place::Source((*name).into()), 0, budget),
            Source::Yaml(text) => return read_paths(text, budget).map_err(Refusal::into_errors),
            Source::Env(name) => {
                let source: Arc<str> = format!("env:{name}").into();
                let text = env(name).ok_or_else(|| {
                    let message = "the environment variable is not set";
                    vec![ConfigError::new("", &Origin::whole(source.clone()), message)]
                })?;
                yaml::parse(&text, &Place::Source(source), 0, budget)
            }
        };
        parsed.map_err(Refusal::into_errors)
    }
}

/// A resolved configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merged tree with its references resolved; a mapping.
    pub root: Node,
    /// What the caller should log.
    pub warnings: Vec<Warning>,
}

/// Reads the sources in order, merges them (later wins), lays each `a.b=value` of `overrides` over them, and resolves
/// the references.
///
/// Mappings merge deeply; lists and all else are replaced, and a null clears what an earlier source said. Everything
/// that is wrong is reported, each problem with its place. `env` is the only way to the environment. An override splits
/// its path at every `.` and `::`, so a key that itself has one can be set in a `yaml:` source or a file only.
pub fn load(sources: &[Source], overrides: &[String], env: &Env<'_>) -> Result<Loaded, ConfigErrors> {
    let mut budget = Budget::new();
    let mut errors = Vec::new();
    let mut layers = Vec::new();
    for source in sources {
        match source.read(env, &mut budget) {
            Ok(node) => layers.push(node),
            Err(problems) => errors.extend(problems),
        }
    }
    for set in overrides {
        match read_override(set, &mut budget) {
            Ok(node) => layers.push(node),
            Err(problems) => errors.extend(problems),
        }
    }
    let mut root: Option<Node> = None;
    for layer in layers {
        match (&layer.value, &mut root) {
            (Value::Mapping(_), Some(root)) => root.merge(layer),
            (Value::Mapping(_), None) => root = Some(layer),
            // A source without content says nothing, so it clears nothing.
            (Value::Null, _) => {}
            (Value::Scalar(_) | Value::Sequence(_), _) => {
                errors.push(ConfigError::new(
                    "",
                    &layer.origin,
                    "a configuration is a mapping of sections, such as receivers",
                ));
            }
        }
    }
    // References in a tree that lacks a source would only give further errors.
    let root = ConfigErrors::unless_empty(errors, root)?;
    let mut root = root.unwrap_or_else(|| Node::empty(Origin::whole("configuration")));
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    Substitution::new(env, &mut budget, &mut errors, &mut warnings).walk(&mut root, Path::Root(""), 0);
    ConfigErrors::unless_empty(errors, Loaded { root, warnings })
}

/// At most one byte more than a source may have, so that the caller can tell.
fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the text of a `yaml:` source, whose keys may be paths.
fn read_paths(text: &str, budget: &mut Budget) -> Result<Node, Refusal> {
    let root = yaml::parse(text, &Place::Source("yaml".into()), 0, budget)?;
    let Node { value: Value::Mapping(entries), origin, .. } = root else { return Ok(root) };
    let mut merged = Node::empty(origin);
    for (key, node) in entries {
        let keys: Vec<&str> = key.text.split(KEY_SEPARATOR).collect();
        merged.merge(nest(&keys, node, &key.origin).map_err(|error| Refusal::Malformed(vec![error]))?);
    }
    Ok(merged)
}

/// Reads `a.b=value`, the value as YAML.
fn read_override(set: &str, budget: &mut Budget) -> Result<Node, Vec<ConfigError>> {
    let (path, value) = set.split_once('=').unwrap_or((set, ""));
    let path = path.trim();
    let origin = Origin::whole(format!("--set {path}"));
    let error = |message: &str| vec![ConfigError::new("", &origin, message)];
    if !set.contains('=') {
        return Err(error("has no `=`; write --set path.to.key=value"));
    }
    let dotted = path.replace(KEY_SEPARATOR, ".");
    let keys: Vec<&str> = dotted.split('.').collect();
    let value = yaml::parse(value, &Place::Fixed(origin.clone()), keys.len(), budget).map_err(|refusal| {
        let mut errors = refusal.into_errors();
        for error in &mut errors {
            let separator = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
            error.path = format!("{dotted}{separator}{}", error.path);
        }
        errors
    })?;
    nest(&keys, value, &origin).map_err(|error| vec![error])
}

/// Wraps a value in mappings: `a`, `b` and 1 give `{a: {b: 1}}`.
fn nest(keys: &[&str], value: Node, origin: &Origin) -> Result<Node, ConfigError> {
    if keys.len().saturating_add(value.extent().depth) > MAX_DEPTH {
        return Err(ConfigError::new("", origin, format_args!("is nested more than {MAX_DEPTH} levels deep")));
    }
    let mut node = value;
    for key in keys.iter().rev() {
        if key.is_empty() {
            return Err(ConfigError::new("", origin, "a key of the path is empty; write --set path.to.key=value"));
        }
        let key = Key { text: (*key).into(), origin: origin.clone() };
        node = Node::new(Value::Mapping(vec![(key, node)]), origin.clone());
    }
    Ok(node)
}
