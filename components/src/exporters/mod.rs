//! What sends batches out.

mod debug;
mod file;
mod otlp_grpc;
mod otlp_http;
mod prometheus;
mod stdout;
