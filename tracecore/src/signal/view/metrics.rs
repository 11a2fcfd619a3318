//! Metrics, borrowed.

pub use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;

use super::common::{Attributes, ResourceRef, ScopeRef};
use super::points::{ExponentialHistogramDataPointRef, HistogramDataPointRef, NumberDataPointRef, SummaryDataPointRef};
use super::wire::{Body, Repeated};

/// The metrics of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceMetricsRef<'a> {
    /// What the metrics are about; all of it absent if the sender gave none.
    pub resource: ResourceRef<'a>,
    /// The schema of the resource.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ResourceMetricsRef<'a> {
    /// Its metrics by scope.
    pub fn scopes(&self) -> Repeated<'a, ScopeMetricsRef<'a>> {
        self.body.repeated(2)
    }

    /// Every metric with its resource and its scope.
    pub fn metrics(&self) -> impl Iterator<Item = (ResourceRef<'a>, ScopeRef<'a>, MetricRef<'a>)> + use<'a> {
        let resource = self.resource;
        self.scopes().flat_map(move |scoped| scoped.metrics().map(move |metric| (resource, scoped.scope, metric)))
    }
}

impl<'a> From<Body<'a>> for ResourceMetricsRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut metrics = ResourceMetricsRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => metrics.resource = value.message(),
                3 => metrics.schema_url = value.text(),
                _ => {}
            }
        }
        metrics
    }
}

/// The metrics of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeMetricsRef<'a> {
    /// What made the metrics; all of it absent if the sender gave none.
    pub scope: ScopeRef<'a>,
    /// The schema of the scope and its metrics.
    pub schema_url: &'a str,
    body: Body<'a>,
}

impl<'a> ScopeMetricsRef<'a> {
    /// Its metrics.
    pub fn metrics(&self) -> Repeated<'a, MetricRef<'a>> {
        self.body.repeated(2)
    }
}

impl<'a> From<Body<'a>> for ScopeMetricsRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut metrics = ScopeMetricsRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => metrics.scope = value.message(),
                3 => metrics.schema_url = value.text(),
                _ => {}
            }
        }
        metrics
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it means, for people.
    pub description: &'a str,
    /// Its unit in UCUM.
    pub unit: &'a str,
    /// Its data points; absent for a kind of metric that this version of OTLP does not have.
    pub data: Option<DataRef<'a>>,
    body: Body<'a>,
}

impl<'a> MetricRef<'a> {
    /// What a translator from another format wants to remember of it.
    pub fn metadata(&self) -> Attributes<'a> {
        Attributes::of(self.body, 12)
    }
}

impl<'a> From<Body<'a>> for MetricRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut metric = MetricRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => metric.name = value.text(),
                2 => metric.description = value.text(),
                3 => metric.unit = value.text(),
                5 | 7 | 9 | 10 | 11 => metric.data = DataRef::of(number, value.body()),
                _ => {}
            }
        }
        metric
    }
}

/// The data points of a metric, by its kind.
#[derive(Clone, Copy, Debug)]
pub enum DataRef<'a> {
    /// Values as they are now.
    Gauge {
        /// One for each series.
        data_points: Repeated<'a, NumberDataPointRef<'a>>,
    },
    /// Totals.
    Sum {
        /// One for each series.
        data_points: Repeated<'a, NumberDataPointRef<'a>>,
        /// Since the start or since the last point.
        temporality: AggregationTemporality,
        /// Whether it only grows.
        is_monotonic: bool,
    },
    /// Distributions over given bounds.
    Histogram {
        /// One for each series.
        data_points: Repeated<'a, HistogramDataPointRef<'a>>,
        /// Since the start or since the last point.
        temporality: AggregationTemporality,
    },
    /// Distributions over exponential bounds.
    ExponentialHistogram {
        /// One for each series.
        data_points: Repeated<'a, ExponentialHistogramDataPointRef<'a>>,
        /// Since the start or since the last point.
        temporality: AggregationTemporality,
    },
    /// Quantiles that the sender computed.
    Summary {
        /// One for each series.
        data_points: Repeated<'a, SummaryDataPointRef<'a>>,
    },
}

impl<'a> DataRef<'a> {
    /// The choice of `Metric.data` with field number `choice`.
    fn of(choice: u32, body: Body<'a>) -> Option<Self> {
        let mut temporality = AggregationTemporality::default();
        let mut is_monotonic = false;
        for (number, value) in body.fields() {
            match number {
                2 => temporality = value.enumeration(),
                3 => is_monotonic = value.bool(),
                _ => {}
            }
        }
        Some(match choice {
            5 => DataRef::Gauge { data_points: body.repeated(1) },
            7 => DataRef::Sum { data_points: body.repeated(1), temporality, is_monotonic },
            9 => DataRef::Histogram { data_points: body.repeated(1), temporality },
            10 => DataRef::ExponentialHistogram { data_points: body.repeated(1), temporality },
            11 => DataRef::Summary { data_points: body.repeated(1) },
            _ => return None,
        })
    }
}
