//! How much memory there is, how much the process uses, and how much of it batches hold.
//!
//! What batches hold is counted: a batch is charged with its bytes where it comes into the runtime, by a [`Charge`] that
//! goes with it through the queues and is given back when its delivery is settled. Of several exporters that have a batch
//! the last one gives it back, and of a batch that is cut the last piece that is a slice of it. The bytes are what the
//! batch pins, because a buffer has no room beside what is in it: whoever makes one ends it with [`exact`]. Beside them each
//! is charged with [`BATCH_BYTES`], for each exporter that has it, so that many that are tiny count too. Invariant: what
//! is emitted is never more than the budget, but for one batch that is alone, so that none is refused for ever.
//!
//! The budget is there in every collector, whatever it is configured to do: a share of what the process may use. What is
//! beside the batches (the heap's own losses, connections, compression) is the rest of it. And there is a [`Guard`] over all
//! that the process uses: near its limit nothing more is taken. Deliberately absent: what a component keeps of a batch
//! beyond its delivery, which only the guard sees.

mod arriving;
mod charge;
mod guard;
mod limit;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

pub use self::arriving::Arriving;
pub(crate) use self::charge::Charge;
pub use self::guard::{Bounds, Guard, Look, Pressure};
use crate::signal::{Batch, Metadata};

/// What batches may hold of what the process may use: a half. The other half is for what is made of them on their way out
/// (encoded, compressed and in the sockets, each up to once their size) and for everything else.
const SHARE: u64 = 2;

/// From which share on, in percent of what the process may use, the process is told to be near its limit.
const SOFT_PERCENT: u64 = 90;

/// From which share on nothing more is taken: the rest is what comes in between two looks, and what the kernel needs.
const HARD_PERCENT: u64 = 95;

/// How often the guard looks at what the process uses. In between, what batches hold is counted.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a batch takes beside its bytes while it waits: its places in queues and with their consumers, and what the
/// allocations cost. Measured 455 bytes a batch where a queue has just grown to nearly twice its length, without a sender that waits
/// for the result; a test holds it.
pub const BATCH_BYTES: u64 = 1024;

/// What a batch is charged with: its bytes, what its request brought beside its body, and [`BATCH_BYTES`].
pub fn charged(batch: &Batch) -> u64 {
    batch.size() as u64 + beside(batch)
}

fn beside(batch: &Batch) -> u64 {
    BATCH_BYTES + batch.metadata().map_or(0, Metadata::held)
}

/// The memory of the process. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    limit: Option<u64>,
    budget: u64,
    held: AtomicU64,
    /// Over all that the process uses; none where its limit is unknown.
    guard: Option<Guard>,
    used: Used,
}

/// Where it is read how much is used.
struct Used {
    by_process: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    /// By all in the cgroup whose limit it is, without what the kernel takes back first.
    by_group: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// A batch does not fit into the budget now, or the process is near its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for it now")]
pub struct OverBudget;

impl Memory {
    /// That of this process, in its cgroup and on this machine.
    pub fn detect() -> Self {
        let limit::Found { limit, group } = limit::detect();
        let by_group = Box::new(move || group.as_ref().and_then(limit::Group::used));
        Memory::of(limit, Used { by_process: Box::new(crate::telemetry::resident_bytes), by_group })
    }

    /// A process that may use `limit` bytes and uses what `resident` says. For tests: see [`Memory::detect`].
    pub fn new(limit: Option<u64>, resident: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Memory::of(limit, Used { by_process: Box::new(resident), by_group: Box::new(|| None) })
    }

    fn of(limit: Option<u64>, used: Used) -> Self {
        let budget = limit.map_or(u64::MAX, |limit| limit / SHARE);
        Memory(Arc::new(Inner { limit, budget, held: AtomicU64::new(0), guard: limit.map(guard), used }))
    }

    /// The same with another limit, and the budget that follows from it. For a process that nobody else holds yet.
    pub(crate) fn with_limit(self, limit: u64) -> Self {
        self.remade(|inner| Inner { limit: Some(limit), budget: limit / SHARE, guard: Some(guard(limit)), ..inner })
    }

    /// The same with another budget. What is held now does not count against it.
    pub(crate) fn with_budget(self, budget: u64) -> Self {
        self.remade(|inner| Inner { budget, ..inner })
    }

    fn remade(self, change: impl FnOnce(Inner) -> Inner) -> Self {
        let inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| {
            let (limit, budget, guard) = (shared.limit, shared.budget, shared.limit.map(guard));
            let (process, group) = (Arc::clone(&shared), shared);
            let used = Used {
                by_process: Box::new(move || (process.used.by_process)()),
                by_group: Box::new(move || (group.used.by_group)()),
            };
            Inner { limit, budget, held: AtomicU64::new(0), guard, used }
        });
        Memory(Arc::new(change(inner)))
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
        (self.0.used.by_process)()
    }

    /// How much of [`limit`](Memory::limit) is used, in bytes: what the process has in RAM or, if that is more, what all in
    /// its cgroup use, without the files that the kernel keeps only because there is room.
    pub fn used(&self) -> Option<u64> {
        self.resident().max((self.0.used.by_group)())
    }

    /// How near the process was to its limit at the last look.
    pub fn pressure(&self) -> Pressure {
        self.0.guard.as_ref().map_or(Pressure::None, Guard::pressure)
    }

    /// Looks at what the process uses; `None` where its limit or its use is unknown.
    pub(crate) fn look(&self) -> Option<Look> {
        let guard = self.0.guard.as_ref()?;
        Some(guard.look(self.used()?, self.held()))
    }

    /// Charges a batch that comes in.
    pub(crate) fn charge(&self, batch: &Batch) -> Result<Charge, OverBudget> {
        let charge = Charge::of(self, batch);
        let (before, size) = (charge.take(), charged(batch));
        if before == 0 || self.has_room(before, size) { Ok(charge) } else { Err(OverBudget) }
    }

    /// Whether `more` may come to what is `held`.
    fn has_room(&self, held: u64, more: u64) -> bool {
        let fits = held.saturating_add(more) <= self.0.budget;
        fits && self.0.guard.as_ref().is_none_or(|guard| guard.admits(held))
    }
}

/// That of a process which may use so much: it sheds nothing before the hard limit, as what it would shed sooner can still
/// be taken.
fn guard(limit: u64) -> Guard {
    let bounds = Bounds { soft: guard::percent(limit, SOFT_PERCENT), hard: guard::percent(limit, HARD_PERCENT) };
    Guard::new(bounds, Pressure::Hard)
}

/// The bytes in a buffer that has no room beside them. What is made by growing has up to as much again, and a batch pins
/// all of its buffer for as long as it waits.
pub fn exact(mut buffer: Vec<u8>) -> Bytes {
    buffer.shrink_to_fit();
    buffer.into()
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { limit, budget, .. } = &*self.0;
        f.debug_struct("Memory").field("limit", limit).field("budget", budget).field("held", &self.held()).finish()
    }
}
