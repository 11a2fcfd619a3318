//! Metrics of every kind.

use std::iter::Cycle;
use std::vec::IntoIter;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};

use super::common::{DOUBLES, ENUMS, INTS, TIMES, around, attributes, or_default, some, span_ids, texts, trace_ids};
use super::pairs::{Choices, rows};

const FLAGS: [u32; 3] = [0, 1, u32::MAX];
const AMOUNTS: [u64; 4] = [0, 1, 300, u64::MAX];

pub(super) fn request() -> MetricsData {
    let scope = |scope, metrics, schema_url| ScopeMetrics { scope, metrics, schema_url };
    let resource = |resource, scope_metrics, schema_url| ResourceMetrics { resource, scope_metrics, schema_url };
    MetricsData { resource_metrics: around(metrics(), scope, resource) }
}

/// Metrics with few points each, and one of each kind with all points.
fn metrics() -> Vec<Metric> {
    let points = Points::new();
    let (attributes, texts) = (attributes(), texts());
    let mut data: Vec<Option<Data>> = vec![None];
    data.extend([0, 1].into_iter().flat_map(|count| points.data(count, 1, false)).map(Some));
    for temporality in ENUMS {
        data.extend([false, true].map(|is_monotonic| Some(points.sum(1, temporality, is_monotonic))));
        data.push(Some(points.histogram(1, temporality)));
        data.push(Some(points.exponential(1, temporality)));
    }
    let metrics = rows(|choices| Metric {
        name: choices.of(&texts),
        description: choices.of(&texts),
        unit: choices.of(&["By".to_owned(), String::new()]),
        metadata: choices.of(&attributes),
        data: choices.of(&data),
    });
    let all = points.data(usize::MAX, 2, true).map(|data| Metric { data: Some(data), ..Metric::default() });
    metrics.into_iter().chain(all).collect()
}

/// All pairs of each kind of point.
struct Points {
    numbers: Vec<NumberDataPoint>,
    histograms: Vec<HistogramDataPoint>,
    exponentials: Vec<ExponentialHistogramDataPoint>,
    summaries: Vec<SummaryDataPoint>,
}

impl Points {
    fn new() -> Self {
        let mut shared = Shared::new();
        Points {
            numbers: rows(|choices| number_point(choices, &mut shared)),
            histograms: rows(|choices| histogram_point(choices, &mut shared)),
            exponentials: rows(|choices| exponential_point(choices, &mut shared)),
            summaries: rows(|choices| summary_point(choices, &shared)),
        }
    }

    /// A metric of each kind with at most so many points.
    fn data(&self, count: usize, temporality: i32, is_monotonic: bool) -> [Data; 5] {
        [
            Data::Gauge(Gauge { data_points: at_most(count, &self.numbers) }),
            self.sum(count, temporality, is_monotonic),
            self.histogram(count, temporality),
            self.exponential(count, temporality),
            Data::Summary(Summary { data_points: at_most(count, &self.summaries) }),
        ]
    }

    fn sum(&self, count: usize, aggregation_temporality: i32, is_monotonic: bool) -> Data {
        Data::Sum(Sum { data_points: at_most(count, &self.numbers), aggregation_temporality, is_monotonic })
    }

    fn histogram(&self, count: usize, aggregation_temporality: i32) -> Data {
        Data::Histogram(Histogram { data_points: at_most(count, &self.histograms), aggregation_temporality })
    }

    fn exponential(&self, count: usize, aggregation_temporality: i32) -> Data {
        let data_points = at_most(count, &self.exponentials);
        Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
    }
}

fn at_most<P: Clone>(count: usize, points: &[P]) -> Vec<P> {
    points.iter().take(count).cloned().collect()
}

/// What points of several kinds have.
struct Shared {
    attributes: Vec<Vec<KeyValue>>,
    /// A point has one after the other of them, so that all are somewhere.
    exemplars: Cycle<IntoIter<Exemplar>>,
}

impl Shared {
    fn new() -> Self {
        let attributes = attributes();
        let doubles = DOUBLES.map(exemplar::Value::AsDouble);
        let values = some(&[&doubles[..], &INTS.map(exemplar::Value::AsInt)].concat());
        let exemplars = or_default(rows(|choices| Exemplar {
            filtered_attributes: choices.of(&attributes),
            time_unix_nano: choices.of(&TIMES),
            span_id: choices.of(&span_ids()),
            trace_id: choices.of(&trace_ids()),
            value: choices.of(&values),
        }));
        Shared { attributes, exemplars: exemplars.into_iter().cycle() }
    }

    fn exemplars(&mut self, choices: &mut Choices) -> Vec<Exemplar> {
        let count = choices.of(&[0, 1, 2]);
        self.exemplars.by_ref().take(count).collect()
    }
}

fn number_point(choices: &mut Choices, shared: &mut Shared) -> NumberDataPoint {
    let doubles = DOUBLES.map(number_data_point::Value::AsDouble);
    NumberDataPoint {
        attributes: choices.of(&shared.attributes),
        start_time_unix_nano: choices.of(&TIMES),
        time_unix_nano: choices.of(&TIMES),
        exemplars: shared.exemplars(choices),
        flags: choices.of(&FLAGS),
        value: choices.of(&some(&[&doubles[..], &INTS.map(number_data_point::Value::AsInt)].concat())),
    }
}

fn histogram_point(choices: &mut Choices, shared: &mut Shared) -> HistogramDataPoint {
    let buckets = choices.of(&[
        (vec![], vec![]),
        (vec![7], vec![]),
        (vec![0, 1, u64::MAX, 300], vec![-0.0, 0.1, f64::INFINITY]),
        // Counts that do not fit their bounds, which is for whoever stores them to say.
        (vec![1], vec![f64::NAN, f64::NEG_INFINITY]),
    ]);
    HistogramDataPoint {
        attributes: choices.of(&shared.attributes),
        start_time_unix_nano: choices.of(&TIMES),
        time_unix_nano: choices.of(&TIMES),
        count: choices.of(&AMOUNTS),
        sum: choices.of(&some(&DOUBLES)),
        bucket_counts: buckets.0,
        explicit_bounds: buckets.1,
        exemplars: shared.exemplars(choices),
        flags: choices.of(&FLAGS),
        min: choices.of(&some(&DOUBLES)),
        max: choices.of(&some(&DOUBLES)),
    }
}

fn exponential_point(choices: &mut Choices, shared: &mut Shared) -> ExponentialHistogramDataPoint {
    let buckets = [
        None,
        Some(Buckets::default()),
        Some(Buckets { offset: i32::MIN, bucket_counts: vec![0, 1, u64::MAX] }),
        Some(Buckets { offset: i32::MAX, bucket_counts: vec![300; 200] }),
    ];
    ExponentialHistogramDataPoint {
        attributes: choices.of(&shared.attributes),
        start_time_unix_nano: choices.of(&TIMES),
        time_unix_nano: choices.of(&TIMES),
        count: choices.of(&AMOUNTS),
        sum: choices.of(&some(&DOUBLES)),
        scale: choices.of(&[0, 20, -10, i32::MIN, i32::MAX]),
        zero_count: choices.of(&AMOUNTS),
        positive: choices.of(&buckets),
        negative: choices.of(&buckets),
        flags: choices.of(&FLAGS),
        exemplars: shared.exemplars(choices),
        min: choices.of(&some(&DOUBLES)),
        max: choices.of(&some(&DOUBLES)),
        zero_threshold: choices.of(&DOUBLES),
    }
}

fn summary_point(choices: &mut Choices, shared: &Shared) -> SummaryDataPoint {
    let every = DOUBLES.map(|value| ValueAtQuantile { quantile: 0.5, value });
    SummaryDataPoint {
        attributes: choices.of(&shared.attributes),
        start_time_unix_nano: choices.of(&TIMES),
        time_unix_nano: choices.of(&TIMES),
        count: choices.of(&AMOUNTS),
        sum: choices.of(&DOUBLES),
        quantile_values: choices.of(&[vec![], vec![ValueAtQuantile::default()], every.into()]),
        flags: choices.of(&FLAGS),
    }
}
