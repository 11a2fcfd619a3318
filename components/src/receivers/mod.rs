//! What brings batches in.

mod clock;
mod file;
mod generator;
mod hostmetrics;
mod otlp;
