use tracecore::prelude::*;

/// Brings nothing.
#[receiver("receives")]
struct Receives;

/// Changes nothing.
#[processor("processes")]
struct Processes;

/// Sends nothing.
#[exporter("exports")]
struct Exports;

fn main() {}
