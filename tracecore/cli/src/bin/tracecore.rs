//! The `tracecore` program with the components of this repository.

use components as _;

fn main() -> std::process::ExitCode {
    tracecore_cli::main()
}
