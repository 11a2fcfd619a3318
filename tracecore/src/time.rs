//! Time, through one seam.
//!
//! Intervals and deadlines use the monotonic [`Instant`], which tests pause and advance; the wall clock is injected.
//! Nothing else in tracecore reads a clock (`clippy.toml` bans it).

use std::sync::Arc;
use std::time::SystemTime;

pub use tokio::time::{Duration, Instant};

/// The wall clock that a component sees. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn system() -> Self {
        Clock::new(SystemTime::now)
    }

    /// A clock that shows what `read` returns. For tests: it may stand, jump, and go back.
    pub fn new(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Clock(Arc::new(read))
    }

    /// A clock for tests: it stands at `start` and moves with the (pausable) monotonic clock.
    pub fn starting_at(start: SystemTime) -> Self {
        let origin = Instant::now();
        Clock::new(move || start + origin.elapsed())
    }

    /// The wall-clock time now.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Nanoseconds since the Unix epoch, as OTLP wants them; 0 for a clock that stands before it.
    pub fn unix_nanos(&self) -> u64 {
        unix_nanos(self.now())
    }
}

/// Nanoseconds since the Unix epoch; 0 before it, saturating after the year 2554.
pub fn unix_nanos(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// As text, to the millisecond, in UTC. A clock that stands before 1970 or after 2554 shows these.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nanos(time));
    humantime::format_rfc3339_millis(time).to_string()
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
