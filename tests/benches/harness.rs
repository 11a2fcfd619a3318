//! Rounds of calls, timed by the processor time of the process.
//!
//! Processor time leaves out what other programs take, and counts the threads that a component starts. All benchmarks
//! run one round, then all run the next: a slow second of the machine costs each one round, and the fastest round of
//! each is what is shown. With the feature `allocations` it counts those instead, of the calling thread.

use std::io::Write;
use std::rc::Rc;

use rustix::time::{ClockId, clock_gettime};

/// Rounds of each benchmark, of which the fastest counts.
const ROUNDS: usize = 15;

/// Processor time that a round takes at least, in nanoseconds: long beside the two readings of the clock.
const ROUND: f64 = 5e6;

/// What a benchmark is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// One atomic addition.
    AtomicAdd,
    /// Copying as many bytes.
    Memcpy,
    /// Nothing: what it does depends on the machine.
    None,
}

impl Reference {
    /// The name of its benchmark.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Reference::AtomicAdd => "reference/atomic_add",
            Reference::Memcpy => "reference/memcpy",
            Reference::None => "-",
        }
    }
}

/// Does something this many times.
pub(crate) type Calls = Box<dyn FnMut(u64)>;

/// Something that has a cost.
#[derive(Clone)]
pub(crate) struct Benchmark {
    /// What it is, in a path.
    pub(crate) name: String,
    /// What one call handles: the figures are for one of these.
    pub(crate) item: &'static str,
    /// How many of them.
    pub(crate) items: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// What it is compared with.
    pub(crate) reference: Reference,
    /// Calls to count instructions and allocations over; 0 if they differ from run to run.
    pub(crate) counted_calls: u64,
    /// What sets it up.
    pub(crate) setup: Rc<dyn Fn() -> Calls>,
}

impl Benchmark {
    /// A benchmark of something cheap, which `setup` sets up.
    pub(crate) fn new(name: impl Into<String>, setup: impl Fn() -> Calls + 'static) -> Self {
        Benchmark {
            name: name.into(),
            item: "call",
            items: 1,
            bytes: 0,
            reference: Reference::AtomicAdd,
            counted_calls: 1000,
            setup: Rc::new(setup),
        }
    }

    /// Sets it up.
    pub(crate) fn start(&self) -> Calls {
        (self.setup)()
    }

    /// Whether others are compared with it.
    pub(crate) fn is_reference(&self) -> bool {
        [Reference::AtomicAdd.name(), Reference::Memcpy.name()].contains(&self.name.as_str())
    }
}

/// Prints what can be counted: its name, what an item is, the calls to count over and the items of a call.
pub(crate) fn list(benchmarks: &[Benchmark]) {
    for Benchmark { name, item, items, counted_calls, .. } in
        benchmarks.iter().filter(|benchmark| benchmark.counted_calls > 0)
    {
        print(&format!("{name} {item} {counted_calls} {items}"));
    }
}

/// Prints a row of figures for each benchmark: its name, what an item is, ns and MB/s, the ratio to the reference, that
/// reference, allocations and instructions. This build gives no allocations; instructions are counted from outside.
#[cfg(not(feature = "allocations"))]
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

/// Prints a row for each benchmark, with nothing but its allocations.
#[cfg(feature = "allocations")]
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

/// A benchmark between its rounds.
#[cfg(not(feature = "allocations"))]
struct Running<'a> {
    benchmark: &'a Benchmark,
    calls: Calls,
    /// Calls of a round.
    count: u64,
    /// Nanoseconds of a call in the fastest round so far.
    best: f64,
}

#[cfg(not(feature = "allocations"))]
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
#[cfg(not(feature = "allocations"))]
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn print(line: &str) {
    // Whoever reads may have gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says on standard error what is wrong.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
