//! What the tests have beside the test kit, `tracecore::testing`: a component with every kind of instrument, one that
//! serves, one that calls, somebody to call, and one that calls by ways that break; and golden data.
//!
//! The components are declared like any other, in a crate that the program does not know: linking this crate is all that
//! registers them.

mod accept;
mod authority;
mod backend;
mod every_nth;
mod golden;
mod grpc;
mod http1;
mod loopback;
mod meter;
mod poster;
mod server;
mod wire;

pub use accept::by_number;
pub use authority::{Authority, Identity, ServerTls};
pub use backend::Backend;
pub use golden::{differences, golden};
pub use grpc::{GrpcAnswer, GrpcCall, GrpcServer, busy};
pub use http1::{HttpAnswer, HttpCall, HttpServer};
pub use loopback::loopback;
pub use meter::{Data, Device, Direction, Health, Lane, Meter, Mode, Phase};
pub use server::Server;
pub use wire::{Path, Wire};
