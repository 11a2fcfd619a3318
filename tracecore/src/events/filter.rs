//! Which events a subscriber wants.

use std::fmt;
use std::str::FromStr;

use super::kinds::{Event, Value, bit_of};
use super::meta::Occurrence;

/// Names of events: one (`breaker.state_changed`), a group (`breaker.*`) or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Names);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    /// The word of the group, with its dot.
    Group(String),
    One(&'static str),
}

/// A pattern that no event matches, and never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no event `{pattern}`: {}", self.known())]
pub struct UnknownEvent {
    /// As it was written.
    pub pattern: String,
}

impl UnknownEvent {
    /// The events that whoever wrote this may have meant. It does not repeat what was written.
    pub(crate) fn known(&self) -> String {
        let word = self.pattern.split_once('.').map_or(self.pattern.as_str(), |(word, _)| word);
        let of_group: Vec<&str> = Event::NAMES
            .iter()
            .copied()
            .filter(|name| name.split_once('.').is_some_and(|(group, _)| group == word))
            .collect();
        if !of_group.is_empty() {
            return format!("of this group there are {}", of_group.join(", "));
        }
        let mut groups: Vec<&str> =
            Event::NAMES.iter().filter_map(|name| name.split_once('.')).map(|(group, _)| group).collect();
        groups.dedup();
        format!("write `*`, a name, or one of the groups {}.*", groups.join(".*, "))
    }
}

impl Pattern {
    /// Every event.
    pub const ALL: Pattern = Pattern(Names::All);

    /// Whether an event of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Names::All => true,
            Names::Group(prefix) => name.starts_with(prefix.as_str()),
            Names::One(one) => *one == name,
        }
    }

    /// The bits of the groups that it can match.
    fn bits(&self) -> u32 {
        match &self.0 {
            Names::All => u32::MAX,
            Names::Group(prefix) => bit_of(prefix),
            Names::One(one) => bit_of(one),
        }
    }
}

impl FromStr for Pattern {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        if text == "*" {
            return Ok(Pattern::ALL);
        }
        let unknown = || UnknownEvent { pattern: text.to_owned() };
        if let Some(prefix) = text.strip_suffix('*') {
            let is_group = prefix.ends_with('.') && Event::NAMES.iter().any(|name| name.starts_with(prefix));
            return if is_group { Ok(Pattern(Names::Group(prefix.to_owned()))) } else { Err(unknown()) };
        }
        Event::NAMES.iter().find(|name| **name == text).map(|name| Pattern(Names::One(name))).ok_or_else(unknown)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Names::All => f.write_str("*"),
            Names::Group(prefix) => write!(f, "{prefix}*"),
            Names::One(one) => f.write_str(one),
        }
    }
}

/// Which events a subscriber wants: those of any of its patterns that have all of its fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    patterns: Vec<Pattern>,
    fields: Vec<(String, String)>,
}

impl Filter {
    /// Every event.
    pub fn all() -> Self {
        Filter { patterns: vec![Pattern::ALL], fields: Vec::new() }
    }

    /// The events of this pattern.
    ///
    /// # Errors
    /// When no event has such a name.
    pub fn named(pattern: &str) -> Result<Self, UnknownEvent> {
        Ok(Filter { patterns: vec![pattern.parse()?], fields: Vec::new() })
    }

    /// The events of any of these patterns.
    pub fn any_of(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        Filter { patterns: patterns.into_iter().collect(), fields: Vec::new() }
    }

    /// Of those, the ones in which the field `name` has the value that is written so. `component` and `correlation_id`
    /// are fields of every event that has them.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.fields.push((name.into(), value.to_string()));
        self
    }

    /// Whether the event is wanted.
    pub fn accepts(&self, occurrence: &Occurrence) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(occurrence.name()))
            && self.fields.iter().all(|(name, value)| has(occurrence, name, value))
    }

    /// The bits of the groups that it can accept.
    pub(super) fn bits(&self) -> u32 {
        self.patterns.iter().fold(0, |bits, pattern| bits | pattern.bits())
    }
}

fn has(occurrence: &Occurrence, name: &str, wanted: &str) -> bool {
    match name {
        "component" => occurrence.component() == wanted,
        "correlation_id" => occurrence.meta.correlation.is_some_and(|id| id.to_string() == wanted),
        _ => {
            let mut found = false;
            occurrence.event.visit(&mut |field, value| {
                found |= field == name
                    && match value {
                        Value::Word(word) => word == wanted,
                        Value::Number(number) => wanted.parse() == Ok(number),
                        Value::Flag(flag) => wanted.parse() == Ok(flag),
                    };
            });
            found
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<String> = self.patterns.iter().map(Pattern::to_string).collect();
        f.write_str(&patterns.join(" | "))?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
