//! What sends batches out.

mod otlp_grpc;
mod otlp_http;
mod prometheus;
mod stdout;
