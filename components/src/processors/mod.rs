//! What changes or drops batches on their way.

mod attributes;
mod filter;
mod memory_limiter;
mod resource;
