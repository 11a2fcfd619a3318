//! Tests of tracecore as a whole, in one process, through its public surface.

use components as _;

mod allocation;
mod assertions;
mod batching;
mod containment;
mod delivery;
mod encode;
mod events_mirror;
mod every_event;
mod expand;
mod files;
mod flood;
mod generated;
mod ingest;
mod lifecycle;
mod memory;
mod otlp_grpc;
mod outage;
mod pipelines;
mod prometheus_exporter;
mod queue;
mod registry;
mod reliability;
mod resilience;
mod resource_detection;
mod shaping;
mod shutdown;
mod specification;
mod start;
mod status;
mod supervision;
mod telemetry;
mod testkit;
mod ui;
mod wall_clock;
