//! The labels of a series: given one by one at each scrape, or prepared once.

use std::fmt::Debug;
use std::sync::Arc;

use super::encode::escape;

/// What a histogram adds to its buckets, and a summary to its quantiles.
const ADDED: [&str; 2] = ["le", "quantile"];

/// The labels of a series, in whatever form their owner keeps them.
pub trait Labels: Debug {
    /// Gives the labels to `writer`, in the order in which they are to be written.
    fn write(&self, writer: &mut LabelWriter<'_>);
}

impl<K: AsRef<str> + Debug, V: AsRef<str> + Debug> Labels for Vec<(K, V)> {
    fn write(&self, writer: &mut LabelWriter<'_>) {
        for (name, value) in self {
            writer.label(name.as_ref(), value.as_ref());
        }
    }
}

impl<K: AsRef<str> + Debug, V: AsRef<str> + Debug, const N: usize> Labels for [(K, V); N] {
    fn write(&self, writer: &mut LabelWriter<'_>) {
        for (name, value) in self {
            writer.label(name.as_ref(), value.as_ref());
        }
    }
}

/// No labels.
impl Labels for () {
    fn write(&self, _: &mut LabelWriter<'_>) {}
}

/// Takes labels: checks their names and escapes their values.
#[derive(Debug)]
pub struct LabelWriter<'t> {
    text: &'t mut String,
    names: Names,
}

/// What the names of some labels allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Names {
    invalid: bool,
    /// Which of [`ADDED`] are among them.
    added: [bool; ADDED.len()],
}

impl<'t> LabelWriter<'t> {
    /// Writes at the end of `text`, which is empty.
    pub(super) fn new(text: &'t mut String) -> Self {
        LabelWriter { text, names: Names::default() }
    }

    /// Takes one label.
    pub fn label(&mut self, name: &str, value: &str) {
        self.names.invalid |= !is_label_name(name);
        for (found, added) in self.names.added.iter_mut().zip(ADDED) {
            *found |= name == added;
        }
        self.separate();
        self.text.push_str(name);
        self.text.push_str("=\"");
        escape(self.text, value, true);
        self.text.push('"');
    }

    /// Takes labels that were prepared, which copies them.
    pub fn prepared(&mut self, labels: &PreparedLabels) {
        for (found, added) in self.names.added.iter_mut().zip(labels.names.added) {
            *found |= added;
        }
        if !labels.text.is_empty() {
            self.separate();
            self.text.push_str(&labels.text);
        }
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }
}

impl Names {
    /// Whether a series with these names can be written, where its type adds a label of its own.
    pub(super) fn allow(self, adds: Option<&str>) -> bool {
        let twice = ADDED.iter().zip(self.added).any(|(added, found)| found && adds == Some(added));
        !self.invalid && !twice
    }
}

/// Labels that were checked and escaped once, for a series that is written again and again. Cheap to clone; equal
/// when they are written alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreparedLabels {
    text: Arc<str>,
    names: Names,
}

impl PreparedLabels {
    /// Checks and escapes `labels`; `None` if a name among them is invalid.
    pub fn new(labels: &dyn Labels) -> Option<Self> {
        let mut text = String::new();
        let mut writer = LabelWriter::new(&mut text);
        labels.write(&mut writer);
        let names = writer.names();
        (!names.invalid).then(|| PreparedLabels { text: text.into(), names })
    }

    /// Whether a histogram can have them: `le` is not among them.
    pub fn suit_histogram(&self) -> bool {
        self.names.allow(Some("le"))
    }

    /// Whether a summary can have them: `quantile` is not among them.
    pub fn suit_summary(&self) -> bool {
        self.names.allow(Some("quantile"))
    }
}

impl Labels for PreparedLabels {
    fn write(&self, writer: &mut LabelWriter<'_>) {
        writer.prepared(self);
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, without `__name__`, which is the name of the metric.
fn is_label_name(name: &str) -> bool {
    name != "__name__" && super::encode::is_name(name, |_| false)
}
