//! The program's own log: structured lines on stderr.
//!
//! Stdout belongs to the `stdout` exporter. `RUST_LOG` says what is told, and where it does not, the configuration does,
//! once it is read. Deliberately absent: a log file, rotation, a syslog client; whoever starts the program collects its
//! stderr.

use std::env;
use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::TelemetryError;

/// From which level on the log tells, in the words of the Collector, which has three more above `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What a developer wants to know.
    Debug,
    /// What happens.
    Info,
    /// What is hardly meant.
    Warn,
    /// What went wrong.
    #[serde(alias = "dpanic", alias = "panic", alias = "fatal")]
    Error,
}

impl LogLevel {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }

    fn filter(self) -> EnvFilter {
        let level = match self {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        };
        EnvFilter::default().add_directive(level.into())
    }
}

/// The log of the process.
pub struct Log {
    /// None where `RUST_LOG` holds.
    set: Option<Box<dyn Fn(EnvFilter)>>,
}

impl Log {
    /// Tells from this level on, unless `RUST_LOG` says what is told.
    pub fn set_level(&self, level: LogLevel) {
        if let Some(set) = &self.set {
            set(level.filter());
        }
    }
}

/// Sends the log to stderr, at `info` unless `RUST_LOG` says otherwise, coloured only on a terminal.
///
/// # Errors
/// [`TelemetryError::Logging`] if the process has a log already; that one stays.
pub fn init_logging() -> Result<Log, TelemetryError> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_filter_reloading();
    let handle = log.reload_handle();
    log.try_init().map_err(TelemetryError::Logging)?;
    let is_said = env::var_os(EnvFilter::DEFAULT_ENV).is_some_and(|said| !said.is_empty());
    let set = move |filter| {
        // It fails for a log that has gone, and this one stays.
        let _ = handle.reload(filter);
    };
    Ok(Log { set: if is_said { None } else { Some(Box::new(set)) } })
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
