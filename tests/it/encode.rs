//! From a declared set of metrics to OTLP: what is encoded reads back as what was meant.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use proptest::prelude::*;
use tracecore::metrics::MetricSet as _;
use tracecore::metrics::Name;
use tracecore::signal::view::{DataRef, MetricRef, Number, View};
use tracecore::signal::{Batch, Decoded, TextFormat};
use tracecore::testing::{Points, RecordingExporter as Sink, TestService as Rig, pipeline, points};
use tracecore_tests::{Data, Device, Direction, Lane, Meter, Phase};

/// Where the wall clock of a [`Rig`] stands, in nanoseconds.
const START: u64 = 1_000_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A service around one meter.
struct Bench {
    meter: Meter,
    sink: Sink,
    rig: Rig,
}

impl Bench {
    async fn new() -> Self {
        let (meter, sink) = (Meter::new(), Sink::new());
        let yaml =
            pipeline(&meter, &sink, "sending_queue: {wait_for_result: true}").replace("test_source", "test_meter");
        Bench { rig: Rig::start(&yaml).await, meter, sink }
    }

    /// What is sent after this was measured.
    async fn measure(&self, measure: impl FnOnce(&mut Data) + Send + 'static) -> Batch {
        assert!(self.meter.measure(|data, _| measure(data)).await.is_accepted());
        self.sink.taken().pop().expect("it was delivered")
    }

    fn cardinality_errors(&self) -> f64 {
        self.rig.sample("tracecore_receiver_errors_total", &[("kind", "cardinality")])
    }
}

fn device(name: &str) -> Device {
    Device(Name::new(name))
}

fn lane(name: &str) -> Lane {
    Lane(Name::new(name))
}

fn metric<'a>(batch: &'a Batch, name: &str) -> MetricRef<'a> {
    let View::Metrics(resources) = batch.view() else { panic!("metrics are expected") };
    let mut found = resources.flat_map(|r| r.metrics()).map(|(_, _, m)| m).filter(|m| m.name == name);
    let metric = found.next().unwrap_or_else(|| panic!("no metric {name}"));
    assert!(found.next().is_none(), "{name} stands there twice");
    metric
}

fn expect(series: &[(&str, u64, Number)]) -> Points {
    Points(series.iter().map(|(labels, start, value)| ((*labels).to_owned(), *start, *value)).collect())
}

#[tokio::test(start_paused = true)]
async fn a_set_reads_back_as_it_was_measured() {
    let bench = Bench::new().await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let batch = bench
        .measure(move |data| {
            data.ticks.add(2, ());
            data.ticks.add(3, ());
            data.busy.add(0.25, Phase::InUse);
            data.io.set_total(4096, boot, (device("sda"), Direction::Write));
            data.io.set_total(512, boot, (device("sdb"), Direction::Read));
            data.things.add(-3, Direction::Read);
            data.temperature.set(36.5, device("gpu0"));
            data.level.set(-7, ());
        })
        .await;
    assert_eq!(points(&batch, "test_meter.ticks"), expect(&[("", START, Number::Int(5))]));
    assert_eq!(points(&batch, "test.busy.time"), expect(&[("test.phase=in_use", START, Number::Double(0.25))]));
    let io = [
        ("test.device=sda test.direction=write", 5 * SECOND, Number::Int(4096)),
        ("test.device=sdb test.direction=read", 5 * SECOND, Number::Int(512)),
    ];
    assert_eq!(points(&batch, "test.io"), expect(&io), "the start is the source's");
    assert_eq!(points(&batch, "test.things"), expect(&[("test.direction=read", START, Number::Int(-3))]));
    assert_eq!(points(&batch, "test.temperature"), expect(&[("test.device=gpu0", 0, Number::Double(36.5))]));
    assert_eq!(points(&batch, "test.level"), expect(&[("", 0, Number::Int(-7))]));

    let temporality = |name| match metric(&batch, name).data {
        Some(DataRef::Sum { temporality, is_monotonic, .. }) => (temporality, is_monotonic),
        other => panic!("{other:?}"),
    };
    assert_eq!(temporality("test.io"), (AggregationTemporality::Cumulative, true));
    assert_eq!(temporality("test.things"), (AggregationTemporality::Cumulative, false));
    let ticks = metric(&batch, "test_meter.ticks");
    assert_eq!((ticks.unit, ticks.description), ("{tick}", "Whole numbers that only rise."));
    assert!(batch.is_canonical() && !batch.has_unknown_fields());
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_says_who_measured_and_when() {
    let bench = Bench::new().await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let batch = bench.measure(|data| data.ticks.add(1, ())).await;
    let Decoded::Metrics(decoded) = batch.decode() else { panic!("metrics are expected") };
    let [resource_metrics] = &decoded.resource_metrics[..] else { panic!("one resource") };
    let resource = resource_metrics.resource.as_ref().expect("it has attributes");
    let attributes: BTreeMap<_, _> = resource.attributes.iter().map(|kv| (kv.key.as_str(), kv.value.clone())).collect();
    let keys: Vec<_> = attributes.keys().copied().collect();
    assert_eq!(keys, ["host.name", "service.instance.id", "service.name", "service.version"]);
    let [scope_metrics] = &resource_metrics.scope_metrics[..] else { panic!("one scope") };
    let scope = scope_metrics.scope.as_ref().expect("it is named");
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("test_meter", "1.2.3"));
    let View::Metrics(mut resources) = batch.view() else { panic!("metrics are expected") };
    let (resource, ..) = resources.next().and_then(|r| r.metrics().next()).expect("there is a metric");
    assert_eq!(resource.attr("host.name").and_then(tracecore::signal::view::ValueRef::as_str), Some("node-7"));
    let Some(DataRef::Sum { mut data_points, .. }) = metric(&batch, "test_meter.ticks").data else { panic!("a sum") };
    assert_eq!(data_points.next().expect("a point").time_unix_nano, START + 7 * SECOND);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_on_a_bound_is_counted_below_it() {
    let bench = Bench::new().await;
    let batch = bench
        .measure(|data| {
            for value in [0.05, 0.1, 0.11, 1.0, 10.0, 10.1, f64::INFINITY] {
                data.duration.observe(value, Phase::Idle);
            }
        })
        .await;
    let Some(DataRef::Histogram { mut data_points, temporality }) = metric(&batch, "test.duration").data else {
        panic!("a histogram")
    };
    assert_eq!(temporality, AggregationTemporality::Cumulative);
    let point = data_points.next().expect("a point");
    assert!(data_points.next().is_none(), "the other phase has seen nothing");
    assert_eq!(point.bucket_counts().collect::<Vec<_>>(), [2, 2, 1, 2]);
    assert_eq!(point.explicit_bounds().collect::<Vec<_>>(), [0.1, 1.0, 10.0]);
    assert_eq!((point.count, point.sum, point.start_time_unix_nano), (7, Some(f64::INFINITY), START));
    bench.rig.stop().await;
}

/// A series of a summary: labels, start, count, sum and quantiles.
type Summarised = (String, u64, u64, f64, Vec<(f64, f64)>);

fn summaries(batch: &Batch, name: &str) -> Vec<Summarised> {
    let Some(DataRef::Summary { data_points }) = metric(batch, name).data else { panic!("a summary") };
    let series = data_points.map(|point| {
        let labels: Vec<_> = point.attributes().map(|kv| format!("{}={}", kv.key, kv.value)).collect();
        let quantiles = point.quantile_values().map(|at| (at.quantile, at.value)).collect();
        (labels.join(" "), point.start_time_unix_nano, point.count, point.sum, quantiles)
    });
    series.collect()
}

#[tokio::test(start_paused = true)]
async fn a_summary_has_quantiles_since_the_last_collection_and_totals_since_the_start() {
    let bench = Bench::new().await;
    let none: &[(f64, f64)] = &[];
    let first = bench.measure(|data| [3.0, 1.0, 2.0].into_iter().for_each(|size| data.size.observe(size, ()))).await;
    let [(labels, start, count, sum, quantiles)] = &summaries(&first, "test.size")[..] else { panic!("one series") };
    assert_eq!((labels.as_str(), *start, *count, *sum), ("", START, 3, 6.0));
    let [least, (half, median), most] = quantiles[..] else { panic!("those of the attribute: {quantiles:?}") };
    assert_eq!((least, most), ((0.0, 1.0), (1.0, 3.0)), "these are exact");
    assert!(half == 0.5 && (1.98..=2.02).contains(&median), "{median}");
    assert_eq!(metric(&first, "test.size").unit, "By");
    assert!(first.is_canonical() && !first.has_unknown_fields());

    let second = bench.measure(|data| data.size.observe(8.0, ())).await;
    let of_the_window = vec![(0.0, 8.0), (0.5, 8.0), (1.0, 8.0)];
    assert_eq!(summaries(&second, "test.size"), [(String::new(), START, 4, 14.0, of_the_window)]);
    let text = second.to_text(TextFormat::Lines);
    assert!(text.contains(" test.size count=4 sum=14 q0=8 q0.5=8 q1=8 By\n"), "{text}");
    let third = bench.measure(|_| {}).await;
    assert_eq!(summaries(&third, "test.size"), [(String::new(), START, 4, 14.0, none.to_vec())]);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_series_of_a_summary_are_capped_removed_and_swept_as_others() {
    let bench = Bench::new().await;
    let batch = bench
        .measure(|data| {
            for name in ["a", "b", "c", "past the cap"] {
                data.latency.observe(0.5, device(name));
            }
            data.latency.remove(&device("b"));
            data.latency.observe(0.25, device("d"));
        })
        .await;
    let quantiles = |value| [0.5, 0.9, 0.95, 0.99].map(|quantile| (quantile, value)).to_vec();
    let expected = [("a", 0.5), ("d", 0.25), ("c", 0.5)]
        .map(|(name, value)| (format!("test.device={name}"), START, 1, value, quantiles(value)));
    assert_eq!(summaries(&batch, "test.latency"), expected);
    assert_eq!(bench.cardinality_errors(), 1.0);
    let batch = bench
        .measure(|data| {
            data.sweep();
            data.latency.observe(0.5, device("c"));
            data.sweep();
        })
        .await;
    let left: Vec<_> = summaries(&batch, "test.latency").into_iter().map(|(labels, ..)| labels).collect();
    assert_eq!(left, ["test.device=c"]);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn past_its_cap_a_label_counts_one_error_an_emission() {
    let bench = Bench::new().await;
    let measure = |data: &mut Data| {
        for name in ["a", "b", "c", "d", "e"] {
            data.temperature.set(1.0, device(name));
        }
    };
    let batch = bench.measure(measure).await;
    let kept: Vec<_> = points(&batch, "test.temperature").0.into_iter().map(|(labels, ..)| labels).collect();
    assert_eq!(kept, ["test.device=a", "test.device=b", "test.device=c"]);
    assert_eq!(bench.cardinality_errors(), 1.0);
    bench.measure(measure).await;
    assert_eq!(bench.cardinality_errors(), 2.0);
    bench.measure(|data| data.temperature.set(2.0, device("a"))).await;
    assert_eq!(bench.cardinality_errors(), 2.0, "what is known is not refused");
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_series_frees_its_slot() {
    let bench = Bench::new().await;
    bench
        .measure(|data| {
            for name in ["a", "b", "c"] {
                data.io.add(1, (device(name), Direction::Read));
                data.io.add(1, (device(name), Direction::Write));
            }
            data.io.remove(&(device("b"), Direction::Read));
            // The slot of `b` is still needed for the other direction.
            data.io.add(1, (device("d"), Direction::Read));
        })
        .await;
    assert_eq!(bench.cardinality_errors(), 1.0);
    let batch = bench
        .measure(|data| {
            data.io.remove(&(device("b"), Direction::Write));
            data.io.add(8, (device("d"), Direction::Read));
            data.io.remove(&(device("never there"), Direction::Read));
        })
        .await;
    assert_eq!(bench.cardinality_errors(), 1.0);
    let io = points(&batch, "test.io").0;
    assert!(io.contains(&("test.device=d test.direction=read".to_owned(), START, Number::Int(8))), "{io:?}");
    assert!(!io.iter().any(|(labels, ..)| labels.contains("device=b")), "{io:?}");
    assert_eq!(io.len(), 5);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_forgets_what_had_no_value_since_the_last() {
    let bench = Bench::new().await;
    bench
        .measure(|data| {
            for name in ["a", "b", "c"] {
                data.temperature.set(1.0, device(name));
            }
            data.sweep();
        })
        .await;
    let batch = bench
        .measure(|data| {
            data.temperature.set(2.0, device("b"));
            data.sweep();
            data.temperature.set(3.0, device("new"));
        })
        .await;
    let mut left = points(&batch, "test.temperature").0;
    left.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [("test.device=b", 0, Number::Double(2.0)), ("test.device=new", 0, Number::Double(3.0))];
    assert_eq!(Points(left), expect(&expected));
    assert_eq!(bench.cardinality_errors(), 0.0);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_pair_of_names_takes_no_slot() {
    let bench = Bench::new().await;
    bench
        .measure(|data| {
            data.lanes.add(1, (device("a"), lane("x")));
            data.lanes.add(1, (device("a"), lane("y")));
            // There is no slot for the lane; the device must not keep one.
            data.lanes.add(1, (device("b"), lane("z")));
            data.lanes.add(1, (device("c"), lane("z")));
        })
        .await;
    assert_eq!(bench.cardinality_errors(), 1.0);
    let batch = bench
        .measure(|data| {
            data.lanes.add(1, (device("d"), lane("x")));
            data.lanes.add(1, (device("e"), lane("x")));
        })
        .await;
    assert_eq!(bench.cardinality_errors(), 1.0);
    assert_eq!(points(&batch, "test.lanes").0.len(), 4);
    bench.rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_measured_nothing_sends_an_empty_batch_that_is_accepted() {
    let bench = Bench::new().await;
    assert!(bench.meter.measure(|_, _| {}).await.is_accepted());
    bench.rig.stop().await;
    assert!(bench.sink.taken().is_empty());
}

fn names() -> impl Strategy<Value = Vec<String>> {
    // Long ones too: the length of a message then needs more than one byte.
    prop::collection::vec("\\PC{0,300}", 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_values_read_back(
        names in names(),
        totals in prop::collection::vec((any::<u64>(), any::<bool>()), 0..20),
        busy in any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan()),
        level in any::<i64>(),
        observed in prop::collection::vec(-1.0..20.0_f64, 0..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut expected: BTreeMap<String, Number> = BTreeMap::new();
            let mut changes = Vec::new();
            for (index, (value, write)) in totals.iter().enumerate() {
                let name = &names[index % names.len()];
                let (direction, word) = if *write { (Direction::Write, "write") } else { (Direction::Read, "read") };
                let shown = i64::try_from(*value).unwrap_or(i64::MAX);
                expected.insert(format!("test.device={name} test.direction={word}"), Number::Int(shown));
                changes.push((*value, (device(name), direction)));
            }
            let (count, sum) = (observed.len() as u64, observed.iter().sum::<f64>());
            let bench = Bench::new().await;
            let batch = bench
                .measure(move |data| {
                    for (value, labels) in changes {
                        data.io.set_total(value, SystemTime::UNIX_EPOCH, labels);
                    }
                    data.busy.add(busy, Phase::Idle);
                    data.level.set(level, ());
                    for value in observed {
                        data.duration.observe(value, Phase::InUse);
                    }
                })
                .await;
            let io: BTreeMap<_, _> = points(&batch, "test.io").0.into_iter().map(|(k, _, value)| (k, value)).collect();
            assert_eq!(io, expected);
            assert_eq!(points(&batch, "test.level"), expect(&[("", 0, Number::Int(level))]));
            let busy_points = points(&batch, "test.busy.time");
            assert_eq!(busy_points, expect(&[("test.phase=idle", START, Number::Double(busy))]));
            if count > 0 {
                let Some(DataRef::Histogram { mut data_points, .. }) = metric(&batch, "test.duration").data else {
                    panic!("a histogram")
                };
                let point = data_points.next().expect("a point");
                assert_eq!((point.count, point.bucket_counts().sum::<u64>(), point.sum), (count, count, Some(sum)));
            }
            // The official decoder reads the same bytes, and writes them the same way but for defaults.
            let again = Batch::from_decoded(&batch.decode()).expect("it is valid");
            assert_eq!(again.items(), batch.items());
            assert_eq!(again.decode(), batch.decode());
            bench.rig.stop().await;
        });
    }
}
