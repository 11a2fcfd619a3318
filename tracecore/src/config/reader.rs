//! From the sections of a tree to what stands in them, with every problem that is found on the way.

use std::collections::HashSet;
use std::str::FromStr;

use super::error::ConfigError;
use super::fault::{meant, nearest, unknown_key};
use super::id::{ComponentId, PipelineId};
use super::model::{Component, Pipeline, Reference, Service};
use super::node::{Key, Node, Value};
use super::origin::Origin;
use super::value::Period;
use super::yaml::MAX_ERRORS;
use crate::signal::Signal;

/// How long queues may drain at shutdown: within the ten seconds that container runtimes allow by default, with room
/// for the rest of the shutdown.
const DEFAULT_DRAIN_TIMEOUT: Period = Period::secs(5);

/// How often a component is restarted in a row: about seven minutes of waits, long enough for a driver that is reloaded.
const DEFAULT_RESTART_BUDGET: u32 = 20;

const SECTIONS: [&str; 6] = ["receivers", "processors", "exporters", "extensions", "service", "telemetry"];
const CONNECTORS: &str = "connectors";
const SERVICE_KEYS: [&str; 8] = [
    "pipelines",
    "extensions",
    "telemetry",
    "drain_timeout",
    "workers",
    "restart_budget",
    "memory_limit",
    "memory_budget",
];
const PIPELINE_KEYS: [&str; 3] = ["receivers", "processors", "exporters"];

/// What does the work of a connector of the Collector, by its type.
const INSTEAD_OF_CONNECTORS: [(&str, &str); 6] = [
    ("forward", "a receiver may feed several pipelines, and an exporter may end several: name it in each of them"),
    ("routing", "give each destination a pipeline of its own, with a processor that drops what goes elsewhere"),
    (
        "failover",
        "an exporter tries again by itself (`retry_on_failure`), and what it cannot deliver goes nowhere else",
    ),
    ("spanmetrics", MAKES_METRICS),
    ("servicegraph", MAKES_METRICS),
    ("count", MAKES_METRICS),
];
const MAKES_METRICS: &str = "nothing here makes metrics of spans or logs: send them to a Collector that does";

/// Which pipeline the collector's own events feed, which then needs no receiver.
pub(super) enum Fed {
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
pub(super) struct Reader {
    pub(super) found: Vec<ConfigError>,
    /// What `service` names: the section it is looked for in, where it stands, and the component.
    named: Vec<(&'static str, String, Reference)>,
    /// Names under which something is defined that cannot be had, which has been reported.
    refused: Vec<Box<str>>,
}

impl Reader {
    pub(super) fn new(found: Vec<ConfigError>) -> Self {
        Reader { found, named: Vec::new(), refused: Vec::new() }
    }

    pub(super) fn add(&mut self, path: impl std::fmt::Display, origin: &Origin, message: impl std::fmt::Display) {
        self.found.push(ConfigError::new(path, origin, message));
    }

    pub(super) fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.found.push(error)).ok()
    }

    pub(super) fn check_section(&mut self, key: &Key) {
        if !SECTIONS.contains(&key.as_str()) && key.as_str() != CONNECTORS {
            self.unknown("", key, &SECTIONS);
        }
    }

    /// There are none: each is an error, and who names it is not told again.
    pub(super) fn connectors(&mut self, section: Option<&Node>) {
        let Some(section) = section else { return };
        for (key, _) in self.entries(section, CONNECTORS) {
            let kind = key.text.split('/').next().unwrap_or_default();
            let instead = INSTEAD_OF_CONNECTORS.iter().find(|(known, _)| *known == kind);
            let instead =
                instead.map_or("give each pipeline receivers and exporters of its own", |(_, instead)| instead);
            let message = format!("this program has no connectors, and so no `{kind}`: {instead}");
            self.add(format_args!("{CONNECTORS}.{}", key.text), &key.origin, message);
            self.refused.push(key.text.clone());
        }
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

    pub(super) fn components(&mut self, section: Option<Node>, name: &str) -> Vec<Component> {
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

    pub(super) fn service(&mut self, root: &Node, fed: &Fed) -> Service {
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
                "extensions" => {
                    let path = "service.extensions";
                    let references = self.references(value, path);
                    self.named.extend(references.into_iter().map(|named| ("extensions", path.to_owned(), named)));
                }
                // It is mapped to the collector's own `telemetry`.
                "telemetry" => {}
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

    /// What is defined and named by nobody, except what somebody seems to have meant. Adds what is named and not there.
    pub(super) fn unused<'d>(&mut self, section: &str, defined: &'d [Component]) -> Vec<&'d Component> {
        let meant = self.undefined(section, defined);
        let of_section = self.named.iter().filter(|(list, ..)| *list == section);
        let named: HashSet<&ComponentId> = of_section.map(|(_, _, reference)| &reference.id).collect();
        let is_unused = |id: &ComponentId| !named.contains(id) && !meant.contains(&id.to_string());
        defined.iter().filter(|component| is_unused(&component.id)).collect()
    }
}

impl Node {
    /// Whether this can be a section at all; if not, that has been reported.
    fn can_be_a_section(&self) -> bool {
        !self.broken && (self.is_null() || matches!(self.value, Value::Mapping(_)))
    }
}
