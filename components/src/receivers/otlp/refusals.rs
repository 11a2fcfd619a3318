//! Telling whose requests are refused for good: the client hears why, and nobody may be reading what it hears.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracecore::config::ComponentId;
use tracecore::otlp::status::Status;
use tracecore::time::Instant;
use tracing::warn;

/// The least time between two lines of the log with the same code: who sends what is wrong sends it again and again. Codes
/// have a time each, so that a health check which asks for `/` hides nobody's broken data.
const PAUSE: Duration = Duration::from_secs(60);

/// The most bytes of a reason that are told: it may repeat what the client wrote.
const MAX_REASON_BYTES: usize = 256;

/// What was told of the requests to one server that no client may send again.
pub(super) struct Refusals {
    component: ComponentId,
    /// `grpc` or `http`.
    protocol: &'static str,
    /// By code.
    told: Mutex<BTreeMap<&'static str, Told>>,
}

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    /// How many others were refused since.
    others: u64,
}

impl Refusals {
    pub(super) fn new(component: ComponentId, protocol: &'static str) -> Self {
        Refusals { component, protocol, told: Mutex::default() }
    }

    /// A request of `peer` is refused.
    pub(super) fn refused(&self, peer: SocketAddr, status: &Status) {
        if status.is_retryable() {
            return;
        }
        let code = status.code.as_str();
        let Some(others) = self.due(code, Instant::now()) else { return };
        let reason = &status.message[..status.message.floor_char_boundary(MAX_REASON_BYTES)];
        let (component, protocol) = (&self.component, self.protocol);
        warn!(%component, protocol, %peer, code, reason, others, "a client's request is refused for good");
    }

    /// Whether one that comes now is told of: then how many others with this code were not, since the last that was.
    fn due(&self, code: &'static str, now: Instant) -> Option<u64> {
        let mut by_code = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = by_code.entry(code).or_default();
        if told.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            told.others += 1;
            return None;
        }
        Some(mem::replace(told, Told { last: Some(now), others: 0 }).others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while_is_told_of_and_the_others_are_counted() {
        let refusals = Refusals::new("otlp".parse().expect("an id"), "http");
        let start = Instant::now();
        let told: Vec<_> =
            [0, 1, 59, 60, 61, 200].map(|at| refusals.due("NOT_FOUND", start + Duration::from_secs(at))).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
        assert_eq!(refusals.due("INVALID_ARGUMENT", start), Some(0), "another code hides it");
    }
}
