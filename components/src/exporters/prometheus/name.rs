//! From OpenTelemetry's names to Prometheus's.
//!
//! The rules are those of <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>; where it
//! leaves room, names are the ones that the Collector gives, so that dashboards made for it go on working.

/// UCUM units and their words: the table of the specification, and `KBy`, which senders write though UCUM's kilo is `k`.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// The same behind a slash, where the word is singular. `m` is the Collector's minute.
const PER_UNITS: [(&str, &str); 8] = [
    ("s", "second"),
    ("min", "minute"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The unit of what has none.
const UNITLESS: &str = "1";

/// The end of a counter's name.
const TOTAL: &str = "total";

/// The word for a gauge without unit. Only for gauges: a count without unit is a sender's mistake more often than a
/// ratio.
const RATIO: &str = "ratio";

/// What stands before a label that begins as none may, or as only Prometheus's own do.
const LABEL_PREFIX: &str = "key_";

/// How metrics are named.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    namespace: Option<String>,
    suffixes: bool,
}

/// What a metric is, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    /// A total that only grows.
    Total,
    /// A value that stands for itself.
    Ratio,
    /// Anything else.
    Plain,
}

/// A metric's name in Prometheus.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MetricName {
    pub(super) name: String,
    /// The unit in words; empty if there is none, or if the name does not tell it.
    pub(super) unit: String,
}

impl Naming {
    /// Names with `namespace` before them, and with their unit and type behind them if `suffixes`.
    pub(super) fn new(namespace: Option<&str>, suffixes: bool) -> Self {
        let namespace = namespace.map(|namespace| words(namespace).collect::<Vec<_>>().join("_"));
        Naming { namespace: namespace.filter(|namespace| !namespace.is_empty()), suffixes }
    }

    /// The name of a metric; `None` if nothing of it can stand in one.
    pub(super) fn metric(&self, name: &str, ucum: &str, suffix: Suffix) -> Option<MetricName> {
        let mut parts: Vec<&str> = words(name).collect();
        if parts.is_empty() {
            return None;
        }
        let unit = match suffix {
            _ if !self.suffixes => String::new(),
            Suffix::Ratio if ucum == UNITLESS => RATIO.to_owned(),
            _ => unit(ucum),
        };
        let is_total = self.suffixes && suffix == Suffix::Total;
        if is_total && parts.last() == Some(&TOTAL) {
            parts.pop();
        }
        let unit_parts: Vec<&str> = unit.split('_').filter(|part| !part.is_empty()).collect();
        let said = overlap(&parts, &unit_parts);
        parts.extend(&unit_parts[said..]);
        parts.extend(is_total.then_some(TOTAL));

        let name = self.namespace.as_deref().into_iter().chain(parts).collect::<Vec<_>>().join("_");
        let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
        Some(MetricName { name, unit })
    }
}

/// The parts of a name between characters that a name cannot have. Splitting also leaves no two `_` in a row.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|word| !word.is_empty())
}

/// How many parts the name ends with that the unit begins with: `read_bytes` already says the half of
/// `bytes_per_second`.
fn overlap(name: &[&str], unit: &[&str]) -> usize {
    (1..=unit.len()).rev().find(|&said| name.ends_with(&unit[..said])).unwrap_or(0)
}

/// A UCUM unit in words: `By/s` is `bytes_per_second`. Annotations, as in `{packet}`, count nothing.
fn unit(ucum: &str) -> String {
    let bare = without_annotations(ucum);
    let (main, per) = bare.split_once('/').unwrap_or((&bare, ""));
    let (main, per) = (unit_word(main.trim(), &UNITS), unit_word(per.trim(), &PER_UNITS));
    match (main.as_str(), per.as_str()) {
        (_, "") => main,
        ("", per) => format!("per_{per}"),
        (main, per) => format!("{main}_per_{per}"),
    }
}

fn without_annotations(ucum: &str) -> String {
    let mut depth = 0_u32;
    let outside = |c: &char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    ucum.chars().filter(outside).collect()
}

/// The word for one unit; a unit that has none stands for itself.
fn unit_word(ucum: &str, words_for: &[(&str, &str)]) -> String {
    match words_for.iter().find(|(symbol, _)| *symbol == ucum) {
        Some((_, word)) => (*word).to_owned(),
        None if ucum == UNITLESS => String::new(),
        None => words(ucum).collect::<Vec<_>>().join("_"),
    }
}

/// The name of an attribute as a label: `http.request.method` is `http_request_method`, `2xx` is `key_2xx`.
pub(super) fn label(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + LABEL_PREFIX.len());
    for c in key.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if name.is_empty() && !c.is_ascii_alphabetic() {
            name.push_str(LABEL_PREFIX);
        }
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    if name.is_empty() { LABEL_PREFIX.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_named(naming: &Naming, cases: &[(&str, &str, Suffix, &str)]) {
        for &(name, unit, suffix, expected) in cases {
            let named = naming.metric(name, unit, suffix).map(|named| named.name);
            assert_eq!(named.as_deref(), Some(expected), "{name} in {unit:?}");
        }
    }

    #[test]
    fn a_name_ends_in_its_unit_and_its_type() {
        use Suffix::{Plain, Ratio, Total};
        let cases = [
            ("system.cpu.time", "s", Total, "system_cpu_time_seconds_total"),
            ("system.memory.usage", "By", Plain, "system_memory_usage_bytes"),
            ("system.cpu.utilization", "1", Ratio, "system_cpu_utilization_ratio"),
            ("system.network.packets", "{packet}", Total, "system_network_packets_total"),
            ("http.server.request.duration", "s", Plain, "http_server_request_duration_seconds"),
            ("clock.ticks", "{tick}", Total, "clock_ticks_total"),
            ("queue.length", "", Plain, "queue_length"),
            ("fan.speed", "{revolution}/min", Ratio, "fan_speed_per_minute"),
            ("request.rate", "1/s", Ratio, "request_rate_per_second"),
            ("disk.throughput", "By/s", Ratio, "disk_throughput_bytes_per_second"),
            ("moved", "By{transferred}", Total, "moved_bytes_total"),
            ("moved", "By/{frame}", Plain, "moved_bytes"),
            ("hw.temperature", "Cel", Ratio, "hw_temperature_celsius"),
            ("fill", "%", Ratio, "fill_percent"),
            ("memory", "TiBy", Plain, "memory_tebibytes"),
            ("items", "1", Total, "items_total"),
            ("items", "1", Plain, "items"),
            ("odd", "furlong/fortnight", Plain, "odd_furlong_per_fortnight"),
            ("odd", "10*3.m", Plain, "odd_10_3_m"),
        ];
        assert_named(&Naming::new(None, true), &cases);
    }

    #[test]
    fn what_a_name_says_already_is_not_said_twice() {
        use Suffix::{Plain, Ratio, Total};
        let cases = [
            ("requests_total", "", Total, "requests_total"),
            ("cpu.seconds.total", "s", Total, "cpu_seconds_total"),
            ("cpu.total.seconds", "s", Total, "cpu_total_seconds_total"),
            ("latency_seconds", "s", Plain, "latency_seconds"),
            ("seconds.max", "s", Plain, "seconds_max_seconds"),
            ("hit_ratio", "1", Ratio, "hit_ratio"),
            ("read_bytes", "By/s", Ratio, "read_bytes_per_second"),
            ("read_bytes_per_second", "By/s", Ratio, "read_bytes_per_second"),
            ("total", "", Total, "total"),
            ("grand.total", "", Ratio, "grand_total"),
        ];
        assert_named(&Naming::new(None, true), &cases);
    }

    #[test]
    fn a_name_has_only_the_characters_that_prometheus_knows() {
        use Suffix::Plain;
        let cases = [
            ("a.b-c/d e", "", Plain, "a_b_c_d_e"),
            ("a__b..c", "", Plain, "a_b_c"),
            (".a.", "", Plain, "a"),
            ("job:rate5m", "", Plain, "job:rate5m"),
            ("2xx", "", Plain, "_2xx"),
            ("größe", "", Plain, "gr_e"),
            ("MiXed", "", Plain, "MiXed"),
        ];
        assert_named(&Naming::new(None, true), &cases);
        for nothing in ["", "_", "...", "日本"] {
            assert_eq!(Naming::new(None, true).metric(nothing, "s", Plain), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_namespace_goes_first_and_suffixes_can_be_left_out() {
        let named = |naming: &Naming| naming.metric("2.a", "s", Suffix::Total).unwrap();
        let with = named(&Naming::new(Some("my-space"), true));
        assert_eq!(with, MetricName { name: "my_space_2_a_seconds_total".into(), unit: "seconds".into() });
        let without = named(&Naming::new(None, false));
        assert_eq!(without, MetricName { name: "_2_a".into(), unit: String::new() });
        assert_eq!(named(&Naming::new(Some("."), false)).name, "_2_a");
    }

    #[test]
    fn a_label_has_only_the_characters_that_prometheus_knows() {
        let cases = [
            ("http.request.method", "http_request_method"),
            ("a..b--c", "a_b_c"),
            ("a:b", "a_b"),
            ("2xx", "key_2xx"),
            ("_private", "key_private"),
            ("__name__", "key_name_"),
            ("é", "key_"),
            ("", "key_"),
            ("Plain", "Plain"),
        ];
        for (key, expected) in cases {
            assert_eq!(label(key), expected, "{key:?}");
        }
    }
}
