use tracecore::prelude::*;

/// What is measured.
#[derive(MetricSet)]
#[unit("By")]
struct Data {
    /// A unit that is none.
    #[unit("")]
    empty: Counter,
    /// A unit in words.
    #[unit("bytes per second")]
    rate: Gauge,
    /// A unit that is no text.
    #[unit(By)]
    path: Counter,
    /// A name of another kind.
    #[unit("By")]
    #[name("System.Disk-IO")]
    name: Counter,
    /// A name.
    #[unit("By")]
    #[name("system.disk.io")]
    first: Counter,
    /// The same name.
    #[unit("By")]
    #[unit("s")]
    #[name("system.disk.io")]
    second: Counter,
    /// No bounds.
    #[unit("s")]
    #[buckets()]
    delay: Histogram,
    /// No quantiles.
    #[unit("s")]
    #[quantiles]
    latency: Summary,
    /// A set that would be a metric.
    #[metrics(all)]
    #[unit("s")]
    #[quantiles(0.5)]
    inner: Inner,
}

/// More of it.
#[derive(MetricSet)]
struct Inner {
    /// Ticks.
    #[unit("{tick}")]
    ticks: Counter,
}

/// Nothing.
#[derive(MetricSet)]
struct Empty {}

/// Nothing.
#[derive(MetricSet)]
struct Tuple(Counter);

/// No set.
#[derive(MetricSet)]
enum Enumeration {
    One,
}

/// Anything.
#[derive(MetricSet)]
struct Generic<L: Label> {
    /// Ticks.
    #[unit("{tick}")]
    ticks: Counter<L>,
}

fn main() {}
