//! Tests of tracecore as a whole, in one process, through its public surface.

use components as _;

mod allocation;
mod delivery;
mod encode;
mod expand;
mod flood;
mod generated;
mod ingest;
mod pipelines;
mod prometheus_exporter;
mod queue;
mod registry;
mod shutdown;
mod start;
mod supervision;
mod telemetry;
mod testkit;
mod ui;
