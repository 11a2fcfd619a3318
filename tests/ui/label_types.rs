use tracecore::prelude::*;

/// A string where a name should be.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Device(String);

/// Not `Copy`.
#[derive(Clone, Debug, Label)]
enum Direction {
    Read,
    Write,
}

fn main() {}
