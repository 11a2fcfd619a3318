//! A distribution of its own: it mentions the crates whose components it has.

use author as _;
#[cfg(feature = "rival")]
use rival as _;

fn main() -> std::process::ExitCode {
    tracecore_cli::main()
}
