//! Metrics and their data points, borrowed.

pub use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;

use super::common::{Attributes, ResourceRef, ScopeRef, ValueRef};
use super::wire::{Body, Packed, Repeated, Scalars};

/// Bit 0 of the flags of a data point: the series exists but has no value at this time.
const NO_RECORDED_VALUE: u32 = 1;

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

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl Number {
    /// The value as a floating-point number; integers beyond 2^53 are rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }
}

/// A point of a gauge or a sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberDataPointRef<'a> {
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The value, if the sender gave one.
    pub value: Option<Number>,
    /// Bit 0: no recorded value.
    pub flags: u32,
    body: Body<'a>,
}

impl<'a> NumberDataPointRef<'a> {
    /// The attributes that make its series.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 7)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }

    /// Samples with their traces.
    pub fn exemplars(&self) -> Repeated<'a, ExemplarRef<'a>> {
        self.body.repeated(5)
    }

    /// Whether the series exists but has no value at this time: a staleness marker.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> From<Body<'a>> for NumberDataPointRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut point = NumberDataPointRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                2 => point.start_time_unix_nano = value.u64(),
                3 => point.time_unix_nano = value.u64(),
                4 => point.value = Some(Number::Double(value.f64())),
                6 => point.value = Some(Number::Int(value.i64())),
                8 => point.flags = value.u32(),
                _ => {}
            }
        }
        point
    }
}

/// A point of a histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistogramDataPointRef<'a> {
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// How many values there were.
    pub count: u64,
    /// Their sum, if known.
    pub sum: Option<f64>,
    /// The least of them, if known.
    pub min: Option<f64>,
    /// The greatest of them, if known.
    pub max: Option<f64>,
    /// Bit 0: no recorded value.
    pub flags: u32,
    body: Body<'a>,
}

impl<'a> HistogramDataPointRef<'a> {
    /// The attributes that make its series.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 9)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }

    /// How many values fell into each bucket, one more than there are bounds, or none at all.
    pub fn bucket_counts(&self) -> Scalars<'a, u64> {
        self.body.scalars(6, |bits| bits, Packed::Fixed64)
    }

    /// The upper, inclusive bounds of all buckets but the last.
    pub fn explicit_bounds(&self) -> Scalars<'a, f64> {
        self.body.scalars(7, f64::from_bits, Packed::Fixed64)
    }

    /// Samples with their traces.
    pub fn exemplars(&self) -> Repeated<'a, ExemplarRef<'a>> {
        self.body.repeated(8)
    }

    /// Whether the series exists but has no value at this time: a staleness marker.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> From<Body<'a>> for HistogramDataPointRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut point = HistogramDataPointRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                2 => point.start_time_unix_nano = value.u64(),
                3 => point.time_unix_nano = value.u64(),
                4 => point.count = value.u64(),
                5 => point.sum = Some(value.f64()),
                10 => point.flags = value.u32(),
                11 => point.min = Some(value.f64()),
                12 => point.max = Some(value.f64()),
                _ => {}
            }
        }
        point
    }
}

/// A point of an exponential histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHistogramDataPointRef<'a> {
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// How many values there were.
    pub count: u64,
    /// Their sum, if known.
    pub sum: Option<f64>,
    /// The least of them, if known.
    pub min: Option<f64>,
    /// The greatest of them, if known.
    pub max: Option<f64>,
    /// The resolution: bounds are powers of 2^(2^-scale).
    pub scale: i32,
    /// How many values were zero or too near to it.
    pub zero_count: u64,
    /// What is too near to zero: at most this.
    pub zero_threshold: f64,
    /// The buckets of the values above zero.
    pub positive: Option<BucketsRef<'a>>,
    /// The buckets of the values below zero.
    pub negative: Option<BucketsRef<'a>>,
    /// Bit 0: no recorded value.
    pub flags: u32,
    body: Body<'a>,
}

impl<'a> ExponentialHistogramDataPointRef<'a> {
    /// The attributes that make its series.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 1)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }

    /// Samples with their traces.
    pub fn exemplars(&self) -> Repeated<'a, ExemplarRef<'a>> {
        self.body.repeated(11)
    }

    /// Whether the series exists but has no value at this time: a staleness marker.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> From<Body<'a>> for ExponentialHistogramDataPointRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut point = ExponentialHistogramDataPointRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                2 => point.start_time_unix_nano = value.u64(),
                3 => point.time_unix_nano = value.u64(),
                4 => point.count = value.u64(),
                5 => point.sum = Some(value.f64()),
                6 => point.scale = value.zigzag(),
                7 => point.zero_count = value.u64(),
                8 => point.positive = Some(value.message()),
                9 => point.negative = Some(value.message()),
                10 => point.flags = value.u32(),
                12 => point.min = Some(value.f64()),
                13 => point.max = Some(value.f64()),
                14 => point.zero_threshold = value.f64(),
                _ => {}
            }
        }
        point
    }
}

/// The buckets of an exponential histogram on one side of zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct BucketsRef<'a> {
    /// The index of the first bucket.
    pub offset: i32,
    body: Body<'a>,
}

impl<'a> BucketsRef<'a> {
    /// How many values fell into each bucket, from the first on.
    pub fn bucket_counts(&self) -> Scalars<'a, u64> {
        self.body.scalars(2, |bits| bits, Packed::Varint)
    }
}

impl<'a> From<Body<'a>> for BucketsRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut buckets = BucketsRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            if number == 1 {
                buckets.offset = value.zigzag();
            }
        }
        buckets
    }
}

/// A point of a summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryDataPointRef<'a> {
    /// Nanoseconds since the Unix epoch; 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Bit 0: no recorded value.
    pub flags: u32,
    body: Body<'a>,
}

impl<'a> SummaryDataPointRef<'a> {
    /// The attributes that make its series.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 7)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }

    /// The quantiles.
    pub fn quantile_values(&self) -> Repeated<'a, ValueAtQuantileRef> {
        self.body.repeated(6)
    }

    /// Whether the series exists but has no value at this time: a staleness marker.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

impl<'a> From<Body<'a>> for SummaryDataPointRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut point = SummaryDataPointRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                2 => point.start_time_unix_nano = value.u64(),
                3 => point.time_unix_nano = value.u64(),
                4 => point.count = value.u64(),
                5 => point.sum = value.f64(),
                8 => point.flags = value.u32(),
                _ => {}
            }
        }
        point
    }
}

/// One quantile of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueAtQuantileRef {
    /// The quantile, 0 to 1.
    pub quantile: f64,
    /// The value at it.
    pub value: f64,
}

impl From<Body<'_>> for ValueAtQuantileRef {
    fn from(body: Body<'_>) -> Self {
        let mut at = ValueAtQuantileRef::default();
        for (number, value) in body.fields() {
            match number {
                1 => at.quantile = value.f64(),
                2 => at.value = value.f64(),
                _ => {}
            }
        }
        at
    }
}

/// A sample with its trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExemplarRef<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The value, if the sender gave one.
    pub value: Option<Number>,
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    body: Body<'a>,
}

impl<'a> ExemplarRef<'a> {
    /// The attributes that the series does not have.
    pub fn filtered_attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 7)
    }
}

impl<'a> From<Body<'a>> for ExemplarRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut exemplar = ExemplarRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                2 => exemplar.time_unix_nano = value.u64(),
                3 => exemplar.value = Some(Number::Double(value.f64())),
                4 => exemplar.span_id = value.bytes(),
                5 => exemplar.trace_id = value.bytes(),
                6 => exemplar.value = Some(Number::Int(value.i64())),
                _ => {}
            }
        }
        exemplar
    }
}
