//! The `every_nth` processor: the smallest component that changes what flows.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use tracecore::prelude::*;

/// Lets one batch of several through.
#[processor("every_nth", config = Config)]
struct EveryNth {
    config: Config,
    seen: AtomicU64,
}

/// Settings of the `every_nth` processor.
#[config]
struct Config {
    /// How many batches come for each that goes on.
    #[default(NonZeroU64::MIN)]
    every: NonZeroU64,
}

impl Processor for EveryNth {
    fn new(config: Config) -> Result<Self, Never> {
        Ok(EveryNth { config, seen: AtomicU64::new(0) })
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        Ok(seen.is_multiple_of(self.config.every.get()).then_some(batch))
    }
}
