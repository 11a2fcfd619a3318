//! The typed configuration: components, pipelines, telemetry.
//!
//! Invariant: in a [`Config`] every reference of a pipeline names a component of the right role that is defined, every
//! pipeline has an exporter and, unless `telemetry.events` feeds it, a receiver, and no id stands twice in a list. What a component's own settings mean is
//! not known here.

use std::num::NonZeroUsize;

use super::error::ConfigError;
use super::extensions::HealthCheck;
use super::id::{ComponentId, PipelineId};
use super::node::{Node, Value};
use super::origin::Origin;
use super::reader::{Fed, Reader};
use super::telemetry::Telemetry;
use super::value::{ByteSize, Period};
use super::{batch_processor, extensions, service_telemetry};
use crate::telemetry::LogLevel;

/// A configuration that is coherent in itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The receivers, in the order of the file.
    pub receivers: Vec<Component>,
    /// The processors, in the order of the file.
    pub processors: Vec<Component>,
    /// The exporters, in the order of the file.
    pub exporters: Vec<Component>,
    /// How the components are put together.
    pub service: Service,
    /// The collector's own surface.
    pub telemetry: Telemetry,
    /// The `health_check` extensions that are served.
    pub health_checks: Vec<HealthCheck>,
    /// The level of the log, if the configuration asks for one.
    pub log_level: Option<LogLevel>,
    /// What the caller should log.
    pub warnings: Vec<ConfigError>,
}

/// A component as it is defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its id.
    pub id: ComponentId,
    /// Where the id is written.
    pub origin: Origin,
    /// Its settings: a mapping, or null for the defaults.
    pub settings: Node,
}

/// The `service` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The pipelines, in the order of the file; at least one.
    pub pipelines: Vec<Pipeline>,
    /// How long queues may drain at shutdown. What is left then is dropped and counted.
    pub drain_timeout: Period,
    /// The number of worker threads; the runtime chooses where none is given.
    pub workers: Option<NonZeroUsize>,
    /// How often a component that panics or fails is restarted in a row, without a minute of health between two, before
    /// it is given up; 0 is for ever.
    pub restart_budget: u32,
    /// How much memory the process may use: from 95 % of it on batches are refused, for now. Where none is given, what its
    /// cgroups allow and the machine has.
    pub memory_limit: Option<ByteSize>,
    /// How much memory batches may hold together; where none is given, half of what the process may use.
    pub memory_budget: Option<ByteSize>,
}

/// A pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its signal and name.
    pub id: PipelineId,
    /// Where the id is written.
    pub origin: Origin,
    /// The receivers; at least one, unless `telemetry.events` names the pipeline.
    pub receivers: Vec<Reference>,
    /// The processors, in the order in which a batch meets them.
    pub processors: Vec<Reference>,
    /// The exporters; at least one.
    pub exporters: Vec<Reference>,
}

/// A component as a pipeline names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The component's id.
    pub id: ComponentId,
    /// Where the pipeline names it.
    pub origin: Origin,
}

impl Config {
    /// Takes a tree apart, and adds what is wrong with it. What could not be read is left out of what is returned.
    pub(crate) fn read(mut root: Node, found: &mut Vec<ConfigError>) -> Config {
        let mut reader = Reader::new(std::mem::take(found));
        if !matches!(root.value, Value::Mapping(_) | Value::Null) {
            reader.add("", &root.origin, "a configuration is a mapping of sections, such as receivers");
        }
        for (key, _) in root.entries() {
            reader.check_section(key);
        }
        let receivers = reader.components(root.take("receivers"), "receivers");
        let processors = reader.components(root.take("processors"), "processors");
        let mut exporters = reader.components(root.take("exporters"), "exporters");
        let extensions = reader.components(root.take("extensions"), "extensions");
        reader.connectors(root.get("connectors"));
        let block = root.take("telemetry").filter(|node| !node.broken);
        let mut of_telemetry = Vec::new();
        let telemetry =
            block.as_ref().map_or_else(|| Some(Telemetry::default()), |node| Telemetry::read(node, &mut of_telemetry));
        let fed = match &telemetry {
            Some(telemetry) => Fed::By(telemetry.events.pipeline.as_ref().map(|pipeline| pipeline.id.clone())),
            None => Fed::Unknown,
        };
        let mut service = reader.service(&root, &fed);
        reader.found.append(&mut of_telemetry);
        let mut telemetry = telemetry.unwrap_or_default();
        if let Some(node) = &block {
            reader.keep(telemetry.events.check(&service.pipelines, node));
        }

        let mut warnings = Vec::new();
        let log_level = root.get("service").and_then(|service| service.get("telemetry")).and_then(|section| {
            let ours = if block.is_some_and(|node| !node.is_null()) { None } else { Some(&mut telemetry) };
            service_telemetry::map(section, ours, &mut reader.found, &mut warnings)
        });
        for (section, defined) in [("receivers", &receivers), ("processors", &processors), ("exporters", &exporters)] {
            for Component { id, origin, .. } in reader.unused(section, defined) {
                let message = "is defined but used by no pipeline, so it will not run";
                warnings.push(ConfigError::warning(format_args!("{section}.{id}"), origin, message));
            }
        }
        let unused = reader.unused("extensions", &extensions);
        let health_checks = extensions::read(&extensions, &unused, &mut reader.found, &mut warnings);
        // Only now: the processors of a pipeline are those that it names.
        reader.found.extend(batch_processor::map(&mut service, &processors, &mut exporters, &mut warnings));
        *found = reader.found;
        Config { receivers, processors, exporters, service, telemetry, health_checks, log_level, warnings }
    }
}
