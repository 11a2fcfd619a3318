//! What one batch holds of the memory.
//!
//! It is a number that is given back when it is dropped, and costs no allocation but where several hold the same: one for
//! all of them. Invariant: a buffer is charged once, for as long as anything that is a slice of it is charged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Memory, beside};
use crate::signal::Batch;

/// What a batch holds of the memory, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Memory,
    /// Of its parts.
    bytes: u64,
    /// Of what it is beside them, wherever it is.
    beside: u64,
    /// Held with others: that of the batch of which this one has slices.
    shared: Option<Arc<Charge>>,
}

impl Charge {
    /// That of a batch, which is still to be [taken](Charge::take).
    pub(super) fn of(memory: &Memory, batch: &Batch) -> Self {
        Charge { memory: memory.clone(), bytes: batch.size() as u64, beside: beside(batch), shared: None }
    }

    /// Counts it, and gives what was held before.
    pub(super) fn take(&self) -> u64 {
        self.memory.0.held.fetch_add(self.bytes + self.beside, Ordering::Relaxed)
    }

    /// One of nothing, for a test of what does not look at it.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Charge { memory: Memory::new(None, || None), bytes: 0, beside: 0, shared: None }
    }

    /// One of nothing.
    pub(crate) fn nothing(&self) -> Self {
        Charge { memory: self.memory.clone(), bytes: 0, beside: 0, shared: None }
    }

    /// One for each of `count` that have the same batch, or pieces of it.
    pub(crate) fn share(self, count: usize) -> impl Iterator<Item = Charge> {
        let (mut alone, mut shared) = (None, None);
        if count == 1 {
            alone = Some(self);
        } else {
            let all = Arc::new(self);
            shared = Some((0..count).map(move |_| {
                let shared = Some(Arc::clone(&all));
                let one = Charge { memory: all.memory.clone(), bytes: 0, beside: all.beside, shared };
                one.take();
                one
            }));
        }
        alone.into_iter().chain(shared.into_iter().flatten())
    }

    /// That of `made`, which was made of `batch`, whose charge this is: what it has copied is counted too, and what it has no
    /// slice of is given back. It is never refused: what it was made of is about to go.
    pub(crate) fn remade(mut self, batch: &Batch, made: &Batch) -> Charge {
        let is_slice = |part: &&Bytes| batch.parts().iter().any(|of| of.as_ptr_range().contains(&part.as_ptr()));
        let (slices, copies): (u64, u64) = made.parts().iter().fold((0, 0), |(slices, copies), part| {
            let size = part.len() as u64;
            if part.is_empty() || is_slice(&part) { (slices + size, copies) } else { (slices, copies + size) }
        });
        if slices == 0 {
            self.memory.0.held.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
            self.shared = None;
        }
        self.memory.0.held.fetch_add(copies, Ordering::Relaxed);
        self.bytes += copies;
        self
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes + self.beside > 0 {
            self.memory.0.held.fetch_sub(self.bytes + self.beside, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::super::{BATCH_BYTES, Memory, OverBudget, charged};
    use super::*;
    use crate::signal::{Batch, Metadata, SplitLimit};
    use crate::testing::logs;

    fn memory(budget: u64) -> Memory {
        Memory::new(None, || None).with_budget(budget)
    }

    #[test]
    fn what_is_over_the_budget_is_refused_and_counted_by_nobody() {
        let batch = logs("one", 10);
        let memory = memory(2 * charged(&batch));
        let held = [(); 2].map(|()| memory.charge(&batch).unwrap());
        assert_eq!(memory.charge(&batch).err(), Some(OverBudget));
        assert_eq!(memory.held(), 2 * charged(&batch));
        drop(held);
        memory.charge(&batch).unwrap();
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn one_batch_that_is_alone_is_taken_however_large_it_is() {
        let memory = memory(1);
        let alone = memory.charge(&logs("one", 10)).unwrap();
        assert_eq!(memory.charge(&logs("two", 1)).err(), Some(OverBudget));
        drop(alone);
        memory.charge(&logs("two", 1)).unwrap();
    }

    #[test]
    fn a_batch_that_several_have_is_counted_once_and_until_the_last_lets_go() {
        let memory = memory(u64::MAX);
        let batch = logs("one", 100);
        let size = batch.size() as u64;
        let mut charges: Vec<Charge> = memory.charge(&batch).unwrap().share(3).collect();
        while charges.pop().is_some() {
            let places = charges.len() as u64;
            assert_eq!(memory.held(), if places == 0 { 0 } else { size + (1 + places) * BATCH_BYTES });
        }
    }

    #[test]
    fn what_a_request_brought_beside_its_body_is_charged_with_its_batch() {
        let memory = memory(u64::MAX);
        let pairs = [("x-tenant", "a".repeat(1000)), ("x-tenant", "b".repeat(2000))];
        let batch = logs("one", 1).with_metadata(Metadata::new(pairs).unwrap());
        let charge = memory.charge(&batch).unwrap();
        assert!(memory.held() > batch.size() as u64 + BATCH_BYTES + 3000 + 2 * "x-tenant".len() as u64);
        drop(charge);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_copy_is_charged_in_the_place_of_the_whole_and_a_slice_as_the_whole() {
        let memory = memory(u64::MAX);
        let mut batch = logs("first", 60);
        batch.merge(logs("second", 40)).unwrap();
        let whole = batch.size() as u64;
        let first = |items| batch.split(SplitLimit::Items(NonZeroU64::new(items).unwrap())).next().unwrap();
        let (copy, slice) = (first(1), first(60));
        let charge = memory.charge(&batch).unwrap().remade(&batch, &slice);
        assert_eq!(memory.held(), whole + BATCH_BYTES);
        let charge = charge.remade(&batch, &copy);
        assert_eq!(memory.held(), charged(&copy));
        drop(charge);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn pieces_hold_the_whole_until_the_last_slice_of_it_has_gone_and_each_its_copies() {
        let memory = memory(u64::MAX);
        let mut batch = logs("first", 60);
        batch.merge(logs("second", 40)).unwrap();
        let whole = batch.size() as u64;
        let pieces: Vec<Batch> = batch.split(SplitLimit::Items(NonZeroU64::new(50).unwrap())).collect();
        let [first, second] = &pieces[..] else { panic!("two pieces") };
        let copied = [first.parts()[0].len(), second.parts()[0].len()].map(|size| size as u64);
        assert_eq!((first.parts().len(), second.parts().len()), (1, 2), "the rest of one resource, and a slice");
        let charges = memory.charge(&batch).unwrap().share(2);
        let mut charges = charges.zip(&pieces).map(|(charge, piece)| charge.remade(&batch, piece));
        let (first, second) = (charges.next(), charges.next());
        drop(charges);
        assert_eq!(memory.held(), whole + copied[0] + copied[1] + 3 * BATCH_BYTES);
        drop(first);
        assert_eq!(memory.held(), whole + copied[1] + 2 * BATCH_BYTES);
        drop(second);
        assert_eq!(memory.held(), 0);
    }
}
