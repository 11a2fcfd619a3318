//! The typed configuration: components, pipelines, telemetry.
//!
//! Invariant: in a [`Config`] every reference of a pipeline names a component of the right role that is defined, every
//! pipeline has an exporter and, unless `telemetry.events` feeds it, a receiver, and no id stands twice in a list. What a component's own settings mean is
//! not known here.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::str::FromStr;

use super::batch_processor;
use super::error::{ConfigError, ConfigErrors, Warning};
use super::fault::unknown_key;
use super::id::{ComponentId, PipelineId};
use super::node::{Key, Node, Value};
use super::origin::Origin;
use super::telemetry::Telemetry;
use super::value::{ByteSize, Period};

/// How long queues may drain at shutdown: within the ten seconds that container runtimes allow by default, with room
/// for the rest of the shutdown.
const DEFAULT_DRAIN_TIMEOUT: Period = Period::secs(5);

/// How often a component is restarted in a row: about seven minutes of waits, long enough for a driver that is reloaded.
const DEFAULT_RESTART_BUDGET: u32 = 20;

const SECTIONS: [&str; 5] = ["receivers", "processors", "exporters", "service", "telemetry"];
const SERVICE_KEYS: [&str; 6] =
    ["pipelines", "drain_timeout", "workers", "restart_budget", "memory_limit", "memory_budget"];
const PIPELINE_KEYS: [&str; 3] = ["receivers", "processors", "exporters"];

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
    /// What the caller should log.
    pub warnings: Vec<Warning>,
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
    /// Takes a tree apart and checks that it is coherent. Reports every problem it finds, each with its place.
    pub fn from_tree(mut root: Node) -> Result<Config, ConfigErrors> {
        let mut errors = Errors(Vec::new());
        if !matches!(root.value, Value::Mapping(_) | Value::Null) {
            return Err(ConfigError::new(
                "",
                &root.origin,
                "a configuration is a mapping of sections, such as receivers",
            )
            .into());
        }
        for (key, _) in root.entries() {
            errors.check_section(key);
        }
        let receivers = errors.components(root.take("receivers"), "receivers");
        let processors = errors.components(root.take("processors"), "processors");
        let mut exporters = errors.components(root.take("exporters"), "exporters");
        let telemetry = root.get("telemetry").map_or_else(|| Ok(Telemetry::default()), Telemetry::from_node);
        let of_events = telemetry.as_ref().ok().and_then(|telemetry| telemetry.events.pipeline.as_ref());
        let mut service = errors.service(&root, of_events.map(|pipeline| &pipeline.id));
        let telemetry = errors.keep(telemetry).unwrap_or_default();
        if let Some(node) = root.get("telemetry") {
            errors.keep(telemetry.events.check(&service.pipelines, node));
        }

        let mut warnings = Vec::new();
        for (section, defined, named) in [
            ("receivers", &receivers, Pipeline::receivers as fn(&Pipeline) -> &[Reference]),
            ("processors", &processors, Pipeline::processors),
            ("exporters", &exporters, Pipeline::exporters),
        ] {
            let named: Vec<(&Pipeline, &Reference)> = service
                .pipelines
                .iter()
                .flat_map(|pipeline| named(pipeline).iter().map(move |reference| (pipeline, reference)))
                .collect();
            errors.undefined(section, defined, &named);
            warnings.extend(unused(section, defined, &named));
        }
        // Only now: the processors of a pipeline are those that it names.
        errors.0.extend(batch_processor::map(&mut service, &processors, &mut exporters, &mut warnings));
        ConfigErrors::unless_empty(errors.0, Config { receivers, processors, exporters, service, telemetry, warnings })
    }
}

impl Pipeline {
    fn receivers(&self) -> &[Reference] {
        &self.receivers
    }

    fn processors(&self) -> &[Reference] {
        &self.processors
    }

    fn exporters(&self) -> &[Reference] {
        &self.exporters
    }
}

/// The problems found so far, and the readers that add to them.
struct Errors(Vec<ConfigError>);

impl Errors {
    fn add(&mut self, path: impl std::fmt::Display, origin: &Origin, message: impl std::fmt::Display) {
        self.0.push(ConfigError::new(path, origin, message));
    }

    fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    fn check_section(&mut self, key: &Key) {
        let name = key.as_str();
        let message = match name {
            name if SECTIONS.contains(&name) => return,
            "extensions" => {
                "extensions are not supported: remove the section; health and metrics of the collector itself \
                             are served by the telemetry section"
                    .to_owned()
            }
            "connectors" => {
                "connectors are not supported: give each pipeline its own receivers and exporters".to_owned()
            }
            name => unknown_key(name, &SECTIONS),
        };
        self.add(name, &key.origin, message);
    }

    /// The entries of a section that is a mapping; a missing or empty section has none.
    fn entries<'n>(&mut self, node: &'n Node, path: &str) -> &'n [(Key, Node)] {
        if !matches!(node.value, Value::Mapping(_)) && !node.is_null() {
            self.add(path, &node.origin, "must be a mapping");
        }
        node.entries()
    }

    fn components(&mut self, section: Option<Node>, name: &str) -> Vec<Component> {
        let Some(section) = section else { return Vec::new() };
        self.entries(&section, name);
        let Value::Mapping(entries) = section.value else { return Vec::new() };
        let mut components = Vec::new();
        for (Key { text, origin }, settings) in entries {
            let path = format!("{name}.{text}");
            if !matches!(settings.value, Value::Mapping(_)) && !settings.is_null() {
                self.add(&path, &settings.origin, "must be a mapping of settings, or empty for the defaults");
            }
            if let Some(id) = self.parse(&text, &path, &origin) {
                components.push(Component { id, origin, settings });
            }
        }
        components
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&mut self, text: &str, path: &str, origin: &Origin) -> Option<T> {
        text.parse().map_err(|error| self.add(path, origin, error)).ok()
    }

    /// The section; `of_events` is the pipeline that needs no receiver.
    fn service(&mut self, root: &Node, of_events: Option<&PipelineId>) -> Service {
        let mut service = Service {
            pipelines: Vec::new(),
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            workers: None,
            restart_budget: DEFAULT_RESTART_BUDGET,
            memory_limit: None,
            memory_budget: None,
        };
        let Some(node) = root.get("service") else {
            self.add("service", &root.origin, "is required and not set: it holds the pipelines");
            return service;
        };
        let mut pipelines = None;
        for (key, value) in self.entries(node, "service") {
            match key.as_str() {
                "pipelines" => pipelines = Some(value),
                "drain_timeout" => {
                    let period: Option<Option<Period>> = self.keep(value.deserialize("service.drain_timeout"));
                    service.drain_timeout = period.flatten().unwrap_or(DEFAULT_DRAIN_TIMEOUT);
                }
                "restart_budget" => {
                    let budget: Option<Option<u32>> = self.keep(value.deserialize("service.restart_budget"));
                    service.restart_budget = budget.flatten().unwrap_or(DEFAULT_RESTART_BUDGET);
                }
                "memory_limit" => {
                    service.memory_limit = self.keep(value.deserialize("service.memory_limit")).flatten();
                }
                "memory_budget" => {
                    service.memory_budget = self.keep(value.deserialize("service.memory_budget")).flatten();
                }
                "workers" => service.workers = self.keep(value.deserialize("service.workers")).flatten(),
                "telemetry" => self.add(
                    "service.telemetry",
                    &key.origin,
                    "is not supported: use the telemetry section at the top level (enabled, listen, level, paths); the log level \
                     is set by RUST_LOG",
                ),
                "extensions" => self.add(
                    "service.extensions",
                    &key.origin,
                    "extensions are not supported: remove the list; the telemetry section serves health and metrics",
                ),
                name => self.add(format_args!("service.{name}"), &key.origin, unknown_key(name, &SERVICE_KEYS)),
            }
        }
        let place = pipelines.unwrap_or(node);
        let pipelines = pipelines.map_or(&[][..], |node| self.entries(node, "service.pipelines"));
        if pipelines.is_empty() && place.is_null_or_mapping() {
            self.add("service.pipelines", &place.origin, "at least one pipeline is needed, such as `metrics`");
        }
        for (key, node) in pipelines {
            let path = format!("service.pipelines.{}", key.text);
            let id = self.parse(&key.text, &path, &key.origin);
            let needed: &[&str] =
                if id.is_some() && id.as_ref() == of_events { &["exporters"] } else { &["receivers", "exporters"] };
            let [receivers, processors, exporters] = self.pipeline(key, node, &path, needed);
            if let Some(id) = id {
                service.pipelines.push(Pipeline { id, origin: key.origin.clone(), receivers, processors, exporters });
            }
        }
        service
    }

    /// The three lists of a pipeline, of which those that are `needed` must not be empty.
    fn pipeline(&mut self, key: &Key, node: &Node, path: &str, needed: &[&str]) -> [Vec<Reference>; 3] {
        for (key, _) in self.entries(node, path) {
            if !PIPELINE_KEYS.contains(&key.as_str()) {
                self.add(format_args!("{path}.{}", key.text), &key.origin, unknown_key(key.as_str(), &PIPELINE_KEYS));
            }
        }
        PIPELINE_KEYS.map(|role| {
            let list = node.get(role);
            let empty = list.is_none_or(|list| list.is_null() || list.value == Value::Sequence(Vec::new()));
            if empty && needed.contains(&role) && node.is_null_or_mapping() {
                let origin = list.map_or(&key.origin, Node::origin);
                self.add(format_args!("{path}.{role}"), origin, "at least one is needed");
            }
            list.map_or_else(Vec::new, |list| self.references(list, &format!("{path}.{role}")))
        })
    }

    fn references(&mut self, list: &Node, path: &str) -> Vec<Reference> {
        let Value::Sequence(items) = &list.value else {
            if !list.is_null() {
                self.add(path, &list.origin, "must be a list of component ids, such as [otlp, otlp/second]");
            }
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut references = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(text) = self.keep(item.deserialize::<String>(&path)) else { continue };
            let Some(id) = self.parse::<ComponentId>(&text, &path, &item.origin) else { continue };
            if seen.insert(id.clone()) {
                references.push(Reference { id, origin: item.origin.clone() });
            } else {
                self.add(path, &item.origin, format_args!("`{id}` stands twice in this list"));
            }
        }
        references
    }

    fn undefined(&mut self, section: &str, defined: &[Component], named: &[(&Pipeline, &Reference)]) {
        let ids: HashSet<&ComponentId> = defined.iter().map(|component| &component.id).collect();
        for (pipeline, Reference { id, origin }) in named.iter().filter(|(_, reference)| !ids.contains(&reference.id)) {
            let path = format!("service.pipelines.{}.{section}", pipeline.id);
            self.add(path, origin, format_args!("`{id}` is not defined under {section}"));
        }
    }
}

impl Node {
    /// Whether this can be a section at all; if not, that has been reported.
    fn is_null_or_mapping(&self) -> bool {
        self.is_null() || matches!(self.value, Value::Mapping(_))
    }
}

fn unused(section: &str, defined: &[Component], named: &[(&Pipeline, &Reference)]) -> Vec<Warning> {
    let named: HashSet<&ComponentId> = named.iter().map(|(_, reference)| &reference.id).collect();
    let unused = defined.iter().filter(|component| !named.contains(&component.id));
    unused
        .map(|Component { id, origin, .. }| Warning {
            path: format!("{section}.{id}"),
            origin: origin.clone(),
            message: "is defined but used by no pipeline, so it will not run".to_owned(),
        })
        .collect()
}
