//! The way from views back to what prost decodes, which is the one of tracecore's tests.

#[path = "../../../../tracecore/src/signal/tests/rebuild.rs"]
mod rebuild;

use super::{Batch, Decoded};

/// What the views of a batch read.
pub fn rebuild(batch: &Batch) -> Decoded {
    rebuild::rebuild(batch)
}

/// Takes out of what prost has decoded what views do not read.
pub fn readable(decoded: &mut Decoded) {
    rebuild::readable(decoded);
}
