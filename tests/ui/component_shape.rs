use tracecore::prelude::*;

/// Ticks.
#[receiver("function")]
fn function() {}

/// Ticks.
#[processor("enumeration")]
enum Enumeration {
    One,
}

/// Ticks.
#[exporter("generic")]
struct Generic<T>(T);

fn main() {}
