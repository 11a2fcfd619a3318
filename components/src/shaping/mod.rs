//! What processors that shape data have in common: actions on attributes, and conditions on what is acted on.
//!
//! Both are read from settings with the Collector's names and applied on the wire, in the pass of an
//! [`Edit`](tracecore::signal::edit::Edit). Each says here where it differs from the Collector.

pub(crate) mod actions;
pub(crate) mod conditions;
pub(crate) mod matching;
