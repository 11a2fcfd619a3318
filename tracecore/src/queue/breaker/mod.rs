//! The circuit breaker of an exporter: it stops calling a backend that seems to be dead, and finds out when it is back.
//!
//! Every call asks first ([`Breaker::admit`]) and says afterwards how it went, with the [`Permit`] that it got.
//!
//! - **Closed**: every call is allowed. `failure_threshold` failures in a row open the breaker; a success in between
//!   begins the count anew. Of calls that were under way together one failure counts: ten connections that a backend's
//!   restart cuts at once are one sign that it is away, not ten.
//! - **Open**: every call is refused, and told when to come back. The first to ask once `open_duration` is over makes the
//!   breaker half-open. No timer runs for this: an open breaker that nobody asks stays open.
//! - **Half-open**: at most `half_open_calls` trial calls are under way at once. `success_threshold` of them that succeed
//!   close the breaker, one that fails opens it again.
//!
//! What always holds: a permit speaks for the state in which it was given, never for a later one, so that a call from
//! before an outage cannot close or open a breaker that has moved on since. A permit that is dropped counts for nothing,
//! and if it was for a trial, its place is free again. Whoever caused a transition has it in hand, once, to report it.
//! While closed with no failure counted, a call costs two atomic loads: no lock, no allocation, no clock.
//!
//! The caller decides what counts. Time-outs and lost connections are failures. A batch that the backend refuses for good
//! is an answer, and so a success. What says nothing about the backend, such as a panic of the exporter, is ignored.
//!
//! Nothing is lost by an open breaker: batches wait in the queue, and [`Breaker::chance`] wakes all consumers together.
//!
//! Deliberately absent: a failure ratio over a window (it would cost every call a write, and a backend that fails now and
//! then is a matter of retries; `exporter.failure_rate` shows the ratio), longer and longer open times, events and metrics
//! (`queue::guard` has both).

mod machine;
#[cfg(test)]
mod tests;

pub(crate) use machine::{Admission, Breaker, Permit, Snapshot, Transition};

/// What the machine shares and waits with. A test puts a scheduler of its own in this place.
mod seam {
    pub(super) use std::sync::atomic::AtomicU64;
    pub(super) use std::sync::{Mutex, MutexGuard};

    pub(super) use tokio::sync::Notify;
    pub(super) use tokio::time::timeout_at;

    use crate::time::Instant;

    pub(super) fn now() -> Instant {
        Instant::now()
    }
}
