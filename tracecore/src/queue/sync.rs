//! What the queue's core waits with, behind one name so that the check of its interleavings can put its own in its place.

pub(super) use std::sync::{Mutex, MutexGuard};

pub(super) use tokio::time::sleep_until;

use crate::time::Instant;

/// The monotonic clock.
pub(super) fn now() -> Instant {
    Instant::now()
}
