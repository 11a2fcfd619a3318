//! Borrowed views over a batch: read without decoding and without allocating.
//!
//! A view is one message, read in one pass when it is reached: its scalar fields are public fields, the messages in it
//! are iterators. [`Batch::view`] is the way in:
//!
//! ```
//! # use tracecore::signal::{Batch, Signal, view::View};
//! # let batch = Batch::validate(Signal::Traces, Default::default())?;
//! if let View::Traces(resources) = batch.view() {
//!     for (resource, scope, span) in resources.flat_map(|r| r.spans()) {
//!         println!("{} {} {}", resource.attr("service.name").unwrap_or_default(), scope.name, span.name);
//!     }
//! }
//! # Ok::<(), tracecore::signal::WireError>(())
//! ```
//!
//! As in protobuf the last of several values of a singular field wins; singular *messages* that occur twice are not
//! merged. Whoever must see exactly what decoding yields takes [`Batch::normalised`] first, which costs nothing for
//! the usual, canonical batch. Views never panic: what validation would have refused reads as absent.
//!
//! Deliberately absent: entity references and the string indices of the profiles signal.

mod common;
mod logs;
mod metrics;
mod points;
mod traces;
pub(super) mod wire;

pub use common::{Attributes, Hex, KeyValueRef, ResourceRef, ScopeRef, ValueRef, Values};
pub use logs::{LogRecordRef, ResourceLogsRef, ScopeLogsRef};
pub use metrics::{AggregationTemporality, DataRef, MetricRef, ResourceMetricsRef, ScopeMetricsRef};
pub use points::{
    BucketsRef, ExemplarRef, ExponentialHistogramDataPointRef, HistogramDataPointRef, Number, NumberDataPointRef,
    SummaryDataPointRef, ValueAtQuantileRef,
};
pub use traces::{EventRef, LinkRef, ResourceSpansRef, ScopeSpansRef, SpanKind, SpanRef, StatusCode, StatusRef};
pub use wire::{Body, Repeated, Scalars};

use std::fmt;
use std::slice;

use bytes::Bytes;

use super::{Batch, Signal};

/// A batch to read: its resources, part after part.
#[derive(Clone, Debug)]
pub enum View<'a> {
    /// Spans.
    Traces(Resources<'a, ResourceSpansRef<'a>>),
    /// Metrics.
    Metrics(Resources<'a, ResourceMetricsRef<'a>>),
    /// Log records.
    Logs(Resources<'a, ResourceLogsRef<'a>>),
}

impl<'a> View<'a> {
    pub(super) fn of(batch: &'a Batch) -> View<'a> {
        match batch.signal() {
            Signal::Traces => View::Traces(Resources::of(batch)),
            Signal::Metrics => View::Metrics(Resources::of(batch)),
            Signal::Logs => View::Logs(Resources::of(batch)),
        }
    }
}

/// The resources of a batch with what each of them sent.
pub struct Resources<'a, T> {
    parts: slice::Iter<'a, Bytes>,
    current: Repeated<'a, T>,
}

impl<'a, T> Resources<'a, T> {
    fn of(batch: &'a Batch) -> Self {
        Resources { parts: batch.parts().iter(), current: Repeated::of(&[], 1) }
    }
}

impl<'a, T: From<Body<'a>>> Iterator for Resources<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(resource) = self.current.next() {
                return Some(resource);
            }
            // Each part is a request, and a request is one repeated field 1.
            self.current = Repeated::of(self.parts.next()?, 1);
        }
    }
}

// Not derived: a derive would ask the same of `T`.
impl<T> Clone for Resources<'_, T> {
    fn clone(&self) -> Self {
        Resources { parts: self.parts.clone(), current: self.current }
    }
}

impl<'a, T: From<Body<'a>> + fmt::Debug> fmt::Debug for Resources<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
