//! Instruments of what a component measures: encoded to OTLP when the component emits.
//!
//! Each keeps one cell per combination of label values in a plain vector and belongs to one task, so a change is an
//! index and an addition. What finds no free slot is not measured but counted, and becomes an error of kind
//! `cardinality` at the next emission.

use std::time::SystemTime;

use super::encode::Encoder;
pub use super::summary::Summary;
use super::{End, Instrument, Kind, Label, Metric, MetricSet, Slots};
use crate::time::unix_nanos;

/// The end that sends its values through the pipelines.
#[derive(Debug)]
pub enum Data {}

impl End for Data {
    type Maker = Maker;
    type Visitor = Encoder;
    const HAS_SUMMARIES: bool = true;
}

/// What instruments are made from: where their totals begin.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// When this incarnation of the component began, in nanoseconds since the Unix epoch.
    pub start: u64,
}

/// The set of a component that measures nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoData;

impl MetricSet for NoData {
    type End = Data;

    fn describe(_: &mut dyn FnMut(&'static Metric)) {}

    fn make(_: &Maker) -> Self {
        NoData
    }

    fn visit(&mut self, _: &mut Encoder) {}

    fn sweep(&mut self) {}
}

/// A number that a data point can hold.
pub trait Number: Copy + Default + std::ops::AddAssign + Send + Sync + 'static {
    /// The number as OTLP tells it apart.
    fn value(self) -> Value;
}

/// A number of a data point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `as_int`.
    Int(i64),
    /// `as_double`.
    Double(f64),
}

impl Number for u64 {
    fn value(self) -> Value {
        Value::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Number for i64 {
    fn value(self) -> Value {
        Value::Int(self)
    }
}

impl Number for f64 {
    fn value(self) -> Value {
        Value::Double(self)
    }
}

/// The series of one instrument: a cell per combination of label values that has had a value.
#[derive(Debug)]
pub(super) struct Cells<L: Label, C> {
    pub(super) slots: L::Slots,
    cells: Vec<Option<Cell<C>>>,
    refused: u64,
}

#[derive(Debug)]
struct Cell<C> {
    content: C,
    touched: bool,
}

impl<L: Label, C> Cells<L, C> {
    pub(super) fn new() -> Self {
        Cells { slots: L::Slots::default(), cells: Vec::new(), refused: 0 }
    }

    /// Changes the cell of `label`, making it first if it is new.
    pub(super) fn change(&mut self, label: L, make: impl FnOnce() -> C, change: impl FnOnce(&mut C)) {
        let Some(slot) = self.slots.take(label) else {
            self.refused += 1;
            // Of several labels one may have taken a slot before another found none.
            self.free_slots();
            return;
        };
        if slot >= self.cells.len() {
            self.cells.resize_with(slot + 1, || None);
        }
        let cell = self.cells[slot].get_or_insert_with(|| Cell { content: make(), touched: true });
        cell.touched = true;
        change(&mut cell.content);
    }

    pub(super) fn remove(&mut self, label: &L) {
        if let Some(slot) = self.slots.find(label)
            && let Some(cell) = self.cells.get_mut(slot)
            && cell.take().is_some()
        {
            self.free_slots();
        }
    }

    pub(super) fn sweep(&mut self) {
        let mut vanished = false;
        for slot in &mut self.cells {
            if let Some(cell) = slot {
                vanished |= !cell.touched;
                if !std::mem::take(&mut cell.touched) {
                    *slot = None;
                }
            }
        }
        if vanished {
            self.free_slots();
        }
    }

    fn free_slots(&mut self) {
        let cells = &self.cells;
        self.slots.retain(&|slot| cells.get(slot).is_some_and(Option::is_some));
    }

    /// The live cells with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &C)> {
        self.cells.iter().enumerate().filter_map(|(slot, cell)| Some((slot, &cell.as_ref()?.content)))
    }

    /// What the live cells hold.
    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.cells.iter_mut().flatten().map(|cell| &mut cell.content)
    }

    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

/// A total and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total<V> {
    pub(super) value: V,
    pub(super) start: u64,
}

macro_rules! instrument {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $cell:ty, $encode:ident, default $default:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<L: Label = (), V: Number = $default> {
            cells: Cells<L, $cell>,
            start: u64,
        }

        impl<L: Label, V: Number> Instrument for $name<L, V> {
            type End = Data;
            const KIND: Kind = $kind;
            const SERIES: usize = L::CAPACITY;
            const KEYS: &'static [&'static [&'static str]] = L::KEYS;

            fn make(_: &'static Metric, maker: &Maker) -> Self {
                $name { cells: Cells::new(), start: maker.start }
            }

            fn visit(&mut self, metric: &'static Metric, encoder: &mut Encoder) {
                encoder.$encode(metric, &mut self.cells, self.start);
            }

            fn sweep(&mut self) {
                self.cells.sweep();
            }
        }

        impl<L: Label, V: Number> $name<L, V> {
            /// Forgets the series of `label`: what it named is gone, and its slot is free.
            pub fn remove(&mut self, label: &L) {
                self.cells.remove(label);
            }
        }
    };
}

instrument!(
    /// A total that only rises.
    Counter, Kind::Counter, Total<V>, totals, default u64
);
instrument!(
    /// A total that rises and falls.
    UpDownCounter, Kind::UpDownCounter, Total<V>, totals, default i64
);
instrument!(
    /// A value that stands for itself and cannot be summed.
    Gauge, Kind::Gauge, V, gauges, default f64
);

impl<L: Label, V: Number> Counter<L, V> {
    /// Adds to the total that began with this incarnation of the component.
    pub fn add(&mut self, amount: V, label: L) {
        let start = self.start;
        let zero = || Total { value: V::default(), start };
        self.cells.change(label, zero, |total| total.value += amount);
    }

    /// Takes over a total that is counted elsewhere (`/proc`, a driver) since `start`.
    pub fn set_total(&mut self, value: V, start: SystemTime, label: L) {
        let total = Total { value, start: unix_nanos(start) };
        self.cells.change(label, || total, |cell| *cell = total);
    }
}

impl<L: Label, V: Number> UpDownCounter<L, V> {
    /// Adds to the total; a negative amount takes away.
    pub fn add(&mut self, amount: V, label: L) {
        let start = self.start;
        let zero = || Total { value: V::default(), start };
        self.cells.change(label, zero, |total| total.value += amount);
    }

    /// Sets the total, as read elsewhere.
    pub fn set(&mut self, value: V, label: L) {
        let total = Total { value, start: self.start };
        self.cells.change(label, || total, |cell| *cell = total);
    }
}

impl<L: Label, V: Number> Gauge<L, V> {
    /// Sets the value.
    pub fn set(&mut self, value: V, label: L) {
        self.cells.change(label, V::default, |cell| *cell = value);
    }
}

/// A distribution of observed values.
#[derive(Debug)]
pub struct Histogram<L: Label = ()> {
    cells: Cells<L, Distribution>,
    buckets: &'static [f64],
    start: u64,
}

/// The values seen by one series of a histogram.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    pub(super) counts: Box<[u64]>,
    pub(super) sum: f64,
}

impl<L: Label> Histogram<L> {
    /// Counts one value, in the metric's unit.
    pub fn observe(&mut self, value: f64, label: L) {
        let buckets = self.buckets;
        let empty = || Distribution { counts: vec![0; buckets.len() + 1].into(), sum: 0.0 };
        self.cells.change(label, empty, |distribution| {
            distribution.counts[buckets.partition_point(|bound| *bound < value)] += 1;
            distribution.sum += value;
        });
    }

    /// Forgets the series of `label`.
    pub fn remove(&mut self, label: &L) {
        self.cells.remove(label);
    }
}

impl<L: Label> Instrument for Histogram<L> {
    type End = Data;
    const KIND: Kind = Kind::Histogram;
    const SERIES: usize = L::CAPACITY;
    const KEYS: &'static [&'static [&'static str]] = L::KEYS;

    fn make(metric: &'static Metric, maker: &Maker) -> Self {
        Histogram { cells: Cells::new(), buckets: metric.buckets, start: maker.start }
    }

    fn visit(&mut self, metric: &'static Metric, encoder: &mut Encoder) {
        encoder.histogram(metric, &mut self.cells, self.start);
    }

    fn sweep(&mut self) {
        self.cells.sweep();
    }
}
