//! What sends batches out.

mod debug;
mod prometheus;
mod stdout;
