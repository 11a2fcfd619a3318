//! The tracecore program.
fn main() {}
