use tracecore::prelude::*;

#[config]
struct Config {
    interval: u64,
    #[default(false)]
    wait: bool,
    /// Described.
    mode: Mode,
}

#[config]
enum Mode {
    Fast,
    Slow { pause: u64 },
}

fn main() {}
