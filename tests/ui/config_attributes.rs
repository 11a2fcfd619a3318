use tracecore::prelude::*;

/// Settings.
#[config]
#[derive(Clone, serde::Serialize, Default)]
struct Derived {
    /// Mistyped.
    #[defualt(1)]
    count: u64,
    /// Of another crate.
    #[serde(skip)]
    skipped: u64,
    /// There or not.
    #[cfg(unix)]
    conditional: u64,
    /// Of no crate.
    #[range(1, 2)]
    ranged: u64,
}

/// Choices.
#[config(strict)]
enum Choice {
    /// A word.
    #[value(1)]
    Word,
    /// Settings.
    #[default]
    Settings {
        /// One of them.
        one: u64,
    },
    /// Two values.
    Pair(u64, u64),
}

fn main() {}
