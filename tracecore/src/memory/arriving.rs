//! What is held of a request's body while it comes.
//!
//! It is charged like a batch, to the same budget: until it is whole, and a batch, it fills memory all the same. One that is
//! alone may come however large it is, as with batches.

use std::sync::atomic::Ordering;

use super::{Memory, OverBudget};

/// A body that is coming. Dropping it frees its charge.
pub(crate) struct Arriving {
    memory: Memory,
    bytes: u64,
}

impl Memory {
    /// A body of which nothing has come.
    pub(crate) fn arriving(&self) -> Arriving {
        Arriving { memory: self.clone(), bytes: 0 }
    }
}

impl Arriving {
    /// Charges what has come.
    ///
    /// # Errors
    /// When the budget is used up. What has come is charged even so, for as long as it is there.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let more = bytes as u64;
        let before = self.memory.0.held.fetch_add(more, Ordering::Relaxed);
        let is_alone = before <= self.bytes;
        self.bytes += more;
        if is_alone || self.memory.has_room(before, more) { Ok(()) } else { Err(OverBudget) }
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
