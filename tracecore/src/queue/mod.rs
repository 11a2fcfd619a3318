//! The sending queue of an exporter: bounded, in memory.
//!
//! A batch takes its place in two steps: `Queue::reserve` and `Place::commit`. The second neither waits nor fails,
//! so a batch goes to all its exporters or to none. A place is given back when its delivery is settled, not when it is
//! taken out: what is under way counts against the bound, in requests or items or bytes, and always in bytes.
//! `Queue::room_for` is the one way to wait for a place: first come, first served.
//!
//! While batches wait they are merged, if `sending_queue.batch` says so: whoever takes them out gets as many as make a
//! request of the size that is asked for, and cuts what is too much. They are merged by concatenation and cut at items,
//! never decoded, and each keeps its own outcome. Deliberately absent: persistence.

mod bounded;
mod breaker;
mod deliver;
mod guard;
mod lanes;
mod load;
mod reply;
mod settings;
mod state;
mod sync;
mod taken;
#[cfg(test)]
mod tests;

pub(crate) use bounded::{Place, Queue};
pub(crate) use breaker::{Breaker, Snapshot};
pub(crate) use deliver::{ErasedOutlet, Outlet};
pub(crate) use load::{Fill, Load};
pub use settings::{
    Batching, CircuitBreaker, Delivery as DeliverySettings, Overflow, Partition, RetryOnFailure, SendingQueue, Sizer,
};
pub(crate) use taken::{Claim, Taken};

use crate::telemetry::DropReason;

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The exporter delivered the batch.
    Delivered,
    /// It is lost, and counted. Sending it again can help or not.
    Lost {
        /// Whether sending it again can help.
        retryable: bool,
    },
}

/// Why a batch got no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// There is none now.
    Now,
    /// There will never be one: the batch is larger than the queue.
    ForEver,
    /// The queue takes nothing more, for this reason: the service stops, or the exporter was given up.
    Closed(DropReason),
}
