//! One counter for each kind of error.

use std::array;
use std::sync::OnceLock;

use super::instruments::BoundCounter;
use crate::error::ErrorKind;

/// The error series of one component. Those it declared stand at 0 from the start; another kind, which only a mistake
/// in a declaration can bring, gets its series when it first happens rather than being lost.
pub(super) struct KindCounters {
    counters: [OnceLock<BoundCounter>; ErrorKind::ALL.len()],
    bind: Box<dyn Fn(ErrorKind) -> BoundCounter + Send + Sync>,
}

impl KindCounters {
    pub(super) fn new(bind: impl Fn(ErrorKind) -> BoundCounter + Send + Sync + 'static) -> Self {
        KindCounters { counters: array::from_fn(|_| OnceLock::new()), bind: Box::new(bind) }
    }

    /// Shows the series of `kinds`.
    pub(super) fn declare(&self, kinds: &[ErrorKind]) {
        for &kind in kinds {
            self.counter(kind);
        }
    }

    pub(super) fn add(&self, kind: ErrorKind) {
        self.counter(kind).add(1);
    }

    fn counter(&self, kind: ErrorKind) -> &BoundCounter {
        self.counters[kind.index()].get_or_init(|| (self.bind)(kind))
    }
}
