//! Conditions on what is acted on: the settings, and whether they hold.
//!
//! As in the Collector: each setting holds if one of its values matches, all attributes must match, and all settings must
//! hold. A setting about another signal never holds (the Collector refuses it where it knows the signal, which a
//! processor here does not). Regular expressions match anywhere in the text. An attribute that occurs twice counts with
//! its first value. Absent: the matching of values within lists, and the Collector's cache of matches.

use std::fmt::Write;

use tracecore::prelude::*;
use tracecore::signal::edit::{AttributesMut, ItemMut, ItemRef, ScopeMut, Touches};
use tracecore::signal::view::{MetricRef, SpanKind, ValueRef};

use super::matching::{AttributeMatch, LibraryMatch, MatchType, Properties, SeverityMatch};

/// Why conditions make no sense.
#[derive(Debug, thiserror::Error, Classify)]
pub(crate) enum ConditionError {
    /// Nothing is asked.
    #[error("`{0}` asks nothing: name at least one condition beside `match_type`")]
    #[kind(Init)]
    Empty(String),
    /// A text is no regular expression.
    #[error("{at}: `{text}` {reason}")]
    #[kind(Init)]
    Pattern { at: String, text: String, reason: String },
    /// A regular expression is not written as a text.
    #[error("{at}: the value of `{key}` must be a text: it is a regular expression")]
    #[kind(Init)]
    NoText { at: String, key: String },
    /// A span has none of what is asked.
    #[error("{at}: `{setting}` is not about spans")]
    #[kind(Init)]
    NotOfSpans { at: String, setting: &'static str },
    /// A severity that there is not.
    #[error(
        "{at}: `{severity}` is no severity: write 1 to 24, or TRACE, DEBUG, INFO, WARN, ERROR or FATAL, with 2, 3 or 4 behind it or not"
    )]
    #[kind(Init)]
    Severity { at: String, severity: String },
}

/// Conditions, ready to be asked.
#[derive(Debug)]
pub(crate) struct Conditions {
    services: Names,
    resources: Vec<(String, Test)>,
    libraries: Vec<(Names, Option<Names>)>,
    metric_names: Names,
    span_names: Names,
    span_kinds: Names,
    log_bodies: Names,
    log_severity_texts: Names,
    /// The least number, and whether 0 will do.
    log_severity_number: Option<(i32, bool)>,
    attributes: Vec<(String, Test)>,
}

/// Texts of which one must match; none asks nothing.
#[derive(Debug)]
enum Names {
    Strict(Vec<String>),
    Regexp(Vec<Pattern>),
}

/// What is asked of a value.
#[derive(Debug)]
enum Test {
    Present,
    Is(Literal),
    Finds(Pattern),
}

impl Names {
    fn new(at: &str, match_type: MatchType, names: Vec<String>) -> Result<Names, ConditionError> {
        match match_type {
            MatchType::Strict => Ok(Names::Strict(names)),
            MatchType::Regexp => {
                names.iter().map(|name| pattern(at, name)).collect::<Result<_, _>>().map(Names::Regexp)
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Names::Strict(names) => names.is_empty(),
            Names::Regexp(patterns) => patterns.is_empty(),
        }
    }

    fn match_any(&self, text: &str) -> bool {
        match self {
            Names::Strict(names) => names.iter().any(|name| name == text),
            Names::Regexp(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }

    fn allow(&self, text: &str) -> bool {
        self.is_empty() || self.match_any(text)
    }
}

fn pattern(at: &str, text: &str) -> Result<Pattern, ConditionError> {
    text.parse().map_err(|error: tracecore::config::PatternError| ConditionError::Pattern {
        at: at.to_owned(),
        text: text.to_owned(),
        reason: error.to_string(),
    })
}

impl Test {
    fn new(at: &str, match_type: MatchType, wanted: AttributeMatch) -> Result<(String, Test), ConditionError> {
        let AttributeMatch { key, value } = wanted;
        let test = match (value, match_type) {
            (None, _) => Test::Present,
            (Some(value), MatchType::Strict) => Test::Is(value),
            (Some(Literal::Text(text)), MatchType::Regexp) => Test::Finds(pattern(at, &text)?),
            (Some(_), MatchType::Regexp) => return Err(ConditionError::NoText { at: at.to_owned(), key }),
        };
        Ok((key, test))
    }

    /// `text` is room for a number or a boolean as a text, which is what a regular expression sees of it.
    fn holds(&self, value: ValueRef<'_>, text: &mut String) -> bool {
        match (self, value) {
            (Test::Present, _) => true,
            (Test::Is(literal), value) => literal.is(value),
            (Test::Finds(pattern), ValueRef::Str(value)) => pattern.is_match(value),
            (Test::Finds(pattern), ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Double(_)) => {
                text.clear();
                // Writing to a string cannot fail.
                let _ = write!(text, "{value}");
                pattern.is_match(text)
            }
            (Test::Finds(_), _) => false,
        }
    }
}

impl Conditions {
    /// The conditions of a setting with this name.
    ///
    /// # Errors
    /// If nothing is asked, or what is asked cannot be.
    pub(crate) fn new(at: &str, properties: Properties) -> Result<Conditions, ConditionError> {
        let match_type = properties.match_type;
        let names = |names| Names::new(at, match_type, names);
        let tests = |wanted: Vec<AttributeMatch>| -> Result<Vec<_>, _> {
            wanted.into_iter().map(|wanted| Test::new(at, match_type, wanted)).collect()
        };
        let libraries = properties.libraries.into_iter().map(|LibraryMatch { name, version }| {
            Ok((names(vec![name])?, version.map(|version| names(vec![version])).transpose()?))
        });
        let severity = properties.log_severity_number.map(|SeverityMatch { min, match_undefined }| {
            let number = severity_number(&min);
            number
                .map(|min| (min, match_undefined))
                .ok_or_else(|| ConditionError::Severity { at: at.to_owned(), severity: min.to_string() })
        });
        let conditions = Conditions {
            libraries: libraries.collect::<Result<_, ConditionError>>()?,
            services: names(properties.services)?,
            resources: tests(properties.resources)?,
            metric_names: names(properties.metric_names)?,
            span_names: names(properties.span_names)?,
            span_kinds: names(properties.span_kinds)?,
            log_bodies: names(properties.log_bodies)?,
            log_severity_texts: names(properties.log_severity_texts)?,
            log_severity_number: severity.transpose()?,
            attributes: tests(properties.attributes)?,
        };
        let asks = conditions.ask_of_resources()
            || !conditions.libraries.is_empty()
            || !conditions.metric_names.is_empty()
            || conditions.ask_of_items();
        if asks { Ok(conditions) } else { Err(ConditionError::Empty(at.to_owned())) }
    }

    fn ask_of_resources(&self) -> bool {
        !self.services.is_empty() || !self.resources.is_empty()
    }

    /// Whether something is asked that only the item itself answers.
    fn ask_of_items(&self) -> bool {
        let names = [&self.span_names, &self.span_kinds, &self.log_bodies, &self.log_severity_texts];
        names.iter().any(|names| !names.is_empty()) || self.log_severity_number.is_some() || !self.attributes.is_empty()
    }

    fn hold_of_resource(&self, attributes: &mut AttributesMut<'_>, text: &mut String) -> bool {
        let service = |attributes: &mut AttributesMut<'_>| match attributes.get("service.name") {
            Some(ValueRef::Str(name)) => self.services.match_any(name),
            _ => false,
        };
        (self.services.is_empty() || service(attributes)) && all_hold(&self.resources, attributes, text)
    }

    fn hold_of_scope(&self, scope: &ScopeMut<'_>) -> bool {
        if self.libraries.is_empty() {
            return true;
        }
        let scope = scope.view();
        let is_it = |(name, version): &(Names, Option<Names>)| {
            name.match_any(scope.name) && version.as_ref().is_none_or(|version| version.match_any(scope.version))
        };
        self.libraries.iter().any(is_it)
    }

    fn hold_of_item(&self, item: &mut ItemMut<'_>, text: &mut String) -> bool {
        let of_span = !self.span_names.is_empty() || !self.span_kinds.is_empty();
        let of_log =
            !self.log_bodies.is_empty() || !self.log_severity_texts.is_empty() || self.log_severity_number.is_some();
        // To see more of an item than its attributes takes a while.
        let holds = !(of_span || of_log)
            || match item.view() {
                ItemRef::Span(span) => {
                    !of_log && self.span_names.allow(span.name) && self.span_kinds.allow(kind_name(span.kind))
                }
                ItemRef::LogRecord(log) => {
                    let severe =
                        self.log_severity_number.is_none_or(|(min, match_undefined)| match log.severity_number {
                            0 => match_undefined,
                            number => number >= min,
                        });
                    !of_span
                        && severe
                        && self.log_severity_texts.allow(log.severity_text)
                        && (self.log_bodies.is_empty()
                            || log.body.as_str().is_some_and(|body| self.log_bodies.match_any(body)))
                }
                _ => false,
            };
        holds && all_hold(&self.attributes, &mut item.attributes, text)
    }
}

fn all_hold(tests: &[(String, Test)], attributes: &mut AttributesMut<'_>, text: &mut String) -> bool {
    tests.iter().all(|(key, test)| attributes.get(key).is_some_and(|value| test.holds(value, text)))
}

/// Conditions while a batch passes by: what was found of the resource, the scope and the metric at hand.
pub(crate) struct Asking<'a> {
    conditions: &'a Conditions,
    resource: bool,
    scope: bool,
    metric: bool,
    text: String,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(conditions: &'a Conditions) -> Self {
        // What is not shown is not asked about; a metric is not there in another signal.
        let metric = conditions.metric_names.is_empty();
        Asking { conditions, resource: true, scope: true, metric, text: String::new() }
    }

    pub(crate) fn resource(&mut self, attributes: &mut AttributesMut<'_>) {
        self.resource = self.conditions.hold_of_resource(attributes, &mut self.text);
    }

    pub(crate) fn scope(&mut self, scope: &ScopeMut<'_>) {
        self.scope = self.conditions.hold_of_scope(scope);
    }

    pub(crate) fn metric(&mut self, metric: &MetricRef<'_>) {
        self.metric = self.conditions.metric_names.allow(metric.name);
    }

    /// Whether all conditions hold of an item.
    pub(crate) fn item(&mut self, item: &mut ItemMut<'_>) -> bool {
        self.around() && self.conditions.hold_of_item(item, &mut self.text)
    }

    /// What is known of all items of the message at hand, of which the resource, the scope or the metric was just shown.
    pub(crate) fn so_far(&self, shown: Shown) -> Option<bool> {
        let Asking { conditions, resource, scope, .. } = self;
        let (holds, is_all) = match shown {
            Shown::Resource => (*resource, conditions.libraries.is_empty() && conditions.metric_names.is_empty()),
            Shown::Scope => (*resource && *scope, conditions.metric_names.is_empty()),
            Shown::Metric => (self.around(), true),
        };
        match holds {
            false => Some(false),
            true => (is_all && !conditions.ask_of_items()).then_some(true),
        }
    }

    fn around(&self) -> bool {
        self.resource && self.scope && self.metric
    }

    /// What must be shown.
    pub(crate) fn touches(&self) -> Touches {
        Touches {
            resources: self.conditions.ask_of_resources(),
            scopes: !self.conditions.libraries.is_empty(),
            metrics: !self.conditions.metric_names.is_empty(),
            items: self.conditions.ask_of_items(),
        }
    }
}

/// What was shown last.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    Resource,
    Scope,
    Metric,
}

/// The name of a kind of span, as OTLP has it.
fn kind_name(kind: SpanKind) -> &'static str {
    kind.as_str_name()
}

/// The number of a severity that is written as a number or a name.
fn severity_number(written: &Literal) -> Option<i32> {
    const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let text = match written {
        Literal::Int(number) => return i32::try_from(*number).ok().filter(|number| (1..=24).contains(number)),
        Literal::Text(text) => text.to_ascii_uppercase(),
        Literal::Bool(_) | Literal::Double(_) => return None,
    };
    let numbered = NAMES.iter().zip((1..).step_by(4)).find_map(|(name, first)| {
        Some(match text.strip_prefix(name)? {
            "" => first,
            "2" => first + 1,
            "3" => first + 2,
            "4" => first + 3,
            _ => return None,
        })
    });
    numbered.or_else(|| text.parse().ok().filter(|number| (1..=24).contains(number)))
}
