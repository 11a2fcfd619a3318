//! Editing a batch on the wire.
//!
//! [`Batch::edit`] is one pass over the bytes. It shows the resource, the scope, the metric and the item to an [`Edit`],
//! each as it comes, copies what stays in runs, and writes what was changed; unknown fields stay where they are. Several
//! edits go over the bytes once by [`Batch::edit_in_turn`], and each sees what those before it changed.
//!
//! ```
//! use tracecore::signal::edit::{Act, AttributesMut, Edit, PlainValue, Touches, When};
//!
//! struct InCluster(&'static str);
//!
//! impl Edit for InCluster {
//!     fn touches(&self) -> Touches {
//!         Touches { resources: true, ..Touches::NOTHING }
//!     }
//!
//!     fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
//!         attributes.set("k8s.cluster.name", PlainValue::Str(self.0), When::Absent);
//!         Act::Keep
//!     }
//! }
//! # use tracecore::signal::{Batch, Signal};
//! # let batch = Batch::validate(Signal::Traces, bytes::Bytes::from_static(&[0x0A, 0]))?;
//! # let edited = batch.edit(&mut InCluster("blue"));
//! # assert_eq!(edited.size(), batch.size() + 30);
//! # Ok::<(), tracecore::signal::WireError>(())
//! ```
//!
//! Deliberately absent: moving items between resources, new items, edits of span events and links and of exemplars, and
//! of anything but attributes.

mod attributes;
mod pieces;
mod rewrite;
mod scan;
mod value;

pub use attributes::AttributesMut;
pub use value::{NewValue, PlainValue, When};

use super::view::wire::Body;
use super::view::{
    ExponentialHistogramDataPointRef, HistogramDataPointRef, LogRecordRef, MetricRef, NumberDataPointRef, ScopeRef,
    SpanRef, SummaryDataPointRef,
};
use super::{Batch, Signal};

/// What becomes of what was shown to an [`Edit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It stays, edited or not.
    Keep,
    /// It goes, with everything in it.
    Drop,
}

/// What an [`Edit`] wants to be shown. What it does not want costs nothing but a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touches {
    /// Resources.
    pub resources: bool,
    /// Scopes.
    pub scopes: bool,
    /// Metrics.
    pub metrics: bool,
    /// Spans, data points and log records.
    pub items: bool,
}

impl Touches {
    /// Nothing.
    pub const NOTHING: Touches = Touches { resources: false, scopes: false, metrics: false, items: false };

    /// What either wants.
    #[must_use]
    pub fn and(self, other: Touches) -> Touches {
        Touches {
            resources: self.resources | other.resources,
            scopes: self.scopes | other.scopes,
            metrics: self.metrics | other.metrics,
            items: self.items | other.items,
        }
    }
}

/// A change of a batch, made while it passes by.
///
/// Each resource is shown before its scopes, each scope before what is in it, each metric before its points. An edit that
/// wants to know of the resource while it sees an item remembers it: so it makes no difference whether two edits pass
/// over the batch together or one after the other.
pub trait Edit {
    /// What it wants to be shown.
    fn touches(&self) -> Touches;

    /// Shown the attributes of a resource; none if the sender gave no resource.
    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        let _ = attributes;
        Act::Keep
    }

    /// Shown a scope; it has neither name nor attributes if the sender gave none.
    fn scope(&mut self, scope: &mut ScopeMut<'_>) -> Act {
        let _ = scope;
        Act::Keep
    }

    /// Shown a metric.
    fn metric(&mut self, metric: &MetricRef<'_>) -> Act {
        let _ = metric;
        Act::Keep
    }

    /// Shown a span, a data point or a log record.
    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        let _ = item;
        Act::Keep
    }
}

/// The edit that changes nothing.
pub(crate) struct Nothing;

impl Edit for Nothing {
    fn touches(&self) -> Touches {
        Touches::NOTHING
    }
}

/// A scope to edit.
#[derive(Debug)]
pub struct ScopeMut<'a> {
    message: &'a [u8],
    /// Its attributes.
    pub attributes: AttributesMut<'a>,
}

impl<'a> ScopeMut<'a> {
    /// The scope as it came.
    pub fn view(&self) -> ScopeRef<'a> {
        Body::of(self.message).into()
    }
}

/// A span, a data point or a log record to edit.
#[derive(Debug)]
pub struct ItemMut<'a> {
    kind: ItemKind,
    message: &'a [u8],
    /// Its attributes.
    pub attributes: AttributesMut<'a>,
}

/// A span, a data point or a log record.
#[derive(Clone, Copy, Debug)]
pub enum ItemRef<'a> {
    /// A span.
    Span(SpanRef<'a>),
    /// A log record.
    LogRecord(LogRecordRef<'a>),
    /// A point of a gauge or a sum.
    Number(NumberDataPointRef<'a>),
    /// A point of a histogram.
    Histogram(HistogramDataPointRef<'a>),
    /// A point of an exponential histogram.
    ExponentialHistogram(ExponentialHistogramDataPointRef<'a>),
    /// A point of a summary.
    Summary(SummaryDataPointRef<'a>),
}

impl<'a> ItemMut<'a> {
    /// The item as it came.
    pub fn view(&self) -> ItemRef<'a> {
        let body = Body::of(self.message);
        match self.kind {
            ItemKind::Span => ItemRef::Span(body.into()),
            ItemKind::LogRecord => ItemRef::LogRecord(body.into()),
            ItemKind::Number => ItemRef::Number(body.into()),
            ItemKind::Histogram => ItemRef::Histogram(body.into()),
            ItemKind::ExponentialHistogram => ItemRef::ExponentialHistogram(body.into()),
            ItemKind::Summary => ItemRef::Summary(body.into()),
        }
    }
}

/// Which message an item is.
#[derive(Clone, Copy, Debug)]
enum ItemKind {
    Span,
    LogRecord,
    Number,
    Histogram,
    ExponentialHistogram,
    Summary,
}

impl ItemKind {
    /// Of the items in field `around` of the message around them: for points that of `Metric.data`.
    fn of(signal: Signal, around: u32) -> Self {
        match (signal, around) {
            (Signal::Traces, _) => ItemKind::Span,
            (Signal::Logs, _) => ItemKind::LogRecord,
            (Signal::Metrics, 9) => ItemKind::Histogram,
            (Signal::Metrics, 10) => ItemKind::ExponentialHistogram,
            (Signal::Metrics, 11) => ItemKind::Summary,
            (Signal::Metrics, _) => ItemKind::Number,
        }
    }

    /// The number of its field that holds attributes.
    const fn attributes(self) -> u32 {
        match self {
            ItemKind::Span | ItemKind::Histogram => 9,
            ItemKind::LogRecord => 6,
            ItemKind::Number | ItemKind::Summary => 7,
            ItemKind::ExponentialHistogram => 1,
        }
    }
}

/// What several edits dropped in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// For each edit the items that it dropped, of those that the edits before it had kept.
    pub dropped: Vec<u64>,
    /// The edit that was at work last: if one of them panics, this one.
    pub(crate) at: usize,
}

impl Batch {
    /// The batch after one pass of `edit` over it. What was emptied by it is left out: scopes and resources without
    /// items, and metrics without points.
    ///
    /// A batch that is not canonical is [`normalised`](Batch::normalised) before, unless the edit wants to be shown nothing.
    /// A part of the batch in which nothing changes is not copied.
    pub fn edit(&self, edit: &mut dyn Edit) -> Batch {
        self.edit_in_turn(&mut [edit], &mut Tally::default())
    }

    /// The batch after one pass of all `edits` over it: what it would be after a pass of each, one after the other, and
    /// what each would have dropped.
    pub fn edit_in_turn(&self, edits: &mut [&mut dyn Edit], tally: &mut Tally) -> Batch {
        let signal = self.signal();
        tally.dropped.clear();
        tally.dropped.resize(edits.len(), 0);
        let Some(wanted) = rewrite::Wanted::of(signal, edits, tally) else { return self.clone() };
        let batch = self.normalised();
        let mut parts = Vec::with_capacity(batch.parts().len());
        for part in batch.parts() {
            let edited = rewrite::rewrite(signal, part, edits, &wanted, tally);
            if !edited.is_empty() {
                parts.push(edited);
            }
        }
        let dropped: u64 = tally.dropped.iter().sum();
        batch.with_parts(parts, batch.items().saturating_sub(dropped))
    }
}
