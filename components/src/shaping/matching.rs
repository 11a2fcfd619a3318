//! The settings of conditions on what is acted on, with the Collector's names.

use tracecore::prelude::*;

/// How names and values are compared.
#[config]
#[derive(Copy, PartialEq, Eq)]
pub(crate) enum MatchType {
    /// They are equal.
    Strict,
    /// A regular expression finds something in them.
    Regexp,
}

/// An attribute that something must have.
#[config]
pub(crate) struct AttributeMatch {
    /// Its key.
    pub(crate) key: String,
    /// Its value. Without one, any value will do.
    pub(crate) value: Option<Literal>,
}

/// A scope that something must have come from.
#[config]
pub(crate) struct LibraryMatch {
    /// Its name.
    pub(crate) name: String,
    /// Its version. Without one, any version will do.
    pub(crate) version: Option<String>,
}

/// Which log records are severe enough.
#[config]
pub(crate) struct SeverityMatch {
    /// The least severity: 1 to 24, or a name such as `WARN` or `ERROR2`.
    pub(crate) min: Literal,
    /// Whether a record without severity is severe enough.
    #[default(false)]
    pub(crate) match_undefined: bool,
}

/// What an item is like: all that is named must hold. What is about another signal than the item's never holds.
#[config]
pub(crate) struct Properties {
    /// How names and values are compared.
    pub(crate) match_type: MatchType,
    /// One of these is the `service.name` of the resource.
    #[default]
    pub(crate) services: Vec<String>,
    /// Attributes that the resource has, all of them.
    #[default]
    pub(crate) resources: Vec<AttributeMatch>,
    /// One of these is the scope.
    #[default]
    pub(crate) libraries: Vec<LibraryMatch>,
    /// One of these is the name of the data point's metric.
    #[default]
    pub(crate) metric_names: Vec<String>,
    /// One of these is the span's name.
    #[default]
    pub(crate) span_names: Vec<String>,
    /// One of these is the span's kind, such as `SPAN_KIND_SERVER`.
    #[default]
    pub(crate) span_kinds: Vec<String>,
    /// One of these is the body of the log record, which is a text.
    #[default]
    pub(crate) log_bodies: Vec<String>,
    /// One of these is the severity of the log record as its source words it.
    #[default]
    pub(crate) log_severity_texts: Vec<String>,
    /// How severe the log record is.
    pub(crate) log_severity_number: Option<SeverityMatch>,
    /// Attributes that the item has, all of them.
    #[default]
    pub(crate) attributes: Vec<AttributeMatch>,
}

impl Properties {
    /// That ask nothing.
    pub(crate) fn new(match_type: MatchType) -> Self {
        Properties {
            match_type,
            services: Vec::new(),
            resources: Vec::new(),
            libraries: Vec::new(),
            metric_names: Vec::new(),
            span_names: Vec::new(),
            span_kinds: Vec::new(),
            log_bodies: Vec::new(),
            log_severity_texts: Vec::new(),
            log_severity_number: None,
            attributes: Vec::new(),
        }
    }

    /// A setting that is not about spans, if one is written.
    pub(crate) fn beside_spans(&self) -> Option<&'static str> {
        let written = [
            ("metric_names", !self.metric_names.is_empty()),
            ("log_bodies", !self.log_bodies.is_empty()),
            ("log_severity_texts", !self.log_severity_texts.is_empty()),
            ("log_severity_number", self.log_severity_number.is_some()),
        ];
        written.iter().find(|(_, written)| *written).map(|(setting, _)| *setting)
    }
}
