//! The seams at which a simulation takes chance into its own hands.
//!
//! What chance decides in the runtime is decided here: which task goes on where two may (`point`), and what jitter is
//! made of (`random`). In a program a point is no code at all and chance comes from the standard library. Under a
//! [`Simulation`] both come from its seed, so that a run on one thread under a paused clock is a function of the seed.
//! Deliberately absent: time, which has [`crate::time`], and faults, which belong to the components of a test.

#[cfg(any(test, feature = "testing"))]
mod simulation;

use std::hash::{BuildHasher, Hasher, RandomState};

#[cfg(any(test, feature = "testing"))]
pub use simulation::Simulation;

/// A point at which other tasks may run first. To be set where tasks meet: before a place is taken, between an attempt
/// and what follows from it.
#[inline]
pub(crate) async fn point() {
    #[cfg(any(test, feature = "testing"))]
    for _ in 0..simulation::yields() {
        tokio::task::yield_now().await;
    }
}

/// 64 random bits, for jitter.
pub(crate) fn random() -> u64 {
    #[cfg(any(test, feature = "testing"))]
    if let Some(bits) = simulation::random() {
        return bits;
    }
    // The standard library seeds each state differently.
    RandomState::new().build_hasher().finish()
}
