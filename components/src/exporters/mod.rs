//! What sends batches out.

mod debug;
mod file;
mod prometheus;
mod stdout;
