//! The processors that edit, through a service: what they make of generated data is what the same does to prost's types.

mod actions;
mod conditions;
mod data;
mod errors;
mod large;
mod rig;
mod run;

// For the generator, which stands where it has them.
use tracecore::signal::{Decoded, Signal};
