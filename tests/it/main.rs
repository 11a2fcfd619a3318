//! Tests of tracecore as a whole: one binary, a module per guarantee.

mod expand;
mod ui;
