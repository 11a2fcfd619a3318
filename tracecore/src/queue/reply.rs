//! The way back to a sender that waits for the outcome of its batch.
//!
//! A batch can be cut, and its pieces be delivered apart: the sender hears once, when all of them have met their fate. Of
//! several fates it hears the one that it must act on: what can still be delivered goes first, then what is lost for good.
//! A reply that is dropped says that the batch is lost and can be sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

use super::Outcome;

/// What one batch, or one piece of it, owes its sender.
#[derive(Debug)]
pub(super) struct Reply {
    fan: Arc<Fan>,
    outcome: Outcome,
}

/// What all pieces of a batch have come to.
#[derive(Debug)]
struct Fan {
    /// `None` once the sender was told.
    sender: Option<oneshot::Sender<Outcome>>,
    /// The place in [`FATES`] of the worst that has happened.
    worst: AtomicU8,
}

/// From the best to what the sender must act on first.
const FATES: [Outcome; 3] = [Outcome::Delivered, Outcome::Lost { retryable: false }, Outcome::Lost { retryable: true }];

impl Reply {
    pub(super) fn to(sender: oneshot::Sender<Outcome>) -> Self {
        Reply::of(Arc::new(Fan { sender: Some(sender), worst: AtomicU8::new(0) }))
    }

    fn of(fan: Arc<Fan>) -> Self {
        Reply { fan, outcome: Outcome::Lost { retryable: true } }
    }

    /// Of another piece of the same batch.
    pub(super) fn another(&self) -> Self {
        Reply::of(Arc::clone(&self.fan))
    }

    /// This is what became of it.
    pub(super) fn settle(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let fate = match self.outcome {
            Outcome::Delivered => 0,
            Outcome::Lost { retryable: false } => 1,
            Outcome::Lost { retryable: true } => 2,
        };
        self.fan.worst.fetch_max(fate, Ordering::Relaxed);
    }
}

/// The last piece has met its fate.
impl Drop for Fan {
    fn drop(&mut self) {
        let worst = FATES[usize::from(*self.worst.get_mut()).min(FATES.len() - 1)];
        if let Some(sender) = self.sender.take() {
            // Nobody may wait any more: a caller can go away.
            let _ = sender.send(worst);
        }
    }
}
