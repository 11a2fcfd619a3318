use tracecore::prelude::*;

/// What is measured.
#[derive(MetricSet)]
struct Data {
    /// Bytes by device and mount: 64 times 8.
    #[unit("By")]
    bytes: Counter<(Device, Mount)>,
    /// A histogram without bounds.
    #[unit("s")]
    delay: Histogram,
    /// A counter with bounds.
    #[unit("s")]
    #[buckets(1.0, 2.0)]
    total: Counter,
    /// Bounds that fall.
    #[unit("s")]
    #[buckets(0.1, 1.0, 0.5)]
    falling: Histogram,
    /// A bound that is reached by nothing.
    #[unit("s")]
    #[buckets(0.1, f64::INFINITY)]
    infinite: Histogram,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(64)]
struct Device(Name);

/// A mount.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Mount(Name);

fn main() {}
