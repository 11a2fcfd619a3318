//! The typed configuration: components, pipelines, telemetry.
//!
//! Invariant: in a [`Config`] every reference of a pipeline names a component of the right role that is defined, every
//! pipeline has an exporter and, unless `telemetry.events` feeds it, a receiver, and no id stands twice in a list. What a component's own settings mean is
//! not known here.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::str::FromStr;

use super::batch_processor;
use super::error::ConfigError;
use super::fault::{meant, nearest, unknown_key};
use super::id::{ComponentId, PipelineId};
use super::node::{Key, Node, Value};
use super::origin::Origin;
use super::telemetry::Telemetry;
use super::value::{ByteSize, Period};
use super::yaml::MAX_ERRORS;
use crate::signal::Signal;

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
        let mut errors = Errors { found: std::mem::take(found), named: Vec::new(), refused: Vec::new() };
        if !matches!(root.value, Value::Mapping(_) | Value::Null) {
            errors.add("", &root.origin, "a configuration is a mapping of sections, such as receivers");
        }
        for (key, _) in root.entries() {
            errors.check_section(key);
        }
        let receivers = errors.components(root.take("receivers"), "receivers");
        let processors = errors.components(root.take("processors"), "processors");
        let mut exporters = errors.components(root.take("exporters"), "exporters");
        let block = root.take("telemetry").filter(|node| !node.broken);
        let mut of_telemetry = Vec::new();
        let telemetry =
            block.as_ref().map_or_else(|| Some(Telemetry::default()), |node| Telemetry::read(node, &mut of_telemetry));
        let fed = match &telemetry {
            Some(telemetry) => Fed::By(telemetry.events.pipeline.as_ref().map(|pipeline| pipeline.id.clone())),
            None => Fed::Unknown,
        };
        let mut service = errors.service(&root, &fed);
        errors.found.append(&mut of_telemetry);
        let telemetry = telemetry.unwrap_or_default();
        if let Some(node) = &block {
            errors.keep(telemetry.events.check(&service.pipelines, node));
        }

        let mut warnings = Vec::new();
        for (section, defined) in [("receivers", &receivers), ("processors", &processors), ("exporters", &exporters)] {
            let meant = errors.undefined(section, defined);
            warnings.extend(errors.unused(section, defined, &meant));
        }
        // Only now: the processors of a pipeline are those that it names.
        errors.found.extend(batch_processor::map(&mut service, &processors, &mut exporters, &mut warnings));
        *found = errors.found;
        Config { receivers, processors, exporters, service, telemetry, warnings }
    }
}

/// Which pipeline the collector's own events feed, which then needs no receiver.
enum Fed {
    By(Option<PipelineId>),
    /// The block that would say so has errors.
    Unknown,
}

impl Fed {
    fn may_feed(&self, pipeline: &PipelineId) -> bool {
        match self {
            Fed::By(fed) => fed.as_ref() == Some(pipeline),
            Fed::Unknown => pipeline.signal() == Signal::Logs,
        }
    }
}

/// The problems found so far, and the readers that add to them.
struct Errors {
    found: Vec<ConfigError>,
    /// What the pipelines name: the list it stands in, with its path, and the component.
    named: Vec<(&'static str, String, Reference)>,
    /// Names under which something is defined that is not an id, which has been reported.
    refused: Vec<Box<str>>,
}

impl Errors {
    fn add(&mut self, path: impl std::fmt::Display, origin: &Origin, message: impl std::fmt::Display) {
        self.found.push(ConfigError::new(path, origin, message));
    }

    fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.found.push(error)).ok()
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
            _ => return self.unknown("", key, &SECTIONS),
        };
        self.add(name, &key.origin, message);
    }

    /// A key of the mapping at `path` that is none of the known ones.
    fn unknown(&mut self, path: &str, key: &Key, known: &[&str]) {
        let separator = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{separator}{}", key.text);
        let hint = nearest(&key.text, known.iter().copied()).map(meant);
        self.found.push(ConfigError::new(path, &key.origin, unknown_key(&key.text, known)).with_hint(hint));
    }

    /// The entries of a section that is a mapping; a missing or empty section has none.
    fn entries<'n>(&mut self, node: &'n Node, path: &str) -> &'n [(Key, Node)] {
        if !node.broken && !matches!(node.value, Value::Mapping(_)) && !node.is_null() {
            self.add(path, &node.origin, "must be a mapping");
        }
        node.entries()
    }

    fn components(&mut self, section: Option<Node>, name: &str) -> Vec<Component> {
        let Some(section) = section else { return Vec::new() };
        self.entries(&section, name);
        let Value::Mapping(entries) = section.value else { return Vec::new() };
        let mut components = Vec::new();
        for (Key { text, origin }, mut settings) in entries {
            let path = format!("{name}.{text}");
            if !settings.broken && !matches!(settings.value, Value::Mapping(_)) && !settings.is_null() {
                self.add(&path, &settings.origin, "must be a mapping of settings, or empty for the defaults");
                settings.broken = true;
            }
            match self.parse(&text, &path, &origin) {
                Some(id) => components.push(Component { id, origin, settings }),
                None => self.refused.push(text),
            }
        }
        components
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&mut self, text: &str, path: &str, origin: &Origin) -> Option<T> {
        text.parse().map_err(|error| self.add(path, origin, error)).ok()
    }

    fn service(&mut self, root: &Node, fed: &Fed) -> Service {
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
                    let period: Option<Period> = value.read("service.drain_timeout", &mut self.found).flatten();
                    service.drain_timeout = period.unwrap_or(DEFAULT_DRAIN_TIMEOUT);
                }
                "restart_budget" => {
                    let budget: Option<u32> = value.read("service.restart_budget", &mut self.found).flatten();
                    service.restart_budget = budget.unwrap_or(DEFAULT_RESTART_BUDGET);
                }
                "memory_limit" => {
                    service.memory_limit = value.read("service.memory_limit", &mut self.found).flatten();
                }
                "memory_budget" => {
                    service.memory_budget = value.read("service.memory_budget", &mut self.found).flatten();
                }
                "workers" => service.workers = value.read("service.workers", &mut self.found).flatten(),
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
                _ => self.unknown("service", key, &SERVICE_KEYS),
            }
        }
        let place = pipelines.unwrap_or(node);
        let pipelines = pipelines.map_or(&[][..], |node| self.entries(node, "service.pipelines"));
        if pipelines.is_empty() && place.can_be_a_section() {
            self.add("service.pipelines", &place.origin, "at least one pipeline is needed, such as `metrics`");
        }
        for (key, node) in pipelines {
            let path = format!("service.pipelines.{}", key.text);
            let id: Option<PipelineId> = match key.text.parse() {
                Ok(id) => Some(id),
                Err(error) => {
                    let written = key.text.split('/').next().unwrap_or_default();
                    let hint = nearest(written, Signal::ALL.map(Signal::as_str)).map(meant);
                    self.found.push(ConfigError::new(&path, &key.origin, error).with_hint(hint));
                    None
                }
            };
            let feeds_itself = id.as_ref().is_some_and(|id| fed.may_feed(id));
            let needed: &[&str] = if feeds_itself { &["exporters"] } else { &["receivers", "exporters"] };
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
                self.unknown(path, key, &PIPELINE_KEYS);
            }
        }
        PIPELINE_KEYS.map(|role| {
            let list = node.get(role);
            let empty =
                list.is_none_or(|list| !list.broken && (list.is_null() || list.value == Value::Sequence(Vec::new())));
            if empty && needed.contains(&role) && node.can_be_a_section() {
                let origin = list.map_or(&key.origin, Node::origin);
                self.add(format_args!("{path}.{role}"), origin, "at least one is needed");
            }
            let references = list.map_or_else(Vec::new, |list| self.references(list, &format!("{path}.{role}")));
            self.named.extend(references.iter().map(|named| (role, format!("{path}.{role}"), named.clone())));
            references
        })
    }

    fn references(&mut self, list: &Node, path: &str) -> Vec<Reference> {
        let Value::Sequence(items) = &list.value else {
            if !list.broken && !list.is_null() {
                self.add(path, &list.origin, "must be a list of component ids, such as [otlp, otlp/second]");
            }
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut references = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(text) = item.read::<String>(&path, &mut self.found) else { continue };
            let Some(id) = self.parse::<ComponentId>(&text, &path, &item.origin) else { continue };
            if seen.insert(id.clone()) {
                references.push(Reference { id, origin: item.origin.clone() });
            } else {
                self.add(path, &item.origin, format_args!("`{id}` stands twice in this list"));
            }
        }
        references
    }

    /// Adds what the pipelines name and is not there, and returns the ids that were probably meant.
    fn undefined(&mut self, section: &str, defined: &[Component]) -> HashSet<String> {
        let ids: Vec<String> = defined.iter().map(|component| component.id.to_string()).collect();
        let known: HashSet<&str> =
            ids.iter().map(String::as_str).chain(self.refused.iter().map(|name| &**name)).collect();
        let mut meant_ids = HashSet::new();
        for (_, path, Reference { id, origin }) in self.named.iter().filter(|(list, ..)| *list == section) {
            let name = id.to_string();
            if known.contains(&*name) {
                continue;
            }
            if self.found.len() >= MAX_ERRORS {
                break;
            }
            let near = nearest(&name, ids.iter().map(String::as_str));
            meant_ids.extend(near.map(str::to_owned));
            let message = format!("`{id}` is not defined under {section}");
            self.found.push(ConfigError::new(path, origin, message).with_hint(near.map(meant)));
        }
        meant_ids
    }

    /// What is defined and named by nobody, except what somebody seems to have `meant`.
    fn unused(&self, section: &str, defined: &[Component], meant: &HashSet<String>) -> Vec<ConfigError> {
        let of_section = self.named.iter().filter(|(list, ..)| *list == section);
        let named: HashSet<&ComponentId> = of_section.map(|(_, _, reference)| &reference.id).collect();
        let is_unused = |id: &ComponentId| !named.contains(id) && !meant.contains(&id.to_string());
        let unused = defined.iter().filter(|component| is_unused(&component.id));
        unused
            .map(|Component { id, origin, .. }| {
                let message = "is defined but used by no pipeline, so it will not run";
                ConfigError::warning(format_args!("{section}.{id}"), origin, message)
            })
            .collect()
    }
}

impl Node {
    /// Whether this can be a section at all; if not, that has been reported.
    fn can_be_a_section(&self) -> bool {
        !self.broken && (self.is_null() || matches!(self.value, Value::Mapping(_)))
    }
}
