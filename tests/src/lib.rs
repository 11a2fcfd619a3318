//! What the tests have in common: components that do as they are told, and a service around them.
//!
//! The components are declared like any other, in a crate that the program does not know: linking this crate is all
//! that registers them. A configuration is data and cannot hold a closure, so each component finds its script by the
//! `key` in its settings, among the scripts of this process: a test makes a [`Source`], a [`Filter`], a [`Sink`] or a
//! [`Meter`], each with a key of its own, and writes the key into its YAML. Tests wait for events, never for time.

mod filter;
mod meter;
mod payload;
mod rig;
mod script;
mod sink;
mod source;

pub use filter::{Background, Filter, FilterError};
pub use meter::{Data, Device, Direction, Health, Lane, Meter, Mode, Phase};
pub use payload::{Points, logs, metrics, name_of, points, spans};
pub use rig::{Rig, build, build_error, config, pipeline, sample, scrape, within_ceiling};
pub use script::Start;
pub use sink::{Answer, Sink, SinkError};
pub use source::{Command, Source, SourceError};
