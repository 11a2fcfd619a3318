/// What the receiver measures.
#[derive(MetricSet)]
struct Data {
    /// Bytes moved.
    #[unit("By")]
    #[name("system.disk.io")]
    bytes: Counter<(Device, Direction)>,
    /// Time per request.
    #[unit("s")]
    #[buckets(0.001, 0.01, 0.1, 1.0)]
    duration: Histogram<Direction>,
    /// Size of an answer.
    #[unit("By")]
    #[quantiles(0.5, 0.99)]
    answer: Summary<Direction>,
    /// What waits.
    #[unit("{request}")]
    r#type: UpDownCounter<Device>,
    /// What the processors did.
    #[metrics]
    cpu: CpuData,
}
