//! The `debug` exporter: shows what its pipelines carry to whoever looks into the log.
//!
//! The layouts are those that people know from the Collector: a line of counts ([`Verbosity::Basic`]), besides a line for
//! each record ([`Verbosity::Normal`]), or besides everything that a record has ([`Verbosity::Detailed`]). They are for
//! people: programs read OTLP from the `file` exporter. Sampling is by the batch and not, as in the Collector, by the text
//! of a line.

mod detailed;
mod sampling;

use tokio::io::{AsyncWriteExt, Stdout, stdout};
use tokio::sync::Mutex;
use tracecore::prelude::*;
use tracecore::signal::view::{DataRef, View};
use tracecore::time::Instant;

use sampling::Sampling;

/// Shows batches in the log, or on standard output.
#[exporter("debug", aliases = ["debugexporter"], config = Config, error = WriteError)]
struct Debug {
    config: Config,
    sampling: Sampling,
    out: Mutex<Stdout>,
}

/// Settings of the `debug` exporter.
#[config]
struct Config {
    /// How much is shown.
    #[default(Verbosity::Basic)]
    verbosity: Verbosity,
    /// How many batches of each second are shown, whatever follows.
    #[default(2)]
    sampling_initial: u64,
    /// Of the batches behind those in the same second every how manyth is shown. 1: all of them; 0: none.
    #[default(1)]
    sampling_thereafter: u64,
    /// `true`: it is shown in the collector's log, at the level `info`; `false`: on standard output.
    #[default(true)]
    use_internal_logger: bool,
}

/// How much is shown of a batch.
#[config]
#[derive(Copy, PartialEq, Eq)]
enum Verbosity {
    /// How many resources and records it has.
    Basic,
    /// A line for each record.
    Normal,
    /// All that each record has.
    Detailed,
}

impl Exporter for Debug {
    fn new(config: Config) -> Result<Self, WriteError> {
        let sampling = Sampling::new(config.sampling_initial, config.sampling_thereafter);
        Ok(Debug { config, sampling, out: Mutex::new(stdout()) })
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), WriteError> {
        if !self.sampling.shows(Instant::now()) {
            return Ok(());
        }
        let counts = Counts::of(batch);
        let text = match self.config.verbosity {
            Verbosity::Basic => String::new(),
            Verbosity::Normal => batch.to_text(TextFormat::Lines),
            Verbosity::Detailed => detailed::text(batch),
        };
        if self.config.use_internal_logger {
            counts.log(cx);
            if !text.is_empty() {
                tracing::info!(component = %cx.id(), "{}", text.trim_end());
            }
            return Ok(());
        }
        let text = format!("{counts}\n{text}");
        let mut out = self.out.lock().await;
        out.write_all(text.as_bytes()).await.map_err(|error| cx.output_closed(error))?;
        out.flush().await.map_err(|error| cx.output_closed(error))
    }
}

/// How much there is in a batch.
struct Counts {
    signal: Signal,
    resources: usize,
    /// Of the signal metrics; 0 of others.
    metrics: usize,
    items: u64,
}

impl Counts {
    fn of(batch: &Batch) -> Self {
        let (resources, metrics) = match batch.view() {
            View::Traces(resources) => (resources.count(), 0),
            View::Logs(resources) => (resources.count(), 0),
            View::Metrics(resources) => {
                (resources.clone().count(), resources.map(|resource| resource.metrics().count()).sum())
            }
        };
        Counts { signal: batch.signal(), resources, metrics, items: batch.items() }
    }

    fn log(&self, cx: &Cx<Debug>) {
        let Counts { signal, resources, metrics, items } = self;
        let component = cx.id();
        match signal {
            Signal::Traces => tracing::info!(%component, resource_spans = resources, spans = items, "traces"),
            Signal::Logs => tracing::info!(%component, resource_logs = resources, log_records = items, "logs"),
            Signal::Metrics => {
                tracing::info!(%component, resource_metrics = resources, metrics, data_points = items, "metrics");
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { signal, resources, metrics, items } = self;
        match signal {
            Signal::Traces => write!(f, "traces: resource spans {resources}, spans {items}"),
            Signal::Logs => write!(f, "logs: resource logs {resources}, log records {items}"),
            Signal::Metrics => {
                write!(f, "metrics: resource metrics {resources}, metrics {metrics}, data points {items}")
            }
        }
    }
}

/// What kind of metric it is, as its descriptor names it.
fn kind_of(data: Option<&DataRef<'_>>) -> &'static str {
    match data {
        None => "Empty",
        Some(DataRef::Gauge { .. }) => "Gauge",
        Some(DataRef::Sum { .. }) => "Sum",
        Some(DataRef::Histogram { .. }) => "Histogram",
        Some(DataRef::ExponentialHistogram { .. }) => "ExponentialHistogram",
        Some(DataRef::Summary { .. }) => "Summary",
    }
}
