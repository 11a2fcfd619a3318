//! A component in a crate that tracecore knows nothing of.
#![forbid(unsafe_code)]

use tracecore::prelude::*;

/// Lets every batch through.
#[processor("from_elsewhere")]
struct FromElsewhere;

impl Processor for FromElsewhere {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(FromElsewhere)
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        Ok(Some(batch))
    }
}
