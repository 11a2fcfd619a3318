use tracecore::prelude::*;

/// Not settings.
#[config]
struct Newtype(u64);

/// Not settings.
#[config]
struct Unit;

/// Not settings.
#[config]
struct Generic<T> {
    /// Anything.
    value: T,
}

/// Not settings.
#[config]
fn function() {}

fn main() {}
