//! The program's own log: structured lines on stderr.
//!
//! Stdout belongs to the `stdout` exporter. Deliberately absent: a log file, rotation, a syslog client; whoever starts
//! the program collects its stderr.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::TelemetryError;

/// Sends the log to stderr, at `info` unless `RUST_LOG` says otherwise, coloured only on a terminal.
///
/// # Errors
/// [`TelemetryError::Logging`] if the process has a log already; that one stays.
pub fn init_logging() -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .try_init()
        .map_err(TelemetryError::Logging)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_log_is_an_error_and_no_panic() {
        // Another test of this process may have been first; whichever was, the next one is refused.
        let _ = init_logging();
        assert!(matches!(init_logging(), Err(TelemetryError::Logging(_))));
    }
}
