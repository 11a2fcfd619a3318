//! What a Prometheus registry gathers, as neutral families.

use std::borrow::Cow;

use prometheus::proto::{self, MetricFamily, MetricType};

use super::{Bucket, Family, Histogram, LabelWriter, Labels, Number, Sample, Series, Summary};

/// The family that says which target this is. The registry knows no info type and calls it a gauge.
const TARGET_INFO: &str = "target_info";

/// Borrows the families of a registry. Only the buckets of histograms and the quantiles of summaries are copied.
pub fn from_prometheus(families: &[MetricFamily]) -> Vec<Family<'_>> {
    families.iter().map(family).collect()
}

fn family(family: &MetricFamily) -> Family<'_> {
    let metrics = family.get_metric();
    let series = match family.get_field_type() {
        MetricType::GAUGE if family.name() == TARGET_INFO => Series::Info(samples(metrics, |_| ())),
        MetricType::GAUGE => Series::Gauge(samples(metrics, |m| Number::Float(m.get_gauge().get_value()))),
        MetricType::COUNTER => Series::Counter(samples(metrics, |m| Number::Float(m.get_counter().get_value()))),
        MetricType::UNTYPED => Series::Unknown(samples(metrics, |m| Number::Float(untyped(m)))),
        MetricType::HISTOGRAM => Series::Histogram(samples(metrics, |m| histogram(m.get_histogram()))),
        MetricType::SUMMARY => Series::Summary(samples(metrics, |m| summary(m.get_summary()))),
    };
    Family { name: family.name(), help: family.help(), unit: None, series }
}

fn samples<'a, V>(metrics: &'a [proto::Metric], value: impl Fn(&'a proto::Metric) -> V) -> Vec<Sample<'a, V>> {
    let sample = |metric: &'a proto::Metric| {
        let timestamp_ms = Some(metric.timestamp_ms()).filter(|ms| *ms != 0);
        Sample { labels: metric, value: value(metric), timestamp_ms }
    };
    metrics.iter().map(sample).collect()
}

impl Labels for proto::Metric {
    fn write(&self, writer: &mut LabelWriter<'_>) {
        for label in self.get_label() {
            writer.label(label.name(), label.value());
        }
    }
}

#[expect(deprecated, reason = "the plain model has no other way to the value")]
fn untyped(metric: &proto::Metric) -> f64 {
    metric.get_untyped().get_value()
}

fn histogram(histogram: &proto::Histogram) -> Histogram<'static> {
    let buckets = histogram.get_bucket().iter();
    let buckets =
        buckets.map(|b| Bucket { upper_bound: b.upper_bound(), cumulative_count: b.cumulative_count() }).collect();
    Histogram {
        buckets: Cow::Owned(buckets),
        sum: Some(histogram.get_sample_sum()),
        count: histogram.get_sample_count(),
    }
}

fn summary(summary: &proto::Summary) -> Summary<'static> {
    let quantiles = summary.get_quantile().iter().map(|q| (q.quantile(), q.value())).collect();
    Summary { quantiles: Cow::Owned(quantiles), sum: summary.sample_sum(), count: summary.sample_count() }
}
