//! The encoder of both formats.

use std::collections::HashSet;
use std::fmt::{self, Display, Write};
use std::ops::Range;

use super::labels::LabelWriter;
use super::{Bucket, Family, Format, Histogram, Labels, Number, Series, Summary};

/// Magnitudes that are written without an exponent: readers parse either, people count no zeros.
const PLAIN_VALUES: Range<f64> = 1e-5..1e17;

/// The same for bounds and quantiles, as decimal exponents. These are labels, compared as text, so they have the
/// canonical form of OpenMetrics, which is that of Go's `%g`.
const PLAIN_BOUNDS: Range<i32> = -4..6;

/// Writes an exposition, family by family.
#[derive(Debug)]
pub struct Encoder<'o> {
    format: Format,
    out: &'o mut String,
    /// The families written, by the name in their `# TYPE` line.
    written: HashSet<String>,
    /// The labels of the series at hand, escaped once and used for each of its lines.
    labels: String,
    omitted: usize,
}

impl<'o> Encoder<'o> {
    /// Starts an exposition at the end of `out`.
    pub fn new(format: Format, out: &'o mut String) -> Self {
        Encoder { format, out, written: HashSet::new(), labels: String::new(), omitted: 0 }
    }

    /// Writes one family, without what could not be read back.
    pub fn family(&mut self, family: &Family<'_>) {
        let name = Name::of(family, self.format);
        let described = name.described();
        if !is_metric_name(name.base) || self.written.contains(&described) {
            self.omitted += family.series.len();
            return;
        }
        self.describe(&described, family);
        self.written.insert(described);
        match &family.series {
            Series::Counter(samples) | Series::Gauge(samples) | Series::Unknown(samples) => {
                for sample in samples {
                    if self.begin(sample.labels, None) {
                        self.line(name, "", None, sample.value, sample.timestamp_ms);
                    }
                }
            }
            Series::Info(samples) => {
                for sample in samples {
                    if self.begin(sample.labels, None) {
                        self.line(name, "", None, 1, sample.timestamp_ms);
                    }
                }
            }
            Series::Histogram(samples) => {
                for sample in samples {
                    if self.begin(sample.labels, Some("le")) {
                        self.histogram(name, &sample.value, sample.timestamp_ms);
                    }
                }
            }
            Series::Summary(samples) => {
                for sample in samples {
                    if self.begin(sample.labels, Some("quantile")) {
                        self.summary(name, &sample.value, sample.timestamp_ms);
                    }
                }
            }
        }
    }

    /// Ends the exposition, and says how many series were left out.
    #[must_use = "a series left out is to be counted"]
    pub fn finish(self) -> usize {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.omitted
    }

    /// Writes the lines that describe a family.
    fn describe(&mut self, name: &str, family: &Family<'_>) {
        let open_metrics = self.format == Format::OpenMetrics;
        let kind = match &family.series {
            Series::Counter(_) => "counter",
            Series::Gauge(_) => "gauge",
            Series::Histogram(_) => "histogram",
            Series::Summary(_) => "summary",
            Series::Info(_) if open_metrics => "info",
            Series::Info(_) => "gauge",
            Series::Unknown(_) if open_metrics => "unknown",
            Series::Unknown(_) => "untyped",
        };
        if !family.help.is_empty() {
            put(self.out, format_args!("# HELP {name} "));
            escape(self.out, family.help, open_metrics);
            self.out.push('\n');
        }
        put(self.out, format_args!("# TYPE {name} {kind}\n"));
        let unit = family.unit.filter(|unit| open_metrics && ends_in_unit(name, unit));
        if let Some(unit) = unit {
            put(self.out, format_args!("# UNIT {name} {unit}\n"));
        }
    }

    /// Takes the labels of the next series; `false`, and the series counts as left out, where they are invalid.
    fn begin(&mut self, labels: &dyn Labels, adds: Option<&str>) -> bool {
        self.labels.clear();
        let mut writer = LabelWriter::new(&mut self.labels);
        labels.write(&mut writer);
        let valid = writer.names().allow(adds);
        if !valid {
            self.omitted += 1;
        }
        valid
    }

    fn histogram(&mut self, name: Name<'_>, histogram: &Histogram<'_>, timestamp_ms: Option<i64>) {
        let finite = match histogram.buckets.split_last() {
            Some((last, finite)) if last.upper_bound == f64::INFINITY => finite,
            _ => &*histogram.buckets,
        };
        if !is_cumulative(finite, histogram.count) {
            self.omitted += 1;
            return;
        }
        for bucket in finite {
            self.line(name, "_bucket", Some(("le", bucket.upper_bound)), bucket.cumulative_count, timestamp_ms);
        }
        self.line(name, "_bucket", Some(("le", f64::INFINITY)), histogram.count, timestamp_ms);
        if let Some(sum) = histogram.sum {
            self.line(name, "_sum", None, Number::Float(sum), timestamp_ms);
        }
        self.line(name, "_count", None, histogram.count, timestamp_ms);
    }

    fn summary(&mut self, name: Name<'_>, summary: &Summary<'_>, timestamp_ms: Option<i64>) {
        for (quantile, value) in &*summary.quantiles {
            self.line(name, "", Some(("quantile", *quantile)), Number::Float(*value), timestamp_ms);
        }
        self.line(name, "_sum", None, Number::Float(summary.sum), timestamp_ms);
        self.line(name, "_count", None, summary.count, timestamp_ms);
    }

    fn line(
        &mut self,
        name: Name<'_>,
        suffix: &str,
        bound: Option<(&str, f64)>,
        value: impl Display,
        timestamp_ms: Option<i64>,
    ) {
        self.out.push_str(name.base);
        self.out.push_str(name.suffix);
        self.out.push_str(suffix);
        if !self.labels.is_empty() || bound.is_some() {
            self.out.push('{');
            self.out.push_str(&self.labels);
            if let Some((label, bound)) = bound {
                let comma = if self.labels.is_empty() { "" } else { "," };
                put(self.out, format_args!("{comma}{label}=\""));
                put_bound(self.out, bound, self.format);
                self.out.push('"');
            }
            self.out.push('}');
        }
        put(self.out, format_args!(" {value}"));
        match (timestamp_ms, self.format) {
            (Some(ms), Format::Text) => put(self.out, format_args!(" {ms}")),
            (Some(ms), Format::OpenMetrics) => put_seconds(self.out, ms),
            (None, _) => {}
        }
        self.out.push('\n');
    }
}

/// How the samples of a family, and the family itself, are called in a format.
#[derive(Clone, Copy)]
struct Name<'a> {
    base: &'a str,
    /// What the type adds to each sample.
    suffix: &'static str,
    /// Whether the lines that describe the family have the suffix too.
    suffix_described: bool,
}

impl<'a> Name<'a> {
    fn of(family: &Family<'a>, format: Format) -> Self {
        let suffix = match (&family.series, format) {
            (Series::Info(_), _) => "_info",
            (Series::Counter(_), Format::OpenMetrics) => "_total",
            _ => "",
        };
        let base = family.name.strip_suffix(suffix).unwrap_or(family.name);
        Name { base, suffix, suffix_described: format == Format::Text }
    }

    fn described(self) -> String {
        let suffix = if self.suffix_described { self.suffix } else { "" };
        format!("{}{suffix}", self.base)
    }
}

impl Series<'_> {
    fn len(&self) -> usize {
        match self {
            Series::Counter(samples) | Series::Gauge(samples) | Series::Unknown(samples) => samples.len(),
            Series::Info(samples) => samples.len(),
            Series::Histogram(samples) => samples.len(),
            Series::Summary(samples) => samples.len(),
        }
    }
}

/// As both formats read it.
impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Integer(value) => write!(f, "{value}"),
            Number::Float(value) if value.is_nan() => f.write_str("NaN"),
            Number::Float(f64::INFINITY) => f.write_str("+Inf"),
            Number::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            Number::Float(value) if value == 0.0 || PLAIN_VALUES.contains(&value.abs()) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:e}"),
        }
    }
}

/// Writes a bound or a quantile canonically: `0.001`, `1e-05`, and for one `1` in text but `1.0` in OpenMetrics.
fn put_bound(out: &mut String, bound: f64, format: Format) {
    if !bound.is_finite() {
        return put(out, format_args!("{}", Number::Float(bound)));
    }
    let start = out.len();
    put(out, format_args!("{bound:e}"));
    let mantissa_ends = out[start..].find('e').map_or(out.len(), |at| start + at);
    let exponent: i32 = out[mantissa_ends..].trim_start_matches('e').parse().unwrap_or(0);
    if PLAIN_BOUNDS.contains(&exponent) {
        out.truncate(start);
        put(out, format_args!("{bound}"));
        if format == Format::OpenMetrics && !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        out.truncate(mantissa_ends);
        put(out, format_args!("e{exponent:+03}"));
    }
}

/// Writes milliseconds as OpenMetrics wants them: in seconds.
fn put_seconds(out: &mut String, ms: i64) {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    put(out, format_args!(" {sign}{}.{:03}", ms / 1000, ms % 1000));
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every character");
}

/// Writes text with its backslashes and line ends escaped, and its quotes too where the text stands in quotes
/// (labels) or the format wants it (OpenMetrics help).
pub(super) fn escape(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '\\' | '\n') || (quotes && c == '"')) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        rest = &special[1..];
    }
    out.push_str(rest);
}

fn is_cumulative(buckets: &[Bucket], count: u64) -> bool {
    let ascending = |pair: &[Bucket]| {
        pair[0].upper_bound < pair[1].upper_bound && pair[0].cumulative_count <= pair[1].cumulative_count
    };
    buckets.windows(2).all(ascending)
        && buckets.iter().all(|bucket| bucket.upper_bound.is_finite() && bucket.cumulative_count <= count)
}

/// OpenMetrics refuses a unit that is not the end of the name.
fn ends_in_unit(name: &str, unit: &str) -> bool {
    !unit.is_empty() && name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b':')
}

pub(super) fn is_name(name: &str, also: impl Fn(u8) -> bool) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte))
}
