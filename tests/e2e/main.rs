//! Tests of the program as people run it: the real binary, real signals, a real Prometheus.
//!
//! Nothing here sleeps. A test waits for a line that the program prints, for an answer over HTTP or for the end of the
//! process, each with a ceiling that only a failure reaches.

mod alerts;
mod bundle;
mod cli;
mod collector;
mod editor;
mod examples;
mod full_disk;
mod gateway;
mod http;
mod json_peer;
mod link;
mod memory;
mod mistakes;
mod process;
mod prometheus;
mod resource_detection;
mod scaffold;
mod scarcity;
mod sdk;
mod shutdown;
mod surface;
mod tls;
