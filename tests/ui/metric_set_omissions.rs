use tracecore::prelude::*;

#[derive(MetricSet)]
struct Data {
    #[name("system.disk.io")]
    bytes: Counter,
    /// Documented.
    ticks: Counter,
    #[unit("s")]
    delay: Gauge,
    /// Mistyped.
    #[unti("By")]
    mistyped: Counter,
}

fn main() {}
