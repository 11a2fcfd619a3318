//! Where configuration comes from: sources in order, then `--set`, merged and resolved.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::Env;
use super::error::{ConfigError, ConfigErrors};
use super::lines::Lines;
use super::model::Config;
use super::node::{Key, Node, Value};
use super::origin::{Origin, Path};
use super::substitute::{Substitution, is_variable_name};
use super::yaml::{self, Budget, MAX_DEPTH, MAX_SOURCE_BYTES, Parsed, Place, Refusal};

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

    /// What messages call it, and its text.
    fn text(&self, env: &Env<'_>) -> Result<Text, ConfigError> {
        let failed = |name: &str, message: String| ConfigError::new("", &Origin::whole(name), message);
        let (name, bytes): (Arc<str>, _) = match self {
            Source::File(path) => {
                let name = path.display().to_string();
                let bytes = read_file(path).map_err(|error| failed(&name, format!("cannot read the file: {error}")))?;
                (name.into(), bytes)
            }
            Source::Embedded { name, text } => ((*name).into(), text.as_bytes().to_vec()),
            Source::Yaml(text) => ("yaml".into(), text.as_bytes().to_vec()),
            Source::Env(name) => {
                let source = format!("env:{name}");
                let text =
                    env(name).ok_or_else(|| failed(&source, "the environment variable is not set".to_owned()))?;
                (source.into(), text.into_bytes())
            }
        };
        Ok(Text { name, bytes })
    }

    fn parse(&self, text: &Text, budget: &mut Budget) -> Result<Parsed, Refusal> {
        let parsed = yaml::parse_bytes(&text.bytes, &Place::Source(text.name.clone()), budget)?;
        if let Source::Yaml(_) = self { with_paths(parsed) } else { Ok(parsed) }
    }
}

/// A source as it was read.
struct Text {
    name: Arc<str>,
    bytes: Vec<u8>,
}

/// A resolved configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merged tree with its references resolved; a mapping.
    pub(crate) root: Node,
    /// What is wrong, and does not hide the rest: keys given twice, references that cannot be resolved.
    pub(crate) errors: Vec<ConfigError>,
    /// What the caller should log.
    pub(crate) warnings: Vec<ConfigError>,
    pub(crate) lines: Lines,
}

impl Loaded {
    /// The configuration that this is. What its components' own settings mean is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong, with the loading too, each problem with its line.
    pub fn config(self) -> Result<Config, ConfigErrors> {
        let (config, errors, lines) = self.read();
        ConfigErrors::unless_empty(lines.shown(errors), config)
    }

    /// The merged tree with its references resolved.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// What could be read, and what is wrong so far.
    pub(crate) fn read(self) -> (Config, Vec<ConfigError>, Lines) {
        let Loaded { root, mut errors, warnings, lines } = self;
        let mut config = Config::read(root, &mut errors);
        config.warnings.splice(0..0, warnings);
        (config, errors, lines)
    }
}

/// Reads the sources in order, merges them (later wins), lays each `a.b=value` of `overrides` over them, and resolves
/// the references.
///
/// Mappings merge deeply; lists and all else are replaced, and a null clears what an earlier source said. Everything
/// that is wrong is reported, each problem with its place. `env` is the only way to the environment. An override splits
/// its path at every `.` and `::`, so a key that itself has one can be set in a `yaml:` source or a file only.
///
/// # Errors
/// All that is wrong with the sources, if one of them is no tree: what it would have said is then unknown.
pub fn load(sources: &[Source], overrides: &[String], env: &Env<'_>) -> Result<Loaded, ConfigErrors> {
    let mut budget = Budget::new();
    let mut errors = Vec::new();
    let mut lines = Lines::default();
    let mut layers: Vec<Option<Node>> = Vec::new();
    let mut parsed = |read: Result<Parsed, Refusal>| match read {
        Ok(Parsed { root, errors: problems }) => {
            errors.extend(problems);
            layers.push(Some(root));
        }
        Err(refusal) => {
            errors.extend(refusal.into_errors());
            layers.push(None);
        }
    };
    for source in sources {
        match source.text(env) {
            Ok(text) => {
                lines.add(&text.name, &text.bytes);
                parsed(source.parse(&text, &mut budget));
            }
            Err(error) => {
                lines.add(&error.origin.source().into(), &[]);
                parsed(Err(Refusal::Malformed(vec![error])));
            }
        }
    }
    for set in overrides {
        parsed(read_override(set, &mut budget));
    }
    let mut root: Option<Node> = None;
    let mut missing = false;
    for layer in layers {
        let Some(layer) = layer else {
            missing = true;
            continue;
        };
        match (&layer.value, &mut root) {
            (Value::Mapping(_), Some(root)) => root.merge(layer),
            (Value::Mapping(_), None) => root = Some(layer),
            // A source without content says nothing, so it clears nothing.
            (Value::Null, _) => {}
            (Value::Scalar(_) | Value::Sequence(_), _) => {
                missing = true;
                let message = "a configuration is a mapping of sections, such as receivers";
                errors.push(ConfigError::new("", &layer.origin, message));
            }
        }
    }
    if missing {
        return Err(ConfigErrors(lines.shown(errors)));
    }
    let mut root = root.unwrap_or_else(|| Node::empty(Origin::whole("configuration")));
    let mut warnings = Vec::new();
    Substitution::new(env, &mut budget, &mut errors, &mut warnings).walk(&mut root, Path::Root(""), 0);
    Ok(Loaded { root, errors, warnings, lines })
}

/// At most one byte more than a source may have, so that the caller can tell.
fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes the keys of a `yaml:` source for paths.
fn with_paths(parsed: Parsed) -> Result<Parsed, Refusal> {
    let Parsed { root: Node { value: Value::Mapping(entries), origin, .. }, errors } = parsed else {
        return Ok(parsed);
    };
    let mut root = Node::empty(origin);
    for (key, node) in entries {
        let keys: Vec<&str> = key.text.split(KEY_SEPARATOR).collect();
        root.merge(nest(&keys, node, &key.origin).map_err(|error| Refusal::Malformed(vec![error]))?);
    }
    Ok(Parsed { root, errors })
}

/// Reads `a.b=value`, the value as YAML.
fn read_override(set: &str, budget: &mut Budget) -> Result<Parsed, Refusal> {
    let (path, value) = set.split_once('=').unwrap_or((set, ""));
    let path = path.trim();
    let origin = Origin::whole(format!("--set {path}"));
    let error = |message: &str| Refusal::Malformed(vec![ConfigError::new("", &origin, message)]);
    if !set.contains('=') {
        return Err(error("has no `=`; write --set path.to.key=value"));
    }
    let dotted = path.replace(KEY_SEPARATOR, ".");
    let keys: Vec<&str> = dotted.split('.').collect();
    let below = |mut errors: Vec<ConfigError>| {
        for error in &mut errors {
            let separator = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
            error.path = format!("{dotted}{separator}{}", error.path).into();
        }
        errors
    };
    let value = yaml::parse(value, &Place::Fixed(origin.clone()), keys.len(), budget);
    let Parsed { root, errors } = value.map_err(|refusal| Refusal::Malformed(below(refusal.into_errors())))?;
    let root = nest(&keys, root, &origin).map_err(|error| Refusal::Malformed(vec![error]))?;
    Ok(Parsed { root, errors: below(errors) })
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
