//! The `prometheus` exporter: shows what its pipelines carry to whoever scrapes it.
//!
//! A batch is read through its views ([`ingest`]) into a store of the last value of each series ([`store`]), whose labels
//! are made and escaped when the series first appears; a scrape ([`scrape`]) copies them. Names and labels follow
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/> ([`name`], [`labels`]); a scraper
//! needs `honor_labels: true` to keep the `job` and `instance` that come from the resource.
//!
//! Deliberately absent: exemplars, `_created` series, names in UTF-8, native histograms (exponential ones become classic,
//! see [`value`]), and anything that outlives a restart.

mod family;
mod ingest;
mod labels;
mod name;
mod scrape;
mod spelling;
mod store;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tracecore::metrics::health::{ComputedGauge, Counter};
use tracecore::net::{BindError, Limits};
use tracecore::prelude::*;
use tracecore::surface::metrics_service;
use tracecore::time::Instant;

use labels::{Labelling, ResourceLabels};
use name::Naming;
use scrape::Scrape;
use store::{Settings, Store};

/// Where the metrics are: what every scraper asks for unless it is told otherwise.
const PATH: &str = "/metrics";

/// Series of the default limit: some hundreds of nodes with a thousand series each. A series takes about half a kilobyte.
const MAX_SERIES: NonZeroUsize = NonZeroUsize::new(100_000).expect("100,000 is not zero");

/// Shows metrics to Prometheus, which scrapes them.
#[exporter(
    "prometheus",
    aliases = ["prometheusexporter"],
    signals = [Metrics],
    config = Config,
    telemetry = Health,
    example = "endpoint: localhost:8889",
    error = Error
)]
struct Prometheus {
    config: Config,
    store: Arc<Mutex<Store>>,
}

/// Settings of the `prometheus` exporter.
#[config]
struct Config {
    /// Where to listen, as `host:port`. The metrics are on `/metrics`.
    endpoint: Endpoint,
    /// How long a series is shown after its last update.
    #[default(Period::minutes(5))]
    metric_expiration: Period,
    /// Labels that are added to every series, in the place of its own label of that name.
    #[default]
    const_labels: BTreeMap<String, String>,
    /// What the name of every metric begins with.
    namespace: Option<String>,
    /// Whether samples bear the time at which they were measured. Prometheus then knows no staleness: a series that has
    /// ended is shown for five more minutes.
    #[default(false)]
    send_timestamps: bool,
    /// Whether the name of a metric ends in its unit and, for a counter, in `_total`. OpenMetrics asks for the latter, so
    /// without suffixes the text format is all there is.
    #[default(true)]
    add_metric_suffixes: bool,
    /// The same in the words of newer files, which hold where both are written.
    translation_strategy: Option<Translation>,
    /// Whether a scraper that asks for OpenMetrics gets it.
    #[default(true)]
    enable_open_metrics: bool,
    /// Whether to leave out the labels that say which library or component a series comes from (`otel_scope_*`).
    #[default(false)]
    without_scope_info: bool,
    /// Whether the attributes of the resource become labels of every series. They are labels of `target_info` anyway.
    #[default]
    resource_to_telemetry_conversion: ResourceToTelemetry,
    /// How many series are shown at most; a histogram is one. Points of further series are counted and dropped.
    #[default(MAX_SERIES)]
    max_series: NonZeroUsize,
}

/// What the names of metrics become, in the Collector's words. Names in UTF-8 are not among them.
#[config]
#[derive(Copy, PartialEq, Eq)]
enum Translation {
    /// Other characters become `_`, and suffixes are added.
    #[value("UnderscoreEscapingWithSuffixes")]
    WithSuffixes,
    /// Other characters become `_`.
    #[value("UnderscoreEscapingWithoutSuffixes")]
    WithoutSuffixes,
}

/// Attributes of the resource as labels.
#[config]
struct ResourceToTelemetry {
    /// `true`: they become labels.
    #[default(false)]
    enabled: bool,
    /// `true`: without `service.name`, `service.namespace` and `service.instance.id`, which `job` and `instance` say.
    #[default(false)]
    exclude_service_attributes: bool,
}

/// How the exporter is.
#[derive(MetricSet)]
struct Health {
    /// Series held, targets included.
    #[unit("{series}")]
    series: ComputedGauge,
    /// Data points that were not taken.
    #[unit("{datapoint}")]
    refused_points_total: Counter<Reason>,
}

/// Why a data point was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Label)]
#[key("reason")]
enum Reason {
    /// It is of a new series, and there are `max_series` already.
    Overflow,
    /// Its metric has the name of one of another type.
    TypeConflict,
    /// It is a difference that cannot be added up, or does not say whether it is one.
    Temporality,
    /// It is a difference to something earlier than what is added up already.
    OutOfOrder,
    /// What is shown is newer. Nobody misses it.
    Superseded,
    /// It contradicts itself, has no value, no name, or a label that its type adds itself.
    Invalid,
}

impl Reason {
    const ALL: [Reason; 6] = [
        Reason::Overflow,
        Reason::TypeConflict,
        Reason::Temporality,
        Reason::OutOfOrder,
        Reason::Superseded,
        Reason::Invalid,
    ];

    /// In words, for the log.
    const fn as_str(self) -> &'static str {
        match self {
            Reason::Overflow => "there are max_series series already",
            Reason::TypeConflict => "their metric has the name of one of another type",
            Reason::Temporality => "they are differences that cannot be added up",
            Reason::OutOfOrder => "they are differences that overlap what is added up already",
            Reason::Superseded => "what is shown is newer",
            Reason::Invalid => "they are invalid",
        }
    }
}

/// What a value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temporality {
    /// All since the start, or now.
    Cumulative,
    /// What came since the last point.
    Delta,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// A label that Prometheus would not read, or that a histogram or a summary adds itself.
    #[error(
        "const_labels: a label cannot be named `{0}`: use letters, digits and `_`, and neither `le` nor `quantile`"
    )]
    #[kind(Init)]
    Label(String),
    /// The port is taken, or the address is not one of this machine.
    #[error(transparent)]
    #[kind(Init)]
    Listen(BindError),
}

impl Exporter for Prometheus {
    fn new(config: Config) -> Result<Self, Error> {
        if let Some(name) = labels::unusable(&config.const_labels) {
            return Err(Error::Label(name.to_owned()));
        }
        let store = Arc::new(Mutex::new(Store::new(config.settings())));
        Ok(Prometheus { config, store })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        let setting = || format!("exporters.{}.endpoint", cx.id());
        let listener = cx.listen(&self.config.endpoint.to_string()).await;
        let listener = listener.map_err(|error| Error::Listen(error.for_setting(setting())))?;
        tracing::info!(component = %cx.id(), listen = %listener.local_addr(), path = PATH, "serving metrics for scraping");
        let held = ingest::lock(&self.store).held();
        cx.telemetry.series.read_with((), move || held.load(Ordering::Relaxed) as f64);
        let open_metrics = self.config.enable_open_metrics && self.config.adds_suffixes();
        let scrape = Scrape { store: Arc::clone(&self.store), open_metrics };
        let service = metrics_service(PATH, Arc::new(scrape), Arc::new(()));
        cx.serve(listener, service, Limits::default());
        Ok(())
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), Error> {
        let outcome = ingest::ingest(&self.store, batch, Instant::now());
        for conflict in &outcome.conflicts {
            tracing::warn!(
                component = %cx.id(),
                metric = conflict.name,
                kept = conflict.kept,
                refused = conflict.refused,
                "metrics of different types have one name: the first type is shown, points of others are dropped"
            );
        }
        for (reason, points) in outcome.refused() {
            cx.telemetry.refused_points_total.add(points, reason);
            if reason != Reason::Superseded {
                cx.rejected(points, reason.as_str());
            }
        }
        Ok(())
    }
}

impl Config {
    fn adds_suffixes(&self) -> bool {
        self.translation_strategy.map_or(self.add_metric_suffixes, |strategy| strategy == Translation::WithSuffixes)
    }

    fn settings(&self) -> Settings {
        let resource = match &self.resource_to_telemetry_conversion {
            ResourceToTelemetry { enabled: false, .. } => ResourceLabels::None,
            ResourceToTelemetry { exclude_service_attributes: true, .. } => ResourceLabels::Descriptive,
            ResourceToTelemetry { .. } => ResourceLabels::All,
        };
        let constant = self.const_labels.clone();
        Settings {
            naming: Naming::new(self.namespace.as_deref(), self.adds_suffixes()),
            labelling: Labelling { constant, scope: !self.without_scope_info, resource },
            max_series: self.max_series.get(),
            expiration: self.metric_expiration.get(),
            timestamps: self.send_timestamps,
        }
    }
}
