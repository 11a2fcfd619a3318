//! A configuration as it is after all: merged, resolved, and, where that is asked for, with its defaults.
//!
//! The schema says which settings there are, in which order, what they are by default and which of them are secret; the
//! tree says what is written, and where. Deliberately absent: what only a component knows, such as a default that depends
//! on the host.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::node::{Node, Scalar, Value};
use super::scalar::Plain;
use super::value::OFF_UNLESS_NAMED;
use crate::schema::described;

/// What stands in the place of a secret, as in the Collector.
const REDACTED: &str = "[REDACTED]";

/// How a configuration is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Show {
    /// Settings that are nowhere written, with their defaults.
    pub defaults: bool,
    /// Where each value comes from, as a comment.
    pub origins: bool,
    /// Secrets as they are.
    pub secrets: bool,
}

/// A value, and where it comes from.
#[derive(Clone, Debug)]
struct Resolved {
    shown: Shown,
    origin: String,
}

#[derive(Clone, Debug)]
enum Shown {
    /// As YAML.
    Scalar(String),
    /// The text itself.
    Secret(String),
    Sequence(Vec<Resolved>),
    Mapping(Vec<(String, Resolved)>),
}

/// The configuration `root` as YAML. `schema` is that of [`crate::schema::configuration`].
pub fn resolved(root: &Node, schema: &Json, show: Show) -> String {
    let resolver = Resolver { schema, defaults: show.defaults };
    let Some(Resolved { shown: Shown::Mapping(sections), .. }) = resolver.value(schema, Some(root), false) else {
        return String::new();
    };
    let mut text = String::new();
    write_mapping(&sections, 0, show, &mut text);
    text
}

/// The secrets that stand in the configuration `root`, by the same schema: what must not be shown, wherever it turns up.
pub fn secrets(root: &Node, schema: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut below: Vec<_> = Resolver { schema, defaults: false }.value(schema, Some(root), false).into_iter().collect();
    while let Some(Resolved { shown, .. }) = below.pop() {
        match shown {
            Shown::Scalar(_) => {}
            Shown::Secret(text) => found.push(text),
            Shown::Sequence(items) => below.extend(items),
            Shown::Mapping(entries) => below.extend(entries.into_iter().map(|(_, value)| value)),
        }
    }
    found
}

struct Resolver<'a> {
    schema: &'a Json,
    defaults: bool,
}

impl Resolver<'_> {
    /// What stands at a node, a `secret` if it is below one, or by default where there is none; nothing if it is neither
    /// written nor has a default.
    fn value(&self, schema: &Json, node: Option<&Node>, secret: bool) -> Option<Resolved> {
        let node = node.filter(|node| !node.is_unset());
        let described: Vec<_> = described(self.schema, schema).into_iter().filter_map(Json::as_object).collect();
        let secret = secret || described.iter().any(|schema| schema.get("writeOnly") == Some(&Json::Bool(true)));
        let object = described
            .iter()
            .find(|schema| schema.contains_key("properties") || schema.contains_key("patternProperties"));
        let nullable = described.iter().any(|schema| schema.get("type") == Some(&Json::from("null")));
        match (node, object) {
            (Some(node), Some(object)) if node.is_null() && !nullable || matches!(node.value, Value::Mapping(_)) => {
                Some(self.mapping(object, Some(node), secret))
            }
            (Some(node), _) => Some(self.written(&described, node, secret)),
            (None, _) if !self.defaults || described.iter().any(|schema| schema.contains_key(OFF_UNLESS_NAMED)) => None,
            (None, object) => {
                let default = described.iter().find_map(|schema| schema.get("default"));
                match (default, object) {
                    (Some(Json::Object(_)) | None, Some(object))
                        if !nullable || default.is_some_and(|d| !d.is_null()) =>
                    {
                        Some(self.mapping(object, None, secret))
                    }
                    (Some(default), _) => Some(self.default(default)),
                    (None, _) => None,
                }
            }
        }
    }

    fn mapping(&self, schema: &Map<String, Json>, node: Option<&Node>, secret: bool) -> Resolved {
        let entries = node.map(Node::entries).unwrap_or_default();
        let mut shown = Vec::new();
        let known = schema.get("properties").and_then(Json::as_object);
        for (key, schema) in known.into_iter().flatten() {
            let written = entries.iter().find(|(written, _)| written.as_str() == key).map(|(_, node)| node);
            shown.extend(self.value(schema, written, secret).map(|value| (key.clone(), value)));
        }
        for (key, node) in entries.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(key.as_str())))
        {
            let other = self.other(schema, key.as_str());
            // What nobody knows, such as a template in a block that is off, may be anything.
            let secret = secret || !other.is_object();
            shown.extend(self.value(other, Some(node), secret).map(|value| (key.as_str().to_owned(), value)));
        }
        Resolved { shown: Shown::Mapping(shown), origin: origin(node) }
    }

    /// The schema of a key that is not among the properties.
    fn other<'s>(&self, schema: &'s Map<String, Json>, key: &str) -> &'s Json {
        let patterns = schema.get("patternProperties").and_then(Json::as_object).into_iter().flatten();
        // Nearly all patterns are those of ids, which begin with a type: it takes long to compile them all.
        let kind = key.split('/').next().unwrap_or_default();
        let matching = |pattern: &str| {
            pattern.contains(kind) && regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(key))
        };
        let by_pattern = patterns.into_iter().find(|(pattern, _)| matching(pattern)).map(|(_, schema)| schema);
        by_pattern.or_else(|| schema.get("additionalProperties")).unwrap_or(&Json::Null)
    }

    fn written(&self, described: &[&Map<String, Json>], node: &Node, secret: bool) -> Resolved {
        let shown = match &node.value {
            Value::Null => Shown::Scalar("null".to_owned()),
            Value::Scalar(scalar) if secret => {
                Shown::Secret(node.fetched.as_deref().unwrap_or(&scalar.text).to_owned())
            }
            Value::Scalar(scalar) => Shown::Scalar(written(scalar, node.fetched.as_deref())),
            Value::Sequence(items) => {
                let of = described.iter().find_map(|schema| schema.get("items")).unwrap_or(&Json::Null);
                Shown::Sequence(items.iter().filter_map(|item| self.value(of, Some(item), secret)).collect())
            }
            Value::Mapping(entries) => {
                let of = described.iter().find_map(|schema| schema.get("additionalProperties")).unwrap_or(&Json::Null);
                let value = |node| self.value(of, Some(node), secret);
                Shown::Mapping(
                    entries.iter().filter_map(|(key, node)| Some((key.as_str().to_owned(), value(node)?))).collect(),
                )
            }
        };
        Resolved { shown, origin: origin(Some(node)) }
    }

    fn default(&self, json: &Json) -> Resolved {
        let shown = match json {
            Json::Array(items) => Shown::Sequence(items.iter().map(|item| self.default(item)).collect()),
            Json::Object(map) => {
                Shown::Mapping(map.iter().map(|(key, value)| (key.clone(), self.default(value))).collect())
            }
            Json::String(text) => Shown::Scalar(quoted_if_needed(text)),
            other => Shown::Scalar(other.to_string()),
        };
        Resolved { shown, origin: origin(None) }
    }
}

/// A scalar as YAML.
fn written(scalar: &Scalar, fetched: Option<&str>) -> String {
    match fetched {
        Some(text) => quoted_if_needed(text),
        None if scalar.quoted => quoted_if_needed(&scalar.text),
        None => scalar.text.to_string(),
    }
}

/// A text as YAML: in quotes where it would be taken for something else.
fn quoted_if_needed(text: &str) -> String {
    let plain = Scalar { text: text.into(), quoted: false }.resolve() == Plain::Text
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ' ' | '+'))
        && !text.ends_with(' ')
        || is_an_address(text);
    if plain { text.to_owned() } else { Json::from(text).to_string() }
}

/// `localhost:4317`, `http://host:4318/v1`: a colon that is followed by no space is a character like others.
fn is_an_address(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '_'))
        && !text.ends_with(':')
        && text.contains(':')
}

fn origin(node: Option<&Node>) -> String {
    let Some(node) = node else { return "default".to_owned() };
    let place = node.origin();
    let line = if place.line() > 0 { format!(":{}", place.line()) } else { String::new() };
    let via = place.via().map(|via| format!(" {via}")).unwrap_or_default();
    format!("{}{line}{via}", place.source())
}

fn write_mapping(entries: &[(String, Resolved)], indent: usize, show: Show, text: &mut String) {
    for (key, value) in entries {
        let _ = write!(text, "{:indent$}{}:", "", quoted_if_needed(key));
        write_value(value, indent, show, text);
    }
}

/// The value behind a key or a dash, to the end of its line and below.
fn write_value(value: &Resolved, indent: usize, show: Show, text: &mut String) {
    let comment = |text: &mut String| {
        if show.origins {
            let _ = write!(text, "  # {}", value.origin);
        }
        text.push('\n');
    };
    match &value.shown {
        Shown::Scalar(scalar) => {
            let _ = write!(text, " {scalar}");
            comment(text);
        }
        Shown::Secret(secret) => {
            let _ = write!(text, " {}", quoted_if_needed(if show.secrets { secret } else { REDACTED }));
            comment(text);
        }
        Shown::Sequence(items) if items.is_empty() => {
            text.push_str(" []");
            comment(text);
        }
        Shown::Mapping(entries) if entries.is_empty() => {
            text.push_str(" {}");
            comment(text);
        }
        Shown::Sequence(items) => {
            text.push('\n');
            for item in items {
                let _ = write!(text, "{:indent$}-", "", indent = indent + 2);
                match &item.shown {
                    // Its first key stands behind the dash.
                    Shown::Mapping(entries) if !entries.is_empty() => {
                        let mut below = String::new();
                        write_mapping(entries, indent + 4, show, &mut below);
                        let _ = write!(text, " {}", below.trim_start());
                    }
                    _ => write_value(item, indent + 2, show, text),
                }
            }
        }
        Shown::Mapping(entries) => {
            text.push('\n');
            write_mapping(entries, indent + 2, show, text);
        }
    }
}
