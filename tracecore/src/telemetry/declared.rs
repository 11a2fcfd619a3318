//! Families that a component declares for its own health: name and labels are put together at start-up.
//!
//! They are made by the same [`Instruments`] as the collector's own, so a name means one family in all of a service.

use opentelemetry::metrics::{self as otel, Meter};

use super::TelemetryError;
pub(crate) use super::instruments::{BoundCounter, BoundHistogram, BoundUpDownCounter, LateGauge};
use super::instruments::{Instruments, attributes};
use super::level::Level;
use super::observed::ObservedGauge;
use super::spec::{Declared, LabelKey, Values};
use crate::metrics::{MAX_SERIES, Metric};

/// The level that shows what a component declares for its own health.
const LEVEL: Level = Level::Normal;

/// Instances of one component type that have series of their own.
const MAX_INSTANCES: usize = 64;

/// A family whose children are made by giving a value for each of its labels.
pub(crate) struct Family<I> {
    instrument: I,
    keys: Vec<&'static str>,
}

/// A series whose value is computed at collection.
#[derive(Debug)]
pub(crate) struct Readings {
    family: ObservedGauge,
    attributes: Vec<opentelemetry::KeyValue>,
}

impl Instruments {
    /// The family called `name` of a component's metric, with these label keys.
    fn declared<I: Clone + Send + Sync + 'static>(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
        make: impl FnOnce(&Meter, &'static str) -> I,
    ) -> Result<Family<I>, TelemetryError> {
        let name = self.interned(name);
        let Metric { help, unit, kind, buckets, .. } = *metric;
        let labels = keys.iter().map(|&key| LabelKey { key, values: Values::Declared }).collect();
        let declared = Declared { name, help, unit, kind, labels, buckets, level: LEVEL, since: "" };
        let instrument = self.instrument(&declared, MAX_SERIES * MAX_INSTANCES, |meter| make(meter, name))?;
        Ok(Family { instrument, keys: keys.to_vec() })
    }

    pub(crate) fn declared_counter(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
    ) -> Result<Family<otel::Counter<u64>>, TelemetryError> {
        self.declared(name, metric, keys, |meter, name| {
            meter.u64_counter(name).with_description(metric.help).with_unit(metric.unit).build()
        })
    }

    pub(crate) fn declared_up_down_counter(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
    ) -> Result<Family<otel::UpDownCounter<i64>>, TelemetryError> {
        self.declared(name, metric, keys, |meter, name| {
            meter.i64_up_down_counter(name).with_description(metric.help).with_unit(metric.unit).build()
        })
    }

    pub(crate) fn declared_gauge(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
    ) -> Result<Family<otel::Gauge<f64>>, TelemetryError> {
        self.declared(name, metric, keys, |meter, name| {
            meter.f64_gauge(name).with_description(metric.help).with_unit(metric.unit).build()
        })
    }

    pub(crate) fn declared_histogram(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
    ) -> Result<Family<otel::Histogram<f64>>, TelemetryError> {
        self.declared(name, metric, keys, |meter, name| {
            let builder = meter.f64_histogram(name).with_description(metric.help).with_unit(metric.unit);
            builder.with_boundaries(metric.buckets.to_vec()).build()
        })
    }

    pub(crate) fn declared_computed_gauge(
        &self,
        name: &str,
        metric: &Metric,
        keys: &[&'static str],
    ) -> Result<Family<ObservedGauge>, TelemetryError> {
        let readers = self.readers(self.interned(name))?;
        self.declared(name, metric, keys, |meter, name| {
            let builder = meter.f64_observable_gauge(name).with_description(metric.help).with_unit(metric.unit);
            ObservedGauge::new(builder, readers)
        })
    }
}

impl Family<otel::Counter<u64>> {
    pub(crate) fn bind(&self, values: &[&str]) -> BoundCounter {
        let bound = self.instrument.bind(&attributes(&self.keys, values));
        bound.add(0);
        BoundCounter(bound)
    }
}

impl Family<otel::UpDownCounter<i64>> {
    pub(crate) fn bind(&self, values: &[&str]) -> BoundUpDownCounter {
        let bound = self.instrument.bind(&attributes(&self.keys, values));
        bound.add(0);
        BoundUpDownCounter(bound)
    }
}

impl Family<otel::Gauge<f64>> {
    /// The child of these label values, which has no series yet.
    pub(crate) fn bind(&self, values: &[&str]) -> LateGauge {
        LateGauge::new(&self.instrument, attributes(&self.keys, values))
    }
}

impl Family<otel::Histogram<f64>> {
    pub(crate) fn bind(&self, values: &[&str]) -> BoundHistogram {
        BoundHistogram(self.instrument.bind(&attributes(&self.keys, values)))
    }
}

impl Family<ObservedGauge> {
    pub(crate) fn bind(&self, values: &[&str]) -> Readings {
        Readings { family: self.instrument.clone(), attributes: attributes(&self.keys, values) }
    }
}

impl Readings {
    /// Reads the series with `read`, instead of what read it before.
    pub(crate) fn read_with(&self, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.family.read(self.attributes.clone(), move || Some(read()));
    }
}
