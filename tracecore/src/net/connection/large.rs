//! Large frames of HTTP/2, charged to the memory of the process while they come.
//!
//! The `h2` crate reserves room for all of a frame once its head is there, and nobody sees any of it before it has come
//! whole. Invariant: however many connections there are, such frames take no more together than the budget has left and
//! [`BEYOND`]; a client whose frame would take more loses its connection. Deliberately absent: frames of [`UNCHARGED`] bytes,
//! the size that the protocol starts with: the limit on connections bounds those.

use std::sync::Arc;

use crate::memory::{Arriving, OverBudget};
use crate::net::Observer;

/// Up to this size, in bytes, a frame is not charged: most clients never send larger ones.
const UNCHARGED: usize = 16 * 1024;

/// So much frames may take beyond the budget, in bytes: 32 of the largest. A frame cannot be refused alone, and when the budget
/// is used up, its request should be answered with a word and not with the loss of the connection.
const BEYOND: u64 = 32 * 1024 * 1024;

/// The large frame that is coming on one connection, if there is one.
pub(super) struct Large {
    observer: Arc<dyn Observer>,
    held: Option<(usize, Arriving)>,
}

impl Large {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        Large { observer, held: None }
    }

    /// A frame of so many bytes is coming, 0 for none.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn comes(&mut self, bytes: usize) -> Result<(), OverBudget> {
        if bytes <= UNCHARGED {
            self.held = None;
            return Ok(());
        }
        if self.held.as_ref().is_some_and(|(charged, _)| *charged == bytes) {
            return Ok(());
        }
        let Some(memory) = self.observer.memory() else { return Ok(()) };
        let mut coming = memory.arriving();
        self.held = None;
        coming.grow_beyond(bytes, BEYOND).inspect_err(|_| self.observer.body_refused())?;
        self.held = Some((bytes, coming));
        Ok(())
    }
}
