mod attributes;
mod filter;
mod memory_limiter;
mod resource;
mod resource_detection;
