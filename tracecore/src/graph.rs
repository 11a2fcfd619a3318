//! From a configuration to its wiring.
//!
//! A [`Graph`] is a value: which component is where, with which settings, and what feeds what. It holds no task, no
//! socket and no instance, so two of them can be compared. `Graph::plan` reads the settings with each component's own
//! types and constructs each once, which is all that `validate` does.

use std::collections::{BTreeMap, HashSet};

use crate::component::Role;
use crate::config::{
    BATCH_PROCESSOR, Component, ComponentId, Config, ConfigError, Listen, Node, PipelineId, Reference, listens, meant,
    nearest,
};
use crate::queue::DeliverySettings;
use crate::registry::{Entry, Registry, Specify};
use crate::runtime::{ExporterSpec, Failure, OnStartError, ProcessorSpec, ReceiverSpec};
use crate::signal::Signal;

/// The keys of an exporter's settings that the runtime reads itself.
const DELIVERY_KEYS: [&str; 4] = ["sending_queue", "retry_on_failure", "circuit_breaker", TIMEOUT];
/// The one of them whose default each exporter has its own of.
const TIMEOUT: &str = "timeout";
/// The key of every component's settings that the runtime reads itself.
const ON_START_ERROR: &str = "on_start_error";

/// A validated wiring.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Every receiver that a pipeline uses.
    pub receivers: Vec<Unit>,
    /// Every exporter that a pipeline uses.
    pub exporters: Vec<Unit>,
    /// The pipelines, in the order of the configuration.
    pub pipelines: Vec<Pipeline>,
}

/// One configured component.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its id.
    pub id: ComponentId,
    /// What it is.
    pub entry: &'static Entry,
    /// Its settings, the runtime's keys among them.
    pub settings: Node,
}

impl PartialEq for Unit {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && std::ptr::eq(self.entry, other.entry) && self.settings == other.settings
    }
}

/// One pipeline: which receivers feed it, what they pass, where it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its signal and name.
    pub id: PipelineId,
    /// Positions in [`Graph::receivers`].
    pub receivers: Vec<usize>,
    /// Its own processors, in order.
    pub processors: Vec<Unit>,
    /// Positions in [`Graph::exporters`].
    pub exporters: Vec<usize>,
}

/// A wiring whose settings have been read.
pub(crate) struct Plan {
    pub(crate) receivers: Vec<Planned<Box<dyn ReceiverSpec>>>,
    pub(crate) exporters: Vec<PlannedExporter>,
    pub(crate) pipelines: Vec<PlannedPipeline>,
}

pub(crate) struct Planned<S> {
    pub(crate) unit: Unit,
    pub(crate) spec: S,
    pub(crate) on_start_error: OnStartError,
}

pub(crate) struct PlannedExporter {
    pub(crate) planned: Planned<Box<dyn ExporterSpec>>,
    pub(crate) delivery: DeliverySettings,
}

pub(crate) struct PlannedPipeline {
    pub(crate) id: PipelineId,
    pub(crate) receivers: Vec<usize>,
    pub(crate) processors: Vec<Planned<Box<dyn ProcessorSpec>>>,
    pub(crate) exporters: Vec<usize>,
}

impl Graph {
    /// The wiring that a configuration asks for, as far as it can be had; adds what cannot.
    pub(crate) fn read(config: &Config, registry: &Registry, errors: &mut Vec<ConfigError>) -> Graph {
        let mut builder = Builder { config, registry, errors, receivers: Vec::new(), exporters: Vec::new() };
        let pipelines = builder.pipelines();
        let Builder { receivers, exporters, .. } = builder;
        Graph { receivers, exporters, pipelines }
    }

    /// Reads every component's settings and constructs each component once, or adds what is wrong: of all components.
    pub(crate) fn plan(&self, errors: &mut Vec<ConfigError>) -> Option<Plan> {
        let before = errors.len();
        let receivers: Vec<_> = self.receivers.iter().filter_map(|unit| unit.receiver(errors)).collect();
        let exporters = self.exporters.iter().enumerate();
        let exporters: Vec<_> =
            exporters.filter_map(|(index, unit)| unit.exporter(&self.signals_of(index), errors)).collect();
        let mut pipelines = Vec::new();
        for pipeline in &self.pipelines {
            let processors = pipeline.processors.iter().filter_map(|unit| unit.processor(errors)).collect();
            let Pipeline { id, receivers, exporters, .. } = pipeline.clone();
            pipelines.push(PlannedPipeline { id, receivers, processors, exporters });
        }
        let plan = Plan { receivers, exporters, pipelines };
        // Of a component that stands in the place of a broken one nothing more is said, and it is no plan.
        let complete = plan.receivers.len() == self.receivers.len() && plan.exporters.len() == self.exporters.len();
        (errors.len() == before && complete).then_some(plan)
    }
}

impl Graph {
    /// What its components listen on.
    pub(crate) fn listens(&self) -> Vec<Listen> {
        let mut schemas = BTreeMap::new();
        let mut of = |unit: &Unit| {
            let schema = schemas.entry((unit.entry.role, unit.entry.name));
            let schema = schema.or_insert_with(|| unit.entry.settings_schema().into());
            listens(schema, &unit.settings, &unit.path())
        };
        self.receivers.iter().chain(&self.exporters).flat_map(&mut of).collect()
    }

    /// What the pipelines of this exporter carry.
    fn signals_of(&self, exporter: usize) -> Vec<Signal> {
        let carries = |signal: &Signal| {
            let of_signal = |pipeline: &&Pipeline| pipeline.id.signal() == *signal;
            self.pipelines.iter().filter(of_signal).any(|pipeline| pipeline.exporters.contains(&exporter))
        };
        Signal::ALL.into_iter().filter(carries).collect()
    }
}

/// Reads the settings of the components that no pipeline uses, and adds what is wrong with them.
pub(crate) fn check_unused(config: &Config, registry: &Registry, errors: &mut Vec<ConfigError>) {
    let sections = [
        (Role::Receiver, &config.receivers),
        (Role::Processor, &config.processors),
        (Role::Exporter, &config.exporters),
    ];
    for (role, defined) in sections {
        let named = config.service.pipelines.iter().flat_map(|pipeline| match role {
            Role::Receiver => &pipeline.receivers,
            Role::Processor => &pipeline.processors,
            Role::Exporter => &pipeline.exporters,
        });
        let named: HashSet<&ComponentId> = named.map(|reference| &reference.id).collect();
        for component in defined.iter().filter(|component| !named.contains(&component.id)) {
            let Some(unit) = unit(role, component, registry, errors) else { continue };
            match role {
                Role::Receiver => drop(unit.receiver(errors)),
                Role::Processor => drop(unit.processor(errors)),
                Role::Exporter => drop(unit.exporter(&[], errors)),
            }
        }
    }
}

/// The component with its declaration, or what is wrong with its type.
fn unit(role: Role, component: &Component, registry: &Registry, errors: &mut Vec<ConfigError>) -> Option<Unit> {
    let Component { id, origin, settings } = component;
    // It has become a part of the exporters behind it.
    if role == Role::Processor && id.component_type() == BATCH_PROCESSOR {
        return None;
    }
    let Some(entry) = registry.find(role, id.component_type()) else {
        let of_role = || registry.iter().filter(|entry| entry.role == role);
        let known: Vec<_> = of_role().map(|entry| entry.name).collect();
        let message = format!("this program has no {role} `{}`; it has {}", id.component_type(), known.join(", "));
        let names = of_role().flat_map(|entry| std::iter::once(&entry.name).chain(entry.aliases)).copied();
        let hint = nearest(id.component_type(), names).map(meant);
        errors.push(ConfigError::new(format_args!("{}.{id}", role.section()), origin, message).with_hint(hint));
        return None;
    };
    if entry.name != id.component_type() {
        let message =
            format!("`{}` is another name of `{}`, which should stand there", id.component_type(), entry.name);
        errors.push(ConfigError::warning(format_args!("{}.{id}", role.section()), origin, message));
    }
    Some(Unit { id: id.clone(), entry, settings: settings.clone() })
}

impl Unit {
    /// Where its settings stand, as in `receivers.clock/fast`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.entry.role.section(), self.id)
    }

    /// What only the component can see.
    fn sound(&self, check: Result<(), Failure>, errors: &mut Vec<ConfigError>) -> Option<()> {
        check.map_err(|failure| errors.push(ConfigError::new(self.path(), self.settings.origin(), failure))).ok()
    }

    /// What is wrong at a key, if something is.
    fn holds(&self, problem: Option<(String, String)>, errors: &mut Vec<ConfigError>) -> Option<()> {
        let Some((key, message)) = problem else { return Some(()) };
        let origin = self.settings.nearest_to(&key).origin();
        errors.push(ConfigError::new(format_args!("{}.{key}", self.path()), origin, message));
        None
    }

    /// The runtime's key that every component has, taken off.
    fn take_on_start_error(&self, settings: &mut Node, errors: &mut Vec<ConfigError>) -> Option<OnStartError> {
        let Some(node) = settings.take(ON_START_ERROR) else { return Some(OnStartError::default()) };
        node.read(&format!("{}.{ON_START_ERROR}", self.path()), errors)
    }

    fn receiver(&self, errors: &mut Vec<ConfigError>) -> Option<Planned<Box<dyn ReceiverSpec>>> {
        let Specify::Receiver(specify) = self.entry.specify else { unreachable!("the registry finds by role") };
        let mut settings = self.settings.clone();
        let on_start_error = self.take_on_start_error(&mut settings, errors);
        let spec = specify(&settings, &self.path(), errors)?;
        self.sound(spec.check(), errors)?;
        Some(Planned { unit: self.clone(), spec, on_start_error: on_start_error? })
    }

    fn processor(&self, errors: &mut Vec<ConfigError>) -> Option<Planned<Box<dyn ProcessorSpec>>> {
        let Specify::Processor(specify) = self.entry.specify else { unreachable!("the registry finds by role") };
        let mut settings = self.settings.clone();
        let on_start_error = self.take_on_start_error(&mut settings, errors);
        if on_start_error == Some(OnStartError::Ignore) {
            let message = "a processor cannot be ignored: batches would pass it unprocessed; use fail or retry";
            self.holds(Some((ON_START_ERROR.to_owned(), message.to_owned())), errors);
        }
        let spec = specify(&settings, &self.path(), errors)?;
        self.sound(spec.check(), errors)?;
        Some(Planned { unit: self.clone(), spec, on_start_error: on_start_error? })
    }

    /// `signals` are those of its pipelines.
    fn exporter(&self, signals: &[Signal], errors: &mut Vec<ConfigError>) -> Option<PlannedExporter> {
        let Specify::Exporter(specify) = self.entry.specify else { unreachable!("the registry finds by role") };
        let mut settings = self.settings.clone();
        let on_start_error = self.take_on_start_error(&mut settings, errors);
        let of_delivery = settings.split_off(&DELIVERY_KEYS);
        let delivery: Option<DeliverySettings> = of_delivery.read(&self.path(), errors);
        let delivery = delivery.and_then(|delivery| {
            let of_retry = delivery.retry_on_failure.problem();
            let of_retry = of_retry.map(|(key, message)| (format!("retry_on_failure.{key}"), message));
            let of_queue = delivery.sending_queue.problem();
            let of_queue = of_queue.map(|(key, message)| (format!("sending_queue.batch.{key}"), message));
            let hold = [self.holds(of_retry, errors), self.holds(of_queue, errors)];
            hold.iter().all(Option::is_some).then_some(delivery)
        });
        let spec = specify(&settings, &self.path(), errors)?;
        let sound: Vec<_> = spec.check(signals).into_iter().map(|failure| self.sound(Err(failure), errors)).collect();
        let mut delivery = delivery.filter(|_| sound.is_empty())?;
        if of_delivery.get(TIMEOUT).is_none_or(Node::is_null) {
            delivery.timeout = spec.timeout();
        }
        Some(PlannedExporter {
            planned: Planned { unit: self.clone(), spec, on_start_error: on_start_error? },
            delivery,
        })
    }
}

struct Builder<'a> {
    config: &'a Config,
    registry: &'a Registry,
    errors: &'a mut Vec<ConfigError>,
    receivers: Vec<Unit>,
    exporters: Vec<Unit>,
}

impl Builder<'_> {
    fn pipelines(&mut self) -> Vec<Pipeline> {
        let config = self.config;
        let mut pipelines = Vec::new();
        for pipeline in &config.service.pipelines {
            let receivers = self.units(Role::Receiver, &pipeline.id, &pipeline.receivers);
            let processors = self.units(Role::Processor, &pipeline.id, &pipeline.processors);
            let exporters = self.units(Role::Exporter, &pipeline.id, &pipeline.exporters);
            pipelines.push(Pipeline {
                id: pipeline.id.clone(),
                receivers: receivers.into_iter().map(|unit| place(&mut self.receivers, unit)).collect(),
                processors,
                exporters: exporters.into_iter().map(|unit| place(&mut self.exporters, unit)).collect(),
            });
        }
        pipelines
    }

    fn units(&mut self, role: Role, pipeline: &PipelineId, references: &[Reference]) -> Vec<Unit> {
        references.iter().filter_map(|reference| self.unit(role, pipeline, reference)).collect()
    }

    fn unit(&mut self, role: Role, pipeline: &PipelineId, reference: &Reference) -> Option<Unit> {
        let Reference { id, origin } = reference;
        let section = match role {
            Role::Receiver => &self.config.receivers,
            Role::Processor => &self.config.processors,
            Role::Exporter => &self.config.exporters,
        };
        // An undefined id is an error that has been reported.
        let component = section.iter().find(|defined| defined.id == *id)?;
        let unit = unit(role, component, self.registry, self.errors)?;
        let entry = unit.entry;
        if !entry.signals.contains(&pipeline.signal()) {
            let carries: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
            let message =
                format!("the {role} `{id}` does not carry {}; it carries {}", pipeline.signal(), carries.join(", "));
            let path = format!("service.pipelines.{pipeline}.{}", role.section());
            self.errors.push(ConfigError::new(path, origin, message));
        }
        Some(unit)
    }
}

/// The position of this unit among `units`, where it is added if no pipeline has used it yet.
fn place(units: &mut Vec<Unit>, unit: Unit) -> usize {
    units.iter().position(|known| known.id == unit.id).unwrap_or_else(|| {
        units.push(unit);
        units.len() - 1
    })
}
