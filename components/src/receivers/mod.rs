//! What brings batches in.

mod clock;
