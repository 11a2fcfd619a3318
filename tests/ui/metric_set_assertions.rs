use tracecore::metrics::health;
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
    /// A counter with quantiles.
    #[unit("s")]
    #[quantiles(0.5, 0.99)]
    sum: Counter,
    /// Quantiles that fall.
    #[unit("s")]
    #[quantiles(0.5, 0.99, 0.9)]
    mixed: Summary,
    /// Percent.
    #[unit("s")]
    #[quantiles(50.0, 99.0)]
    percent: Summary,
    /// A quantile below all.
    #[unit("s")]
    #[quantiles(-0.5, 0.5)]
    below: Summary,
    /// No number.
    #[unit("s")]
    #[quantiles(f64::NAN)]
    nan: Summary,
    /// A summary with bounds.
    #[unit("s")]
    #[buckets(0.5, 0.99)]
    bounded: Summary,
}

/// Its own health.
#[derive(MetricSet)]
struct Health {
    /// How long a call took.
    #[unit("s")]
    calls: health::Summary,
    /// How long a call took, by device.
    #[unit("s")]
    #[quantiles(0.5)]
    devices: health::Summary<Mode>,
}

/// How it works.
#[derive(Clone, Copy, Debug, Label)]
enum Mode {
    Normal,
    Safe,
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
