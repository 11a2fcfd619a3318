//! What brings batches in.

mod clock;
mod hostmetrics;
mod otlp;
