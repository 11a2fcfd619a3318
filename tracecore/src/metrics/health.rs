//! Instruments of a component's own health, on the collector's `/metrics`.
//!
//! Each combination of label values is bound to the SDK when the set is made, so a change is an index and one bound
//! call. Labels are enums only: the SDK cannot let a series go. Every metric bears the label `component_id` besides its
//! own. A metric that cannot be registered is counted in `tracecore.selftelemetry.init_errors_total`, and the component
//! runs without it.

use std::marker::PhantomData;

use super::label::ClosedSet;
use super::{End, Instrument, Kind, Metric, MetricSet};
use crate::component::Role;
use crate::config::ComponentId;
use crate::telemetry::declared::{BoundCounter, BoundHistogram, BoundUpDownCounter, LateGauge, Readings};
use crate::telemetry::{InitErrorReason, SelfTelemetry, TelemetryError};

/// What the name of every such metric begins with.
pub(crate) const OF_HEALTH: &str = "tracecore.";

/// The end that shows its values on `/metrics`.
#[derive(Debug)]
pub enum Health {}

impl End for Health {
    type Maker = Maker;
    type Visitor = ();
    const HAS_SUMMARIES: bool = false;
}

/// What instruments are made from: the component whose health they show.
pub struct Maker {
    telemetry: SelfTelemetry,
    role: Role,
    component: &'static str,
    id: String,
}

impl Maker {
    pub(crate) fn new(telemetry: &SelfTelemetry, role: Role, component: &'static str, id: &ComponentId) -> Self {
        Maker { telemetry: telemetry.clone(), role, component, id: id.to_string() }
    }

    /// A child per combination of the label's values, or none if the metric cannot be registered.
    fn bind<L: ClosedSet, I>(
        &self,
        metric: &'static Metric,
        make: impl FnOnce(&SelfTelemetry, &str, &Metric, &[&'static str]) -> Result<Binder<I>, TelemetryError>,
    ) -> Box<[I]> {
        let name = format!("{OF_HEALTH}{}", metric.name.of(self.component));
        let mut keys = vec!["component_id"];
        keys.extend(metric.keys.iter().copied().flatten());
        match make(&self.telemetry, &name, metric, &keys) {
            Ok(bind) => (0..L::CAPACITY)
                .map(|slot| {
                    let mut values = vec![self.id.as_str()];
                    L::values(slot, &mut |value| values.push(value));
                    bind(&values)
                })
                .collect(),
            Err(error) => {
                self.telemetry.record_init_error(&self.id, self.role, InitErrorReason::InstrumentRegister);
                tracing::warn!(component = self.id, metric = name, %error, "the component runs without one of its metrics");
                Box::default()
            }
        }
    }
}

/// Makes the child of a family that has these label values.
type Binder<I> = Box<dyn Fn(&[&str]) -> I>;

/// The set of a component that adds nothing to what the runtime counts for it.
#[derive(Clone, Copy, Debug)]
pub struct NoTelemetry;

impl MetricSet for NoTelemetry {
    type End = Health;

    fn describe(_: &mut dyn FnMut(&'static Metric)) {}

    fn make(_: &Maker) -> Self {
        NoTelemetry
    }

    fn visit(&mut self, (): &mut ()) {}

    fn sweep(&mut self) {}
}

macro_rules! instrument {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $child:ty, |$telemetry:ident, $called:ident, $metric:ident, $keys:ident| $family:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<L: ClosedSet = ()> {
            /// By slot; empty if the metric could not be registered.
            children: Box<[$child]>,
            labels: PhantomData<fn(L)>,
        }

        impl<L: ClosedSet> Instrument for $name<L> {
            type End = Health;
            const KIND: Kind = $kind;
            const SERIES: usize = L::CAPACITY;
            const KEYS: &'static [&'static [&'static str]] = L::KEYS;

            fn make(metric: &'static Metric, maker: &Maker) -> Self {
                let children = maker.bind::<L, $child>(metric, |$telemetry, $called, $metric, $keys| {
                    let family = $family?;
                    Ok(Box::new(move |values| family.bind(values)))
                });
                $name { children, labels: PhantomData }
            }

            fn visit(&mut self, _: &'static Metric, (): &mut ()) {}

            fn sweep(&mut self) {}
        }
    };
}

instrument!(
    /// A total that only rises.
    Counter, Kind::Counter, BoundCounter,
    |telemetry, name, metric, keys| telemetry.instruments().declared_counter(name, metric, keys)
);
instrument!(
    /// A total that rises and falls.
    UpDownCounter, Kind::UpDownCounter, BoundUpDownCounter,
    |telemetry, name, metric, keys| telemetry.instruments().declared_up_down_counter(name, metric, keys)
);
instrument!(
    /// A value that stands for itself and cannot be summed.
    Gauge, Kind::Gauge, LateGauge,
    |telemetry, name, metric, keys| telemetry.instruments().declared_gauge(name, metric, keys)
);
instrument!(
    /// A value that is computed when it is scraped.
    ComputedGauge, Kind::Gauge, Readings,
    |telemetry, name, metric, keys| telemetry.instruments().declared_computed_gauge(name, metric, keys)
);
instrument!(
    /// A distribution of observed values.
    Histogram, Kind::Histogram, BoundHistogram,
    |telemetry, name, metric, keys| telemetry.instruments().declared_histogram(name, metric, keys)
);

/// Stands here so that the derive can say that there is none, as the SDK has none: a field of this type does not compile.
#[derive(Debug)]
pub struct Summary<L: ClosedSet = ()>(PhantomData<fn(L)>);

impl<L: ClosedSet> Instrument for Summary<L> {
    type End = Health;
    const KIND: Kind = Kind::Summary;
    const SERIES: usize = L::CAPACITY;
    const KEYS: &'static [&'static [&'static str]] = L::KEYS;

    fn make(_: &'static Metric, _: &Maker) -> Self {
        Summary(PhantomData)
    }

    fn visit(&mut self, _: &'static Metric, (): &mut ()) {}

    fn sweep(&mut self) {}
}

impl<L: ClosedSet> Counter<L> {
    /// Adds to the total.
    pub fn add(&self, amount: u64, label: L) {
        if let Some(child) = self.children.get(label.slot()) {
            child.add(amount);
        }
    }
}

impl<L: ClosedSet> UpDownCounter<L> {
    /// Adds to the total; a negative amount takes away.
    pub fn add(&self, amount: i64, label: L) {
        if let Some(child) = self.children.get(label.slot()) {
            child.add(amount);
        }
    }
}

impl<L: ClosedSet> Gauge<L> {
    /// Sets the value.
    pub fn set(&self, value: f64, label: L) {
        if let Some(child) = self.children.get(label.slot()) {
            child.set(value);
        }
    }
}

impl<L: ClosedSet> ComputedGauge<L> {
    /// Computes the value with `read` at every scrape. It must be quick and must not block.
    pub fn read_with(&self, label: L, read: impl Fn() -> f64 + Send + Sync + 'static) {
        if let Some(child) = self.children.get(label.slot()) {
            child.read_with(read);
        }
    }
}

impl<L: ClosedSet> Histogram<L> {
    /// Counts one value, in the metric's unit.
    pub fn observe(&self, value: f64, label: L) {
        if let Some(child) = self.children.get(label.slot()) {
            child.record(value);
        }
    }
}
