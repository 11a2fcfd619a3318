//! Metrics as text that Prometheus reads: one family type, one encoder, two formats.
//!
//! The formats are the Prometheus text format 0.0.4 and OpenMetrics 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). A [`Family`] borrows everything, so that encoding
//! thousands of series allocates nothing per series; who owns the data is the caller's affair.
//!
//! Invariant: what [`Encoder`] writes can be parsed. A family or a series that could not be (an invalid name, a family
//! named twice, buckets out of order) is left out and counted, so that one bad name does not cost the whole scrape.
//! Two things are the caller's to keep: no label twice in one series, and no series twice in one family.
//!
//! Deliberately absent: exemplars, `_created` series, native histograms, state sets, and names in UTF-8.

mod encode;
mod from_prometheus;
mod labels;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use encode::Encoder;
pub use from_prometheus::from_prometheus;
pub use labels::{LabelWriter, Labels, PreparedLabels};

use crate::net::media::Accepted;

/// Writes a whole exposition, and says how many series had to be left out.
pub fn encode<'a>(families: impl IntoIterator<Item = &'a Family<'a>>, format: Format, out: &mut String) -> usize {
    let mut encoder = Encoder::new(format, out);
    for family in families {
        encoder.family(family);
    }
    encoder.finish()
}

/// The two forms of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4: what everything understands.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
}

impl Format {
    /// The form that an `Accept` header asks for. OpenMetrics must be named, in a version that we speak, with a higher
    /// quality than plain text has; a malformed header gets text.
    pub fn negotiate(accept: &str) -> Format {
        let Some(accepted) = Accepted::parse(accept) else { return Format::Text };
        let ours = |version: Option<&str>| matches!(version, None | Some("1.0.0" | "0.0.1"));
        let open_metrics = accepted.quality_by_name("application", "openmetrics-text", ours);
        if open_metrics > accepted.quality("text", "plain") { Format::OpenMetrics } else { Format::Text }
    }

    /// The `Content-Type` of the form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All series of one name.
#[derive(Debug)]
pub struct Family<'a> {
    /// The name. A counter's may end in `_total` and an info's in `_info`, or not: each format gets its own rule.
    pub name: &'a str,
    /// What it measures, for people. May be empty.
    pub help: &'a str,
    /// The unit as Prometheus spells it (`seconds`, `bytes`). Shown in OpenMetrics where the name ends in it.
    pub unit: Option<&'a str>,
    /// The series.
    pub series: Series<'a>,
}

/// The series of a family, by its type.
#[derive(Debug)]
pub enum Series<'a> {
    /// Only grows, until it starts again at zero.
    Counter(Vec<Sample<'a, Number>>),
    /// Goes up and down.
    Gauge(Vec<Sample<'a, Number>>),
    /// A distribution in buckets.
    Histogram(Vec<Sample<'a, Histogram<'a>>>),
    /// A distribution in quantiles.
    Summary(Vec<Sample<'a, Summary<'a>>>),
    /// Facts that do not change while the process lives, such as a version, in labels; the value is 1.
    Info(Vec<Sample<'a, ()>>),
    /// Nobody said what it is.
    Unknown(Vec<Sample<'a, Number>>),
}

/// One series at one moment.
#[derive(Debug)]
pub struct Sample<'a, V> {
    /// The labels, without those that the type adds (`le`, `quantile`).
    pub labels: &'a dyn Labels,
    /// The value.
    pub value: V,
    /// When it was measured, in milliseconds since the Unix epoch. `None`, which is the rule, means now.
    pub timestamp_ms: Option<i64>,
}

impl<'a, V> Sample<'a, V> {
    /// A sample of now.
    pub fn new(labels: &'a dyn Labels, value: V) -> Self {
        Sample { labels, value, timestamp_ms: None }
    }
}

/// A value. Integers keep their digits beyond the 2^53 that a float can count to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Any number; NaN and the infinities too.
    Float(f64),
}

/// A distribution in cumulative buckets.
#[derive(Clone, Debug)]
pub struct Histogram<'a> {
    /// In strictly ascending order of bounds. The bucket up to +Inf may be left out.
    pub buckets: Cow<'a, [Bucket]>,
    /// The sum of all observations; `None`, as where some are negative, leaves its line out.
    pub sum: Option<f64>,
    /// The number of all observations; the bucket up to +Inf has this count.
    pub count: u64,
}

/// How many observations are at most this large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The inclusive upper bound.
    pub upper_bound: f64,
    /// Observations in this and all lower buckets.
    pub cumulative_count: u64,
}

/// A distribution in quantiles.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// Quantile (0 to 1) and the value there.
    pub quantiles: Cow<'a, [(f64, f64)]>,
    /// The sum of all observations.
    pub sum: f64,
    /// The number of all observations.
    pub count: u64,
}
