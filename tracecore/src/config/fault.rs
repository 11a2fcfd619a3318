//! The error of the deserializer, before and after it has a place.
//!
//! serde tells an error as it unwinds, first without a place. The sentence is made only when the place is known: a
//! value that a substitution fetched is then left out of it.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::error::ConfigError;
use super::node::{Node, Value};
use super::origin::{Origin, Path};
use super::scalar::Plain;

/// How much of a value a message repeats, in characters: enough to recognise it.
const MAX_SHOWN: usize = 60;

/// The longest text that is compared with names, in bytes, and the most names: of more, none was misspelt.
const MAX_COMPARED: usize = 64;
const MAX_NAMES: usize = 200;

/// An error of serde, before and after it has a place.
#[derive(Debug)]
pub(super) enum Fault {
    Open(Complaint),
    Placed(Box<Placed>),
}

/// An error that has its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) error: ConfigError,
    /// The key that is missing, if that is the error.
    pub(super) missing: Option<&'static str>,
    /// The nodes that the error went through, the innermost first: only to be compared with.
    pub(super) through: Vec<*const Node>,
}

/// What is wrong, still apart from the value, so that the value can be left out.
#[derive(Debug)]
pub(super) enum Complaint {
    Said { message: String, hint: Option<String> },
    Wrong { expected: String, found: Found, nearest: Option<&'static str> },
    Missing(&'static str),
}

/// What stands where something else was expected.
#[derive(Debug)]
pub(super) struct Found {
    kind: &'static str,
    shown: Option<String>,
}

impl Fault {
    pub(super) fn said(message: impl fmt::Display) -> Self {
        Fault::Open(Complaint::Said { message: message.to_string(), hint: None })
    }

    pub(super) fn wrong(expected: impl fmt::Display, node: &Node) -> Self {
        Fault::Open(Complaint::Wrong { expected: expected.to_string(), found: Found::of(node), nearest: None })
    }

    /// Gives the error its place, unless a node further in has done so.
    pub(super) fn at(self, path: Path<'_>, origin: &Origin, node: &Node) -> Self {
        Fault::Placed(Box::new(self.place(path, origin, node)))
    }

    /// The error in its place: this one, unless a node further in has given it one.
    pub(super) fn place(self, path: Path<'_>, origin: &Origin, node: &Node) -> Placed {
        let mut placed = match self {
            Fault::Open(complaint) => {
                let missing = if let Complaint::Missing(key) = complaint { Some(key) } else { None };
                Placed { error: complaint.at(path, origin), missing, through: Vec::new() }
            }
            Fault::Placed(placed) => *placed,
        };
        placed.through.push(node);
        placed
    }
}

impl Complaint {
    fn at(self, path: Path<'_>, origin: &Origin) -> ConfigError {
        match self {
            Complaint::Said { message, hint } => ConfigError::new(path, origin, message).with_hint(hint),
            Complaint::Missing(key) => ConfigError::new(Path::Key(&path, key), origin, "is required and not set"),
            Complaint::Wrong { expected, found, nearest } => {
                let can_be_shown = origin.via().is_none();
                let shown = found.shown.filter(|_| can_be_shown);
                let found = shown.map_or(found.kind.to_owned(), |shown| format!("{} {shown}", found.kind));
                let hint = nearest.filter(|_| can_be_shown).map(meant);
                ConfigError::new(path, origin, format_args!("expected {expected}, found {found}")).with_hint(hint)
            }
        }
    }
}

impl Found {
    fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null => Found { kind: "nothing", shown: None },
            Value::Sequence(_) => Found { kind: "a list", shown: None },
            Value::Mapping(_) => Found { kind: "a mapping", shown: None },
            Value::Scalar(scalar) => match scalar.resolve() {
                Plain::Null => Found { kind: "nothing", shown: None },
                Plain::Text => Found { kind: "the text", shown: Some(quote(&scalar.text)) },
                Plain::Bool(_) => Found { kind: "the boolean", shown: Some(scalar.text.to_string()) },
                Plain::Integer(_) | Plain::Float(_) => {
                    Found { kind: "the number", shown: Some(scalar.text.chars().take(MAX_SHOWN).collect()) }
                }
            },
        }
    }

    fn unexpected(unexpected: &Unexpected<'_>) -> Self {
        let (kind, shown) = match unexpected {
            Unexpected::Str(text) => ("the text", Some(quote(text))),
            Unexpected::Char(c) => ("the text", Some(quote(c.encode_utf8(&mut [0; 4])))),
            Unexpected::Bool(value) => ("the boolean", Some(value.to_string())),
            Unexpected::Unsigned(value) => ("the number", Some(value.to_string())),
            Unexpected::Signed(value) => ("the number", Some(value.to_string())),
            Unexpected::Float(value) => ("the number", Some(value.to_string())),
            Unexpected::Unit | Unexpected::Option => ("nothing", None),
            Unexpected::Seq => ("a list", None),
            Unexpected::Map => ("a mapping", None),
            Unexpected::Bytes(_)
            | Unexpected::NewtypeStruct
            | Unexpected::Enum
            | Unexpected::UnitVariant
            | Unexpected::NewtypeVariant
            | Unexpected::TupleVariant
            | Unexpected::StructVariant
            | Unexpected::Other(_) => ("something else", None),
        };
        Found { kind, shown }
    }
}

fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [first, middle @ .., last] => {
            let middle: String = middle.iter().map(|name| format!(", `{name}`")).collect();
            format!("`{first}`{middle} and `{last}`")
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Placed(placed) => placed.error.fmt(f),
            Fault::Open(Complaint::Said { message, .. }) => f.write_str(message),
            Fault::Open(Complaint::Wrong { expected, .. }) => write!(f, "expected {expected}"),
            Fault::Open(Complaint::Missing(key)) => write!(f, "`{key}` is required and not set"),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::said(message)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = Found::unexpected(&unexpected);
        Fault::Open(Complaint::Wrong { expected: expected.to_string(), found, nearest: None })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let found = Found { kind: "the text", shown: Some(quote(variant)) };
        let expected = if known.len() == 1 { list(known) } else { format!("one of {}", list(known)) };
        let nearest = nearest(variant, known.iter().copied());
        Fault::Open(Complaint::Wrong { expected, found, nearest })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::Open(Complaint::Said {
            message: unknown_key(key, known),
            hint: nearest(key, known.iter().copied()).map(meant),
        })
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::Open(Complaint::Missing(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Fault::said(format_args!("`{key}` is given twice, once under another of its names"))
    }
}

/// The sentence for a key that nobody knows.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match known {
        [] => format!("unknown key {}; nothing can be set here", quote(key)),
        [one] => format!("unknown key {}; the known one is `{one}`", quote(key)),
        known => format!("unknown key {}; the known ones are {}", quote(key), list(known)),
    }
}

/// The one of `known` that is written nearly as `text` is: at most a third of it differs.
pub(crate) fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // What is longer than any name is not a name with a slip in it, and takes long to compare.
    let text = Some(text).filter(|text| text.len() <= MAX_COMPARED)?.to_lowercase();
    let most = text.chars().count().div_ceil(3);
    let alike = known.into_iter().take(MAX_NAMES).filter(|name| name.len().abs_diff(text.len()) <= most);
    let distances = alike.map(|name| (strsim::damerau_levenshtein(&text, &name.to_lowercase()), name));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The hint that names it.
pub(crate) fn meant(name: &str) -> String {
    format!("did you mean `{name}`?")
}
