//! Golden texts of both formats, and a strict reader that takes the encoder's output apart again.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Chars;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn encode(families: &[Family<'_>], format: Format) -> (String, usize) {
    let mut out = String::new();
    let mut encoder = Encoder::new(format, &mut out);
    for family in families {
        encoder.family(family);
    }
    let omitted = encoder.finish();
    (out, omitted)
}

#[track_caller]
fn assert_encodes(families: &[Family<'_>], text: &str, open_metrics: &str) {
    assert_eq!(encode(families, Format::Text), (text.to_owned(), 0));
    assert_eq!(encode(families, Format::OpenMetrics), (format!("{open_metrics}# EOF\n"), 0));
}

fn family<'a>(name: &'a str, series: Series<'a>) -> Family<'a> {
    Family { name, help: "Help.", unit: None, series }
}

const METHOD: [(&str, &str); 1] = [("method", "get")];

#[test]
fn a_counter_has_its_suffix_where_the_format_wants_it() {
    for name in ["requests", "requests_total"] {
        let series = || Series::Counter(vec![Sample::new(&METHOD, Number::Integer(3))]);
        let text = format!("# HELP {name} Help.\n# TYPE {name} counter\n{name}{{method=\"get\"}} 3\n");
        let open_metrics = "# HELP requests Help.\n# TYPE requests counter\nrequests_total{method=\"get\"} 3\n";
        assert_encodes(&[family(name, series())], &text, open_metrics);
    }
}

#[test]
fn a_gauge() {
    let samples = vec![Sample::new(&(), Number::Float(1.5)), Sample::new(&METHOD, Number::Integer(i64::MIN))];
    let expected = "# HELP g Help.\n# TYPE g gauge\ng 1.5\ng{method=\"get\"} -9223372036854775808\n";
    assert_encodes(&[family("g", Series::Gauge(samples))], expected, expected);
}

#[test]
fn a_histogram_ends_in_a_bucket_of_everything() {
    let bucket = |upper_bound, cumulative_count| Bucket { upper_bound, cumulative_count };
    let mut buckets = vec![bucket(0.0001, 1), bucket(0.5, 2), bucket(1.0, 3), bucket(10.0, 3)];
    let text = r#"# HELP h Help.
# TYPE h histogram
h_bucket{method="get",le="0.0001"} 1
h_bucket{method="get",le="0.5"} 2
h_bucket{method="get",le="1"} 3
h_bucket{method="get",le="10"} 3
h_bucket{method="get",le="+Inf"} 4
h_sum{method="get"} 99.5
h_count{method="get"} 4
"#;
    let open_metrics = text.replace("\"1\"", "\"1.0\"").replace("\"10\"", "\"10.0\"");
    for infinity_is_given in [false, true] {
        if infinity_is_given {
            buckets.push(bucket(f64::INFINITY, 4));
        }
        let histogram = Histogram { buckets: Cow::Borrowed(&buckets), sum: Some(99.5), count: 4 };
        let series = Series::Histogram(vec![Sample::new(&METHOD, histogram)]);
        assert_encodes(&[family("h", series)], text, &open_metrics);
    }
}

#[test]
fn a_summary() {
    let summary = Summary { quantiles: Cow::Borrowed(&[(0.5, 0.25), (1.0, f64::NAN)]), sum: 7.0, count: 2 };
    let text = r#"# HELP s Help.
# TYPE s summary
s{quantile="0.5"} 0.25
s{quantile="1"} NaN
s_sum 7
s_count 2
"#;
    let series = Series::Summary(vec![Sample::new(&(), summary)]);
    assert_encodes(&[family("s", series)], text, &text.replace("\"1\"", "\"1.0\""));
}

#[test]
fn an_info_is_a_gauge_of_one_where_the_format_has_none() {
    for name in ["target", "target_info"] {
        let samples = || vec![Sample::new(&METHOD, ())];
        assert_encodes(
            &[family(name, Series::Info(samples()))],
            "# HELP target_info Help.\n# TYPE target_info gauge\ntarget_info{method=\"get\"} 1\n",
            "# HELP target Help.\n# TYPE target info\ntarget_info{method=\"get\"} 1\n",
        );
    }
}

#[test]
fn an_unknown() {
    let series = Series::Unknown(vec![Sample::new(&(), Number::Float(-0.0))]);
    assert_encodes(
        &[family("u", series)],
        "# HELP u Help.\n# TYPE u untyped\nu -0\n",
        "# HELP u Help.\n# TYPE u unknown\nu -0\n",
    );
}

#[test]
fn help_and_label_values_are_escaped() {
    let labels = [("path", "C:\\dir\n\"quoted\" é")];
    let series = Series::Gauge(vec![Sample::new(&labels, Number::Integer(1))]);
    let family = Family { name: "g", help: "A \\ and\na \"quote\".", unit: None, series };
    let label = r#"g{path="C:\\dir\n\"quoted\" é"} 1"#;
    assert_encodes(
        &[family],
        &format!("# HELP g A \\\\ and\\na \"quote\".\n# TYPE g gauge\n{label}\n"),
        &format!("# HELP g A \\\\ and\\na \\\"quote\\\".\n# TYPE g gauge\n{label}\n"),
    );
}

#[test]
fn special_values_are_written_as_prometheus_reads_them() {
    let cases = [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (0.0, "0"),
        (5.0, "5"),
        (0.1, "0.1"),
        (-2.5e-5, "-0.000025"),
        (1e-6, "1e-6"),
        (1_763_825_571.25, "1763825571.25"),
        (1e16, "10000000000000000"),
        (1.5e300, "1.5e300"),
        (5e-324, "5e-324"),
    ];
    for (value, expected) in cases {
        assert_eq!(Number::Float(value).to_string(), expected);
    }
}

#[test]
fn bounds_are_canonical() {
    // The examples of the OpenMetrics specification, "Canonical Numbers".
    let cases = [
        (0.0, "0.0"),
        (0.001, "0.001"),
        (0.95, "0.95"),
        (1.0, "1.0"),
        (1.7, "1.7"),
        (1e-10, "1e-10"),
        (1e-9, "1e-09"),
        (1e-5, "1e-05"),
        (1e-4, "0.0001"),
        (1e5, "100000.0"),
        (1e6, "1e+06"),
        (1.1e23, "1.1e+23"),
        (-2.5, "-2.5"),
    ];
    for (upper_bound, expected) in cases {
        let buckets = [Bucket { upper_bound, cumulative_count: 0 }];
        let histogram = Histogram { buckets: Cow::Borrowed(&buckets), sum: Some(0.0), count: 0 };
        let series = Series::Histogram(vec![Sample::new(&(), histogram)]);
        let (out, _) = encode(&[family("h", series)], Format::OpenMetrics);
        assert!(out.contains(&format!("h_bucket{{le=\"{expected}\"}} 0\n")), "{expected} is not in {out}");
    }
}

#[test]
fn timestamps_are_in_the_unit_of_the_format() {
    for (ms, seconds) in [(1_763_825_571_250, "1763825571.250"), (-1_005, "-1.005"), (0, "0.000")] {
        let sample = Sample { timestamp_ms: Some(ms), ..Sample::new(&(), Number::Integer(1)) };
        let meta = "# HELP g Help.\n# TYPE g gauge\ng 1";
        assert_encodes(
            &[family("g", Series::Gauge(vec![sample]))],
            &format!("{meta} {ms}\n"),
            &format!("{meta} {seconds}\n"),
        );
    }
}

#[test]
fn a_unit_is_shown_where_the_name_ends_in_it() {
    let unit_line = |name, unit| {
        let series = Series::Counter(vec![]);
        let (out, _) = encode(&[Family { name, help: "", unit: Some(unit), series }], Format::OpenMetrics);
        out.lines().find(|line| line.starts_with("# UNIT")).map(str::to_owned)
    };
    assert_eq!(unit_line("cpu_seconds_total", "seconds").as_deref(), Some("# UNIT cpu_seconds seconds"));
    assert_eq!(unit_line("cpu_total", "seconds"), None);
    assert_eq!(unit_line("nanoseconds", "seconds"), None);
    assert_eq!(unit_line("cpu_seconds", ""), None);
}

#[test]
fn what_could_not_be_read_back_is_left_out_and_counted() {
    fn one(labels: &dyn Labels) -> Series<'_> {
        Series::Gauge(vec![Sample::new(labels, Number::Integer(1))])
    }
    for name in ["", "9g", "a-b", "a b", "é", "g\n"] {
        assert_eq!(encode(&[family(name, one(&()))], Format::Text), (String::new(), 1), "{name:?}");
    }
    for label in ["", "9g", "a-b", "a:b", "__name__", "le\""] {
        let labels = [(label, "x")];
        let (out, omitted) = encode(&[family("g", one(&labels))], Format::Text);
        assert_eq!((out.as_str(), omitted), ("# HELP g Help.\n# TYPE g gauge\n", 1), "{label:?}");
    }
    let (out, omitted) = encode(&[family("g", one(&())), family("g", one(&METHOD))], Format::Text);
    assert_eq!((out.matches("# TYPE").count(), omitted), (1, 1), "a family that is named twice");
}

#[test]
fn prepared_labels_are_written_as_the_labels_themselves_are() {
    let labels = vec![("a", "plain"), ("b", "a \\ and\na \"quote\"")];
    let prepared = PreparedLabels::new(&labels).unwrap();
    let one =
        |labels| encode(&[family("g", Series::Gauge(vec![Sample::new(labels, Number::Integer(1))]))], Format::Text);
    assert_eq!(one(&prepared), one(&labels));
    assert_eq!(one(&PreparedLabels::new(&()).unwrap()), one(&()));
    assert_eq!(PreparedLabels::new(&[("a-b", "")]), None);
}

#[test]
fn prepared_labels_suit_only_the_types_that_do_not_add_the_same() {
    for (label, histogram, summary) in [("x", true, true), ("le", false, true), ("quantile", true, false)] {
        let prepared = PreparedLabels::new(&[(label, "1")]).unwrap();
        assert_eq!((prepared.suit_histogram(), prepared.suit_summary()), (histogram, summary), "{label}");
        let value = Histogram { buckets: Cow::Borrowed(&[]), sum: Some(1.0), count: 1 };
        let series = Series::Histogram(vec![Sample::new(&prepared, value)]);
        assert_eq!(encode(&[family("h", series)], Format::Text).1, usize::from(!histogram), "{label}");
    }
}

#[test]
fn a_histogram_without_a_sum_has_no_line_for_it() {
    let value = Histogram { buckets: Cow::Borrowed(&[]), sum: None, count: 1 };
    let expected = "# HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n";
    assert_encodes(&[family("h", Series::Histogram(vec![Sample::new(&(), value)]))], expected, expected);
}

#[test]
fn names_that_only_open_metrics_confuses_are_one_family_there() {
    let gauge = Series::Gauge(vec![Sample::new(&(), Number::Integer(1))]);
    let counter = Series::Counter(vec![Sample::new(&(), Number::Integer(1))]);
    let families = [family("x", gauge), family("x_total", counter)];
    assert_eq!(encode(&families, Format::Text).1, 0);
    assert_eq!(encode(&families, Format::OpenMetrics).1, 1);
}

#[test]
fn a_histogram_that_is_none_is_left_out() {
    let omitted = |bounds: &[(f64, u64)], labels: &dyn Labels| {
        let buckets = bounds.iter().map(|&(upper_bound, cumulative_count)| Bucket { upper_bound, cumulative_count });
        let histogram = Histogram { buckets: buckets.collect(), sum: Some(1.0), count: 5 };
        encode(&[family("h", Series::Histogram(vec![Sample::new(labels, histogram)]))], Format::Text).1
    };
    assert_eq!(omitted(&[(1.0, 1), (2.0, 5)], &()), 0);
    assert_eq!(omitted(&[(2.0, 1), (1.0, 5)], &()), 1, "descending");
    assert_eq!(omitted(&[(1.0, 1), (1.0, 5)], &()), 1, "twice the same");
    assert_eq!(omitted(&[(1.0, 2), (2.0, 1)], &()), 1, "not cumulative");
    assert_eq!(omitted(&[(1.0, 6)], &()), 1, "more than all");
    assert_eq!(omitted(&[(f64::NAN, 1)], &()), 1);
    assert_eq!(omitted(&[], &[("le", "1")]), 1, "a label of the type's own");
}

#[test]
fn a_prometheus_registry_is_encoded() {
    use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounter, Registry};

    let registry = Registry::new();
    let counter = IntCounter::new("c_total", "A counter.").unwrap();
    counter.inc_by(2);
    let histogram = HistogramVec::new(HistogramOpts::new("h", "A histogram.").buckets(vec![0.5, 1.0]), &["a"]).unwrap();
    histogram.with_label_values(&["x"]).observe(0.75);
    let target = Gauge::new("target_info", "The target.").unwrap();
    target.set(1.0);
    registry.register(Box::new(counter)).unwrap();
    registry.register(Box::new(histogram)).unwrap();
    registry.register(Box::new(target)).unwrap();

    let gathered = registry.gather();
    let (out, omitted) = encode(&from_prometheus(&gathered), Format::OpenMetrics);
    let expected = r#"# HELP c A counter.
# TYPE c counter
c_total 2
# HELP h A histogram.
# TYPE h histogram
h_bucket{a="x",le="0.5"} 0
h_bucket{a="x",le="1.0"} 1
h_bucket{a="x",le="+Inf"} 1
h_sum{a="x"} 0.75
h_count{a="x"} 1
# HELP target The target.
# TYPE target info
target_info 1
# EOF
"#;
    assert_eq!((out.as_str(), omitted), (expected, 0));
}

#[test]
fn open_metrics_is_negotiated_only_where_it_is_preferred_by_name() {
    let open_metrics = [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text; version=\"0.0.1\"",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.5",
    ];
    for accept in open_metrics {
        assert_eq!(Format::negotiate(accept), Format::OpenMetrics, "{accept}");
    }
    let text = [
        "",
        "*/*",
        "application/*",
        "text/plain",
        "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5",
        "text/plain, application/openmetrics-text",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=high",
        "openmetrics",
    ];
    for accept in text {
        assert_eq!(Format::negotiate(accept), Format::Text, "{accept}");
    }
}

/// A sample as the reader found it.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    name: String,
    labels: Vec<(String, String)>,
    value: String,
}

/// Reads an exposition as strictly as its specification is worded, and panics at the first thing that is not in it.
fn read(text: &str, format: Format) -> Vec<Read> {
    let mut samples = Vec::new();
    let mut families = HashSet::new();
    let mut family = String::new();
    let body = match format {
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("the end is marked"),
        Format::Text => text,
    };
    assert!(body.is_empty() || body.ends_with('\n'));
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let (keyword, rest) = meta.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            match keyword {
                "TYPE" => {
                    assert!(
                        ["counter", "gauge", "histogram", "summary", "info", "unknown", "untyped"].contains(&value)
                    );
                    assert!(families.insert(name.to_owned()), "{name} is described twice");
                    family = name.to_owned();
                }
                "HELP" => assert!(!families.contains(name), "{name} is described twice"),
                _ => panic!("a description is HELP or TYPE here, not {keyword}"),
            }
        } else {
            let mut chars = line.chars().peekable();
            let name = read_name(&mut chars, |c| c == ':');
            assert!(name.starts_with(&family), "{name} stands under {family}");
            let labels = read_labels(&mut chars);
            assert_eq!(chars.next(), Some(' '));
            let value: String = chars.collect();
            assert!(["NaN", "+Inf", "-Inf"].contains(&&*value) || is_real_number(&value), "{value} is no number");
            samples.push(Read { name, labels, value });
        }
    }
    samples
}

fn read_name(chars: &mut Peekable<Chars<'_>>, also: impl Fn(char) -> bool) -> String {
    let mut name = String::new();
    while let Some(c) = chars.next_if(|&c| c == '_' || c.is_ascii_alphanumeric() || also(c)) {
        name.push(c);
    }
    assert!(name.starts_with(|c: char| !c.is_ascii_digit()), "{name:?} is no name");
    name
}

fn read_labels(chars: &mut Peekable<Chars<'_>>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    if chars.next_if_eq(&'{').is_none() {
        return labels;
    }
    loop {
        let name = read_name(chars, |_| false);
        assert_eq!((chars.next(), chars.next()), (Some('='), Some('"')));
        let mut value = String::new();
        loop {
            match chars.next().expect("a closing quote") {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some(c @ ('\\' | '"')) => c,
                    other => panic!("{other:?} is no escape"),
                }),
                c => value.push(c),
            }
        }
        labels.push((name, value));
        match chars.next() {
            Some(',') => {}
            Some('}') => return labels,
            other => panic!("{other:?} after a label"),
        }
    }
}

/// `realnumber` of the OpenMetrics grammar.
fn is_real_number(text: &str) -> bool {
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = unsigned(text);
    let (mantissa, exponent) = text.split_once('e').map_or((&*text, None), |(m, e)| (m, Some(unsigned(e))));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole) && fraction.is_none_or(digits) && exponent.is_none_or(|e| digits(&e))
}

fn parse(value: &str) -> f64 {
    match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().unwrap(),
    }
}

proptest! {
    #[test]
    fn every_name_label_and_value_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}",
        help in "\\PC{0,20}|[\\\\\n\"]{0,5}",
        labels in vec(("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{0,12}|[\\\\\n\",=}]{0,6}"), 0..4),
        value in any::<f64>(),
    ) {
        prop_assume!(!name.ends_with("_total") && labels.iter().all(|(name, _)| name != "__name__"));
        for format in [Format::Text, Format::OpenMetrics] {
            let series = Series::Gauge(vec![Sample::new(&labels, Number::Float(value))]);
            let (text, omitted) = encode(&[Family { name: &name, help: &help, unit: None, series }], format);
            prop_assert_eq!(omitted, 0);
            let samples = read(&text, format);
            prop_assert_eq!(samples.len(), 1);
            prop_assert_eq!((&samples[0].name, &samples[0].labels), (&name, &labels));
            let read = parse(&samples[0].value);
            prop_assert!(read == value || (read.is_nan() && value.is_nan()), "{} became {}", value, read);
        }
    }

    #[test]
    fn whatever_is_given_what_comes_out_can_be_read(
        names in vec("\\PC{0,3}|[a-c](_total|_info)?", 1..6),
        label in "\\PC{0,3}|[a-c]|le",
        bounds in vec((any::<f64>(), 0..5u64), 0..4),
    ) {
        for format in [Format::Text, Format::OpenMetrics] {
            let labels = [(&label, "x")];
            let families: Vec<_> = names.iter().enumerate().map(|(i, name)| family(name, match i % 4 {
                0 => Series::Counter(vec![Sample::new(&labels, Number::Integer(1))]),
                1 => Series::Info(vec![Sample::new(&labels, ())]),
                2 => Series::Unknown(vec![Sample::new(&labels, Number::Integer(1))]),
                _ => {
                    let bucket = |&(upper_bound, cumulative_count): &(f64, u64)| Bucket { upper_bound, cumulative_count };
                    let buckets = bounds.iter().map(bucket).collect();
                    Series::Histogram(vec![Sample::new(&labels, Histogram { buckets, sum: Some(1.0), count: 5 })])
                }
            })).collect();
            let (text, omitted) = encode(&families, format);
            let series = read(&text, format).into_iter().filter(|read| {
                !["_sum", "_bucket"].iter().any(|suffix| read.name.ends_with(suffix))
            });
            prop_assert_eq!(series.count() + omitted, names.len());
        }
    }
}
