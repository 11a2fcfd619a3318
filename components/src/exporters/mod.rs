//! What sends batches out.

mod prometheus;
mod stdout;
