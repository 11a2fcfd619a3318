//! The components that come with tracecore.
