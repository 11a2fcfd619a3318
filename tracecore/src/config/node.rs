//! The spanned tree: every value and every key knows where it was written.
//!
//! Invariants: the keys of a mapping are text and unique; no tree is deeper than [`MAX_DEPTH`](super::yaml::MAX_DEPTH),
//! so what walks it may recurse. Deliberately absent: comments, tags and anchors; they end with the parser.

use std::collections::HashMap;
use std::fmt;

use super::origin::Origin;
use super::scalar::{self, Plain};

/// A value and where it was written.
///
/// Two nodes are equal when they configure the same: places do not count.
#[derive(Clone)]
pub struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// The text that a whole-field substitution fetched, where it is not simply the scalar's own: a string field takes
    /// it as it came.
    pub(super) fetched: Option<Box<str>>,
    /// An error was told of what stands here. Whoever reads it says no more.
    pub(super) broken: bool,
}

/// What stands at a node.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`; also an environment variable that is not set.
    Null,
    /// A scalar with its text as written.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file.
    Mapping(Vec<(Key, Node)>),
}

/// A scalar: its text, and whether it can only be text.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, with quotes and escapes undone and nothing else.
    pub text: Box<str>,
    /// Quoted, a block, or partly substituted: never a number, a boolean or null.
    pub quoted: bool,
}

/// A key and where it was written.
#[derive(Clone)]
pub struct Key {
    pub(super) text: Box<str>,
    pub(super) origin: Origin,
}

impl Key {
    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the key was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Node { value, origin, fetched: None, broken: false }
    }

    /// A mapping without entries, for settings that are nowhere written.
    pub fn empty(origin: Origin) -> Self {
        Node::new(Value::Mapping(Vec::new()), origin)
    }

    /// What stands here.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where it was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(scalar) => scalar.resolve() == Plain::Null,
            Value::Sequence(_) | Value::Mapping(_) => false,
        }
    }

    /// Whether all that stands here is an environment variable that is not set.
    pub(super) fn is_unset(&self) -> bool {
        self.value == Value::Null && self.fetched.is_none() && self.origin.via().is_some()
    }

    /// The value of a key; nothing where this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(candidate, _)| candidate.as_str() == key).map(|(_, node)| node)
    }

    /// A key and its value; nothing where this is no mapping, or nothing is written there.
    pub(super) fn entry(&self, key: &str) -> Option<&(Key, Node)> {
        self.entries().iter().find(|(candidate, node)| candidate.as_str() == key && !node.is_null())
    }

    /// The entries of a mapping in the order of the file; none where this is no mapping.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => &[],
        }
    }

    /// The node at a path such as `retry.initial`, or the last one on the way to it.
    pub(crate) fn nearest_to(&self, path: &str) -> &Node {
        let mut node = self;
        for key in path.split('.') {
            let Some(next) = node.get(key) else { break };
            node = next;
        }
        node
    }

    /// Removes a key and gives its value.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let Value::Mapping(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|(candidate, _)| candidate.as_str() == key)?;
        Some(entries.remove(index).1)
    }

    /// Removes several keys and gives a mapping of those that were there, at this node's place.
    ///
    /// The runtime takes its own settings off a component's this way.
    pub fn split_off(&mut self, keys: &[&str]) -> Node {
        let mut taken = Node::empty(self.origin.clone());
        if let Value::Mapping(entries) = &mut self.value {
            let split = entries.extract_if(.., |(key, _)| keys.contains(&key.as_str()));
            taken.value = Value::Mapping(split.collect());
        }
        taken
    }

    /// Lays a later source over this one: mappings merge deeply, anything else replaces what was here.
    pub(super) fn merge(&mut self, later: Node) {
        if !matches!((&self.value, &later.value), (Value::Mapping(_), Value::Mapping(_))) {
            *self = later;
            return;
        }
        let (Value::Mapping(entries), Value::Mapping(later)) = (&mut self.value, later.value) else { return };
        let positions: HashMap<Box<str>, usize> =
            entries.iter().enumerate().map(|(index, (key, _))| (key.text.clone(), index)).collect();
        for (key, node) in later {
            match positions.get(&key.text).and_then(|&index| entries.get_mut(index)) {
                Some((_, earlier)) => earlier.merge(node),
                None => entries.push((key, node)),
            }
        }
    }

    /// Whether this holds of the node or of one below it.
    pub(super) fn any(&self, of: &impl Fn(&Node) -> bool) -> bool {
        let below = match &self.value {
            Value::Null | Value::Scalar(_) => false,
            Value::Sequence(items) => items.iter().any(|item| item.any(of)),
            Value::Mapping(entries) => entries.iter().any(|(_, node)| node.any(of)),
        };
        below || of(self)
    }

    /// How many nodes this tree has, and how many levels.
    pub(super) fn extent(&self) -> Extent {
        let children = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(Node::extent).fold(Extent { nodes: 1, depth: 1 }, |sum, child| Extent {
                nodes: sum.nodes.saturating_add(child.nodes),
                depth: sum.depth.max(child.depth.saturating_add(1)),
            })
        };
        match &self.value {
            Value::Null | Value::Scalar(_) => Extent { nodes: 1, depth: 1 },
            Value::Sequence(items) => children(&mut items.iter()),
            Value::Mapping(entries) => children(&mut entries.iter().map(|(_, node)| node)),
        }
    }
}

/// The size of a tree.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) nodes: usize,
    pub(super) depth: usize,
}

impl Scalar {
    pub(super) fn quoted(text: impl Into<Box<str>>) -> Self {
        Scalar { text: text.into(), quoted: true }
    }

    /// What it means where no type is asked for.
    pub(super) fn resolve(&self) -> Plain {
        if self.quoted { Plain::Text } else { scalar::resolve(&self.text) }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.fetched == other.fetched
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Shows what is written, and of a substituted value only its source: it may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.origin.via(), &self.value) {
            (Some(via), _) => write!(f, "${{{via}}}"),
            (None, Value::Null) => f.write_str("null"),
            (None, Value::Scalar(scalar)) if scalar.quoted => write!(f, "{:?}", scalar.text),
            (None, Value::Scalar(scalar)) => f.write_str(&scalar.text),
            (None, Value::Sequence(items)) => f.debug_list().entries(items).finish(),
            (None, Value::Mapping(entries)) => {
                f.debug_map().entries(entries.iter().map(|(key, node)| (key.as_str(), node))).finish()
            }
        }
    }
}
