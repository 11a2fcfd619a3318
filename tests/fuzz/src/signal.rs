//! `tracecore::signal` with what its own tests have to read all views of a batch.

mod tests;

pub use tests::{readable, rebuild};
pub use tracecore::signal::*;
