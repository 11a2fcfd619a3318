//! YAML text to a spanned tree, within bounds.
//!
//! Invariant: whatever the text, the work and the memory are bounded by the constants below, and the answer is a tree
//! or errors with a place. Problems that do not hide what follows (a key given twice, a tag) come with the tree; a syntax
//! error or a bound ends the reading. Merge keys (`<<`) are honoured, since anchors are of little use without them.
//! Deliberately absent: tags, keys that are not text, several documents.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::error::ConfigError;
use super::node::{Extent, Key, Node, Scalar, Value};
use super::origin::Origin;
use super::scalar::Plain;

/// The largest source, in bytes: what fits in a Kubernetes ConfigMap, and some 20,000 lines.
pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

/// The deepest nesting, in levels: an honest file has ten, and code that walks the tree recurses.
pub const MAX_DEPTH: usize = 64;

/// The most keys and values of one load, aliases expanded and all sources together: about 30 MiB.
pub const MAX_NODES: usize = 100_000;

/// How many problems one source may report, and how many bad references all may have: beyond that the file is not the
/// one that was meant.
pub const MAX_ERRORS: usize = 100;

/// What one load may still use.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) nodes: usize,
    /// Bytes that substitutions may still bring in.
    pub(super) fetched_bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget { nodes: MAX_NODES, fetched_bytes: MAX_SOURCE_BYTES }
    }

    fn charge(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.checked_sub(nodes).ok_or_else(|| {
            format!("the configuration has more than {MAX_NODES} keys and values, aliases counted in full")
        })?;
        Ok(())
    }
}

/// Where the nodes of a text stand.
#[derive(Clone)]
pub(super) enum Place {
    /// At their line and column of a source.
    Source(Arc<str>),
    /// All at one place: the text is the value of `--set` or of an environment variable.
    Fixed(Origin),
}

impl Place {
    fn at(&self, mark: Marker) -> Origin {
        let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        match self {
            // The parser's columns count from 0.
            Place::Source(source) => {
                Origin::new(source.clone(), count(mark.line()), count(mark.col()).saturating_add(1))
            }
            Place::Fixed(origin) => origin.clone(),
        }
    }
}

/// A text as a tree, and what is wrong with it that does not hide the rest.
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) errors: Vec<ConfigError>,
}

/// Why a text is no tree.
pub(super) enum Refusal {
    /// It is not the YAML we take. As the value of a variable it can still be meant as plain text.
    Malformed(Vec<ConfigError>),
    /// It is too much, whatever it means.
    TooMuch(ConfigError),
}

impl Refusal {
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        match self {
            Refusal::Malformed(errors) => errors,
            Refusal::TooMuch(error) => vec![error],
        }
    }
}

/// Reads bytes: a source is UTF-8 and has no control characters.
pub(super) fn parse_bytes(bytes: &[u8], place: &Place, budget: &mut Budget) -> Result<Parsed, Refusal> {
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(Refusal::TooMuch(too_large(place)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        Refusal::Malformed(vec![after(&String::from_utf8_lossy(valid), place, "this byte is not valid UTF-8")])
    })?;
    parse(text, place, 0, budget)
}

/// Reads a text that will stand at `depth` levels below the top.
pub(super) fn parse(text: &str, place: &Place, depth: usize, budget: &mut Budget) -> Result<Parsed, Refusal> {
    if text.len() > MAX_SOURCE_BYTES {
        return Err(Refusal::TooMuch(too_large(place)));
    }
    // The parser takes a NUL for the end of the text and would lose what follows.
    let control = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    if let Some(at) = text.find(control) {
        let byte = text.as_bytes().get(at).copied().unwrap_or_default();
        let message = format!("the control character 0x{byte:02x} cannot stand in YAML");
        return Err(Refusal::Malformed(vec![after(text.get(..at).unwrap_or_default(), place, message)]));
    }
    Builder { place, depth, budget, stack: Vec::new(), anchors: HashMap::new(), errors: Vec::new() }.read(text)
}

/// The error for a source of more than [`MAX_SOURCE_BYTES`], of which one line is as wrong as the other.
fn too_large(place: &Place) -> ConfigError {
    let origin = match place {
        Place::Source(source) => Origin::whole(source.clone()),
        Place::Fixed(origin) => origin.clone(),
    };
    ConfigError::new("", &origin, format_args!("is larger than {MAX_SOURCE_BYTES} bytes, the most a source may have"))
}

fn start(place: &Place) -> Origin {
    place.at(Marker::new(0, 1, 0))
}

/// An error at the first character after `text`.
fn after(text: &str, place: &Place, message: impl std::fmt::Display) -> ConfigError {
    let line = text.matches('\n').count().saturating_add(1);
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count();
    ConfigError::new("", &place.at(Marker::new(0, line, column)), message)
}

/// A collection that is not yet complete.
struct Open {
    origin: Origin,
    /// As in [`Node`].
    broken: bool,
    anchor: usize,
    kind: Collection,
}

enum Collection {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Key, Node)>, lines: HashMap<Box<str>, u32>, next: Next, merged: Vec<Node> },
}

/// What a mapping waits for.
enum Next {
    Key,
    Value(Key),
    /// The value of `<<`.
    Merged,
    /// The value of a key that was refused.
    Nothing,
}

struct Builder<'a> {
    place: &'a Place,
    depth: usize,
    budget: &'a mut Budget,
    stack: Vec<Open>,
    /// Complete anchored nodes by the parser's id.
    anchors: HashMap<usize, Node>,
    errors: Vec<ConfigError>,
}

impl Builder<'_> {
    fn read(mut self, text: &str) -> Result<Parsed, Refusal> {
        let mut root = None;
        let mut documents = 0_usize;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let message = format!("this is not valid YAML: {}", error.info());
                    self.errors.push(ConfigError::new(self.path(), &self.place.at(*error.marker()), message));
                    return Err(Refusal::Malformed(self.errors));
                }
            };
            let origin = self.place.at(span.start);
            if let Event::DocumentStart(_) = event {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    self.error(&origin, "a second document begins here; a source has one, so give each its own file");
                    break;
                }
            }
            match self.event(event, &origin) {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(message) => return Err(Refusal::TooMuch(ConfigError::new(self.path(), &origin, message))),
            }
            if self.errors.len() >= MAX_ERRORS {
                return Err(Refusal::Malformed(self.errors));
            }
        }
        let root = root.unwrap_or_else(|| Node::new(Value::Null, start(self.place)));
        Ok(Parsed { root, errors: self.errors })
    }

    /// Takes one event; gives the root once it is complete. An error is a bound that was passed.
    fn event(&mut self, event: Event<'_>, origin: &Origin) -> Result<Option<Node>, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let broken = self.refuse_tag(tag.as_deref(), origin);
                let quoted = style != ScalarStyle::Plain;
                let scalar = Scalar { text: text.into(), quoted };
                let value = if scalar.resolve() == Plain::Null { Value::Null } else { Value::Scalar(scalar) };
                self.complete(Node { broken, ..Node::new(value, origin.clone()) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let broken = self.refuse_tag(tag.as_deref(), origin);
                self.open(origin, broken, anchor, Collection::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let broken = self.refuse_tag(tag.as_deref(), origin);
                let (entries, merged) = (Vec::new(), Vec::new());
                self.open(
                    origin,
                    broken,
                    anchor,
                    Collection::Mapping { entries, lines: HashMap::new(), next: Next::Key, merged },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open { origin, broken, anchor, kind }) => {
                    let value = match kind {
                        Collection::Sequence(items) => Value::Sequence(items),
                        Collection::Mapping { entries, merged, .. } => self.merge_keys(entries, merged)?,
                    };
                    self.complete(Node { broken, ..Node::new(value, origin) }, anchor)
                }
                None => Ok(None),
            },
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    self.error(origin, "this alias stands inside of what it refers to");
                    return self.complete(Node { broken: true, ..Node::new(Value::Null, origin.clone()) }, 0);
                };
                let Extent { nodes, depth } = target.extent();
                self.fits(depth)?;
                self.budget.charge(nodes)?;
                let target = target.clone();
                self.attach(target)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    fn open(&mut self, origin: &Origin, broken: bool, anchor: usize, kind: Collection) -> Result<Option<Node>, String> {
        self.fits(1)?;
        self.stack.push(Open { origin: origin.clone(), broken, anchor, kind });
        Ok(None)
    }

    /// Whether a node of so many levels can stand here.
    fn fits(&self, levels: usize) -> Result<(), String> {
        let depth = self.depth.saturating_add(self.stack.len()).saturating_add(levels);
        if depth > MAX_DEPTH { Err(format!("is nested more than {MAX_DEPTH} levels deep")) } else { Ok(()) }
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, String> {
        self.budget.charge(1)?;
        // The parser counts anchors from 1.
        if anchor > 0 {
            // The copy kept for the aliases costs as much as an alias.
            self.budget.charge(node.extent().nodes)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    /// Puts a complete node where it belongs; gives it back if it is the root.
    fn attach(&mut self, node: Node) -> Result<Option<Node>, String> {
        let Some(Open { kind, .. }) = self.stack.last_mut() else { return Ok(Some(node)) };
        let refused = match kind {
            Collection::Sequence(items) => {
                items.push(node);
                None
            }
            Collection::Mapping { entries, lines, next, merged } => match std::mem::replace(next, Next::Key) {
                Next::Key => match key(node, lines) {
                    Ok(wanted) => {
                        *next = wanted;
                        None
                    }
                    Err(refused) => {
                        *next = Next::Nothing;
                        Some(refused)
                    }
                },
                Next::Value(key) => {
                    entries.push((key, node));
                    None
                }
                Next::Merged => {
                    merged.push(node);
                    None
                }
                Next::Nothing => None,
            },
        };
        if let Some((origin, message)) = refused {
            self.error(&origin, &message);
        }
        Ok(None)
    }

    /// Adds what `<<` refers to: a key written in the mapping itself wins, then the mapping named first.
    fn merge_keys(&mut self, mut entries: Vec<(Key, Node)>, merged: Vec<Node>) -> Result<Value, String> {
        if merged.is_empty() {
            return Ok(Value::Mapping(entries));
        }
        let mut seen: HashSet<Box<str>> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        for node in merged {
            let origin = node.origin.clone();
            let mappings = match node.value {
                Value::Sequence(items) => items,
                Value::Null | Value::Scalar(_) | Value::Mapping(_) => vec![node],
            };
            for mapping in mappings {
                let Value::Mapping(added) = mapping.value else {
                    self.error(&origin, "`<<` takes a mapping or a list of mappings");
                    continue;
                };
                entries.extend(added.into_iter().filter(|(key, _)| seen.insert(key.text.clone())));
            }
        }
        Ok(Value::Mapping(entries))
    }

    /// Whether there is a tag; that is an error.
    fn refuse_tag(&mut self, tag: Option<&Tag>, origin: &Origin) -> bool {
        if tag.is_some() {
            self.error(origin, "tags such as `!!str` are not supported; put a value in quotes to make it text");
        }
        tag.is_some()
    }

    fn error(&mut self, origin: &Origin, message: &str) {
        self.errors.push(ConfigError::new(self.path(), origin, message));
    }

    /// The way to what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.stack {
            match &open.kind {
                Collection::Sequence(items) => path.push_str(&format!("[{}]", items.len())),
                Collection::Mapping { next: Next::Value(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                }
                Collection::Mapping { .. } => {}
            }
        }
        path
    }
}

/// Makes a key of a node, or says where and why not.
fn key(node: Node, lines: &mut HashMap<Box<str>, u32>) -> Result<Next, (Origin, String)> {
    let Node { value, origin, .. } = node;
    let scalar = match value {
        Value::Scalar(scalar) => scalar,
        Value::Null => return Err((origin, "a key is missing here".into())),
        Value::Sequence(_) | Value::Mapping(_) => {
            return Err((origin, "a key is text, not a list or a mapping".into()));
        }
    };
    if !scalar.quoted && scalar.resolve() != Plain::Text {
        return Err((origin, format!("a key is text: put {} in quotes", scalar.text)));
    }
    if let Some(line) = lines.get(&scalar.text) {
        let message = match line {
            0 => format!("the key {:?} is given twice", scalar.text),
            line => format!("the key {:?} is given twice, first on line {line}", scalar.text),
        };
        return Err((origin, message));
    }
    lines.insert(scalar.text.clone(), origin.line());
    let merge = &*scalar.text == "<<" && !scalar.quoted;
    Ok(if merge { Next::Merged } else { Next::Value(Key { text: scalar.text, origin }) })
}
