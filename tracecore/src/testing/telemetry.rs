//! The collector's own metrics, read by a test.
//!
//! A test that asks for a series which does not exist would pass for the wrong reason wherever it expects zero. So asking
//! for one value of nothing is a failure, and its message lists what there is.

use prometheus::proto::{Metric, MetricFamily};

use crate::telemetry::SelfTelemetry;

/// Self-telemetry at one moment.
///
/// ```
/// use tracecore::telemetry::{BuildInfo, Resource, SelfTelemetry};
/// use tracecore::testing::TelemetrySnapshot;
///
/// let build = BuildInfo::new("a-test", "1.2.3", "");
/// let resource = Resource::detect(&build);
/// let telemetry = SelfTelemetry::new(build, resource).expect("self-telemetry");
/// let receiver = telemetry.receiver("clock", &[]);
///
/// let before = TelemetrySnapshot::take(&telemetry);
/// let labels = [("component_id", "clock")];
/// assert_eq!(before.sample("tracecore_receiver_emissions_total", &labels), 0.0);
/// receiver.emitted(1);
/// assert_eq!(before.delta("tracecore_receiver_emissions_total", &labels), 1.0);
/// ```
pub struct TelemetrySnapshot {
    telemetry: SelfTelemetry,
    families: Vec<MetricFamily>,
}

impl TelemetrySnapshot {
    /// All series as they are now.
    pub fn take(telemetry: &SelfTelemetry) -> Self {
        TelemetrySnapshot { telemetry: telemetry.clone(), families: telemetry.gather() }
    }

    /// The values of the series of this family that have these labels and maybe more; of a histogram, the counts. Empty
    /// where there are none.
    pub fn scrape(&self, family: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let wanted = self.series(family).filter(|series| {
            labels.iter().all(|(key, value)| series.get_label().iter().any(|l| l.name() == *key && l.value() == *value))
        });
        wanted.map(value).collect()
    }

    /// The sum of the series of this family that have these labels and maybe more; of a histogram, of the counts.
    ///
    /// # Panics
    /// When there is none, with the series of this family that there are, or with all families.
    pub fn sample(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.scrape(family, labels);
        assert!(!found.is_empty(), "{}", self.missing(family, labels));
        found.iter().sum()
    }

    /// By how much [`TelemetrySnapshot::sample`] has grown since. A series that was not there yet was zero.
    ///
    /// # Panics
    /// When there is no such series now.
    pub fn delta(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let before: f64 = self.scrape(family, labels).iter().sum();
        TelemetrySnapshot::take(&self.telemetry).sample(family, labels) - before
    }

    fn series(&self, family: &str) -> impl Iterator<Item = &Metric> {
        self.families.iter().filter(move |known| known.name() == family).flat_map(MetricFamily::get_metric)
    }

    fn missing(&self, family: &str, labels: &[(&str, &str)]) -> String {
        let known: Vec<String> = self.series(family).map(|series| shown(family, series)).collect();
        let (what, known) = if known.is_empty() {
            ("the families", self.families.iter().map(|family| family.name().to_owned()).collect())
        } else {
            ("its series", known)
        };
        format!("no series {family}{labels:?}; {what} are:\n  {}", known.join("\n  "))
    }
}

/// A series as `/metrics` shows it.
fn shown(family: &str, series: &Metric) -> String {
    let labels: Vec<String> = series.get_label().iter().map(|l| format!("{}={:?}", l.name(), l.value())).collect();
    format!("{family}{{{}}} {}", labels.join(","), value(series))
}

/// A series is a counter, a gauge or a histogram; as the other two it reads as zero.
fn value(series: &Metric) -> f64 {
    let observations = series.get_histogram().get_sample_count() as f64;
    series.get_counter().get_value() + series.get_gauge().get_value() + observations
}

/// [`TelemetrySnapshot::sample`], now.
///
/// # Panics
/// When there is no such series, with what there is.
pub fn sample(telemetry: &SelfTelemetry, family: &str, labels: &[(&str, &str)]) -> f64 {
    TelemetrySnapshot::take(telemetry).sample(family, labels)
}

/// [`TelemetrySnapshot::scrape`], now.
pub fn scrape(telemetry: &SelfTelemetry, family: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    TelemetrySnapshot::take(telemetry).scrape(family, labels)
}
