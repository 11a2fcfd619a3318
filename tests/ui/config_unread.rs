#![deny(dead_code)]

use tracecore::prelude::*;

/// Settings.
#[config]
struct Config {
    /// Read below.
    #[default(1)]
    read: u64,
    /// Read by nothing.
    #[default(2)]
    unread: u64,
}

fn main() {
    let config = Config::default();
    println!("{} {config:?}", config.read);
}
