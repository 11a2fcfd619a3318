//! What changes or drops batches on their way.

mod memory_limiter;
