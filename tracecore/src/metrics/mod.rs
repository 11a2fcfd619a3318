//! What a component measures.
//!
//! A [`MetricSet`] is declared once, with `#[derive(MetricSet)]`, and serves one of two ends: [`data`] is what the
//! component measures and sends through its pipelines; [`health`] is its own health, on the collector's `/metrics`. The
//! ends are two families of types, so that a set for one cannot be used for the other. Names, units, help and keys are
//! constants: the documentation and the encoders read the same [`Metric`] that the compiler checked.

pub mod data;
mod encode;
pub mod health;
mod label;
mod summary;

pub use encode::Encoder;
pub use label::{Closed, ClosedLabel, ClosedSet, Label, MAX_SERIES, Name, Named, NamedLabel, Slots};

/// Everything about a metric that is known before it has a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// How it is called.
    pub name: MetricName,
    /// The unit, in UCUM.
    pub unit: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// What may be done with its values.
    pub kind: Kind,
    /// The attribute keys of each of its labels.
    pub keys: &'static [&'static [&'static str]],
    /// The upper bounds of a histogram's buckets, rising and finite.
    pub buckets: &'static [f64],
    /// The quantiles that a summary shows, rising and from 0 to 1.
    pub quantiles: &'static [f64],
}

/// The name of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricName {
    /// `#[name("system.disk.io")]`: used as it is.
    Full(&'static str),
    /// A field without a name: the component's name and a dot go before it.
    Field(&'static str),
}

impl MetricName {
    /// The name that a metric of `component` bears.
    pub fn of(self, component: &str) -> String {
        match self {
            MetricName::Full(name) => name.to_owned(),
            MetricName::Field(field) => format!("{component}.{field}"),
        }
    }
}

/// What may be done with the values of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A total that only rises.
    Counter,
    /// A total that rises and falls.
    UpDownCounter,
    /// A value that stands for itself.
    Gauge,
    /// A distribution.
    Histogram,
    /// A distribution, as its quantiles.
    Summary,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::UpDownCounter => "up-down counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }

    /// The quantiles that a metric of this kind shows unless `#[quantiles(…)]` says otherwise.
    pub const fn default_quantiles(self) -> &'static [f64] {
        match self {
            Kind::Summary => &summary::DEFAULT_QUANTILES,
            Kind::Counter | Kind::UpDownCounter | Kind::Gauge | Kind::Histogram => &[],
        }
    }
}

/// One of the two ends that a set of metrics can serve.
pub trait End: 'static {
    /// What an instrument is made from.
    type Maker;
    /// What walks over the instruments of a set.
    type Visitor;
    /// Whether it can show quantiles.
    const HAS_SUMMARIES: bool;
}

/// One instrument of a set: the type of a field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an instrument",
    label = "expected `Counter`, `UpDownCounter`, `Gauge`, `Histogram` or `Summary`",
    note = "a set inside a set is marked with `#[metrics]`"
)]
pub trait Instrument: Sized {
    /// The end it serves.
    type End: End;
    /// What may be done with its values.
    const KIND: Kind;
    /// How many series it can have: the product of the capacities of its labels.
    const SERIES: usize;
    /// The attribute keys of each of its labels.
    const KEYS: &'static [&'static [&'static str]];
    /// Whether its end can show what it measures. The derive asserts it at compile time.
    const FITS_ITS_END: bool = <Self::End as End>::HAS_SUMMARIES || !matches!(Self::KIND, Kind::Summary);

    /// The instrument of this metric.
    fn make(metric: &'static Metric, maker: &<Self::End as End>::Maker) -> Self;

    /// Shows the instrument's values to the visitor.
    fn visit(&mut self, metric: &'static Metric, visitor: &mut <Self::End as End>::Visitor);

    /// Forgets the series that had no value since the last sweep.
    fn sweep(&mut self);
}

/// A set of metrics. Derive it: `#[derive(MetricSet)]`.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a set of metrics", note = "add `#[derive(MetricSet)]` to it")]
pub trait MetricSet: Sized + Send + Sync + 'static {
    /// The end it serves: that of all its instruments.
    type End: End;

    /// Calls `metric` with each metric of the set.
    fn describe(metric: &mut dyn FnMut(&'static Metric));

    /// The set, with no value yet.
    fn make(maker: &<Self::End as End>::Maker) -> Self;

    /// Shows the values of all instruments to the visitor.
    fn visit(&mut self, visitor: &mut <Self::End as End>::Visitor);

    /// Forgets the series that had no value since the last sweep, so that a vanished device leaves the data and frees
    /// its slot.
    fn sweep(&mut self);
}

/// Whether bucket bounds are finite and rise. The derive asserts it at compile time.
pub const fn buckets_rise(buckets: &[f64]) -> bool {
    let mut index = 0;
    while index < buckets.len() {
        if !buckets[index].is_finite() || (index > 0 && buckets[index - 1] >= buckets[index]) {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether quantiles rise and lie from 0 to 1. The derive asserts it at compile time.
pub const fn quantiles_rise(quantiles: &[f64]) -> bool {
    match quantiles {
        [] => true,
        [first, ..] => buckets_rise(quantiles) && *first >= 0.0 && quantiles[quantiles.len() - 1] <= 1.0,
    }
}
