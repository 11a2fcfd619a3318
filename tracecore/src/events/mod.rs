//! What happens, as it happens.
//!
//! Metrics count and logs tell; events let other code react, and let tests wait for what they expect instead of for
//! time to pass. Every operation of the runtime is one [`Event`], told with its [`Meta`]: when, where, which component,
//! which batch, how long it took.
//!
//! Invariants: emitting an event that nobody listens to costs a load and a branch, and makes nothing; a subscriber that
//! is slow never holds up an emitter, it loses the oldest of what it has not read and is told how many; of two events,
//! all subscribers hear the same one first. A subscription is a guard: dropping it ends it.
//!
//! Deliberately absent: events of a component's own. What a component has to say is an error, a metric or its status.

mod bus;
mod declare;
mod filter;
mod kinds;
mod meta;
mod otlp;
#[cfg(test)]
mod page;
mod severity;

pub use bus::{Events, Gap, Subscription};
pub use filter::{Filter, Pattern, UnknownEvent};
pub use kinds::{
    BatchEvent, BreakerEvent, ConfigEvent, ConnectionEvent, Event, ExportEvent, Field, Group, PoolEvent, ResourceEvent,
    RetryEvent, ServiceEvent, SignalEvent, TaskEvent, Value,
};
pub(crate) use meta::micros;
pub use meta::{CorrelationId, Draft, Meta, Occurrence};
pub(crate) use otlp::encode;
pub use severity::Severity;
