//! How much the collector says of itself.
//!
//! Each family declares the lowest level that shows it. The rule which goes where:
//!
//! - `basic`: what an alert needs, and what tells of loss: errors, drops, failure rates, restarts, breakers, how full the
//!   queues are, and of the process its memory, processor time and file descriptors.
//! - `normal`, the default: rates and latencies, and what explains an alert: what came in and went out, how long it took,
//!   starts and stops, retries; and what components declare for their own health.
//! - `detailed`: what is counted for each poll of a task, and whatever else costs much or has many series.
//!
//! What a level leaves out has no series and costs next to nothing; its handles work as before.

use schemars::JsonSchema;
use serde::Deserialize;

/// How much the collector records of itself. Each level shows what the one before shows, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is recorded.
    None,
    /// What alerts need, and what tells of loss.
    Basic,
    /// Rates and latencies too.
    #[default]
    Normal,
    /// All there is: polls of tasks, and what else costs much or has many series.
    Detailed,
}

impl Level {
    /// Every level, the one that shows least first.
    pub const ALL: [Level; 4] = [Level::None, Level::Basic, Level::Normal, Level::Detailed];

    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Basic => "basic",
            Level::Normal => "normal",
            Level::Detailed => "detailed",
        }
    }
}
