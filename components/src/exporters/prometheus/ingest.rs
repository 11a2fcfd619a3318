//! From a batch to the store, without decoding it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracecore::signal::Batch;
use tracecore::signal::view::{AggregationTemporality, DataRef, MetricRef, ValueRef, View};
use tracecore::time::Instant;

use super::family::Kind;
use super::labels::{Origin, Source};
use super::name::Suffix;
use super::store::{Conflict, Refused, Store};
use super::value::Point;
use super::{Reason, Temporality};

/// Where a translator from Prometheus says what a metric was there.
const PROMETHEUS_TYPE: &str = "prometheus.type";

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    points: Refused,
    pub(super) conflicts: Vec<Conflict>,
}

impl Outcome {
    /// Each reason for which points were refused, with their number.
    pub(super) fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.points.by_reason()
    }

    fn add(&mut self, refused: Refused) {
        for (reason, points) in refused.by_reason() {
            self.points.add(reason, points);
        }
        self.conflicts.extend(refused.conflict);
    }
}

/// The store, whatever happened to who had it last: each change leaves it whole.
pub(super) fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the points of a batch. The store is locked for one metric at a time.
pub(super) fn ingest(store: &Mutex<Store>, batch: &Batch, now: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    // An attribute that is written twice, and a field, must mean here what they mean to everybody else.
    let batch = batch.normalised();
    let View::Metrics(resources) = batch.view() else { return outcome };
    lock(store).make_room(now);
    for of_resource in resources {
        for of_scope in of_resource.scopes() {
            let (resource, scope) = (of_resource.resource, of_scope.scope);
            let origin = Origin { resource, scope, schema_url: of_scope.schema_url };
            let source = lock(store).source(&origin, now);
            for metric in of_scope.metrics() {
                outcome.add(Intake { store, source: &source, metric: &metric, now }.take());
            }
        }
    }
    outcome
}

/// One metric on its way into the store.
struct Intake<'s, 'a> {
    store: &'s Mutex<Store>,
    source: &'s Source,
    metric: &'s MetricRef<'a>,
    now: Instant,
}

impl<'a> Intake<'_, 'a> {
    fn take(&self) -> Refused {
        match self.metric.data {
            // A kind of metric that this version of OTLP does not have: its points are not known either.
            None => Refused::default(),
            Some(data) => self.take_data(data),
        }
    }

    fn take_data(&self, data: DataRef<'a>) -> Refused {
        let kind = kind(self.metric, &data);
        match data {
            DataRef::Gauge { data_points } => self.points(kind, Some(Temporality::Cumulative), data_points),
            DataRef::Summary { data_points } => self.points(kind, Some(Temporality::Cumulative), data_points),
            DataRef::Sum { data_points, temporality, is_monotonic } => {
                // Differences of what also falls add up to nothing that is known: where it began is not.
                let temporality = supported(temporality).filter(|t| is_monotonic || *t == Temporality::Cumulative);
                self.points(kind, temporality, data_points)
            }
            DataRef::Histogram { data_points, temporality } => self.points(kind, supported(temporality), data_points),
            DataRef::ExponentialHistogram { data_points, temporality } => {
                // Two of them need not have the same buckets, so they cannot be added.
                let temporality = supported(temporality).filter(|t| *t == Temporality::Cumulative);
                self.points(kind, temporality, data_points)
            }
        }
    }

    fn points<T>(
        &self,
        kind: (Kind, Suffix),
        temporality: Option<Temporality>,
        points: impl Iterator<Item = T>,
    ) -> Refused
    where
        Point<'a>: From<T>,
    {
        let points = points.map(Point::from);
        match temporality {
            Some(temporality) => lock(self.store).take(self.metric, kind, temporality, self.source, points, self.now),
            None => Refused::all(points, Reason::Temporality),
        }
    }
}

fn kind(metric: &MetricRef<'_>, data: &DataRef<'_>) -> (Kind, Suffix) {
    let was_unknown = || metric.metadata().get(PROMETHEUS_TYPE).and_then(ValueRef::as_str) == Some("unknown");
    match data {
        DataRef::Sum { is_monotonic: true, .. } => (Kind::Counter, Suffix::Total),
        DataRef::Gauge { .. } | DataRef::Sum { .. } if was_unknown() => (Kind::Unknown, Suffix::Plain),
        DataRef::Gauge { .. } => (Kind::Gauge, Suffix::Ratio),
        DataRef::Sum { .. } => (Kind::Gauge, Suffix::Plain),
        DataRef::Histogram { .. } | DataRef::ExponentialHistogram { .. } => (Kind::Histogram, Suffix::Plain),
        DataRef::Summary { .. } => (Kind::Summary, Suffix::Plain),
    }
}

fn supported(temporality: AggregationTemporality) -> Option<Temporality> {
    match temporality {
        AggregationTemporality::Unspecified => None,
        AggregationTemporality::Delta => Some(Temporality::Delta),
        AggregationTemporality::Cumulative => Some(Temporality::Cumulative),
    }
}
