//! Allocations of the calling thread.

use crate::harness::{Benchmark, print};

/// Prints a row for each benchmark, with nothing but its allocations.
pub(crate) fn measure(benchmarks: &[Benchmark]) {
    for benchmark in benchmarks.iter().filter(|benchmark| benchmark.counted_calls > 0) {
        let Benchmark { name, item, items, counted_calls, reference, .. } = benchmark;
        let mut calls = benchmark.start();
        calls(*counted_calls);
        let allocations = allocation_counter::measure(|| calls(*counted_calls)).count_total;
        let each = allocations as f64 / (counted_calls * items) as f64;
        print(&format!("{name} {item} - - - {} {each:.2} -", reference.name()));
    }
}
