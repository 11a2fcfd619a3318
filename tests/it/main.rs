//! Tests of tracecore as a whole, in one process, through its public surface.

use components as _;

mod expand;
mod generated;
mod prometheus_exporter;
mod queue;
mod registry;
mod shutdown;
mod start;
mod supervision;
mod ui;
