//! What is held of a request before it is a batch: its body while it comes, and what that is decompressed to.
//!
//! It is charged like a batch, to the same budget: it fills memory all the same. One that is alone may come however large it
//! is, as with batches.

use std::sync::atomic::Ordering;

use super::{Memory, OverBudget};

/// What is held of a request that is coming. Dropping it frees its charge.
#[derive(Debug)]
pub struct Arriving {
    memory: Memory,
    bytes: u64,
}

impl Memory {
    /// A request of which nothing has come.
    pub fn arriving(&self) -> Arriving {
        Arriving { memory: self.clone(), bytes: 0 }
    }
}

impl Arriving {
    /// Charges so many bytes more.
    ///
    /// # Errors
    /// When the budget is used up. They are charged even so, for as long as this is there.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let (before, is_alone) = self.add(bytes);
        if is_alone || self.memory.has_room(before, bytes as u64) { Ok(()) } else { Err(OverBudget) }
    }

    /// As [`grow`](Arriving::grow), with a budget that is so much larger, and however near the process is to its limit.
    pub(crate) fn grow_beyond(&mut self, bytes: usize, beyond: u64) -> Result<(), OverBudget> {
        let (before, is_alone) = self.add(bytes);
        let budget = self.memory.budget().saturating_add(beyond);
        if is_alone || before.saturating_add(bytes as u64) <= budget { Ok(()) } else { Err(OverBudget) }
    }

    /// Gives what was held before by all, and whether that was this.
    fn add(&mut self, bytes: usize) -> (u64, bool) {
        let before = self.memory.0.held.fetch_add(bytes as u64, Ordering::Relaxed);
        let is_alone = before <= self.bytes;
        self.bytes += bytes as u64;
        (before, is_alone)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.memory.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_held_until_it_has_gone() {
        let memory = Memory::new(None, || None).with_budget(100);
        let (mut one, mut other) = (memory.arriving(), memory.arriving());
        assert_eq!([one.grow(40), one.grow(20), other.grow(40)], [Ok(()); 3]);
        assert_eq!((other.grow(1), memory.held()), (Err(OverBudget), 101));
        drop(one);
        assert_eq!((other.grow(300), memory.held()), (Ok(()), 341), "it is alone now");
        drop(other);
        assert_eq!(memory.held(), 0);
    }
}
