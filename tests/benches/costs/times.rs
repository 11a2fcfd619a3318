//! Rounds of calls, timed by the processor time of the process.
//!
//! Processor time leaves out what other programs take, and counts the threads that a component starts. All benchmarks
//! run one round, then all run the next: a slow second of the machine costs each one round, and the fastest round of
//! each is what is shown.

use rustix::time::{ClockId, clock_gettime};

use crate::harness::{Benchmark, Calls, Reference, print};

/// Rounds of each benchmark, of which the fastest counts.
const ROUNDS: usize = 15;

/// Processor time that a round takes at least, in nanoseconds: long beside the two readings of the clock.
const ROUND: f64 = 5e6;

/// Prints a row of figures for each benchmark: its name, what an item is, ns and MB/s, the ratio to the reference, that
/// reference, allocations and instructions. This build gives no allocations; instructions are counted from outside.
pub(crate) fn measure(benchmarks: &[Benchmark]) {
    let mut running: Vec<_> = benchmarks.iter().map(Running::calibrated).collect();
    for _ in 0..ROUNDS {
        running.iter_mut().for_each(Running::round);
    }
    // By the byte where there are bytes, so that requests of different sizes stand beside each other.
    let cost = |running: &Running<'_>| {
        let Benchmark { bytes, items, .. } = running.benchmark;
        running.best / if *bytes > 0 { *bytes } else { *items } as f64
    };
    let reference = |reference: Reference| {
        let found = running.iter().find(|running| running.benchmark.name == reference.name());
        found.map(cost)
    };
    for of in &running {
        let Benchmark { name, item, items, bytes, .. } = of.benchmark;
        let ns = of.best / *items as f64;
        let rate = if *bytes == 0 { "-".to_owned() } else { format!("{:.0}", *bytes as f64 * 1e3 / of.best) };
        let ratio =
            reference(of.benchmark.reference).map_or("-".to_owned(), |cost_of| format!("{:.2}", cost(of) / cost_of));
        print(&format!("{name} {item} {ns:.2} {rate} {ratio} {} - -", of.benchmark.reference.name()));
    }
}

/// A benchmark between its rounds.
struct Running<'a> {
    benchmark: &'a Benchmark,
    calls: Calls,
    /// Calls of a round.
    count: u64,
    /// Nanoseconds of a call in the fastest round so far.
    best: f64,
}

impl<'a> Running<'a> {
    /// Set up, with enough calls for a round.
    fn calibrated(benchmark: &'a Benchmark) -> Self {
        let mut running = Running { benchmark, calls: benchmark.start(), count: 1, best: f64::INFINITY };
        loop {
            running.best = f64::INFINITY;
            running.round();
            if running.best * running.count as f64 >= ROUND {
                return running;
            }
            running.count *= 2;
        }
    }

    fn round(&mut self) {
        let before = processor_time();
        (self.calls)(self.count);
        self.best = self.best.min((processor_time() - before) / self.count as f64);
    }
}

/// Processor time of this process in nanoseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
