//! The one way a metric is made here: a constant [`Spec`], a family of it, a bound child for each set of label values.
//!
//! A family is made once per [`super::SelfTelemetry`]; asking again for the same gives the same, asking for another
//! under its name is an error. What a child does (`add`, `set`, `record`) is one bound call into the SDK: no attribute
//! slice, no map, no allocation. Label keys are part of the spec and their number is part of the type, so that binding
//! cannot fail. A name is exposed with its dots as underscores and nothing added. A family above the level is made by a
//! meter that records nothing.
//!
//! Deliberately absent: labels made at the call, and a way to remove a series (the SDK has none).

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{self as otel, Meter, MeterProvider, NoopMeterProvider};

use super::TelemetryError;
use super::families::SCRAPE_PANICS;
use super::level::Level;
use super::observed::{ObservedCounter, ObservedGauge, Readers};
use super::provider::SeriesLimits;
use super::spec::{Declared, Size, Spec, check};
use crate::metrics::Kind;

/// A family whose children are made by giving a value for each of its labels.
#[derive(Clone, Debug)]
pub(crate) struct Family<I, const N: usize> {
    instrument: I,
    labels: [&'static str; N],
}

pub(crate) type CounterFamily<const N: usize> = Family<otel::Counter<u64>, N>;
pub(crate) type UpDownCounterFamily<const N: usize> = Family<otel::UpDownCounter<i64>, N>;
pub(crate) type GaugeFamily<const N: usize> = Family<otel::Gauge<f64>, N>;
pub(crate) type HistogramFamily<const N: usize> = Family<otel::Histogram<f64>, N>;
pub(crate) type ObservedCounterFamily<const N: usize> = Family<ObservedCounter, N>;
pub(crate) type ObservedGaugeFamily<const N: usize> = Family<ObservedGauge, N>;

/// A total that only grows.
#[derive(Clone, Debug)]
pub(crate) struct BoundCounter(pub(super) otel::BoundCounter<u64>);

/// An amount that grows and shrinks.
#[derive(Clone, Debug)]
pub(crate) struct BoundUpDownCounter(pub(super) otel::BoundUpDownCounter<i64>);

/// A value that is what it was last set to.
#[derive(Clone, Debug)]
pub(crate) struct BoundGauge(pub(super) otel::BoundGauge<f64>);

/// A value that has no series before it is first set: no value is not 0.
#[derive(Debug)]
pub(crate) struct LateGauge {
    family: otel::Gauge<f64>,
    attributes: Vec<KeyValue>,
    bound: OnceLock<otel::BoundGauge<f64>>,
}

/// A distribution.
#[derive(Clone, Debug)]
pub(crate) struct BoundHistogram(pub(super) otel::BoundHistogram<f64>);

/// Makes families, each once.
pub(crate) struct Instruments {
    meter: Meter,
    /// Makes what is above the level: it records nothing.
    silent: Meter,
    level: Level,
    limits: SeriesLimits,
    /// By exposed name: `a.b` and `a_b` are one.
    families: Mutex<HashMap<String, Known>>,
}

struct Known {
    spec: Declared,
    instrument: Box<dyn Any + Send + Sync>,
}

impl Instruments {
    pub(super) fn new(meter: Meter, limits: SeriesLimits, level: Level) -> Self {
        let silent = NoopMeterProvider::new().meter("");
        Instruments { meter, silent, level, limits, families: Mutex::default() }
    }

    pub(crate) fn counter<const N: usize>(&self, spec: &Spec<N>) -> Result<CounterFamily<N>, TelemetryError> {
        self.family(spec, Kind::Counter, &[], |meter| {
            meter.u64_counter(spec.name).with_description(spec.help).with_unit(spec.unit).build()
        })
    }

    pub(crate) fn up_down_counter<const N: usize>(
        &self,
        spec: &Spec<N>,
    ) -> Result<UpDownCounterFamily<N>, TelemetryError> {
        self.family(spec, Kind::UpDownCounter, &[], |meter| {
            meter.i64_up_down_counter(spec.name).with_description(spec.help).with_unit(spec.unit).build()
        })
    }

    pub(crate) fn gauge<const N: usize>(&self, spec: &Spec<N>) -> Result<GaugeFamily<N>, TelemetryError> {
        self.family(spec, Kind::Gauge, &[], |meter| {
            meter.f64_gauge(spec.name).with_description(spec.help).with_unit(spec.unit).build()
        })
    }

    /// `buckets` are the upper edges, ascending; the one for everything above is implied.
    pub(crate) fn histogram<const N: usize>(
        &self,
        spec: &Spec<N>,
        buckets: &'static [f64],
    ) -> Result<HistogramFamily<N>, TelemetryError> {
        self.family(spec, Kind::Histogram, buckets, |meter| {
            let builder = meter.f64_histogram(spec.name).with_description(spec.help).with_unit(spec.unit);
            builder.with_boundaries(buckets.to_vec()).build()
        })
    }

    pub(crate) fn observed_counter<const N: usize>(
        &self,
        spec: &Spec<N>,
    ) -> Result<ObservedCounterFamily<N>, TelemetryError> {
        let readers = self.readers(spec.name)?;
        self.family(spec, Kind::Counter, &[], |meter| {
            let builder = meter.f64_observable_counter(spec.name).with_description(spec.help).with_unit(spec.unit);
            ObservedCounter::new(builder, readers)
        })
    }

    pub(crate) fn observed_gauge<const N: usize>(
        &self,
        spec: &Spec<N>,
    ) -> Result<ObservedGaugeFamily<N>, TelemetryError> {
        let readers = self.readers(spec.name)?;
        self.family(spec, Kind::Gauge, &[], |meter| {
            let builder = meter.f64_observable_gauge(spec.name).with_description(spec.help).with_unit(spec.unit);
            ObservedGauge::new(builder, readers)
        })
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Whether what belongs to `level` is recorded.
    pub(super) fn shows(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Every family that was made, by its exposed name.
    #[cfg(test)]
    pub(super) fn made(&self) -> std::collections::BTreeMap<String, Declared> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.iter().map(|(name, known)| (name.clone(), known.spec.clone())).collect()
    }

    /// `name` as a constant. What is leaked is bounded: the metrics that components declare.
    pub(super) fn interned(&self, name: &str) -> &'static str {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let known = families.get(&name.replace('.', "_")).map(|known| known.spec.name).filter(|known| *known == name);
        known.unwrap_or_else(|| Box::leak(name.to_owned().into_boxed_str()))
    }

    pub(super) fn readers(&self, name: &'static str) -> Result<Arc<Readers>, TelemetryError> {
        let panics = self.counter(&SCRAPE_PANICS)?.bind([]);
        Ok(Readers::new(name, panics))
    }

    fn family<I, const N: usize>(
        &self,
        spec: &Spec<N>,
        kind: Kind,
        buckets: &'static [f64],
        make: impl FnOnce(&Meter) -> I,
    ) -> Result<Family<I, N>, TelemetryError>
    where
        I: Clone + Any + Send + Sync,
    {
        let max_series = Size::MOST.series(&spec.labels);
        let instrument = self.instrument(&spec.declared(kind, buckets), max_series, make)?;
        Ok(Family { instrument, labels: spec.labels.map(|label| label.key) })
    }

    /// The instrument that was declared so, made if it is new.
    pub(super) fn instrument<I>(
        &self,
        declared: &Declared,
        max_series: usize,
        make: impl FnOnce(&Meter) -> I,
    ) -> Result<I, TelemetryError>
    where
        I: Clone + Any + Send + Sync,
    {
        check(declared)?;
        let name = declared.name;
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match families.entry(name.replace('.', "_")) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                self.limits.set(name, max_series);
                let meter = if self.shows(declared.level) { &self.meter } else { &self.silent };
                place.insert(Known { spec: declared.clone(), instrument: Box::new(make(meter)) })
            }
        };
        match known.instrument.downcast_ref::<I>() {
            Some(instrument) if known.spec == *declared => Ok(instrument.clone()),
            _ => Err(TelemetryError::Conflict { name }),
        }
    }
}

impl<I, const N: usize> Family<I, N> {
    fn attributes(&self, values: [&str; N]) -> Vec<KeyValue> {
        attributes(&self.labels, &values)
    }
}

/// In the order of their keys: the SDK files attributes under the order they come in and under the sorted one.
pub(super) fn attributes(keys: &[&'static str], values: &[&str]) -> Vec<KeyValue> {
    let pairs = keys.iter().zip(values);
    let mut attributes: Vec<_> = pairs.map(|(key, value)| KeyValue::new(*key, (*value).to_owned())).collect();
    attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    attributes
}

impl<const N: usize> CounterFamily<N> {
    /// The child of these label values, standing at 0 from now on if it is new.
    pub(crate) fn bind(&self, values: [&str; N]) -> BoundCounter {
        let bound = self.instrument.bind(&self.attributes(values));
        // Binding alone shows a series that has labels, not one that has none.
        bound.add(0);
        BoundCounter(bound)
    }
}

impl<const N: usize> UpDownCounterFamily<N> {
    /// The child of these label values, standing at 0 from now on if it is new.
    pub(crate) fn bind(&self, values: [&str; N]) -> BoundUpDownCounter {
        let bound = self.instrument.bind(&self.attributes(values));
        bound.add(0);
        BoundUpDownCounter(bound)
    }
}

impl<const N: usize> GaugeFamily<N> {
    /// The child of these label values, which has no series yet.
    pub(crate) fn bind_late(&self, values: [&str; N]) -> LateGauge {
        LateGauge::new(&self.instrument, self.attributes(values))
    }

    /// The child of these label values. `initial` is what its first scrape shows; there is no moment at 0 before.
    pub(crate) fn bind(&self, values: [&str; N], initial: f64) -> BoundGauge {
        let attributes = self.attributes(values);
        self.instrument.record(initial, &attributes);
        BoundGauge(self.instrument.bind(&attributes))
    }
}

impl<const N: usize> HistogramFamily<N> {
    /// The child of these label values, with no observation if it is new.
    pub(crate) fn bind(&self, values: [&str; N]) -> BoundHistogram {
        BoundHistogram(self.instrument.bind(&self.attributes(values)))
    }
}

impl<const N: usize> ObservedCounterFamily<N> {
    /// Reads the child of these label values with `read`, instead of what read it before. It must never fall.
    pub(crate) fn bind(&self, values: [&str; N], read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.bind_fallible(values, move || Some(read()));
    }

    /// The same of what may have no value: it then has no series in that scrape.
    pub(crate) fn bind_fallible(&self, values: [&str; N], read: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.instrument.read(self.attributes(values), read);
    }
}

impl<const N: usize> ObservedGaugeFamily<N> {
    /// Reads the child of these label values with `read`, instead of what read it before.
    pub(crate) fn bind(&self, values: [&str; N], read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.bind_fallible(values, move || Some(read()));
    }

    /// The same of what may have no value: it then has no series in that scrape.
    pub(crate) fn bind_fallible(&self, values: [&str; N], read: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.instrument.read(self.attributes(values), read);
    }
}

impl BoundCounter {
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n);
    }
}

impl BoundUpDownCounter {
    pub(crate) fn add(&self, n: i64) {
        self.0.add(n);
    }
}

impl BoundGauge {
    pub(crate) fn set(&self, value: f64) {
        self.0.record(value);
    }
}

impl LateGauge {
    pub(super) fn new(family: &otel::Gauge<f64>, attributes: Vec<KeyValue>) -> Self {
        LateGauge { family: family.clone(), attributes, bound: OnceLock::new() }
    }

    pub(crate) fn set(&self, value: f64) {
        // Binding shows the series at 0, so its first value comes before that.
        let bind = || {
            self.family.record(value, &self.attributes);
            self.family.bind(&self.attributes)
        };
        self.bound.get_or_init(bind).record(value);
    }
}

impl BoundHistogram {
    pub(crate) fn record(&self, value: f64) {
        self.0.record(value);
    }
}
