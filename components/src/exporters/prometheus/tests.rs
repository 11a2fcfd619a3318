//! What goes in as batches and comes out as text.

use std::sync::Mutex;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, MetricsData,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::advance;
use tracecore::exposition::{Format, Number};
use tracecore::signal::Decoded;
use tracecore::surface::Gather;
use tracecore::time::Duration;

use super::ingest::{Outcome, ingest};
use super::*;

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;
const NO_RECORDED_VALUE: u32 = 1;

/// The exporter without its socket.
struct Fixture(Arc<Mutex<Store>>);

impl Fixture {
    /// Without the scope in labels, so that the tests show what they are about.
    fn new() -> Self {
        Fixture::with(|config| config.without_scope_info = true)
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Fixture(Prometheus::new(config).unwrap().store)
    }

    fn take(&self, metrics: impl Into<Vec<Metric>>) -> Outcome {
        self.take_from(vec![], metrics)
    }

    fn take_from(&self, resource: Vec<KeyValue>, metrics: impl Into<Vec<Metric>>) -> Outcome {
        let scope = InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..Default::default() };
        self.take_scoped(resource, scope, metrics.into())
    }

    fn take_scoped(&self, resource: Vec<KeyValue>, scope: InstrumentationScope, metrics: Vec<Metric>) -> Outcome {
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, ..Default::default() };
        let resource_metrics = ResourceMetrics {
            resource: Some(Resource { attributes: resource, ..Default::default() }),
            scope_metrics: vec![scope_metrics],
            ..Default::default()
        };
        let decoded = Decoded::Metrics(MetricsData { resource_metrics: vec![resource_metrics] });
        ingest(&self.0, &Batch::from_decoded(&decoded).unwrap(), Instant::now())
    }

    fn scrape_as(&self, format: Format) -> String {
        let mut out = String::new();
        Scrape { store: Arc::clone(&self.0), open_metrics: true }.gather(format, &mut out);
        out
    }

    /// The samples, without what describes them.
    fn samples(&self) -> Vec<String> {
        let text = self.scrape_as(Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }
}

fn config() -> Config {
    Config {
        endpoint: Endpoint::localhost(0),
        metric_expiration: Period::minutes(5),
        const_labels: BTreeMap::new(),
        namespace: None,
        send_timestamps: false,
        add_metric_suffixes: true,
        translation_strategy: None,
        enable_open_metrics: true,
        without_scope_info: false,
        resource_to_telemetry_conversion: ResourceToTelemetry::default(),
        max_series: MAX_SERIES,
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| attribute(key, value)).collect()
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let description = "Help.".into();
    Metric { name: name.into(), unit: unit.into(), description, data: Some(data), ..Default::default() }
}

/// A point measured in second `time`.
fn point(time: u64, value: i64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: time * 1_000_000_000,
        value: Some(number_data_point::Value::AsInt(value)),
        ..Default::default()
    }
}

fn labelled(pairs: &[(&str, &str)], value: i64) -> NumberDataPoint {
    NumberDataPoint { attributes: attributes(pairs), ..point(1, value) }
}

fn gauge(name: &str, points: impl Into<Vec<NumberDataPoint>>) -> Metric {
    metric(name, "", Data::Gauge(Gauge { data_points: points.into() }))
}

fn sum(temporality: i32, is_monotonic: bool, points: impl Into<Vec<NumberDataPoint>>) -> Metric {
    let data_points = points.into();
    metric("n", "", Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic }))
}

fn counter(points: impl Into<Vec<NumberDataPoint>>) -> Metric {
    sum(CUMULATIVE, true, points)
}

/// A difference from second `start` to second `time`.
fn delta(start: u64, time: u64, value: i64) -> Metric {
    let point = NumberDataPoint { start_time_unix_nano: start * 1_000_000_000, ..point(time, value) };
    sum(DELTA, true, [point])
}

fn histogram(temporality: i32, point: HistogramDataPoint) -> Metric {
    metric("h", "s", Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: temporality }))
}

fn distribution(time: u64, bounds: &[f64], counts: &[u64], sum: f64) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: (time - 1) * 1_000_000_000,
        time_unix_nano: time * 1_000_000_000,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..Default::default()
    }
}

fn exponential(temporality: i32, point: ExponentialHistogramDataPoint) -> Metric {
    let data_points = vec![point];
    metric(
        "e",
        "",
        Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: temporality }),
    )
}

fn summary(quantiles: &[(f64, f64)]) -> Metric {
    let quantile_values = quantiles.iter().map(|&(quantile, value)| ValueAtQuantile { quantile, value }).collect();
    let point = SummaryDataPoint { time_unix_nano: 1, count: 3, sum: 4.5, quantile_values, ..Default::default() };
    metric("s", "", Data::Summary(Summary { data_points: vec![point] }))
}

#[track_caller]
fn assert_refused(outcome: &Outcome, expected: &[(Reason, u64)]) {
    assert_eq!(outcome.refused().collect::<Vec<_>>(), expected);
}

#[test]
fn every_kind_of_metric_is_shown_with_its_type_and_its_unit() {
    let fixture = Fixture::new();
    let monotonic = |name: &str, unit: &str, value: f64| {
        let point = NumberDataPoint { value: Some(number_data_point::Value::AsDouble(value)), ..point(1, 0) };
        let sum = Sum { data_points: vec![point], aggregation_temporality: CUMULATIVE, is_monotonic: true };
        metric(name, unit, Data::Sum(sum))
    };
    let outcome = fixture.take([
        monotonic("system.cpu.time", "s", 1.5),
        metric("system.cpu.utilization", "1", Data::Gauge(Gauge { data_points: vec![point(1, 1)] })),
        sum(CUMULATIVE, false, [point(1, -4)]),
        histogram(CUMULATIVE, distribution(1, &[0.1, 1.0], &[1, 2, 3], 9.0)),
        summary(&[(0.99, 2.0), (0.5, 1.0)]),
    ]);
    assert_refused(&outcome, &[]);
    let expected = "\
# HELP h_seconds Help.
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{le=\"0.1\"} 1
h_seconds_bucket{le=\"1.0\"} 3
h_seconds_bucket{le=\"+Inf\"} 6
h_seconds_sum 9
h_seconds_count 6
# HELP n Help.
# TYPE n gauge
n -4
# HELP s Help.
# TYPE s summary
s{quantile=\"0.5\"} 1
s{quantile=\"0.99\"} 2
s_sum 4.5
s_count 3
# HELP system_cpu_time_seconds Help.
# TYPE system_cpu_time_seconds counter
# UNIT system_cpu_time_seconds seconds
system_cpu_time_seconds_total 1.5
# HELP system_cpu_utilization_ratio Help.
# TYPE system_cpu_utilization_ratio gauge
# UNIT system_cpu_utilization_ratio ratio
system_cpu_utilization_ratio 1
# EOF
";
    assert_eq!(fixture.scrape_as(Format::OpenMetrics), expected);
}

#[test]
fn a_resource_is_job_and_instance_and_a_target() {
    let fixture = Fixture::new();
    let service = [("service.name", "api"), ("service.namespace", "shop"), ("service.instance.id", "i-1")];
    let resource = |more: &[(&str, &str)]| attributes(&[&service, more].concat());
    fixture.take_from(resource(&[("host.name", "h1"), ("service.version", "0")]), [gauge("g", [point(1, 1)])]);
    fixture.take_from(resource(&[("host.name", "h1"), ("service.version", "1")]), [gauge("g", [point(2, 2)])]);
    fixture.take_from(attributes(&service[..1]), [gauge("g", [point(1, 3)])]);
    fixture.take_from(attributes(&[("host.name", "h2")]), [gauge("g", [point(1, 4)])]);
    let expected = [
        r#"target_info{host_name="h1",instance="i-1",job="shop/api",service_version="1"} 1"#,
        r#"g{instance="i-1",job="shop/api"} 2"#,
        r#"g{job="api"} 3"#,
        "g 4",
    ];
    assert_eq!(fixture.samples(), expected);
    assert!(fixture.scrape_as(Format::OpenMetrics).contains("# TYPE target info\n"));
}

#[test]
fn a_scope_is_labels_unless_they_are_unwanted() {
    let scope = || InstrumentationScope {
        name: "lib".into(),
        version: "1.2".into(),
        attributes: attributes(&[("team", "blue"), ("name", "other"), ("version", "other")]),
        ..Default::default()
    };
    let fixture = Fixture::with(|_| {});
    fixture.take_scoped(vec![], scope(), vec![gauge("g", [point(1, 1)])]);
    let expected = r#"g{otel_scope_name="lib",otel_scope_team="blue",otel_scope_version="1.2"} 1"#;
    assert_eq!(fixture.samples(), [expected]);

    let fixture = Fixture::new();
    fixture.take_scoped(vec![], scope(), vec![gauge("g", [point(1, 1)])]);
    assert_eq!(fixture.samples(), ["g 1"]);
}

#[test]
fn a_resource_can_be_labels_of_every_series() {
    for (exclude_service_attributes, service_name) in [(false, r#",service_name="api""#), (true, "")] {
        let fixture = Fixture::with(|config| {
            config.without_scope_info = true;
            config.resource_to_telemetry_conversion = ResourceToTelemetry { enabled: true, exclude_service_attributes };
        });
        fixture.take_from(attributes(&[("service.name", "api"), ("host.name", "h1")]), [gauge("g", [point(1, 1)])]);
        let expected = format!(r#"g{{host_name="h1",job="api"{service_name}}} 1"#);
        assert_eq!(fixture.samples().last(), Some(&expected));
    }
}

#[test]
fn labels_of_the_configuration_replace_those_of_the_series() {
    let fixture = Fixture::with(|config| {
        config.without_scope_info = true;
        config.const_labels = BTreeMap::from([("rack".to_owned(), "r\"1".to_owned())]);
    });
    fixture.take([gauge("g", [labelled(&[("rack", "mine"), ("slot", "2")], 1)])]);
    assert_eq!(fixture.samples(), [r#"g{rack="r\"1",slot="2"} 1"#]);
}

#[test]
fn labels_of_the_configuration_that_no_series_can_have_are_refused() {
    for name in ["", "a-b", "2a", "le", "quantile", "__name__", "__meta"] {
        let config = Config { const_labels: BTreeMap::from([(name.to_owned(), String::new())]), ..config() };
        let error = Prometheus::new(config).err().expect("it is refused").to_string();
        assert!(error.contains("const_labels") && error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn attributes_that_become_one_label_are_joined_in_the_order_of_their_keys() {
    let fixture = Fixture::new();
    fixture.take([gauge("g", [labelled(&[("a_b", "3"), ("a.b", "2"), ("a-b", "1"), ("empty", "")], 1)])]);
    assert_eq!(fixture.samples(), [r#"g{a_b="1;2;3"} 1"#]);
}

#[test]
fn a_series_is_its_labels_in_whatever_order_they_come() {
    let fixture = Fixture::new();
    fixture.take([gauge("g", [labelled(&[("a", "1"), ("b", "2")], 1), labelled(&[("b", "2"), ("a", "1")], 2)])]);
    fixture.take([gauge("g", [labelled(&[("a", "1"), ("b", "2")], 3), labelled(&[("a", "1b"), ("", "2")], 9)])]);
    assert_eq!(fixture.samples(), [r#"g{a="1",b="2"} 3"#, r#"g{a="1b",key_="2"} 9"#]);
}

#[test]
fn values_that_are_no_text_are_written_as_text() {
    let fixture = Fixture::new();
    let value = |value| Some(AnyValue { value: Some(value) });
    let int = KeyValue { key: "int".into(), value: value(any_value::Value::IntValue(7)), ..Default::default() };
    let bool = KeyValue { key: "on".into(), value: value(any_value::Value::BoolValue(true)), ..Default::default() };
    fixture.take([gauge("g", [NumberDataPoint { attributes: vec![int, bool], ..point(1, 1) }])]);
    assert_eq!(fixture.samples(), [r#"g{int="7",on="true"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn a_series_expires_when_it_is_not_updated() {
    let fixture = Fixture::new();
    let resource = || attributes(&[("service.name", "api"), ("host.name", "h")]);
    fixture.take_from(resource(), [gauge("old", [point(1, 1)]), gauge("new", [point(1, 1)])]);
    advance(Duration::from_secs(299)).await;
    assert_eq!(fixture.samples().len(), 3, "with the target");
    fixture.take([gauge("new", [point(2, 2)])]);
    advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.samples(), ["new 2"]);
    assert_eq!(fixture.0.lock().unwrap().held().load(Ordering::Relaxed), 1);

    fixture.take_from(resource(), [gauge("old", [point(3, 3)])]);
    assert_eq!(fixture.samples().last().unwrap(), r#"old{job="api"} 3"#);
}

#[test]
fn the_end_of_a_series_takes_it_away() {
    let fixture = Fixture::new();
    let end = |time| gauge("g", [NumberDataPoint { flags: NO_RECORDED_VALUE, value: None, ..point(time, 0) }]);
    assert_refused(&fixture.take([end(1)]), &[]);
    assert_eq!(fixture.samples(), [""; 0], "of a series that was never there");
    fixture.take([gauge("g", [point(2, 2)])]);
    assert_refused(&fixture.take([end(4)]), &[]);
    assert_refused(&fixture.take([gauge("g", [point(3, 3)])]), &[(Reason::Superseded, 1)]);
    assert_eq!(fixture.samples(), [""; 0]);
    fixture.take([gauge("g", [point(5, 5)])]);
    assert_eq!(fixture.samples(), ["g 5"]);
}

#[test]
fn an_older_point_does_not_replace_a_newer() {
    let fixture = Fixture::new();
    fixture.take([counter([point(5, 5)])]);
    assert_refused(&fixture.take([counter([point(4, 4)])]), &[(Reason::Superseded, 1)]);
    assert_eq!(fixture.samples(), ["n_total 5"]);
    assert_refused(&fixture.take([counter([point(5, 6)])]), &[]);
    assert_refused(&fixture.take([counter([NumberDataPoint { time_unix_nano: 0, ..point(1, 7) }])]), &[]);
    assert_eq!(fixture.samples(), ["n_total 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_follows_its_senders_clock_when_it_is_set_back() {
    let fixture = Fixture::new();
    fixture.take([counter([point(3600, 5)]), gauge("g", [point(3600, 5)])]);
    let refused = [(Reason::Superseded, 2)];
    for (second, value) in [(10, 6), (11, 7), (12, 8)] {
        assert_refused(&fixture.take([counter([point(second, value)]), gauge("g", [point(second, value)])]), &refused);
        assert_eq!(fixture.samples(), ["g 5", "n_total 5"], "they may be late");
        advance(Duration::from_secs(10)).await;
    }
    assert_refused(&fixture.take([counter([point(12, 8)])]), &[(Reason::Superseded, 1)]);
    assert_refused(&fixture.take([counter([point(13, 9)]), gauge("g", [point(13, 9)])]), &[]);
    assert_refused(&fixture.take([counter([point(14, 10)]), gauge("g", [point(14, 10)])]), &[]);
    assert_eq!(fixture.samples(), ["g 10", "n_total 10"], "nothing newer came: it is the clock");

    // One that is late among newer ones is late, however long that goes on.
    for second in 15_u32..25 {
        fixture.take([counter([point(second.into(), second.into())])]);
        advance(Duration::from_secs(10)).await;
        assert_refused(&fixture.take([counter([point(u64::from(second) - 10, 1)])]), &[(Reason::Superseded, 1)]);
    }
    assert_eq!(fixture.samples(), ["g 10", "n_total 24"]);
}

#[tokio::test(start_paused = true)]
async fn differences_are_added_up_when_their_senders_clock_is_set_back() {
    let fixture = Fixture::new();
    fixture.take([delta(3600, 3601, 10)]);
    let out_of_order = [(Reason::OutOfOrder, 1)];
    for second in 10..13 {
        assert_refused(&fixture.take([delta(second, second + 1, 1)]), &out_of_order);
        advance(Duration::from_secs(10)).await;
    }
    assert_refused(&fixture.take([delta(12, 13, 1)]), &out_of_order);
    assert_refused(&fixture.take([delta(13, 14, 1)]), &[]);
    assert_refused(&fixture.take([delta(14, 15, 1)]), &[]);
    advance(Duration::from_secs(60)).await;
    assert_refused(&fixture.take([delta(14, 15, 1)]), &out_of_order);
    assert_refused(&fixture.take([delta(13, 15, 1)]), &out_of_order);
    assert_eq!(fixture.samples(), ["n_total 12"], "what is known is not added twice, however often it comes");
}

#[tokio::test(start_paused = true)]
async fn series_beyond_the_limit_are_counted_and_make_no_room_for_themselves() {
    let fixture = Fixture::with(|config| {
        config.without_scope_info = true;
        config.max_series = NonZeroUsize::new(2).unwrap();
    });
    let points = ["a", "b", "c", "d"].map(|name| labelled(&[("x", name)], 1));
    assert_refused(&fixture.take([gauge("g", points)]), &[(Reason::Overflow, 2)]);
    assert_refused(&fixture.take([gauge("other", [point(1, 1)])]), &[(Reason::Overflow, 1)]);
    assert_refused(&fixture.take([gauge("g", [labelled(&[("x", "b")], 2)])]), &[]);
    assert_eq!(fixture.samples(), [r#"g{x="a"} 1"#, r#"g{x="b"} 2"#]);

    advance(Duration::from_secs(300)).await;
    assert_refused(&fixture.take([gauge("other", [point(1, 1)])]), &[]);
    assert_eq!(fixture.samples(), ["other 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_type_of_a_name_wins_until_its_series_are_gone() {
    let fixture = Fixture::new();
    fixture.take([gauge("n.total", [point(1, 1)])]);
    let outcome = fixture.take([counter([point(2, 2), labelled(&[("a", "b")], 2)])]);
    assert_refused(&outcome, &[(Reason::TypeConflict, 2)]);
    let [conflict] = outcome.conflicts.as_slice() else { panic!("it is reported") };
    assert_eq!((conflict.name.as_str(), conflict.kept, conflict.refused), ("n_total", "gauge", "counter"));
    let outcome = fixture.take([counter([point(2, 2)])]);
    assert_refused(&outcome, &[(Reason::TypeConflict, 1)]);
    assert!(outcome.conflicts.is_empty(), "it is reported once");
    assert_eq!(fixture.samples(), ["n_total 1"]);

    advance(Duration::from_secs(300)).await;
    assert_eq!(fixture.samples(), [""; 0]);
    assert_refused(&fixture.take([counter([point(2, 2)])]), &[]);
    assert!(fixture.scrape_as(Format::Text).contains("# TYPE n_total counter\n"));
}

#[test]
fn no_metric_takes_the_name_of_the_targets() {
    let fixture = Fixture::new();
    let outcome = fixture
        .take_from(attributes(&[("service.name", "api"), ("host.name", "h")]), [gauge("target.info", [point(1, 7)])]);
    assert_refused(&outcome, &[(Reason::TypeConflict, 1)]);
    assert_eq!(fixture.samples(), [r#"target_info{host_name="h",job="api"} 1"#]);
}

#[test]
fn differences_are_added_up() {
    let fixture = Fixture::new();
    fixture.take([delta(1, 2, 10)]);
    assert_refused(&fixture.take([delta(2, 3, 5)]), &[]);
    assert_eq!(fixture.samples(), ["n_total 15"]);
    assert_refused(&fixture.take([delta(2, 3, 5)]), &[(Reason::OutOfOrder, 1)]);
    assert_refused(&fixture.take([delta(2, 4, 5)]), &[(Reason::OutOfOrder, 1)]);
    assert_refused(&fixture.take([delta(9, 10, 1)]), &[]);
    assert_eq!(fixture.samples(), ["n_total 16"], "what came before a gap still counts");
    fixture.take([delta(10, 11, i64::MAX)]);
    assert_eq!(fixture.samples(), [format!("n_total {}", Number::Float(2f64.powi(63)))]);
}

#[test]
fn differences_of_histograms_are_added_up() {
    let fixture = Fixture::new();
    fixture.take([histogram(DELTA, distribution(2, &[1.0, 2.0], &[1, 0, 1], 4.0))]);
    fixture.take([histogram(DELTA, distribution(3, &[1.0, 2.0], &[0, 2, 1], 6.0))]);
    let buckets = |one: u64, two: u64, all: u64, sum: f64| {
        [
            format!("h_seconds_bucket{{le=\"1\"}} {one}"),
            format!("h_seconds_bucket{{le=\"2\"}} {two}"),
            format!("h_seconds_bucket{{le=\"+Inf\"}} {all}"),
            format!("h_seconds_sum {sum}"),
            format!("h_seconds_count {all}"),
        ]
    };
    assert_eq!(fixture.samples(), buckets(1, 3, 5, 10.0));
    fixture.take([histogram(DELTA, distribution(4, &[5.0], &[1, 0], 1.0))]);
    assert_eq!(fixture.samples().len(), 4, "with other bounds it begins again");
}

#[test]
fn differences_that_cannot_be_added_are_refused() {
    let fixture = Fixture::new();
    let exponential = exponential(DELTA, ExponentialHistogramDataPoint { count: 1, ..Default::default() });
    for metric in [sum(DELTA, false, [point(1, 1)]), sum(0, true, [point(1, 1)]), exponential] {
        assert_refused(&fixture.take([metric]), &[(Reason::Temporality, 1)]);
    }
    assert_eq!(fixture.samples(), [""; 0]);
}

#[test]
fn an_exponential_histogram_has_buckets_up_to_powers_of_two() {
    let point = |scale, offset, counts: &[u64]| ExponentialHistogramDataPoint {
        count: counts.iter().sum::<u64>() + 3,
        sum: Some(9.0),
        scale,
        zero_count: 2,
        positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
        negative: Some(Buckets { offset: 0, bucket_counts: vec![1] }),
        ..Default::default()
    };
    let shown = |point: ExponentialHistogramDataPoint| {
        let fixture = Fixture::new();
        assert_refused(&fixture.take([exponential(CUMULATIVE, point)]), &[]);
        let samples = fixture.samples();
        let bucket = |line: &String| {
            let (bound, count) = line.strip_prefix("e_bucket{le=\"")?.split_once("\"} ")?;
            Some((bound.to_owned(), count.parse::<u64>().ok()?))
        };
        samples.iter().filter_map(bucket).filter(|(bound, _)| bound != "+Inf").collect::<Vec<_>>()
    };
    let expected = |pairs: &[(&str, u64)]| pairs.iter().map(|&(bound, n)| (bound.to_owned(), n)).collect::<Vec<_>>();

    // (1, 2], (2, 4], (4, 8].
    assert_eq!(shown(point(0, 0, &[1, 0, 2])), expected(&[("2", 4), ("4", 4), ("8", 6)]));
    // (½, 0.71], (0.71, 1], (1, 1.41], (1.41, 2], (2, 2.83]: two buckets for each power.
    assert_eq!(shown(point(1, -2, &[1, 2, 3, 4, 5])), expected(&[("1", 6), ("2", 13), ("4", 18)]));
    // Buckets without values before the first and behind the last add no bounds.
    assert_eq!(shown(point(1, -2, &[0, 0, 3, 0, 0, 0])), expected(&[("2", 6)]));
    // (1, 16], (16, 256].
    assert_eq!(shown(point(-2, 0, &[1, 1])), expected(&[("16", 4), ("256", 5)]));
    // Far ends: the least normal float, and what only infinity bounds.
    assert_eq!(shown(point(0, -1100, &[1, 1])), expected(&[("2.2250738585072014e-308", 5)]));
    assert_eq!(shown(point(0, 1022, &[1, 1])), expected(&[("8.98846567431158e+307", 4)]));
    assert_eq!(shown(point(-31, i32::MAX, &[1])), expected(&[]));
    assert_eq!(shown(point(31, i32::MIN, &[1])), expected(&[("1", 4)]));
    assert_eq!(shown(point(3, 0, &[])), expected(&[]));
}

#[test]
fn points_that_contradict_themselves_are_refused_and_change_nothing() {
    let fixture = Fixture::new();
    fixture.take([histogram(CUMULATIVE, distribution(1, &[1.0], &[1, 1], 2.0))]);
    let good = fixture.samples();
    let bad = |change: fn(&mut HistogramDataPoint)| {
        let mut point = distribution(2, &[1.0, 2.0], &[1, 1, 1], 2.0);
        change(&mut point);
        histogram(CUMULATIVE, point)
    };
    for metric in [
        bad(|point| point.explicit_bounds = vec![2.0, 1.0]),
        bad(|point| point.explicit_bounds = vec![1.0, f64::INFINITY]),
        bad(|point| point.explicit_bounds = vec![1.0, f64::NAN]),
        bad(|point| point.explicit_bounds = vec![1.0]),
        bad(|point| point.explicit_bounds = vec![1.0, 2.0, 3.0]),
        bad(|point| point.count = 2),
        bad(|point| point.bucket_counts = vec![u64::MAX, 1, 1]),
    ] {
        assert_refused(&fixture.take([metric]), &[(Reason::Invalid, 1)]);
        assert_eq!(fixture.samples(), good);
    }
    let wrong_counts = ExponentialHistogramDataPoint {
        positive: Some(Buckets { offset: 0, bucket_counts: vec![2] }),
        count: 1,
        ..Default::default()
    };
    let le = HistogramDataPoint { attributes: attributes(&[("le", "1")]), ..distribution(2, &[], &[], 0.0) };
    for metric in [
        exponential(CUMULATIVE, wrong_counts),
        histogram(CUMULATIVE, le),
        summary(&[(0.5, 1.0), (0.5, 2.0)]),
        summary(&[(1.5, 1.0)]),
        summary(&[(f64::NAN, 1.0)]),
        gauge("g", [NumberDataPoint { value: None, ..point(1, 1) }]),
        gauge("", [point(1, 1)]),
    ] {
        assert_refused(&fixture.take([metric]), &[(Reason::Invalid, 1)]);
    }
    assert_eq!(fixture.samples(), good);
}

#[test]
fn a_histogram_without_buckets_or_sum_is_its_count() {
    let fixture = Fixture::new();
    fixture.take([histogram(CUMULATIVE, HistogramDataPoint { count: 4, ..Default::default() })]);
    assert_eq!(fixture.samples(), [r#"h_seconds_bucket{le="+Inf"} 4"#, "h_seconds_count 4"]);
}

#[test]
fn a_counter_and_a_gauge_that_only_its_suffix_tells_apart_are_both_shown() {
    let fixture = Fixture::new();
    fixture.take([gauge("n", [point(1, 1)]), counter([point(1, 2)])]);
    assert_eq!(fixture.samples(), ["n 1", "n_total 2"]);
    assert!(fixture.scrape_as(Format::Text).contains("# TYPE n_total counter\n"));
    let open_metrics = fixture.scrape_as(Format::OpenMetrics);
    assert!(open_metrics.contains("# TYPE n gauge\nn 1\n"), "{open_metrics}");
    assert!(open_metrics.contains("# TYPE n_total unknown\nn_total 2\n"), "{open_metrics}");
}

#[test]
fn what_was_unknown_to_prometheus_stays_so() {
    let fixture = Fixture::new();
    let metadata = attributes(&[("prometheus.type", "unknown")]);
    fixture.take([Metric { metadata, unit: "1".into(), ..gauge("g", [point(1, 1)]) }]);
    assert_eq!(fixture.scrape_as(Format::Text), "# HELP g Help.\n# TYPE g untyped\ng 1\n");
}

#[test]
fn samples_bear_their_time_where_it_is_wanted() {
    let fixture = Fixture::with(|config| {
        config.without_scope_info = true;
        config.send_timestamps = true;
    });
    fixture.take([gauge("g", [point(7, 1)])]);
    assert_eq!(fixture.samples(), ["g 1 7000"]);
}

#[test]
fn an_attribute_that_is_given_twice_counts_once() {
    let fixture = Fixture::new();
    fixture.take([gauge("g", [labelled(&[("a", "1"), ("a", "2")], 1)])]);
    assert_eq!(fixture.samples(), [r#"g{a="1"} 1"#]);
}
