//! The macros of tracecore.
