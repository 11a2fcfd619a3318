//! What a family is, and how many series it can have: computed from the sets behind its labels, never typed.
//!
//! Deliberately absent: a label whose values have no bound.

use super::TelemetryError;
use super::level::Level;
use crate::metrics::{Kind, buckets_rise};

/// Components of one role, or pipelines, that have series of their own: a node runs tens, a gateway hundreds.
pub(super) const MAX_COMPONENTS: usize = 1024;

/// What a family is, declared once as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<const N: usize> {
    /// The OpenTelemetry name: lower case, dots between the words, `_total` at the end of a counter's. It begins with
    /// `tracecore.`, or is one that the client libraries of Prometheus have agreed upon.
    pub(crate) name: &'static str,
    /// One sentence, shown as HELP.
    pub(crate) help: &'static str,
    /// The unit in UCUM.
    pub(crate) unit: &'static str,
    /// Its labels.
    pub(crate) labels: [LabelKey; N],
    /// The lowest level that shows it.
    pub(crate) level: Level,
    /// The first release that had it.
    pub(crate) since: &'static str,
}

/// A label: its key, and where its values come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LabelKey {
    pub(crate) key: &'static str,
    pub(crate) values: Values,
}

/// Where the values of a label come from, which bounds their number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Values {
    /// A closed set.
    Closed(&'static [&'static str]),
    /// A closed set of which the other labels leave one value: it adds no series.
    Follows(&'static [&'static str]),
    /// The ids of the components of all roles.
    Components,
    /// The ids of receivers.
    Receivers,
    /// The ids of processors.
    Processors,
    /// The ids of exporters.
    Exporters,
    /// The ids of pipelines.
    Pipelines,
    /// One value for the life of the process.
    Process,
    /// What a component declares for its own health, bounded by its own declaration.
    Declared,
}

/// How many of each a service has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) receivers: usize,
    pub(super) processors: usize,
    pub(super) exporters: usize,
    pub(super) pipelines: usize,
}

impl Size {
    /// The most that have series of their own.
    pub(super) const MOST: Size = Size {
        receivers: MAX_COMPONENTS,
        processors: MAX_COMPONENTS,
        exporters: MAX_COMPONENTS,
        pipelines: MAX_COMPONENTS,
    };

    /// The most series that labels can make in a service of this size.
    pub(super) fn series(&self, labels: &[LabelKey]) -> usize {
        labels.iter().map(|label| self.values(label.values)).product()
    }

    fn values(&self, values: Values) -> usize {
        match values {
            Values::Closed(words) => words.len(),
            Values::Components => self.receivers + self.processors + self.exporters,
            Values::Receivers => self.receivers,
            Values::Processors => self.processors,
            Values::Exporters => self.exporters,
            Values::Pipelines => self.pipelines,
            Values::Follows(_) | Values::Process | Values::Declared => 1,
        }
    }
}

/// What must be the same for two requests to mean one family.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: Vec<LabelKey>,
    /// The upper edges of a histogram's buckets.
    pub(super) buckets: &'static [f64],
    pub(super) level: Level,
    /// Empty for what a component declares: its own documentation says it.
    pub(super) since: &'static str,
}

impl<const N: usize> Spec<N> {
    pub(super) fn declared(&self, kind: Kind, buckets: &'static [f64]) -> Declared {
        let Spec { name, help, unit, labels, level, since } = *self;
        Declared { name, help, unit, kind, labels: labels.to_vec(), buckets, level, since }
    }
}

/// The SDK would answer what it dislikes with silence.
pub(super) fn check(declared: &Declared) -> Result<(), TelemetryError> {
    let name = declared.name;
    if !is_name(name) {
        return Err(TelemetryError::Name { name });
    }
    if let Some(label) = declared.labels.iter().find(|label| !is_label_key(label.key)) {
        return Err(TelemetryError::LabelKey { name, key: label.key });
    }
    if !is_unit(declared.unit) {
        return Err(TelemetryError::Unit { name, unit: declared.unit });
    }
    if !buckets_rise(declared.buckets) {
        return Err(TelemetryError::Buckets { name });
    }
    Ok(())
}

/// `[a-z][a-z0-9_.]*`, at most as long as the SDK takes.
fn is_name(name: &str) -> bool {
    const MAX_LEN: usize = 255;
    name.len() <= MAX_LEN
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, or such words with dots between them, which are shown as underscores.
fn is_label_key(key: &str) -> bool {
    key.split('.').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// What the SDK takes for a unit.
fn is_unit(unit: &str) -> bool {
    const MAX_LEN: usize = 63;
    unit.len() <= MAX_LEN && unit.is_ascii()
}
