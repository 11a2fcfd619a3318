//! What a configuration listens on, and which of it cannot be listened on because something else is.
//!
//! A setting of the type [`Endpoint`] is listened on: the schema says which ones these are and what they are by default, so
//! a component declares nothing more. Deliberately absent: what the system says, which is heard at the start.

use serde_json::Value as Json;

use super::error::ConfigError;
use super::lines::Lines;
use super::node::Node;
use super::origin::{Origin, Path};
use super::value::{Endpoint, LISTEN_FORMAT};
use super::yaml::MAX_ERRORS;
use crate::schema::described;

/// How many are compared, each with each: beyond that the file is not the one that was meant.
const MAX_COMPARED: usize = 1_000;

/// An address that is listened on.
pub(crate) struct Listen {
    pub(crate) endpoint: Endpoint,
    /// The setting that says so.
    pub(crate) path: String,
    /// Where that is written, or what it is a default of.
    pub(crate) origin: Origin,
}

/// What a component with these settings listens on. `schema` is that of its settings, `path` the way to them.
///
/// A mapping that is nowhere written is off: it may be one that is on once it is named.
pub(crate) fn listens(schema: &Json, settings: &Node, path: &str) -> Vec<Listen> {
    let mut walk = Walk { document: schema, found: Vec::new() };
    // Most components listen on nothing, whatever is written.
    if mentions_listening(schema) {
        walk.value(schema, Some(settings), Path::Root(path), settings.origin());
    }
    walk.found
}

fn mentions_listening(schema: &Json) -> bool {
    match schema {
        Json::Object(map) => {
            map.get("format").and_then(Json::as_str) == Some(LISTEN_FORMAT) || map.values().any(mentions_listening)
        }
        Json::Array(items) => items.iter().any(mentions_listening),
        _ => false,
    }
}

struct Walk<'a> {
    document: &'a Json,
    found: Vec<Listen>,
}

impl Walk<'_> {
    /// What is listened on at a node, or by default where there is none. `place` is the key that it belongs to.
    fn value(&mut self, schema: &Json, node: Option<&Node>, path: Path<'_>, place: &Origin) {
        let node = node.filter(|node| !node.is_unset());
        let described = described(self.document, schema);
        let says = |keyword: &str| described.iter().find_map(|schema| schema.get(keyword));
        if says("format").and_then(Json::as_str) == Some(LISTEN_FORMAT) {
            let endpoint = match node {
                // What is wrong with it is told where the component is read.
                Some(node) => node.deserialize("").ok(),
                None => says("default").and_then(|default| default.as_str()?.parse().ok()),
            };
            let origin = node.map_or(place, Node::origin).clone();
            self.found.extend(endpoint.map(|endpoint| Listen { endpoint, path: path.to_string(), origin }));
            return;
        }
        let Some(node) = node.filter(|node| !node.broken) else { return };
        if node.is_null() && described.iter().any(|schema| schema.get("type") == Some(&Json::from("null"))) {
            return;
        }
        for (key, schema) in says("properties").and_then(Json::as_object).into_iter().flatten() {
            let written = node.entries().iter().find(|(written, _)| written.as_str() == key);
            let place = written.map_or(place, |(key, _)| key.origin());
            self.value(schema, written.map(|(_, node)| node), Path::Key(&path, key), place);
        }
    }
}

/// An error for each that cannot be listened on because of an earlier one.
pub(crate) fn collisions(mut listens: Vec<Listen>, lines: &Lines) -> Vec<ConfigError> {
    listens.truncate(MAX_COMPARED);
    listens.sort_by_key(|listen| lines.place(&listen.origin));
    let mut errors = Vec::new();
    for (index, Listen { endpoint, path, origin }) in listens.iter().enumerate() {
        let mut earlier = listens.iter().take(index);
        let Some(first) = earlier.find(|earlier| earlier.endpoint.collides_with(endpoint)) else { continue };
        if errors.len() >= MAX_ERRORS {
            break;
        }
        // What was fetched is not repeated.
        let port = if origin.via().is_some() { String::new() } else { format!(" {}", endpoint.port()) };
        let message = format!("port{port} is taken already: {} ({}) listens on it", first.path, first.origin);
        let hint = "give each a port of its own; with port 0 the system chooses one".to_owned();
        errors.push(ConfigError::new(path, origin, message).with_hint(Some(hint)));
    }
    errors
}
