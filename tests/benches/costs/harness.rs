//! What a benchmark is.

use std::io::Write;
use std::rc::Rc;

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
    #[cfg_attr(feature = "allocations", expect(dead_code, reason = "only times are by the byte"))]
    pub(crate) bytes: u64,
    /// What it is compared with.
    pub(crate) reference: Reference,
    /// Calls to count instructions and allocations over, enough that the setup's variation by some thousand
    /// instructions is nothing beside them; 0 if they differ from run to run.
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
            counted_calls: 10_000,
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

/// Says on standard output what was found.
pub(crate) fn print(line: &str) {
    // Whoever reads may have gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says on standard error what is wrong.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
