use tracecore::metrics::health;
use tracecore::prelude::*;

/// Not all of them are instruments.
#[derive(MetricSet)]
struct Data {
    /// A number.
    #[unit("{tick}")]
    number: u64,
    /// A set without its mark.
    #[unit("{tick}")]
    inner: Inner,
    /// An instrument with the mark of a set.
    #[metrics]
    ticks: Counter,
}

/// More of it.
#[derive(MetricSet)]
struct Inner {
    /// Ticks.
    #[unit("{tick}")]
    ticks: Counter,
}

/// Two ends in one set.
#[derive(MetricSet)]
struct Ends {
    /// Sent through the pipeline.
    #[unit("{tick}")]
    sent: Counter,
    /// Shown by the collector.
    #[unit("{tick}")]
    shown: health::Counter,
}

fn main() {}
