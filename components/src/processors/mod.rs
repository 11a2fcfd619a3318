//! What changes batches on their way.

mod resource_detection;
