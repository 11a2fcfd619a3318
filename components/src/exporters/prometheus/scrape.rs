//! What a scraper gets.

use std::sync::{Arc, Mutex};

use tracecore::exposition::{Encoder, Format};
use tracecore::surface::Gather;
use tracecore::time::Instant;

use super::ingest::lock;
use super::store::Store;

/// The store as an exposition.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) open_metrics: bool,
}

impl Gather for Scrape {
    /// The store is locked for one family at a time, so that a large scrape does not hold up the exporter.
    fn gather(&self, format: Format, out: &mut String) {
        lock(&self.store).sweep(Instant::now());
        let mut encoder = Encoder::new(format, out);
        lock(&self.store).encode_targets(&mut encoder);
        let mut name = None;
        loop {
            name = lock(&self.store).encode_next(name.as_deref(), format, &mut encoder);
            if name.is_none() {
                break;
            }
        }
        // Nothing is left out: names, labels and buckets were checked when they were taken in.
        let _omitted = encoder.finish();
    }

    fn open_metrics(&self) -> bool {
        self.open_metrics
    }
}
