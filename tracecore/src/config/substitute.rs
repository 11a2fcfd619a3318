//! `${…}` in values: environment variables, files and YAML, as the Collector's configuration has them.
//!
//! - `${NAME}` and `${env:NAME}` are the variable, with `:-text` for when it is not set; `${file:PATH}` is a file's
//!   content; `${yaml:TEXT}` is the text itself. `$$` is a dollar sign, and `$NAME` without braces is left alone.
//! - A reference that fills its field is parsed as YAML, so that `true` and `1` are typed; text that is no YAML is
//!   text, and a string field takes what was fetched as it came. A reference inside a longer text stays text.
//! - What was fetched may hold references of its own. They are resolved within it, so that no fetched text can combine
//!   with its surroundings to a new reference.
//! - A reference ends at the first `}`; what stands in it may come from references, but holds no other `$`.
//!
//! Invariant: the environment is read only through the function given. Deliberately absent: references in keys, and
//! `http:` and `https:`.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::Env;
use super::error::ConfigError;
use super::node::{Node, Scalar, Value};
use super::origin::{Origin, Path};
use super::yaml::{self, Budget, MAX_ERRORS, MAX_SOURCE_BYTES, Parsed, Place, Refusal};

/// How many references one field may use, nested ones counted: a chain that doubles at each step stops here.
pub const MAX_REFERENCES: usize = 1000;

/// How deep references may nest through what they fetch: honest chains have two or three, and this recurses.
pub const MAX_REFERENCE_DEPTH: usize = 32;

/// The names that stand for themselves before a colon, even where `:-` could be a default.
const SCHEMES: [&str; 5] = ["env", "file", "yaml", "http", "https"];

/// Resolves the references of one tree.
pub(super) struct Substitution<'a> {
    env: &'a Env<'a>,
    budget: &'a mut Budget,
    errors: &'a mut Vec<ConfigError>,
    warnings: &'a mut Vec<ConfigError>,
    /// The references being resolved, outermost first.
    active: Vec<String>,
    /// How many references the current field has used.
    used: usize,
    /// The current field as it is written; empty if it was itself fetched. What is not in here is never shown.
    written: String,
}

/// What a reference gave.
enum Fetched {
    /// The variable is not set and there is no default.
    Unset { name: String },
    /// The default after `:-`, which stands in the source itself.
    Default(String),
    /// The value of a variable.
    Variable { text: String, via: Arc<str> },
    /// The content of a file.
    File { text: String, path: Arc<str>, via: Arc<str> },
    /// The text of a `yaml:` reference.
    Inline(String),
}

/// A text with its references replaced, and where the first value came from.
struct Replaced {
    text: String,
    via: Option<Arc<str>>,
}

/// A problem with a reference, as a sentence.
type Problem = String;

impl<'a> Substitution<'a> {
    pub(super) fn new(
        env: &'a Env<'a>,
        budget: &'a mut Budget,
        errors: &'a mut Vec<ConfigError>,
        warnings: &'a mut Vec<ConfigError>,
    ) -> Self {
        Substitution { env, budget, errors, warnings, active: Vec::new(), used: 0, written: String::new() }
    }

    /// Resolves every reference in the tree, which stands at `depth` levels below the top.
    pub(super) fn walk(&mut self, node: &mut Node, path: Path<'_>, depth: usize) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let below = depth.saturating_add(1);
        match &mut node.value {
            Value::Null => {}
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.walk(item, Path::Index(&path, index), below);
                }
            }
            Value::Mapping(entries) => {
                for (key, value) in entries {
                    self.walk(value, Path::Key(&path, &key.text), below);
                }
            }
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                if self.active.is_empty() {
                    self.used = 0;
                }
                if let Err(problem) = self.field(node, path, depth) {
                    self.errors.push(ConfigError::new(path, &node.origin, problem));
                    node.broken = true;
                }
            }
            Value::Scalar(_) => {}
        }
    }

    fn field(&mut self, node: &mut Node, path: Path<'_>, depth: usize) -> Result<(), Problem> {
        let Value::Scalar(scalar) = &node.value else { return Ok(()) };
        let written = if node.origin.via().is_none() { scalar.text.to_string() } else { String::new() };
        let outer = std::mem::replace(&mut self.written, written);
        let resolved = self.resolve(&scalar.text, &node.origin, path, depth);
        self.written = outer;
        *node = resolved?;
        Ok(())
    }

    fn resolve(&mut self, text: &str, origin: &Origin, path: Path<'_>, depth: usize) -> Result<Node, Problem> {
        match one_reference(text) {
            Some(inner) => {
                let Replaced { text: reference, via } = self.replace(inner, path, origin)?;
                self.whole(reference, via, origin, path, depth)
            }
            None => {
                let Replaced { text, via } = self.replace(text, path, origin)?;
                Ok(Node::new(Value::Scalar(Scalar::quoted(text)), through(origin, via)))
            }
        }
    }

    /// Resolves a reference that fills its field. `via` is where its own parts came from.
    fn whole(
        &mut self,
        reference: String,
        via: Option<Arc<str>>,
        origin: &Origin,
        path: Path<'_>,
        depth: usize,
    ) -> Result<Node, Problem> {
        let (text, origin, place) = match self.fetch(&reference)? {
            Fetched::Unset { name } => {
                self.warn_unset(&name, path, origin);
                return Ok(Node::new(Value::Null, through(origin, Some(format!("env:{name}").into()))));
            }
            Fetched::Default(text) if text.is_empty() => {
                return Ok(Node::new(Value::Scalar(Scalar::quoted("")), through(origin, via)));
            }
            Fetched::Default(text) | Fetched::Inline(text) => {
                let origin = through(origin, via);
                (text, origin.clone(), Place::Fixed(origin))
            }
            Fetched::Variable { text, via } => {
                let origin = through(origin, Some(via));
                (text, origin.clone(), Place::Fixed(origin))
            }
            Fetched::File { text, path, via } => (text, through(origin, Some(via)), Place::Source(path)),
        };
        let parsed = yaml::parse(&text, &place, depth, self.budget);
        let text = if let Place::Source(_) = place { one_value(text) } else { text };
        let value = match parsed {
            Ok(Parsed { root, errors }) if errors.is_empty() => root.value,
            Ok(_) | Err(Refusal::Malformed(_)) => Value::Scalar(Scalar::quoted(text.as_str())),
            Err(Refusal::TooMuch(error)) => return Err(error.message),
        };
        let mut node = Node::new(value, origin);
        let refers = text.contains('$');
        self.active.push(reference);
        let as_text = self.as_text(text, path, &node.origin);
        self.walk(&mut node, path, depth);
        self.active.pop();
        node.fetched = match (&node.value, as_text) {
            (Value::Scalar(scalar), Some(text)) if *scalar.text == *text => None,
            // It came down to a variable that is not set.
            (Value::Null, _) if refers => None,
            (_, text) => text.map(String::into_boxed_str),
        };
        Ok(node)
    }

    /// What a string field would take of a fetched text. Where that has a problem, so has the YAML, which reports it.
    fn as_text(&mut self, text: String, path: Path<'_>, origin: &Origin) -> Option<String> {
        if !text.contains('$') {
            return Some(text);
        }
        let warned = self.warnings.len();
        let replaced = self.replace(&text, path, origin);
        self.warnings.truncate(warned);
        replaced.ok().map(|replaced| replaced.text)
    }

    /// Replaces the references in a text.
    fn replace(&mut self, text: &str, path: Path<'_>, origin: &Origin) -> Result<Replaced, Problem> {
        let mut done = Replaced { text: String::new(), via: None };
        // The references that are open, each with what it holds so far.
        let mut open: Vec<String> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("${") {
                open.push(String::new());
                rest = after;
            } else if let (Some(after), true) = (rest.strip_prefix("$$"), open.is_empty()) {
                done.text.push('$');
                rest = after;
            } else if let (Some(after), Some(reference)) = (rest.strip_prefix('}'), open.pop_if(|_| c == '}')) {
                let value = self.inline(reference, path, origin)?;
                open.last_mut().unwrap_or(&mut done.text).push_str(&value.text);
                done.via = done.via.or(value.via);
                rest = after;
            } else {
                open.last_mut().unwrap_or(&mut done.text).push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        match open.is_empty() {
            true => Ok(done),
            false => Err("`${` is not closed by `}`; write `$${` for the characters themselves".into()),
        }
    }

    /// Resolves a reference inside a longer text.
    fn inline(&mut self, reference: String, path: Path<'_>, origin: &Origin) -> Result<Replaced, Problem> {
        let fetched = match self.fetch(&reference)? {
            Fetched::Unset { name } => {
                self.warn_unset(&name, path, origin);
                Replaced { text: String::new(), via: None }
            }
            Fetched::Default(text) | Fetched::Inline(text) => Replaced { text, via: None },
            Fetched::Variable { text, via } => Replaced { text, via: Some(via) },
            Fetched::File { text, via, .. } => Replaced { text: one_value(text), via: Some(via) },
        };
        if !fetched.text.contains('$') {
            return Ok(fetched);
        }
        self.active.push(reference);
        let replaced = self.replace(&fetched.text, path, origin);
        self.active.pop();
        replaced.map(|Replaced { text, via }| Replaced { text, via: fetched.via.or(via) })
    }

    fn warn_unset(&mut self, name: &str, path: Path<'_>, origin: &Origin) {
        let message = match self.written.contains(name) {
            true => format!("the environment variable {name} is not set; write ${{env:{name}:-}} if that is meant"),
            false => "the value refers to an environment variable that is not set".to_owned(),
        };
        self.warnings.push(ConfigError::warning(path, origin, message));
    }

    fn fetch(&mut self, reference: &str) -> Result<Fetched, Problem> {
        let fetched = self.within_bounds(reference).and_then(|()| self.look_up(reference)).map_err(|problem| {
            let shown = self.written.contains(reference);
            if shown { format!("${{{reference}}}: {problem}") } else { problem }
        })?;
        let bytes = match &fetched {
            Fetched::Unset { .. } => 0,
            Fetched::Default(text)
            | Fetched::Inline(text)
            | Fetched::Variable { text, .. }
            | Fetched::File { text, .. } => text.len(),
        };
        self.budget.fetched_bytes =
            self.budget.fetched_bytes.checked_sub(bytes).ok_or_else(|| {
                format!("the references of the configuration fetch more than {MAX_SOURCE_BYTES} bytes")
            })?;
        Ok(fetched)
    }

    fn within_bounds(&mut self, reference: &str) -> Result<(), Problem> {
        if self.active.iter().any(|active| active == reference) {
            return Err("refers to itself".to_owned());
        }
        self.used = self.used.saturating_add(1);
        if self.used > MAX_REFERENCES {
            return Err(format!("the field uses more than {MAX_REFERENCES} references, nested ones counted"));
        }
        if self.active.len() >= MAX_REFERENCE_DEPTH {
            return Err(format!("references nest more than {MAX_REFERENCE_DEPTH} deep"));
        }
        Ok(())
    }

    /// Fetches what a reference names. Its problems leave the reference out: it may be part of a fetched value.
    fn look_up(&self, reference: &str) -> Result<Fetched, Problem> {
        if reference.contains('$') {
            return Err("a reference cannot hold a `$`".to_owned());
        }
        let (scheme, rest) = match reference.split_once(':') {
            None => ("env", reference),
            Some((scheme, rest)) if SCHEMES.contains(&scheme) || !rest.starts_with('-') => (scheme, rest),
            Some(_) => ("env", reference),
        };
        match scheme {
            "env" => self.variable(rest),
            "file" => read_file(rest),
            "yaml" => Ok(Fetched::Inline(rest.to_owned())),
            "http" | "https" => Err("no configuration is read over the network".to_owned()),
            _ => Err("unknown scheme; there are env, file and yaml".to_owned()),
        }
    }

    fn variable(&self, reference: &str) -> Result<Fetched, Problem> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_variable_name(name) {
            let sentence = "the name of an environment variable is a letter or `_`, then letters, digits and `_`";
            return Err(sentence.to_owned());
        }
        Ok(match ((self.env)(name), default) {
            (Some(text), _) => Fetched::Variable { text, via: format!("env:{name}").into() },
            (None, Some(default)) => Fetched::Default(default.to_owned()),
            (None, None) => Fetched::Unset { name: name.to_owned() },
        })
    }
}

/// The origin of a fetched value. One that was itself fetched keeps the outermost name: that one stands in the file.
fn through(origin: &Origin, via: Option<Arc<str>>) -> Origin {
    match via {
        Some(via) if origin.via().is_none() => origin.through(via),
        _ => origin.clone(),
    }
}

/// What stands between the braces of a text that is one reference and nothing else.
fn one_reference(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let mut open = 1_usize;
    let mut after_dollar = false;
    for byte in inner.bytes() {
        match byte {
            b'{' if after_dollar => open = open.saturating_add(1),
            b'}' => open = open.checked_sub(1).filter(|open| *open > 0)?,
            _ => {}
        }
        after_dollar = byte == b'$';
    }
    (open == 1).then_some(inner)
}

pub(super) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The text of a file that holds one value: the line break that ends most such files is no part of it.
fn one_value(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn read_file(path: &str) -> Result<Fetched, Problem> {
    let failed = |error: std::io::Error| format!("cannot read the file: {error}");
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is not valid UTF-8".to_owned())?;
    if text.len() > MAX_SOURCE_BYTES {
        return Err(format!("the file is larger than {MAX_SOURCE_BYTES} bytes"));
    }
    Ok(Fetched::File { text, path: path.into(), via: format!("file:{path}").into() })
}
