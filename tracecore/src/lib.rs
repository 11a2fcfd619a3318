//! The runtime library of tracecore, an observability collector for GPU clusters.
//!
//! A component is declared; everything else is generated. An author writes a struct with [`receiver`], [`processor`] or
//! [`exporter`] and the trait of that role, and imports [`prelude`] and nothing else:
//!
//! ```
//! use tracecore::prelude::*;
//!
//! /// Lets one batch in `every` through.
//! #[processor("every_nth", config = Config)]
//! struct EveryNth {
//!     config: Config,
//!     seen: std::sync::atomic::AtomicU64,
//! }
//!
//! /// Settings of the `every_nth` processor.
//! #[config]
//! struct Config {
//!     /// How many batches come per batch that goes on.
//!     every: std::num::NonZeroU64,
//! }
//!
//! impl Processor for EveryNth {
//!     fn new(config: Config) -> Result<Self, Never> {
//!         Ok(EveryNth { config, seen: 0.into() })
//!     }
//!
//!     fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
//!         let seen = self.seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!         Ok(seen.is_multiple_of(self.config.every.get()).then_some(batch))
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! The map of the code, its invariants and what is deliberately absent are in `docs/ARCHITECTURE.md`.

#[cfg(panic = "abort")]
compile_error!("tracecore contains a component's panic by unwinding: build with panic = \"unwind\"");

// What the macros expand to names this crate from outside; settings that several components share stand in it.
extern crate self as tracecore;

pub mod component;
pub mod config;
pub mod cx;
pub mod docs;
pub mod emit;
pub mod error;
pub mod events;
pub mod exposition;
pub mod graph;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod otlp;
pub mod queue;
pub mod registry;
pub mod runtime;
pub mod schema;
#[cfg(any(test, feature = "testing"))]
pub mod seam;
#[cfg(not(any(test, feature = "testing")))]
mod seam;
pub mod signal;
pub mod status;
pub mod surface;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use tracecore_macros::{Classify, Label, MetricSet, config, exporter, processor, receiver};

/// Everything that a component's file needs.
pub mod prelude {
    pub use crate::component::{Exporter, NoConfig, Processor, Receiver};
    pub use crate::config::{ByteSize, Delay, Endpoint, Literal, MountPath, Pattern, Period, Secret};
    pub use crate::cx::{Blocked, Cx};
    pub use crate::emit::{Emitter, Origin, Refusal, Verdict};
    pub use crate::error::{Classify, Never, WriteError};
    pub use crate::metrics::data::{Counter, Gauge, Histogram, Summary, UpDownCounter};
    pub use crate::metrics::{Label, MetricSet, Name};
    pub use crate::signal::{Batch, Signal, TextFormat};
    pub use crate::status::ComponentStatus;
    pub use tracecore_macros::{Classify, Label, MetricSet, config, exporter, processor, receiver};
}

/// What the macros expand to. Not for people: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::component::{Component, NoConfig, Role, Stability};
    pub use crate::error::{Classify, ErrorKind, Never, Retry};
    pub use crate::metrics::data::NoData;
    pub use crate::metrics::health::NoTelemetry;
    pub use crate::metrics::{
        Closed, ClosedLabel, End, Instrument, Kind, Label, MAX_SERIES, Metric, MetricName, MetricSet, Name, Named,
        NamedLabel, buckets_rise, quantiles_rise,
    };
    pub use crate::registry::{COMPONENTS, Entry};
    pub use crate::signal::Signal;
    pub use {linkme, schemars, serde, serde_json};
}
