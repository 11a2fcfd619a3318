//! The Collector's `extensions`. `health_check` is served; what has nothing to do here is taken note of; there are no
//! others.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::ConfigError;
use super::fault::{meant, nearest};
use super::id::ComponentId;
use super::model::Component;
use super::node::Node;
use super::origin::Origin;
use super::value::{Endpoint, MountPath, NoEffect, ServerAuth, ServerTls};

const HEALTH_CHECK: &str = "health_check";

/// The port of the Collector's.
const DEFAULT_ENDPOINT: Endpoint = Endpoint::localhost(13133);

/// A key of `health_check` that changes nothing.
const CHECK_PIPELINE: &str = "check_collector_pipeline";

/// Extensions that do nothing here, and what does their work.
const WITHOUT_EFFECT: [(&str, &str); 2] = [
    ("zpages", "with `telemetry: {enabled: true}`, `/status` tells how each component is"),
    (
        "pprof",
        "with `telemetry: {enabled: true}`, `/metrics` tells of processor time and memory, and perf sees the rest",
    ),
];

/// A `health_check` that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// Its id.
    pub id: ComponentId,
    /// What is answered, and where.
    pub settings: HealthCheckSettings,
    /// Where its endpoint is written, or what it is a default of.
    pub(crate) origin: Origin,
}

/// Whether the service is ready, on a port of its own, as the Collector's `health_check` extension answers.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckSettings {
    /// Where to listen, as `host:port`.
    pub endpoint: Endpoint,
    /// What is asked for. If it ends in `/`, whatever begins so.
    pub path: MountPath,
    /// What is answered, in place of an object of JSON.
    pub response_body: Option<ResponseBody>,
    /// Without effect, for files of the Collector.
    check_collector_pipeline: NoEffect,
    /// Not there yet.
    tls: Option<ServerTls>,
    /// Not there yet.
    auth: Option<ServerAuth>,
}

/// What `health_check` answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseBody {
    /// While the service is ready.
    pub healthy: String,
    /// While it is not.
    pub unhealthy: String,
}

impl Default for HealthCheckSettings {
    fn default() -> Self {
        HealthCheckSettings {
            endpoint: DEFAULT_ENDPOINT,
            path: MountPath::constant("/"),
            response_body: None,
            check_collector_pipeline: NoEffect,
            tls: None,
            auth: None,
        }
    }
}

/// What is to be served of the extensions that are `defined`, without those that are `unused`.
pub(super) fn read(
    defined: &[Component],
    unused: &[&Component],
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> Vec<HealthCheck> {
    let mut served = Vec::new();
    for Component { id, origin, settings } in defined {
        let path = format!("extensions.{id}");
        let kind = id.component_type();
        if let Some((_, instead)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == kind) {
            let message = format!("`{kind}` does nothing here: {instead}");
            warnings.push(ConfigError::warning(path, origin, message));
            continue;
        }
        if kind != HEALTH_CHECK {
            let [(one, _), (other, _)] = WITHOUT_EFFECT;
            let message = format!(
                "this program has no extension `{kind}`; it has `{HEALTH_CHECK}`, and passes over `{one}` and `{other}`"
            );
            let hint = nearest(kind, [HEALTH_CHECK, one, other]).map(meant);
            errors.push(ConfigError::new(path, origin, message).with_hint(hint));
            continue;
        }
        let Some(settings_read) = settings.read(&path, errors) else { continue };
        if let Some((key, _)) = settings.entry(CHECK_PIPELINE) {
            let message = "has no effect: with `telemetry: {enabled: true, readiness: healthy}` the answer follows how the \
                           components are";
            warnings.push(ConfigError::warning(format_args!("{path}.{CHECK_PIPELINE}"), key.origin(), message));
        }
        if unused.iter().any(|component| component.id == *id) {
            let message = "is defined but not named by service.extensions, so it is unused";
            warnings.push(ConfigError::warning(path, origin, message));
        } else {
            let origin = settings.get("endpoint").map_or(origin, Node::origin).clone();
            served.push(HealthCheck { id: id.clone(), settings: settings_read, origin });
        }
    }
    served
}

/// The schemas of the extensions' settings, by type: that of `health_check` is given, and what has no effect may have any.
pub(crate) fn schemas(health_check: Json) -> Vec<(&'static str, Json)> {
    let passed_over = WITHOUT_EFFECT.map(|(kind, instead)| {
        (kind, json!({ "description": format!("Does nothing here: {instead}."), "type": ["object", "null"] }))
    });
    std::iter::once((HEALTH_CHECK, health_check)).chain(passed_over).collect()
}
