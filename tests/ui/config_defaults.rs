use tracecore::prelude::*;

/// Settings.
#[config]
struct Config {
    /// A number.
    #[default("five")]
    count: u64,
    /// Settings of which one is required.
    #[default]
    nested: Nested,
    /// No expression.
    #[default()]
    empty: u64,
    /// Two of them.
    #[default(1)]
    #[default(2)]
    twice: u64,
}

/// More settings.
#[config]
struct Nested {
    /// Required.
    path: String,
}

fn main() {}
