//! What the tests have beside the test kit, `tracecore::testing`: a component with every kind of instrument.
//!
//! It is declared like any other, in a crate that the program does not know: linking this crate is all that registers it.

mod meter;

pub use meter::{Data, Device, Direction, Health, Lane, Meter, Mode, Phase};
