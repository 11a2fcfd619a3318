use tracecore::prelude::*;

/// Ticks.
#[receiver]
struct Nameless;

/// Ticks.
#[receiver(name = "clock")]
struct Keyed;

/// Ticks.
#[exporter("my-clock", aliases = ["clock", "2fast", "clock"])]
struct Misnamed;

/// Ticks.
#[receiver("keys", singals = [Metrics], nonsense = 1, config = NoConfig, config = NoConfig)]
struct Keys;

/// Ticks.
#[receiver("words", signals = [Metrcs, Logs, Logs], stability = Betta, since = "soon")]
struct Words;

/// Ticks.
#[receiver("nothing", signals = [])]
struct Nothing;

#[receiver("undocumented", stability = Alpha)]
struct Undocumented;

fn main() {}
