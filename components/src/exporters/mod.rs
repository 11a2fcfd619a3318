//! What sends batches out.

mod otlp_grpc;
mod prometheus;
mod stdout;
