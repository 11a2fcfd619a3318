//! The `telemetry` block: what the collector's own surface listens on and answers, and where it sends what it says of
//! itself.
//!
//! A block that is not enabled is not looked at: a template may stay in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::error::ConfigError;
use super::node::Node;
use super::value::{Endpoint, HttpUrl, MountPath, Period, Ratio};
use super::{Pipeline, PipelineId};
use crate::events::{Pattern, UnknownEvent};
use crate::signal::Signal;
use crate::telemetry::Level;

/// Localhost: metrics and health say much about a machine, so showing them to a network is a decision.
const DEFAULT_LISTEN: Endpoint = Endpoint::localhost(8888);

/// The longest history of `/status`: who wants more has the metrics scraped.
const MAX_RETENTION: Period = Period::minutes(60);

/// What backends expect where no scraper sets the pace: OpenTelemetry's default too.
const DEFAULT_PUSH_INTERVAL: Period = Period::secs(60);

/// The collector's own surface: metrics, health and status.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Whether the surface is served. Without it no port is bound, and the rest of the block is not looked at.
    pub enabled: bool,
    /// Where the surface listens.
    pub listen: Endpoint,
    /// How much the collector says of itself: `none`, `basic`, `normal` or `detailed`.
    pub level: Level,
    /// Where each part of the surface is mounted.
    pub paths: Paths,
    /// When the service is ready.
    pub readiness: Readiness,
    /// The status page.
    pub status: StatusPage,
    /// The collector's own traces, sent over OTLP.
    pub traces: Traces,
    /// The collector's own metrics, sent over OTLP beside being served.
    pub push: Push,
    /// The collector's events, told to others beside the code that listens to them.
    pub events: EventMirrors,
}

/// When the service is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// From when every component has started, or waits as its `on_start_error` tells it to, until the stop.
    #[default]
    Started,
    /// The same, but not while any component is in an error state, or so much memory is used that batches are refused.
    Healthy,
}

/// The status page.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusPage {
    /// How far back rates can look: the longest `?window=`. At most an hour.
    pub retention: Period,
}

/// Where each part of the surface is mounted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// Metrics for a scraper.
    pub metrics: MountPath,
    /// Whether the process lives.
    pub healthz: MountPath,
    /// Whether the process does its work.
    pub readyz: MountPath,
    /// How each component is.
    pub status: MountPath,
}

/// The collector's own traces: a span for each ingest request, each batch and each export attempt.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The base URL of an OTLP/HTTP backend, such as `http://localhost:4318`: spans go to `/v1/traces` below it. Empty:
    /// there are no traces, and nothing is spent on them.
    #[serde(deserialize_with = "url_or_empty")]
    #[schemars(with = "String")]
    pub endpoint: Option<HttpUrl>,
    /// The share of the traces that begin here which are kept, from 0 to 1. A request that comes with a trace is kept
    /// if its caller kept it.
    pub sampling_ratio: Ratio,
}

/// The push of the collector's own metrics.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Push {
    /// The base URL of an OTLP/HTTP backend, such as `http://localhost:4318`: metrics go to `/v1/metrics` below it.
    /// Empty: nothing is sent.
    #[serde(deserialize_with = "url_or_empty")]
    #[schemars(with = "String")]
    pub endpoint: Option<HttpUrl>,
    /// The time from one push to the next. The last one is at the end of the service.
    pub interval: Period,
}

/// The collector's events, told to others: names (`service.restarted`), groups (`breaker.*`) or all (`*`) of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventMirrors {
    /// Those that the collector's log tells. Default: none.
    #[schemars(with = "Vec<String>")]
    pub log: Vec<Pattern>,
    /// The pipeline that sends them, as OTLP logs. Default: none.
    pub pipeline: Option<EventPipeline>,
}

/// The pipeline that sends the collector's events.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPipeline {
    /// Which one it is. It carries logs, and needs no receiver.
    #[schemars(with = "String")]
    pub id: PipelineId,
    /// Those that it sends. Default: all.
    #[serde(default = "every_event")]
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Pattern>,
}

fn every_event() -> Vec<Pattern> {
    vec![Pattern::ALL]
}

/// Without the text in the message: it may have been fetched.
impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|unknown: UnknownEvent| {
            de::Error::custom(format_args!("there is no such event: {}", unknown.known()))
        })
    }
}

impl<'de> Deserialize<'de> for PipelineId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn url_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HttpUrl>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            enabled: false,
            listen: DEFAULT_LISTEN,
            level: Level::default(),
            paths: Paths::default(),
            readiness: Readiness::default(),
            status: StatusPage::default(),
            traces: Traces::default(),
            push: Push::default(),
            events: EventMirrors::default(),
        }
    }
}

impl Default for StatusPage {
    fn default() -> Self {
        StatusPage { retention: Period::minutes(15) }
    }
}

impl Default for Traces {
    fn default() -> Self {
        Traces { endpoint: None, sampling_ratio: Ratio::ONE }
    }
}

impl Default for Push {
    fn default() -> Self {
        Push { endpoint: None, interval: DEFAULT_PUSH_INTERVAL }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Paths {
            metrics: MountPath::constant("/metrics"),
            healthz: MountPath::constant("/healthz"),
            readyz: MountPath::constant("/readyz"),
            status: MountPath::constant("/status"),
        }
    }
}

impl Telemetry {
    /// Reads the block, if it is enabled, or adds what is wrong with it.
    pub(super) fn read(node: &Node, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let enabled = match node.get("enabled") {
            Some(enabled) => enabled.read::<Option<bool>>("telemetry.enabled", errors)?,
            None => None,
        };
        if enabled != Some(true) && matches!(node.entries(), [_, ..]) {
            return Some(Telemetry::default());
        }
        let telemetry: Telemetry = node.read("telemetry", errors)?;
        let problems = [telemetry.paths.distinct(node), telemetry.status.bounded(node)];
        let before = errors.len();
        errors.extend(problems.into_iter().filter_map(Result::err));
        (errors.len() == before).then_some(telemetry)
    }
}

impl EventMirrors {
    /// Whether the pipeline that is to send the events is there and can. `telemetry` is where it is written.
    pub(super) fn check(&self, pipelines: &[Pipeline], telemetry: &Node) -> Result<(), ConfigError> {
        let Some(EventPipeline { id, .. }) = &self.pipeline else { return Ok(()) };
        let message = if id.signal() != Signal::Logs {
            format!("events are sent as logs, and `{id}` carries {}: name a pipeline such as logs/events", id.signal())
        } else if pipelines.iter().all(|pipeline| pipeline.id != *id) {
            format!("`{id}` is not defined under service.pipelines")
        } else {
            return Ok(());
        };
        let written = ["events", "pipeline", "id"].iter().try_fold(telemetry, |node, key| node.get(key));
        Err(ConfigError::new("telemetry.events.pipeline.id", written.unwrap_or(telemetry).origin(), message))
    }
}

impl StatusPage {
    fn bounded(&self, telemetry: &Node) -> Result<(), ConfigError> {
        if self.retention <= MAX_RETENTION {
            return Ok(());
        }
        let written = telemetry.get("status").and_then(|status| status.get("retention")).unwrap_or(telemetry);
        let message = format!("must be at most {MAX_RETENTION}");
        Err(ConfigError::new("telemetry.status.retention", written.origin(), message))
    }
}

impl Paths {
    fn distinct(&self, telemetry: &Node) -> Result<(), ConfigError> {
        let paths = [
            ("metrics", &self.metrics),
            ("healthz", &self.healthz),
            ("readyz", &self.readyz),
            ("status", &self.status),
        ];
        for (index, (name, path)) in paths.iter().enumerate() {
            let earlier = paths.iter().take(index).find(|(_, earlier)| earlier == path);
            if let Some((other, _)) = earlier {
                // One of the two may be a default, which is nowhere written.
                let written = |name: &str| telemetry.get("paths").and_then(|paths| paths.get(name));
                let node = written(name).or_else(|| written(other)).unwrap_or(telemetry);
                let message = format!("is the same path as telemetry.paths.{other}");
                return Err(ConfigError::new(format_args!("telemetry.paths.{name}"), node.origin(), message));
            }
        }
        Ok(())
    }
}
