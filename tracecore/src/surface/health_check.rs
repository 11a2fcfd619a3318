//! What the Collector's `health_check` extension answers, for those who ask as they asked it.
//!
//! It says what `/readyz` says. Beside the Collector's, which answers any method, it answers `GET` and `HEAD`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::routes::{TEXT, reply};
use super::{Health, Inspect};
use crate::time::{Clock, rfc3339};

/// How a probe of this kind is told of.
const CHECK: &str = "health_check";

/// What Go writes for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A `health_check` as it is configured.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// What is asked for. If it ends in `/`, whatever begins so.
    pub path: String,
    /// What is answered while the service is ready, and while it is not, in place of JSON.
    pub bodies: Option<(Bytes, Bytes)>,
    /// The wall clock.
    pub clock: Clock,
}

impl HealthCheck {
    /// Whether this is what is asked for: as Go's servers see it.
    pub(super) fn is_at(&self, path: &str) -> bool {
        path == self.path || self.path.ends_with('/') && path.starts_with(&self.path)
    }

    pub(super) fn respond(&self, health: &Health, inspect: &Arc<dyn Inspect>) -> Response<Bytes> {
        let passed = health.readyz(|| inspect.is_ready()).has_passed();
        inspect.probed(CHECK, passed);
        let status = if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        match &self.bodies {
            Some((healthy, unhealthy)) => reply(status, TEXT, if passed { healthy.clone() } else { unhealthy.clone() }),
            None => reply(status, "application/json", self.document(health.uptime().filter(|_| passed))),
        }
    }

    fn document(&self, uptime: Option<Duration>) -> String {
        let (status, since, uptime) = match uptime {
            Some(uptime) => ("Server available", rfc3339(self.clock.now() - uptime), in_go(uptime)),
            None => ("Server not available", NEVER.to_owned(), String::new()),
        };
        format!(r#"{{"status":"{status}","upSince":"{since}","uptime":"{uptime}"}}"#)
    }
}

/// A length of time as Go writes it, to the millisecond: `1h2m3.004s`.
fn in_go(time: Duration) -> String {
    let (all, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}.{millis:03}s"),
        (0, minutes) => format!("{minutes}m{seconds}.{millis:03}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}.{millis:03}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_written_as_in_go() {
        let cases = [(0, "0.000s"), (59_004, "59.004s"), (60_000, "1m0.000s"), (3_723_456, "1h2m3.456s")];
        for (millis, text) in cases {
            assert_eq!(in_go(Duration::from_millis(millis)), text);
        }
        assert_eq!(in_go(Duration::from_secs(90_000)), "25h0m0.000s");
    }

    #[test]
    fn a_path_that_ends_in_a_slash_stands_for_all_below_it() {
        let at = |path: &str| HealthCheck { path: path.to_owned(), bodies: None, clock: Clock::system() };
        assert!(at("/").is_at("/") && at("/").is_at("/health") && at("/health/").is_at("/health/status"));
        assert!(at("/health").is_at("/health") && !at("/health").is_at("/health/status") && !at("/health").is_at("/"));
    }
}
