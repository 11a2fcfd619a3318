//! The tree of events: groups, and what can happen in each. Its names are a contract with whoever listens.

use std::fmt;

use tracing::field::display;

use super::declare::events;
#[cfg(test)]
use super::declare::{DeclaredEvent, DeclaredField, DeclaredGroup};
use super::meta::Meta;
use crate::component::Role;
use crate::error::ErrorKind;
use crate::status::State;
use crate::telemetry::BreakerState;
use crate::telemetry::StopReason;

/// The target of the lines with which the log tells events.
const LOG_TARGET: &str = "tracecore::event";

/// The value of a field, as filters, logs and exports see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number; its unit is the end of the field's name.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A word, most often of a closed set.
    Word(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
            Value::Word(word) => f.write_str(word),
        }
    }
}

/// What a field of an event can be.
pub trait Field {
    /// The value as others see it.
    fn value(&self) -> Value<'_>;
}

impl Field for u64 {
    fn value(&self) -> Value<'_> {
        Value::Number(*self)
    }
}

impl Field for bool {
    fn value(&self) -> Value<'_> {
        Value::Flag(*self)
    }
}

impl Field for &'static str {
    fn value(&self) -> Value<'_> {
        Value::Word(self)
    }
}

impl Field for String {
    fn value(&self) -> Value<'_> {
        Value::Word(self)
    }
}

/// Closed sets, by their words.
macro_rules! words {
    ($($set:ty),+) => {
        $(impl Field for $set {
            fn value(&self) -> Value<'_> {
                Value::Word(self.as_str())
            }
        })+
    };
}

words!(Role, ErrorKind, State, StopReason, BreakerState);

/// A group of events: the first word of their names.
pub trait Group: Into<Event> {
    /// Its own bit among those of all groups.
    const BIT: u32;
}

events! {
    /// The life of the collector, and of each of its components: an event without a component is the collector's.
    Service(ServiceEvent) = "service" {
        /// It has started.
        Started = "started" {
            /// What it does.
            role: Role,
        }
        /// It could not start; what follows is its `on_start_error`.
        StartFailed = "start_failed" {
            /// What it does.
            role: Role,
            /// Why.
            kind: ErrorKind,
            /// Why, in words.
            error: String,
        }
        /// Every component of the collector has started, or waits as it was told to.
        Ready = "ready" {}
        /// It ended by panic, by error or unasked, and runs again after a back-off.
        Restarted = "restarted" {
            /// What it does.
            role: Role,
            /// Why.
            kind: ErrorKind,
            /// How often it has been restarted, this time included.
            restart_count: u64,
        }
        /// It has another status.
        StatusChanged = "status_changed" {
            /// What it was.
            from: State,
            /// What it is.
            to: State,
        }
        /// Somebody asked how it is: a probe of the surface, or a component that is waited for.
        HealthCheck = "health_check" {
            /// What was asked.
            check: &'static str,
            /// Whether it was well.
            passed: bool,
        }
        /// The collector was asked to stop.
        Stopping = "stopping" {}
        /// It has stopped.
        Stopped = "stopped" {
            /// Why.
            reason: StopReason,
        }
    }
    /// The configuration.
    Config(ConfigEvent) = "config" {
        /// It was applied: every component was made and started from it.
        Applied = "applied" {
            /// How many components there are.
            components: u64,
            /// How many pipelines there are.
            pipelines: u64,
        }
    }
    /// Signals of the operating system.
    Signal(SignalEvent) = "signal" {
        /// One came, and was acted upon; `SIGHUP` is told of and ends nothing.
        Handled = "handled" {
            /// Its name, as in `SIGTERM`.
            signal: &'static str,
        }
    }
    /// A batch on its way into the queues.
    Batch(BatchEvent) = "batch" {
        /// Every branch took a receiver's batch.
        Accepted = "accepted" {
            /// How many items it had.
            items: u64,
        }
        /// A branch refused a receiver's batch.
        Refused = "refused" {
            /// How many items it had.
            items: u64,
            /// Whether sending it again can help.
            retryable: bool,
        }
        /// Items are lost, and counted as lost.
        Dropped = "dropped" {
            /// How many.
            items: u64,
            /// Why.
            reason: &'static str,
        }
    }
    /// An exporter's calls.
    Export(ExportEvent) = "export" {
        /// Batches that waited are sent as one, under an id of its own.
        Merged = "merged" {
            /// How many items they have together.
            items: u64,
            /// How many they are.
            batches: u64,
            /// The ids of the first sixteen, in their order, with spaces between.
            sources: String,
        }
        /// It is called with a batch.
        Started = "started" {
            /// How many items the batch has.
            items: u64,
            /// Which attempt this is, from 1.
            attempt: u64,
        }
        /// The batch is delivered.
        Succeeded = "succeeded" {
            /// How many items it had.
            items: u64,
            /// Which attempt this was, from 1.
            attempt: u64,
        }
        /// The attempt failed.
        Failed = "failed" {
            /// Why.
            kind: ErrorKind,
            /// Whether it can help to try again.
            retryable: bool,
            /// Which attempt this was, from 1.
            attempt: u64,
        }
    }
    /// What follows a failed attempt.
    Retry(RetryEvent) = "retry" {
        /// The batch waits for its next attempt.
        Backoff = "backoff" {
            /// Which attempt failed, from 1.
            attempt: u64,
            /// How long it waits, in microseconds.
            delay_us: u64,
            /// Who chose the wait: `exponential`, or `server` when the other side asked for a longer one.
            strategy: &'static str,
        }
        /// The time for trying again ran out; the batch is dropped.
        Exhausted = "exhausted" {
            /// How many attempts there were.
            attempts: u64,
        }
    }
    /// The circuit breaker before an exporter.
    Breaker(BreakerEvent) = "breaker" {
        /// It has another state.
        StateChanged = "state_changed" {
            /// What it was.
            from: BreakerState,
            /// What it is.
            to: BreakerState,
        }
        /// A batch waits because it is open.
        Rejected = "rejected" {
            /// How long until the next trial, in microseconds.
            retry_in_us: u64,
        }
        /// A trial call of a half-open breaker ended. An exporter whose breaker is off is never asked how its backend is.
        HealthCheck = "health_check" {
            /// Whether it succeeded.
            passed: bool,
        }
    }
    /// Connections, of a server or to one.
    Connection(ConnectionEvent) = "connection" {
        /// It is there.
        Opened = "opened" {}
        /// It could not be made.
        Failed = "failed" {
            /// Why, in words.
            error: String,
        }
        /// It is gone.
        Closed = "closed" {
            /// How it ended.
            reason: &'static str,
        }
        /// A request has one of the pool.
        Acquired = "acquired" {}
        /// The request has given it back.
        Released = "released" {}
    }
    /// A client's connections to one server.
    Pool(PoolEvent) = "pool" {
        /// There is one.
        Created = "created" {}
        /// How full it is, told when that changes.
        Health = "health" {
            /// Connections in use.
            active: u64,
            /// Connections open and not in use.
            idle: u64,
        }
    }
    /// Work beside a component's own loop.
    Task(TaskEvent) = "task" {
        /// It has begun.
        Started = "started" {
            /// What it is.
            task: String,
        }
        /// It is done.
        Completed = "completed" {
            /// What it is.
            task: String,
        }
        /// It panicked, or was not done within its deadline.
        Failed = "failed" {
            /// What it is.
            task: String,
            /// Why, in words.
            error: String,
        }
    }
    /// What there is a limited number of.
    Resource(ResourceEvent) = "resource" {
        /// One is taken.
        Acquired = "acquired" {
            /// Of what: `listener`, `thread`.
            resource: &'static str,
        }
        /// One is given back.
        Released = "released" {
            /// Of what.
            resource: &'static str,
        }
        /// There is no more.
        Exhausted = "exhausted" {
            /// Of what: `queue`, `connection`, `thread`, `memory`.
            resource: &'static str,
        }
    }
}
