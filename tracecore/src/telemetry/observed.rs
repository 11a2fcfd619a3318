//! Families whose series are read at collection, in place of being told.
//!
//! A reader that panics or has no value costs its own series of that scrape and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, AsyncInstrumentBuilder, ObservableCounter, ObservableGauge};

use super::instruments::BoundCounter;

/// Counters that are read at collection.
#[derive(Clone)]
pub(crate) struct ObservedCounter(Arc<Readers>);

/// Gauges that are read at collection.
#[derive(Clone)]
pub(crate) struct ObservedGauge(Arc<Readers>);

type Read = Box<dyn Fn() -> Option<f64> + Send + Sync>;

impl ObservedCounter {
    pub(super) fn new(builder: AsyncInstrumentBuilder<'_, ObservableCounter<f64>, f64>, readers: Arc<Readers>) -> Self {
        readers.asked_by(builder).build();
        ObservedCounter(readers)
    }

    /// Reads the child of these attributes with `read`, which must never give less than before.
    pub(super) fn read(&self, attributes: Vec<KeyValue>, read: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.0.set(attributes, Box::new(read));
    }
}

impl ObservedGauge {
    pub(super) fn new(builder: AsyncInstrumentBuilder<'_, ObservableGauge<f64>, f64>, readers: Arc<Readers>) -> Self {
        readers.asked_by(builder).build();
        ObservedGauge(readers)
    }

    /// Reads the child of these attributes with `read`.
    pub(super) fn read(&self, attributes: Vec<KeyValue>, read: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.0.set(attributes, Box::new(read));
    }
}

impl std::fmt::Debug for ObservedGauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObservedGauge({})", self.0.name)
    }
}

/// The children of one observed family.
pub(super) struct Readers {
    name: &'static str,
    panics: BoundCounter,
    children: RwLock<Vec<(Vec<KeyValue>, Read)>>,
}

impl Readers {
    pub(super) fn new(name: &'static str, panics: BoundCounter) -> Arc<Self> {
        Arc::new(Readers { name, panics, children: RwLock::default() })
    }

    /// The instrument reads these at each collection.
    fn asked_by<'a, I>(
        self: &Arc<Self>,
        builder: AsyncInstrumentBuilder<'a, I, f64>,
    ) -> AsyncInstrumentBuilder<'a, I, f64> {
        let readers = Arc::clone(self);
        builder.with_callback(move |observer| readers.read(observer))
    }

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
            match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Some(value)) => observer.observe(value, attributes),
                Ok(None) => {}
                Err(_) => {
                    self.panics.add(1);
                    tracing::error!(metric = self.name, "reading a metric panicked; this scrape goes on without it");
                }
            }
        }
    }
}
