//! What sends batches out.

mod stdout;
