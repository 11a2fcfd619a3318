//! Actions on attributes: the settings, and what they do.
//!
//! As in the Collector, but: an action is one on every attribute with the key, so what occurs twice is deleted, hashed or
//! updated twice; `hash` takes a `salt`; `rename` is ours; `convert` leaves bytes and absent values alone; a `value` is a
//! text, a number or a boolean; `from_context` knows metadata, neither `auth.` nor `client.address`.

use std::fmt::Write;

use regex::CaptureLocations;
use ring::{digest, hmac};
use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::signal::edit::{AttributesMut, NewValue, PlainValue, When};
use tracecore::signal::view::ValueRef;

/// One thing to do to attributes.
#[config]
pub(crate) struct Action {
    /// The attribute. `delete` and `hash` take a `pattern` as well, or instead.
    key: Option<String>,
    /// What is done.
    action: Verb,
    /// For `insert`, `update` and `upsert`: the value, of the type it is written with.
    value: Option<Literal>,
    /// For `insert`, `update` and `upsert`: the attribute whose value is taken. Without it nothing is done.
    from_attribute: Option<String>,
    /// For `insert`, `update` and `upsert`: what the request brought, such as `metadata.x-tenant`; several values are joined
    /// with `;`. The receiver must have `include_metadata`. Without it nothing is done.
    from_context: Option<String>,
    /// The value if `from_attribute` or `from_context` has none.
    default_value: Option<Literal>,
    /// For `delete` and `hash`: a regular expression for keys. For `extract`: one for the value, with named groups.
    pattern: Option<Pattern>,
    /// For `convert`: the new type. A value that cannot be converted stays.
    converted_type: Option<ConvertedType>,
    /// For `rename`: the new key. An attribute that already has it is replaced.
    new_key: Option<String>,
    /// For `hash`: a secret that makes it an HMAC, so that nobody can find values by trying. Write `${env:SALT}` or
    /// `${file:/run/secrets/salt}`.
    salt: Option<String>,
}

/// What is done to an attribute.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Add it if there is none with the key.
    Insert,
    /// Give it another value if there is one.
    Update,
    /// Insert or update.
    Upsert,
    /// Delete it.
    Delete,
    /// Replace its value by the SHA-256 of it, in hexadecimal.
    Hash,
    /// Make attributes of what a pattern finds in its text, one for each named group.
    Extract,
    /// Give its value another type.
    Convert,
    /// Give it another key.
    Rename,
}

/// What a value becomes.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum ConvertedType {
    /// An integer: of a number without its fraction, of a text in decimal, of a boolean 1 or 0.
    Int,
    /// A floating-point number.
    Double,
    /// A text; of lists as JSON.
    String,
}

/// Why a list of actions makes no sense.
#[derive(Debug, thiserror::Error, Classify)]
pub(crate) enum ActionError {
    /// The list is empty.
    #[error("`{0}` is empty: name at least one action")]
    #[kind(Init)]
    None(&'static str),
    /// A setting is missing.
    #[error("{at}: the action `{verb}` needs {needed}")]
    #[kind(Init)]
    Missing { at: String, verb: &'static str, needed: &'static str },
    /// A setting has no meaning for the action.
    #[error("{at}: the action `{verb}` does not use `{setting}`")]
    #[kind(Init)]
    Unused { at: String, verb: &'static str, setting: &'static str },
    /// Several sources.
    #[error("{at}: `value`, `from_attribute` and `from_context` exclude one another")]
    #[kind(Init)]
    Sources { at: String },
    /// A group without a name, or no group.
    #[error("{at}: `pattern` must have groups, each with a name, such as (?P<name>.*)")]
    #[kind(Init)]
    Groups { at: String },
    /// A context that there is not.
    #[error("{at}: `from_context: {context}` is not known: only `metadata.` with the name of a header is")]
    #[kind(Init)]
    Context { at: String, context: String },
}

/// Actions to be done one after the other.
#[derive(Debug)]
pub(crate) struct Actions(Vec<Step>);

#[derive(Debug)]
enum Step {
    Set { key: String, source: Source, when: When },
    Delete(Keys),
    Hash(Keys, Hasher),
    Extract { key: String, pattern: Pattern, groups: Vec<String> },
    Convert { key: String, to: ConvertedType },
    Rename { key: String, new_key: String },
}

#[derive(Debug)]
enum Source {
    Value(Literal),
    Attribute(String, Option<Literal>),
    /// The name of a header.
    Metadata(String, Option<Literal>),
}

/// Which attributes.
#[derive(Debug)]
struct Keys {
    key: Option<String>,
    pattern: Option<Pattern>,
}

#[derive(Debug)]
enum Hasher {
    Sha256,
    Hmac(hmac::Key),
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Verb::Insert => "insert",
            Verb::Update => "update",
            Verb::Upsert => "upsert",
            Verb::Delete => "delete",
            Verb::Hash => "hash",
            Verb::Extract => "extract",
            Verb::Convert => "convert",
            Verb::Rename => "rename",
        }
    }

    /// The settings that it uses, beside `key`.
    const fn uses(self) -> &'static [&'static str] {
        match self {
            Verb::Insert | Verb::Update | Verb::Upsert => &["value", "from_attribute", "from_context", "default_value"],
            Verb::Delete | Verb::Extract => &["pattern"],
            Verb::Hash => &["pattern", "salt"],
            Verb::Convert => &["converted_type"],
            Verb::Rename => &["new_key"],
        }
    }
}

impl Actions {
    /// The actions of a setting with this name.
    ///
    /// # Errors
    /// If the settings of an action do not go together, or there is none.
    pub(crate) fn new(name: &'static str, actions: Vec<Action>) -> Result<Actions, ActionError> {
        if actions.is_empty() {
            return Err(ActionError::None(name));
        }
        let steps = actions.into_iter().enumerate().map(|(i, action)| Step::new(format!("{name}[{i}]"), action));
        steps.collect::<Result<_, _>>().map(Actions)
    }

    /// The actions for a batch that came with this metadata.
    pub(crate) fn of_batch<'a>(&'a self, metadata: Option<&'a Metadata>) -> Acting<'a> {
        let joined = |step: &Step| match step {
            Step::Set { source: Source::Metadata(name, _), .. } => {
                let values: Vec<&str> = metadata.iter().flat_map(|metadata| metadata.get_all(name)).collect();
                (!values.is_empty()).then(|| values.join(";"))
            }
            _ => None,
        };
        let locations = |step: &Step| match step {
            Step::Extract { pattern, .. } => Some(pattern.capture_locations()),
            _ => None,
        };
        let steps = self.0.iter().map(|step| (step, joined(step), locations(step))).collect();
        Acting { steps, text: String::new() }
    }
}

impl Step {
    fn new(at: String, action: Action) -> Result<Step, ActionError> {
        let Action { key, action: verb, value, from_attribute, from_context, default_value, .. } = action;
        let Action { pattern, converted_type, new_key, salt, .. } = action;
        let written = [
            ("value", value.is_some()),
            ("from_attribute", from_attribute.is_some()),
            ("from_context", from_context.is_some()),
            ("default_value", default_value.is_some()),
            ("pattern", pattern.is_some()),
            ("converted_type", converted_type.is_some()),
            ("new_key", new_key.is_some()),
            ("salt", salt.is_some()),
        ];
        if let Some((setting, _)) = written.iter().find(|(name, written)| *written && !verb.uses().contains(name)) {
            return Err(ActionError::Unused { at, verb: verb.as_str(), setting });
        }
        let missing = |needed| ActionError::Missing { at: at.clone(), verb: verb.as_str(), needed };
        if let Verb::Delete | Verb::Hash = verb {
            if key.is_none() && pattern.is_none() {
                return Err(missing("`key` or `pattern`"));
            }
            let keys = Keys { key, pattern };
            let hasher =
                salt.map_or(Hasher::Sha256, |salt| Hasher::Hmac(hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes())));
            return Ok(if verb == Verb::Delete { Step::Delete(keys) } else { Step::Hash(keys, hasher) });
        }
        let key = key.ok_or_else(|| missing("`key`"))?;
        let when = match verb {
            Verb::Insert => When::Absent,
            Verb::Update => When::Present,
            Verb::Upsert | Verb::Delete | Verb::Hash | Verb::Extract | Verb::Convert | Verb::Rename => When::Always,
        };
        Ok(match verb {
            Verb::Insert | Verb::Update | Verb::Upsert | Verb::Delete | Verb::Hash => {
                let source = match (value, from_attribute, from_context) {
                    (Some(value), None, None) => Source::Value(value),
                    (None, Some(attribute), None) => Source::Attribute(attribute, default_value),
                    (None, None, Some(context)) => Source::Metadata(header(&at, context)?, default_value),
                    (None, None, None) => match default_value {
                        Some(value) => Source::Value(value),
                        None => return Err(missing("`value`, `from_attribute` or `from_context`")),
                    },
                    _ => return Err(ActionError::Sources { at }),
                };
                Step::Set { key, source, when }
            }
            Verb::Extract => {
                let pattern = pattern.ok_or_else(|| missing("`pattern`"))?;
                let groups: Option<Vec<String>> =
                    pattern.capture_names().skip(1).map(|name| name.map(str::to_owned)).collect();
                let groups = groups.filter(|groups| !groups.is_empty()).ok_or(ActionError::Groups { at })?;
                Step::Extract { key, pattern, groups }
            }
            Verb::Convert => Step::Convert { key, to: converted_type.ok_or_else(|| missing("`converted_type`"))? },
            Verb::Rename => Step::Rename { key, new_key: new_key.ok_or_else(|| missing("`new_key`"))? },
        })
    }
}

/// The header that a context means. Like the Collector, takes a bare name for one.
fn header(at: &str, context: String) -> Result<String, ActionError> {
    if context == "client.address" || context.starts_with("auth.") {
        return Err(ActionError::Context { at: at.to_owned(), context });
    }
    Ok(context.strip_prefix("metadata.").map_or_else(|| context.clone(), str::to_owned))
}

/// Actions while a batch passes by.
pub(crate) struct Acting<'a> {
    /// Each step with what it takes from the metadata, and with room for where groups are.
    steps: Vec<(&'a Step, Option<String>, Option<CaptureLocations>)>,
    text: String,
}

impl Acting<'_> {
    /// Does every action to the attributes of one message.
    pub(crate) fn act(&mut self, attributes: &mut AttributesMut<'_>) {
        let Acting { steps, text } = self;
        for (step, metadata, locations) in steps {
            match step {
                Step::Set { key, source, when } => {
                    let value = match source {
                        Source::Value(value) => Some(value.plain()),
                        Source::Attribute(from, _) if attributes.copy(from, key, *when) => None,
                        Source::Metadata(_, default) | Source::Attribute(_, default) => {
                            metadata.as_deref().map(PlainValue::Str).or(default.as_ref().map(Literal::plain))
                        }
                    };
                    if let Some(value) = value {
                        attributes.set(key, value, *when);
                    }
                }
                Step::Delete(keys) => match keys {
                    Keys { key: Some(key), pattern: None } => attributes.delete(key),
                    keys => attributes.delete_where(|key| keys.contain(key)),
                },
                Step::Hash(keys, hasher) => match keys {
                    Keys { key: Some(key), pattern: None } => attributes.map(key, |value, out| hasher.hash(value, out)),
                    keys => attributes.map_where(|key| keys.contain(key), |value, out| hasher.hash(value, out)),
                },
                Step::Extract { key, pattern, groups } => {
                    let Some(ValueRef::Str(value)) = attributes.get(key) else { continue };
                    let Some(locations) = locations else { continue };
                    // The value may itself be what is overwritten.
                    text.clear();
                    text.push_str(value);
                    if pattern.captures_read(locations, text).is_some() {
                        for (group, key) in groups.iter().enumerate() {
                            let found = locations.get(group + 1).and_then(|(start, end)| text.get(start..end));
                            attributes.set(key, PlainValue::Str(found.unwrap_or_default()), When::Always);
                        }
                    }
                }
                Step::Convert { key, to } => attributes.map(key, |value, out| convert(value, *to, out)),
                Step::Rename { key, new_key } => attributes.rename(key, new_key),
            }
        }
    }
}

impl Keys {
    fn contain(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key))
    }
}

impl Hasher {
    /// The hash of a text, or of the bytes of any other plain value; numbers have their lowest byte first. What has no
    /// bytes (nothing, an empty text, a list) becomes an empty text: it hides no less.
    fn hash(&self, value: ValueRef<'_>, out: &mut String) -> NewValue<'static> {
        let number;
        let bytes = match value {
            ValueRef::Str(text) => text.as_bytes(),
            ValueRef::Bytes(bytes) => bytes,
            ValueRef::Bool(value) => {
                if value {
                    &[1][..]
                } else {
                    &[0]
                }
            }
            ValueRef::Int(value) => {
                number = value.to_le_bytes();
                &number
            }
            ValueRef::Double(value) => {
                number = value.to_le_bytes();
                &number
            }
            ValueRef::Empty | ValueRef::Array(_) | ValueRef::KvList(_) => &[],
        };
        if !bytes.is_empty() {
            match self {
                Hasher::Sha256 => push_hex(digest::digest(&digest::SHA256, bytes).as_ref(), out),
                Hasher::Hmac(key) => push_hex(hmac::sign(key, bytes).as_ref(), out),
            }
        }
        NewValue::Written
    }
}

/// Writes bytes as digits, as fast as the hash deserves: formatting each byte would cost more than it.
fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 0xF)]);
    }
}

fn convert(value: ValueRef<'_>, to: ConvertedType, out: &mut String) -> NewValue<'static> {
    let converted = match (to, value) {
        (ConvertedType::Int, ValueRef::Str(text)) => text.parse().ok().map(PlainValue::Int),
        // Beyond the range of integers: the nearest.
        (ConvertedType::Int, ValueRef::Double(value)) => Some(PlainValue::Int(value as i64)),
        (ConvertedType::Int, ValueRef::Bool(value)) => Some(PlainValue::Int(value.into())),
        (ConvertedType::Double, ValueRef::Str(text)) => text.parse().ok().map(PlainValue::Double),
        (ConvertedType::Double, ValueRef::Int(value)) => Some(PlainValue::Double(value as f64)),
        (ConvertedType::Double, ValueRef::Bool(value)) => Some(PlainValue::Double(value.into())),
        (
            ConvertedType::String,
            ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Double(_) | ValueRef::Array(_) | ValueRef::KvList(_),
        ) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{value}");
            return NewValue::Written;
        }
        _ => None,
    };
    converted.map_or(NewValue::Same, NewValue::Plain)
}
