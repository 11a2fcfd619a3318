//! The runtime library of tracecore, an observability collector for GPU clusters.
//!
//! A component is declared; everything else is generated. This crate is the only name a component author imports.

#[cfg(panic = "abort")]
compile_error!("tracecore contains a component's panic by unwinding: build with panic = \"unwind\"");

pub mod config;
pub mod error;
pub mod exposition;
pub mod net;
pub mod signal;
pub mod surface;
pub mod telemetry;
pub mod time;
