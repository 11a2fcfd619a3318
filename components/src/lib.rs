//! The receivers, processors and exporters that come with tracecore.
//!
//! One file per component. A program has them once its source mentions this crate: `use components as _;`.

mod exporters;
mod processors;
mod receivers;
