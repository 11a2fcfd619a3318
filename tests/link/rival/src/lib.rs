//! A crate that declares what `author` declares: the two do not link together.
#![forbid(unsafe_code)]

use tracecore::prelude::*;

/// Lets no batch through.
#[processor("from_elsewhere")]
struct FromElsewhere;

impl Processor for FromElsewhere {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(FromElsewhere)
    }

    fn process(&self, _: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
        Ok(None)
    }
}
