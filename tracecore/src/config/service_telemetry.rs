//! The Collector's `service.telemetry`. What of it the collector's own surface and log can do is taken as if it were
//! written for them, and the rest has no effect; each is a warning that says what to write in its place.
//!
//! Where the `telemetry` section is written too, that one holds, and of `metrics` nothing is taken.

use std::fmt::Display;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

use super::error::ConfigError;
use super::node::{Key, Node, Value};
use super::origin::Origin;
use super::telemetry::Telemetry;
use super::value::{Endpoint, EndpointError, NoEffect};
use crate::telemetry::{Level, LogLevel};

const SECTION: &str = "service.telemetry";

/// What the Collector listens on where only one of the two is given.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 8888;

/// Why settings of single metrics have no effect.
const FIXED: &str = "`telemetry.level` chooses which metrics there are, and what each is called is fixed";

/// What the collector tells of itself, in the Collector's words.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
pub(crate) struct ServiceTelemetry {
    /// The collector's own metrics, served as `telemetry` serves them.
    metrics: Option<OwnMetrics>,
    /// The collector's own log.
    logs: Option<OwnLogs>,
    /// Without effect: `telemetry.traces` is there for them.
    #[serde(default)]
    traces: NoEffect,
    /// Without effect: the collector finds out what it is.
    #[serde(default)]
    resource: NoEffect,
}

/// The collector's own metrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
struct OwnMetrics {
    /// How much is told: `none`, `basic`, `normal` or `detailed`.
    #[serde(default, deserialize_with = "in_any_case")]
    #[schemars(schema_with = "level_schema")]
    level: Option<Level>,
    /// Who gets them: the first `prometheus` is where the surface listens.
    readers: Option<Vec<MetricReader>>,
    /// Where the surface listens, in older files.
    address: Option<Endpoint>,
    /// Without effect.
    #[serde(default)]
    views: NoEffect,
}

/// One who gets the collector's own metrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
struct MetricReader {
    /// One who fetches them.
    pull: Option<Pull>,
    /// Without effect: `telemetry.push` sends them.
    #[serde(default)]
    periodic: NoEffect,
}

/// One who fetches the collector's own metrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
struct Pull {
    /// How they are fetched.
    exporter: Option<PullExporter>,
    /// Without effect.
    #[serde(default)]
    producers: NoEffect,
    /// Without effect.
    #[serde(default)]
    cardinality_limits: NoEffect,
}

/// How the collector's own metrics are fetched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullExporter {
    /// As Prometheus does it.
    prometheus: Option<PrometheusReader>,
    /// The same, by its newer name.
    #[serde(rename = "prometheus/development")]
    prometheus_development: Option<PrometheusReader>,
}

/// Where Prometheus fetches the collector's own metrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
struct PrometheusReader {
    /// The host to listen on.
    host: Option<String>,
    /// The port to listen on.
    port: Option<u16>,
    /// Without effect.
    #[serde(default)]
    without_scope_info: NoEffect,
    /// Without effect.
    #[serde(default)]
    without_units: NoEffect,
    /// Without effect.
    #[serde(default)]
    without_type_suffix: NoEffect,
    /// Without effect.
    #[serde(default)]
    with_resource_constant_labels: NoEffect,
    /// Without effect.
    #[serde(default)]
    translation_strategy: NoEffect,
}

/// The collector's own log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what has no effect is looked for in the tree")]
struct OwnLogs {
    /// From which level on it tells: `debug`, `info`, `warn`, `error`, `dpanic`, `panic` or `fatal`. `RUST_LOG` comes first.
    #[serde(default, deserialize_with = "in_any_case")]
    #[schemars(schema_with = "log_level_schema")]
    level: Option<LogLevel>,
    /// Without effect.
    #[serde(default)]
    development: NoEffect,
    /// Without effect.
    #[serde(default)]
    encoding: NoEffect,
    /// Without effect.
    #[serde(default)]
    disable_caller: NoEffect,
    /// Without effect.
    #[serde(default)]
    disable_stacktrace: NoEffect,
    /// Without effect.
    #[serde(default)]
    disable_zap_resource: NoEffect,
    /// Without effect.
    #[serde(default)]
    sampling: NoEffect,
    /// Without effect.
    #[serde(default)]
    output_paths: NoEffect,
    /// Without effect.
    #[serde(default)]
    error_output_paths: NoEffect,
    /// Without effect.
    #[serde(default)]
    initial_fields: NoEffect,
    /// Without effect.
    #[serde(default)]
    processors: NoEffect,
}

impl PrometheusReader {
    fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        match self.host.as_deref().unwrap_or(DEFAULT_HOST) {
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}").parse(),
            host => format!("{host}:{port}").parse(),
        }
    }
}

/// A word however it is written: the Collector prints `Normal` and `INFO` and takes any.
fn in_any_case<'de, D: Deserializer<'de>, T: Deserialize<'de>>(word: D) -> Result<Option<T>, D::Error> {
    let word = Option::<String>::deserialize(word)?;
    word.map(|word| T::deserialize(word.to_lowercase().into_deserializer())).transpose()
}

fn level_schema(_: &mut SchemaGenerator) -> Schema {
    any_of(&Level::ALL.map(Level::as_str))
}

fn log_level_schema(_: &mut SchemaGenerator) -> Schema {
    any_of(&["debug", "info", "warn", "error", "dpanic", "panic", "fatal"])
}

/// One of these words, however it is written, or nothing.
fn any_of(words: &[&str]) -> Schema {
    let letter = |letter: char| format!("[{letter}{}]", letter.to_ascii_uppercase());
    let words: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    json_schema!({ "type": ["string", "null"], "pattern": format!("^({})$", words.join("|")) })
}

/// Reads the section into `telemetry`, where there is none of the collector's own, and gives the level of the log. Adds what
/// is wrong with it, and what has become of it.
pub(super) fn map(
    section: &Node,
    telemetry: Option<&mut Telemetry>,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> Option<LogLevel> {
    let read: ServiceTelemetry = section.read(SECTION, errors)?;
    let mut mapping = Mapping { errors, warnings };
    for (name, instead) in [
        ("traces", "`telemetry: {enabled: true, traces: {endpoint: …}}` sends the collector's own traces"),
        ("resource", "the collector finds out by itself what stands on its own telemetry"),
    ] {
        if let Some((key, _)) = section.entry(name) {
            mapping.no_effect(&format!("{SECTION}.{name}"), key, instead);
        }
    }
    if let (Some((key, node)), Some(metrics)) = (section.entry("metrics"), &read.metrics) {
        let path = format!("{SECTION}.metrics");
        match telemetry {
            Some(telemetry) => mapping.metrics(node, &path, metrics, telemetry),
            None => mapping.no_effect(&path, key, "the section `telemetry` is written too, and holds"),
        }
    }
    let (_, node) = section.entry("logs")?;
    mapping.logs(node, &format!("{SECTION}.logs"), &read.logs?)
}

/// What is told while the section is read.
struct Mapping<'a> {
    errors: &'a mut Vec<ConfigError>,
    warnings: &'a mut Vec<ConfigError>,
}

impl Mapping<'_> {
    fn warn(&mut self, path: impl Display, origin: &Origin, message: impl Display) {
        self.warnings.push(ConfigError::warning(path, origin, message));
    }

    fn no_effect(&mut self, path: &str, key: &Key, instead: &str) {
        self.warn(path, key.origin(), format_args!("has no effect: {instead}"));
    }

    /// Tells of each key that is written and not `taken`.
    fn others(&mut self, node: &Node, path: &str, taken: &[&str], instead: &str) {
        let others = node.entries().iter().filter(|(key, node)| !taken.contains(&key.as_str()) && !node.is_null());
        for (key, _) in others {
            self.no_effect(&format!("{path}.{}", key.as_str()), key, instead);
        }
    }

    fn metrics(&mut self, node: &Node, path: &str, read: &OwnMetrics, telemetry: &mut Telemetry) {
        self.others(node, path, &["level", "readers", "address"], FIXED);
        let level = read.level.unwrap_or_default();
        let mut served = Served { none: level == Level::None, at: None };
        if let (Some((key, node)), Some(address)) = (node.entry("address"), &read.address) {
            let shown = shown(node);
            self.serve(&mut served, &format!("{path}.address"), key, address.clone(), &shown);
        }
        let readers = node.get("readers");
        let nodes = match readers.map(Node::value) {
            Some(Value::Sequence(nodes)) => &nodes[..],
            _ => &[],
        };
        for (index, (node, reader)) in nodes.iter().zip(read.readers.iter().flatten()).enumerate() {
            self.reader(node, &format!("{path}.readers[{index}]"), reader, &mut served);
        }
        if let Some((key, node)) = node.entry("level") {
            // As in the Collector, which listens on the default port unless it is told otherwise.
            let by_default = read.readers.is_none() && read.address.is_none() && !served.none;
            let enabled = if by_default { "enabled: true, " } else { "" };
            if by_default {
                served.at = Some(telemetry.listen.clone());
            }
            let level = word(node, level.as_str());
            let what = if served.none { ": nothing is served" } else { "; write that in its place" };
            self.warn(
                format_args!("{path}.level"),
                key.origin(),
                format_args!("is taken as `telemetry: {{{enabled}level: {level}}}`{what}"),
            );
        }
        telemetry.level = level;
        if let Some(listen) = served.at {
            telemetry.enabled = true;
            telemetry.listen = listen;
        }
    }

    fn reader(&mut self, node: &Node, path: &str, read: &MetricReader, served: &mut Served) {
        if let Some((key, _)) = node.entry("periodic") {
            let instead =
                "`telemetry: {enabled: true, push: {endpoint: …}}` sends the collector's own metrics over OTLP";
            self.no_effect(&format!("{path}.periodic"), key, instead);
        }
        let Some((pull_key, pull)) = node.entry("pull") else { return };
        let path = format!("{path}.pull");
        self.others(pull, &path, &["exporter"], FIXED);
        let exporter = read.pull.as_ref().and_then(|pull| pull.exporter.as_ref());
        let by_name = exporter.into_iter().flat_map(|exporter| {
            [("prometheus", &exporter.prometheus), ("prometheus/development", &exporter.prometheus_development)]
        });
        let exporters = pull.nearest_to("exporter");
        let mut found = by_name.filter_map(|(name, read)| Some((name, read.as_ref()?, exporters.entry(name)?)));
        let Some((name, read, (key, node))) = found.next() else {
            self.no_effect(&path, pull_key, "only Prometheus fetches what the collector's own surface shows");
            return;
        };
        let path = format!("{path}.exporter.{name}");
        self.others(node, &path, &["host", "port"], FIXED);
        match read.endpoint() {
            Ok(listen) => {
                let written =
                    |key: &str, default: &str| node.entry(key).map_or(default.to_owned(), |(_, node)| shown(node));
                let shown = format!("{}:{}", written("host", DEFAULT_HOST), written("port", &DEFAULT_PORT.to_string()));
                self.serve(served, &path, key, listen, &shown);
            }
            Err(error) => {
                let origin = node.nearest_to("host").origin();
                self.errors.push(ConfigError::new(format_args!("{path}.host"), origin, error));
            }
        }
    }

    /// The surface is served once, as the first says, and not at all without metrics.
    fn serve(&mut self, served: &mut Served, path: &str, key: &Key, listen: Endpoint, shown: &str) {
        if served.none {
            self.no_effect(path, key, &format!("{SECTION}.metrics.level is none"));
        } else if served.at.is_some() {
            self.no_effect(path, key, "the collector's own metrics are served once, as the one before it says");
        } else {
            served.at = Some(listen);
            let message =
                format!("is taken as `telemetry: {{enabled: true, listen: \"{shown}\"}}`; write that in its place");
            self.warn(path, key.origin(), message);
        }
    }

    fn logs(&mut self, node: &Node, path: &str, read: &OwnLogs) -> Option<LogLevel> {
        self.others(node, path, &["level"], "the log is text on standard error, and RUST_LOG chooses what it tells");
        let (level, (key, node)) = (read.level?, node.entry("level")?);
        let level_shown = word(node, level.as_str());
        let message = format!("is taken as the variable RUST_LOG={level_shown}; where that is set, it holds");
        self.warn(format_args!("{path}.level"), key.origin(), message);
        Some(level)
    }
}

/// Where the collector's own metrics are served.
struct Served {
    /// There are none.
    none: bool,
    at: Option<Endpoint>,
}

/// What a word means, or what it was fetched from.
fn word(node: &Node, meaning: &str) -> String {
    if node.origin().via().is_some() { shown(node) } else { meaning.to_owned() }
}

/// A scalar as it is written, and one that was fetched as what it was fetched from.
fn shown(node: &Node) -> String {
    match (node.origin().via(), node.value()) {
        (None, Value::Scalar(scalar)) => scalar.text.to_string(),
        _ => format!("{node:?}"),
    }
}
