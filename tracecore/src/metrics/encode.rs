//! From a set of metrics straight to the bytes of an OTLP export request.
//!
//! Field numbers are those of `opentelemetry/proto/metrics/v1/metrics.proto`. A metric without a value is left out.

use super::data::{Cells, Distribution, Number, Total, Value};
use super::summary::Observed;
use super::{Kind, Label, Metric, Slots};
use crate::signal::write::Writer;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// Room for a small set, so that most buffers grow only a few times.
const INITIAL_CAPACITY: usize = 4096;

/// Encodes the instruments of one set as one scope of one resource.
#[derive(Debug)]
pub struct Encoder {
    component: &'static str,
    time: u64,
    metrics: Writer,
    refused: u64,
}

/// What a finished encoding holds.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The export request; empty if no instrument has a value.
    pub(crate) request: Vec<u8>,
    /// How many values found no free slot.
    pub(crate) refused: u64,
}

impl Encoder {
    /// An encoder for the metrics of `component` as they are at `time`, in nanoseconds since the Unix epoch.
    pub(crate) fn new(component: &'static str, time: u64) -> Self {
        Encoder { component, time, metrics: Writer::with_capacity(INITIAL_CAPACITY), refused: 0 }
    }

    /// Wraps what was encoded into a request of one resource and one scope.
    pub(crate) fn finish(self, resource: &[(String, String)], version: &str) -> Encoded {
        let metrics = self.metrics.into_bytes();
        if metrics.is_empty() {
            return Encoded { request: metrics, refused: self.refused };
        }
        let mut request = Writer::with_capacity(metrics.len() + INITIAL_CAPACITY);
        request.message(1, |resource_metrics| {
            resource_metrics.message(1, |w| {
                for (key, value) in resource {
                    w.attribute(1, key, value);
                }
            });
            resource_metrics.message(2, |scope_metrics| {
                scope_metrics.message(1, |w| {
                    w.string(1, self.component);
                    w.string(2, version);
                });
                scope_metrics.raw(&metrics);
            });
        });
        Encoded { request: request.into_bytes(), refused: self.refused }
    }

    pub(super) fn totals<L: Label, V: Number>(
        &mut self,
        metric: &'static Metric,
        cells: &mut Cells<L, Total<V>>,
        _: u64,
    ) {
        let time = self.time;
        self.metric(metric, cells, 7, |w, attributes, total| {
            w.message(1, |point| {
                point.fixed64(2, total.start);
                point.fixed64(3, time);
                number(point, total.value.value());
                attributes(point, 7);
            });
        });
    }

    pub(super) fn gauges<L: Label, V: Number>(&mut self, metric: &'static Metric, cells: &mut Cells<L, V>, _: u64) {
        let time = self.time;
        self.metric(metric, cells, 5, |w, attributes, value| {
            w.message(1, |point| {
                point.fixed64(3, time);
                number(point, value.value());
                attributes(point, 7);
            });
        });
    }

    pub(super) fn histogram<L: Label>(
        &mut self,
        metric: &'static Metric,
        cells: &mut Cells<L, Distribution>,
        start: u64,
    ) {
        let time = self.time;
        self.metric(metric, cells, 9, |w, attributes, distribution| {
            w.message(1, |point| {
                point.fixed64(2, start);
                point.fixed64(3, time);
                point.fixed64(4, distribution.counts.iter().sum());
                point.double(5, distribution.sum);
                point.packed64(6, distribution.counts.iter().copied());
                point.packed64(7, metric.buckets.iter().map(|bound| bound.to_bits()));
                attributes(point, 9);
            });
        });
    }

    pub(super) fn summary<L: Label>(&mut self, metric: &'static Metric, cells: &mut Cells<L, Observed>, start: u64) {
        let time = self.time;
        self.metric(metric, cells, 11, |w, attributes, observed| {
            w.message(1, |point| {
                point.fixed64(2, start);
                point.fixed64(3, time);
                point.fixed64(4, observed.count);
                point.double(5, observed.sum);
                for (quantile, value) in observed.quantiles(metric.quantiles) {
                    point.message(6, |at| {
                        at.double(1, quantile);
                        at.double(2, value);
                    });
                }
                attributes(point, 7);
            });
        });
    }

    /// Writes one `Metric` whose data message has the field number `data`, a point per live cell.
    fn metric<L: Label, C>(
        &mut self,
        metric: &'static Metric,
        cells: &mut Cells<L, C>,
        data: u32,
        mut point: impl FnMut(&mut Writer, &dyn Fn(&mut Writer, u32), &C),
    ) {
        self.refused += cells.take_refused();
        if cells.iter().next().is_none() {
            return;
        }
        let component = self.component;
        self.metrics.message(2, |w| {
            match metric.name {
                super::MetricName::Full(name) => w.string(1, name),
                super::MetricName::Field(field) => w.strings(1, &[component, ".", field]),
            }
            w.string(2, metric.help);
            w.string(3, metric.unit);
            w.message(data, |w| {
                for (slot, cell) in cells.iter() {
                    let attributes = |w: &mut Writer, field: u32| {
                        cells.slots.attributes(slot, &mut |key, value| w.attribute(field, key, value));
                    };
                    point(w, &attributes, cell);
                }
                match metric.kind {
                    Kind::Gauge | Kind::Summary => {}
                    Kind::Histogram => w.varint(2, CUMULATIVE),
                    Kind::Counter | Kind::UpDownCounter => {
                        w.varint(2, CUMULATIVE);
                        w.varint(3, u64::from(metric.kind == Kind::Counter));
                    }
                }
            });
        });
    }
}

fn number(point: &mut Writer, value: Value) {
    match value {
        Value::Double(value) => point.double(4, value),
        Value::Int(value) => point.sfixed64(6, value),
    }
}
