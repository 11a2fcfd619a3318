//! How much memory there is, how much the process uses, and how much of it batches hold.
//!
//! What batches hold is counted, byte by byte: a part is charged where it comes into the runtime, by a guard that goes with
//! its bytes, and is freed when the last slice of it has gone, wherever that is. A slice pins the whole of its buffer, so
//! the whole is counted for as long as any slice lives. Invariant: what is emitted is never more than the budget, but
//! for one batch that is alone, so that none is refused for ever.
//!
//! The budget is there in every collector, whatever it is configured to do: a share of what the process may use. What is
//! beside the batches (the heap's own losses, connections, compression) is the rest of it. Deliberately absent: memory that
//! the allocator keeps after it was freed; [`Memory::resident`] includes it.

mod arriving;
mod limit;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

pub(crate) use self::arriving::Arriving;
use crate::signal::Batch;

/// What batches may hold of what the process may use: a half. The other half is for what is made of them on their way out
/// (encoded, compressed and in the sockets, each up to once their size) and for everything else.
const SHARE: u64 = 2;

/// The memory of the process. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    limit: Option<u64>,
    budget: u64,
    held: AtomicU64,
    resident: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// A batch does not fit into the budget now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

impl Memory {
    /// That of this process, in its cgroup and on this machine.
    pub fn detect() -> Self {
        Memory::new(limit::detect(), crate::telemetry::resident_bytes)
    }

    /// A process that may use `limit` bytes and uses what `resident` says. For tests: see [`Memory::detect`].
    pub fn new(limit: Option<u64>, resident: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        let budget = limit.map_or(u64::MAX, |limit| limit / SHARE);
        Memory(Arc::new(Inner { limit, budget, held: AtomicU64::new(0), resident: Box::new(resident) }))
    }

    /// The same with another budget. What is held now does not count against it.
    pub(crate) fn with_budget(self, budget: u64) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Memory(Arc::new(Inner { budget, ..inner })),
            Err(shared) => {
                let (limit, resident) = (shared.limit, move || (shared.resident)());
                Memory(Arc::new(Inner { limit, budget, held: AtomicU64::new(0), resident: Box::new(resident) }))
            }
        }
    }

    /// How much the process may use, in bytes: the least of what its cgroups allow and what the machine has; `None` where
    /// neither can be read.
    pub fn limit(&self) -> Option<u64> {
        self.0.limit
    }

    /// How much batches may hold together, in bytes.
    pub fn budget(&self) -> u64 {
        self.0.budget
    }

    /// How much batches hold together now, in bytes.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// How much of the process is in RAM, in bytes; `None` where that cannot be read. Reads a small file of the kernel.
    pub fn resident(&self) -> Option<u64> {
        (self.0.resident)()
    }

    /// Charges a batch that comes in.
    pub(crate) fn charge(&self, batch: Batch) -> Result<Batch, OverBudget> {
        let size = batch.size() as u64;
        let before = self.0.held.fetch_add(size, Ordering::Relaxed);
        if before > 0 && before.saturating_add(size) > self.0.budget {
            self.0.held.fetch_sub(size, Ordering::Relaxed);
            return Err(OverBudget);
        }
        Ok(batch.map_parts(|part| self.counted(part)))
    }

    /// Charges what was made of `original` on its way, and is no slice of it. It is never refused: what it was made of is
    /// about to go.
    pub(crate) fn charge_copies(&self, batch: Batch, original: &Batch) -> Batch {
        let is_slice = |part: &Bytes| original.parts().iter().any(|of| of.as_ptr_range().contains(&part.as_ptr()));
        if batch.parts().iter().all(is_slice) {
            return batch;
        }
        batch.map_parts(|part| {
            if part.is_empty() || is_slice(&part) {
                return part;
            }
            self.0.held.fetch_add(part.len() as u64, Ordering::Relaxed);
            self.counted(part)
        })
    }

    /// The part with a guard that frees its charge.
    fn counted(&self, part: Bytes) -> Bytes {
        Bytes::from_owner(Charged { part, memory: Arc::clone(&self.0) })
    }
}

/// Bytes that are charged.
struct Charged {
    part: Bytes,
    memory: Arc<Inner>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.part
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.part.len() as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { limit, budget, .. } = &*self.0;
        f.debug_struct("Memory").field("limit", limit).field("budget", budget).field("held", &self.held()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SplitLimit;
    use crate::testing::logs;

    fn memory(budget: u64) -> Memory {
        Memory::new(None, || None).with_budget(budget)
    }

    #[test]
    fn what_a_batch_holds_is_counted_until_the_last_slice_of_it_has_gone() {
        let memory = memory(u64::MAX);
        let batch = memory.charge(logs("one", 100)).unwrap();
        let size = batch.size() as u64;
        assert_eq!(memory.held(), size);
        let slice = batch.parts()[0].slice(3..5);
        let copy = batch.clone();
        drop(batch);
        drop(copy);
        assert_eq!(memory.held(), size, "two bytes pin the whole");
        drop(slice);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn what_is_over_the_budget_is_refused_and_counted_by_nobody() {
        let batch = logs("one", 10);
        let memory = memory(2 * batch.size() as u64);
        let held = [(); 2].map(|()| memory.charge(batch.clone()).unwrap());
        assert_eq!(memory.charge(batch.clone()).err(), Some(OverBudget));
        assert_eq!(memory.held(), 2 * batch.size() as u64);
        drop(held);
        memory.charge(batch).unwrap();
    }

    #[test]
    fn one_batch_that_is_alone_is_taken_however_large_it_is() {
        let memory = memory(1);
        let alone = memory.charge(logs("one", 10)).unwrap();
        assert_eq!(memory.charge(logs("two", 1)).err(), Some(OverBudget));
        drop(alone);
        memory.charge(logs("two", 1)).unwrap();
    }

    #[test]
    fn what_was_made_of_a_batch_is_charged_and_a_slice_of_it_is_not() {
        let memory = memory(u64::MAX);
        let batch = memory.charge(logs("one", 100)).unwrap();
        let before = memory.held();
        let same = memory.charge_copies(batch.clone(), &batch);
        assert_eq!(memory.held(), before);
        let limit = SplitLimit::Items(std::num::NonZeroU64::MIN);
        let piece = batch.split(limit).next().unwrap();
        let size = piece.size() as u64;
        let piece = memory.charge_copies(piece, &batch);
        assert_eq!(memory.held(), before + size);
        drop((batch, same));
        assert_eq!(memory.held(), size);
        drop(piece);
        assert_eq!(memory.held(), 0);
    }
}
