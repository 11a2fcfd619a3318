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
const _: () = {
    use ::tracecore::__private as __rt;
    static METRIC_BYTES: __rt::Metric = __rt::Metric {
        name: __rt::MetricName::Full("system.disk.io"),
        unit: "By",
        help: "Bytes moved.",
        kind: <Counter<(Device, Direction)> as __rt::Instrument>::KIND,
        keys: <Counter<(Device, Direction)> as __rt::Instrument>::KEYS,
        buckets: &[],
        quantiles: <Counter<(Device, Direction)> as __rt::Instrument>::KIND
            .default_quantiles(),
    };
    const _: () = ::core::assert!(
        < Counter < (Device, Direction) > as __rt::Instrument > ::SERIES <=
        __rt::MAX_SERIES,
        "metric `bytes` can have more than 256 series: lower a `#[max(…)]` or drop a label"
    );
    const _: () = ::core::assert!(
        ! ::core::matches!(METRIC_BYTES.kind, __rt::Kind::Histogram),
        "histogram `bytes` needs `#[buckets(…)]`, its upper bounds"
    );
    const _: () = ::core::assert!(
        < Counter < (Device, Direction) > as __rt::Instrument > ::FITS_ITS_END,
        "`bytes` is of the component's own health, which has no `Summary`: use `health::Histogram`"
    );
    static METRIC_DURATION: __rt::Metric = __rt::Metric {
        name: __rt::MetricName::Field("duration"),
        unit: "s",
        help: "Time per request.",
        kind: <Histogram<Direction> as __rt::Instrument>::KIND,
        keys: <Histogram<Direction> as __rt::Instrument>::KEYS,
        buckets: &[0.001, 0.01, 0.1, 1.0],
        quantiles: <Histogram<Direction> as __rt::Instrument>::KIND.default_quantiles(),
    };
    const _: () = ::core::assert!(
        < Histogram < Direction > as __rt::Instrument > ::SERIES <= __rt::MAX_SERIES,
        "metric `duration` can have more than 256 series: lower a `#[max(…)]` or drop a label"
    );
    const _: () = ::core::assert!(
        ::core::matches!(METRIC_DURATION.kind, __rt::Kind::Histogram),
        "`duration` has `#[buckets(…)]` and is not a `Histogram`"
    );
    const _: () = ::core::assert!(
        __rt::buckets_rise(METRIC_DURATION.buckets),
        "the buckets of `duration` must be finite and rise"
    );
    const _: () = ::core::assert!(
        < Histogram < Direction > as __rt::Instrument > ::FITS_ITS_END,
        "`duration` is of the component's own health, which has no `Summary`: use `health::Histogram`"
    );
    static METRIC_ANSWER: __rt::Metric = __rt::Metric {
        name: __rt::MetricName::Field("answer"),
        unit: "By",
        help: "Size of an answer.",
        kind: <Summary<Direction> as __rt::Instrument>::KIND,
        keys: <Summary<Direction> as __rt::Instrument>::KEYS,
        buckets: &[],
        quantiles: &[0.5, 0.99],
    };
    const _: () = ::core::assert!(
        < Summary < Direction > as __rt::Instrument > ::SERIES <= __rt::MAX_SERIES,
        "metric `answer` can have more than 256 series: lower a `#[max(…)]` or drop a label"
    );
    const _: () = ::core::assert!(
        ! ::core::matches!(METRIC_ANSWER.kind, __rt::Kind::Histogram),
        "histogram `answer` needs `#[buckets(…)]`, its upper bounds"
    );
    const _: () = ::core::assert!(
        < Summary < Direction > as __rt::Instrument > ::FITS_ITS_END,
        "`answer` is of the component's own health, which has no `Summary`: use `health::Histogram`"
    );
    const _: () = ::core::assert!(
        ::core::matches!(METRIC_ANSWER.kind, __rt::Kind::Summary),
        "`answer` has `#[quantiles(…)]` and is not a `Summary`"
    );
    const _: () = ::core::assert!(
        __rt::quantiles_rise(METRIC_ANSWER.quantiles),
        "the quantiles of `answer` must rise and lie from 0 to 1"
    );
    static METRIC_TYPE: __rt::Metric = __rt::Metric {
        name: __rt::MetricName::Field("type"),
        unit: "{request}",
        help: "What waits.",
        kind: <UpDownCounter<Device> as __rt::Instrument>::KIND,
        keys: <UpDownCounter<Device> as __rt::Instrument>::KEYS,
        buckets: &[],
        quantiles: <UpDownCounter<Device> as __rt::Instrument>::KIND.default_quantiles(),
    };
    const _: () = ::core::assert!(
        < UpDownCounter < Device > as __rt::Instrument > ::SERIES <= __rt::MAX_SERIES,
        "metric `type` can have more than 256 series: lower a `#[max(…)]` or drop a label"
    );
    const _: () = ::core::assert!(
        ! ::core::matches!(METRIC_TYPE.kind, __rt::Kind::Histogram),
        "histogram `type` needs `#[buckets(…)]`, its upper bounds"
    );
    const _: () = ::core::assert!(
        < UpDownCounter < Device > as __rt::Instrument > ::FITS_ITS_END,
        "`type` is of the component's own health, which has no `Summary`: use `health::Histogram`"
    );
    impl __rt::MetricSet for Data {
        type End = <Counter<(Device, Direction)> as __rt::Instrument>::End;
        fn describe(metric: &mut dyn ::core::ops::FnMut(&'static __rt::Metric)) {
            metric(&METRIC_BYTES);
            metric(&METRIC_DURATION);
            metric(&METRIC_ANSWER);
            metric(&METRIC_TYPE);
            <CpuData as __rt::MetricSet>::describe(metric);
        }
        fn make(maker: &<Self::End as __rt::End>::Maker) -> Self {
            Data {
                bytes: <Counter<
                    (Device, Direction),
                > as __rt::Instrument>::make(&METRIC_BYTES, maker),
                duration: <Histogram<
                    Direction,
                > as __rt::Instrument>::make(&METRIC_DURATION, maker),
                answer: <Summary<
                    Direction,
                > as __rt::Instrument>::make(&METRIC_ANSWER, maker),
                r#type: <UpDownCounter<
                    Device,
                > as __rt::Instrument>::make(&METRIC_TYPE, maker),
                cpu: <CpuData as __rt::MetricSet>::make(maker),
            }
        }
        fn visit(&mut self, visitor: &mut <Self::End as __rt::End>::Visitor) {
            <Counter<
                (Device, Direction),
            > as __rt::Instrument>::visit(&mut self.bytes, &METRIC_BYTES, visitor);
            <Histogram<
                Direction,
            > as __rt::Instrument>::visit(&mut self.duration, &METRIC_DURATION, visitor);
            <Summary<
                Direction,
            > as __rt::Instrument>::visit(&mut self.answer, &METRIC_ANSWER, visitor);
            <UpDownCounter<
                Device,
            > as __rt::Instrument>::visit(&mut self.r#type, &METRIC_TYPE, visitor);
            <CpuData as __rt::MetricSet>::visit(&mut self.cpu, visitor);
        }
        fn sweep(&mut self) {
            <Counter<(Device, Direction)> as __rt::Instrument>::sweep(&mut self.bytes);
            <Histogram<Direction> as __rt::Instrument>::sweep(&mut self.duration);
            <Summary<Direction> as __rt::Instrument>::sweep(&mut self.answer);
            <UpDownCounter<Device> as __rt::Instrument>::sweep(&mut self.r#type);
            <CpuData as __rt::MetricSet>::sweep(&mut self.cpu);
        }
    }
};
