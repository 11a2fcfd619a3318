//! The one way a metric is made here: a constant [`Spec`], a family of it, a bound child for each set of label values.
//!
//! A family is made once per [`super::SelfTelemetry`]; asking again for the same gives the same, asking for another
//! under its name is an error. What a child does (`add`, `set`, `record`) is one bound call into the SDK: no attribute
//! slice, no map, no allocation. Label keys are part of the spec and their number is part of the type, so that binding
//! cannot fail. A name is exposed with its dots as underscores and nothing added; the SDK would answer a name or
//! buckets that it dislikes with silence, so both are checked here.
//!
//! Deliberately absent: labels made at the call, and a way to remove a series (the SDK has none).

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{self as otel, AsyncInstrument, Meter};

use super::TelemetryError;
use super::families::SCRAPE_PANICS;
use super::provider::SeriesLimits;
use crate::metrics::buckets_rise;

/// What a family is, declared once as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<const N: usize> {
    /// The OpenTelemetry name: lower case, dots between the words, `_total` at the end of a counter's.
    pub(crate) name: &'static str,
    /// One sentence, shown as HELP.
    pub(crate) help: &'static str,
    /// The unit in UCUM.
    pub(crate) unit: &'static str,
    /// The keys of its labels.
    pub(crate) labels: [&'static str; N],
    /// Past this many series the SDK folds the rest into one.
    pub(crate) max_series: usize,
}

/// A family whose children are made by giving a value for each of its labels.
#[derive(Clone, Debug)]
pub(crate) struct Family<I, const N: usize> {
    instrument: I,
    labels: [&'static str; N],
}

pub(crate) type CounterFamily<const N: usize> = Family<otel::Counter<u64>, N>;
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

/// A distribution.
#[derive(Clone, Debug)]
pub(crate) struct BoundHistogram(pub(super) otel::BoundHistogram<f64>);

/// Counters that are read at collection.
#[derive(Clone)]
pub(crate) struct ObservedCounter(Arc<Readers>);

/// Gauges that are read at collection.
#[derive(Clone)]
pub(crate) struct ObservedGauge(Arc<Readers>);

/// Makes families, each once.
pub(crate) struct Instruments {
    meter: Meter,
    limits: SeriesLimits,
    /// By exposed name: `a.b` and `a_b` are one.
    families: Mutex<HashMap<String, Known>>,
}

struct Known {
    spec: Declared,
    instrument: Box<dyn Any + Send + Sync>,
}

/// What must be the same for two requests to mean one family.
#[derive(Clone, PartialEq)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: &'static str,
    pub(super) labels: Vec<&'static str>,
    pub(super) buckets: &'static [f64],
}

impl Instruments {
    pub(super) fn new(meter: Meter, limits: SeriesLimits) -> Self {
        Instruments { meter, limits, families: Mutex::default() }
    }

    pub(crate) fn counter<const N: usize>(&self, spec: &Spec<N>) -> Result<CounterFamily<N>, TelemetryError> {
        self.family(spec, &[], |meter| {
            meter.u64_counter(spec.name).with_description(spec.help).with_unit(spec.unit).build()
        })
    }

    pub(crate) fn gauge<const N: usize>(&self, spec: &Spec<N>) -> Result<GaugeFamily<N>, TelemetryError> {
        self.family(spec, &[], |meter| {
            meter.f64_gauge(spec.name).with_description(spec.help).with_unit(spec.unit).build()
        })
    }

    /// `buckets` are the upper edges, ascending; the one for everything above is implied.
    pub(crate) fn histogram<const N: usize>(
        &self,
        spec: &Spec<N>,
        buckets: &'static [f64],
    ) -> Result<HistogramFamily<N>, TelemetryError> {
        self.family(spec, buckets, |meter| {
            let builder = meter.f64_histogram(spec.name).with_description(spec.help).with_unit(spec.unit);
            builder.with_boundaries(buckets.to_vec()).build()
        })
    }

    pub(crate) fn observed_counter<const N: usize>(
        &self,
        spec: &Spec<N>,
    ) -> Result<ObservedCounterFamily<N>, TelemetryError> {
        let readers = self.readers(spec.name)?;
        self.family(spec, &[], |meter| {
            let builder = meter.f64_observable_counter(spec.name).with_description(spec.help).with_unit(spec.unit);
            let observed = Arc::clone(&readers);
            builder.with_callback(move |observer| observed.read(observer)).build();
            ObservedCounter(readers)
        })
    }

    pub(crate) fn observed_gauge<const N: usize>(
        &self,
        spec: &Spec<N>,
    ) -> Result<ObservedGaugeFamily<N>, TelemetryError> {
        let readers = self.readers(spec.name)?;
        self.family(spec, &[], |meter| ObservedGauge::new(meter, spec.name, spec.help, spec.unit, readers))
    }

    /// `name` as a constant. What is leaked is bounded: the metrics that components declare.
    pub(super) fn interned(&self, name: &str) -> &'static str {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let known = families.get(&name.replace('.', "_")).map(|known| known.spec.name).filter(|known| *known == name);
        known.unwrap_or_else(|| Box::leak(name.to_owned().into_boxed_str()))
    }

    pub(super) fn readers(&self, name: &'static str) -> Result<Arc<Readers>, TelemetryError> {
        let panics = self.counter(&SCRAPE_PANICS)?.bind([]);
        Ok(Arc::new(Readers { name, panics, children: RwLock::default() }))
    }

    fn family<I, const N: usize>(
        &self,
        spec: &Spec<N>,
        buckets: &'static [f64],
        make: impl FnOnce(&Meter) -> I,
    ) -> Result<Family<I, N>, TelemetryError>
    where
        I: Clone + Any + Send + Sync,
    {
        let &Spec { name, help, unit, labels, max_series } = spec;
        let declared = Declared { name, help, unit, labels: labels.to_vec(), buckets };
        Ok(Family { instrument: self.instrument(&declared, max_series, make)?, labels })
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
                place.insert(Known { spec: declared.clone(), instrument: Box::new(make(&self.meter)) })
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

impl<const N: usize> GaugeFamily<N> {
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
        self.instrument.0.set(self.attributes(values), Box::new(read));
    }
}

impl<const N: usize> ObservedGaugeFamily<N> {
    /// Reads the child of these label values with `read`, instead of what read it before.
    pub(crate) fn bind(&self, values: [&str; N], read: impl Fn() -> f64 + Send + Sync + 'static) {
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

impl BoundHistogram {
    pub(crate) fn record(&self, value: f64) {
        self.0.record(value);
    }
}

impl ObservedGauge {
    pub(super) fn new(
        meter: &Meter,
        name: &'static str,
        help: &'static str,
        unit: &'static str,
        readers: Arc<Readers>,
    ) -> Self {
        let observed = Arc::clone(&readers);
        let builder = meter.f64_observable_gauge(name).with_description(help).with_unit(unit);
        builder.with_callback(move |observer| observed.read(observer)).build();
        ObservedGauge(readers)
    }

    /// Reads the child of these attributes with `read`.
    pub(super) fn read(&self, attributes: Vec<KeyValue>, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.0.set(attributes, Box::new(read));
    }
}

impl std::fmt::Debug for ObservedGauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObservedGauge({})", self.0.name)
    }
}

type Read = Box<dyn Fn() -> f64 + Send + Sync>;

/// The children of one observed family.
pub(super) struct Readers {
    name: &'static str,
    panics: BoundCounter,
    children: RwLock<Vec<(Vec<KeyValue>, Read)>>,
}

impl Readers {
    fn set(&self, attributes: Vec<KeyValue>, read: Read) {
        let mut children = self.children.write().unwrap_or_else(PoisonError::into_inner);
        match children.iter_mut().find(|(known, _)| *known == attributes) {
            Some(child) => child.1 = read,
            None => children.push((attributes, read)),
        }
    }

    /// A panic here would poison the SDK's lock and end every later scrape: it costs its own series, once.
    fn read(&self, observer: &dyn AsyncInstrument<f64>) {
        for (attributes, read) in self.children.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Ok(value) = catch_unwind(AssertUnwindSafe(read)) {
                observer.observe(value, attributes);
            } else {
                self.panics.add(1);
                tracing::error!(metric = self.name, "reading a metric panicked; this scrape goes on without it");
            }
        }
    }
}

fn check(declared: &Declared) -> Result<(), TelemetryError> {
    let name = declared.name;
    if !is_name(name) {
        return Err(TelemetryError::Name { name });
    }
    if let Some(key) = declared.labels.iter().copied().find(|key| !is_label_key(key)) {
        return Err(TelemetryError::LabelKey { name, key });
    }
    if !is_unit(declared.unit) {
        return Err(TelemetryError::Unit { name, unit: declared.unit });
    }
    if !buckets_rise(declared.buckets) {
        return Err(TelemetryError::Buckets { name });
    }
    Ok(())
}

/// `[a-z][a-z0-9_.]*`, at most as long as the SDK takes.
fn is_name(name: &str) -> bool {
    const MAX_LEN: usize = 255;
    name.len() <= MAX_LEN
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, or such words with dots between them, which are shown as underscores.
fn is_label_key(key: &str) -> bool {
    key.split('.').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// What the SDK takes for a unit.
fn is_unit(unit: &str) -> bool {
    const MAX_LEN: usize = 63;
    unit.len() <= MAX_LEN && unit.is_ascii()
}
