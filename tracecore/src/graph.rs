//! From a configuration to its wiring.
//!
//! A [`Graph`] is a value: which component is where, with which settings, and what feeds what. It holds no task, no
//! socket and no instance, so two of them can be compared. `Graph::plan` reads the settings with each component's own
//! types and constructs each once, which is all that `validate` does.

use crate::component::Role;
use crate::config::{ComponentId, Config, ConfigError, ConfigErrors, Node, Origin, PipelineId, Reference};
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
    /// The wiring that a configuration asks for.
    ///
    /// # Errors
    /// All problems at once: component types that this program does not have, and signals that a component does not
    /// carry.
    pub fn new(config: &Config, registry: &Registry) -> Result<Graph, ConfigErrors> {
        let mut builder =
            Builder { config, registry, errors: Vec::new(), receivers: Vec::new(), exporters: Vec::new() };
        let pipelines = builder.pipelines();
        let Builder { errors, receivers, exporters, .. } = builder;
        if errors.is_empty() { Ok(Graph { receivers, exporters, pipelines }) } else { Err(ConfigErrors(errors)) }
    }

    /// Reads every component's settings and constructs each component once.
    ///
    /// # Errors
    /// All problems of all components at once.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigErrors> {
        let mut errors = Vec::new();
        let receivers = self.receivers.iter().filter_map(|unit| collect(plan_receiver(unit), &mut errors)).collect();
        let exporters = self.exporters.iter().enumerate();
        let exporters = exporters.map(|(index, unit)| plan_exporter(unit, &self.signals_of(index)));
        let exporters = exporters.filter_map(|planned| collect(planned, &mut errors)).collect();
        let pipelines = self
            .pipelines
            .iter()
            .map(|pipeline| PlannedPipeline {
                id: pipeline.id.clone(),
                receivers: pipeline.receivers.clone(),
                processors: pipeline
                    .processors
                    .iter()
                    .filter_map(|unit| collect(plan_processor(unit), &mut errors))
                    .collect(),
                exporters: pipeline.exporters.clone(),
            })
            .collect();
        if errors.is_empty() { Ok(Plan { receivers, exporters, pipelines }) } else { Err(ConfigErrors(errors)) }
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

fn collect<T>(result: Result<T, ConfigErrors>, errors: &mut Vec<ConfigError>) -> Option<T> {
    result.map_err(|problems| errors.extend(problems.0)).ok()
}

impl Unit {
    /// Where its settings stand, as in `receivers.clock/fast`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.entry.role.section(), self.id)
    }

    /// A problem of these settings that only the component can see.
    fn refused(&self, failure: &Failure) -> ConfigErrors {
        self.problem(&self.path(), failure.to_string())
    }

    fn problem(&self, path: &str, message: String) -> ConfigErrors {
        ConfigErrors(vec![ConfigError::new(path, self.settings.origin(), message)])
    }

    /// The runtime's key that every component has, taken off.
    fn take_on_start_error(&self, settings: &mut Node) -> Result<OnStartError, ConfigErrors> {
        let path = format!("{}.{ON_START_ERROR}", self.path());
        Ok(settings.take(ON_START_ERROR).map(|node| node.deserialize(&path)).transpose()?.unwrap_or_default())
    }
}

fn plan_receiver(unit: &Unit) -> Result<Planned<Box<dyn ReceiverSpec>>, ConfigErrors> {
    let Specify::Receiver(specify) = unit.entry.specify else { unreachable!("the registry finds by role") };
    let mut settings = unit.settings.clone();
    let on_start_error = unit.take_on_start_error(&mut settings)?;
    let spec = specify(&settings, &unit.path())?;
    spec.check().map_err(|failure| unit.refused(&failure))?;
    Ok(Planned { unit: unit.clone(), spec, on_start_error })
}

fn plan_processor(unit: &Unit) -> Result<Planned<Box<dyn ProcessorSpec>>, ConfigErrors> {
    let Specify::Processor(specify) = unit.entry.specify else { unreachable!("the registry finds by role") };
    let mut settings = unit.settings.clone();
    let on_start_error = unit.take_on_start_error(&mut settings)?;
    if on_start_error == OnStartError::Ignore {
        let path = format!("{}.{ON_START_ERROR}", unit.path());
        let message = "a processor cannot be ignored: batches would pass it unprocessed; use fail or retry";
        return Err(unit.problem(&path, message.to_owned()));
    }
    let spec = specify(&settings, &unit.path())?;
    spec.check().map_err(|failure| unit.refused(&failure))?;
    Ok(Planned { unit: unit.clone(), spec, on_start_error })
}

fn plan_exporter(unit: &Unit, signals: &[Signal]) -> Result<PlannedExporter, ConfigErrors> {
    let Specify::Exporter(specify) = unit.entry.specify else { unreachable!("the registry finds by role") };
    let mut settings = unit.settings.clone();
    let on_start_error = unit.take_on_start_error(&mut settings)?;
    let of_delivery = settings.split_off(&DELIVERY_KEYS);
    let mut delivery: DeliverySettings = of_delivery.deserialize(&unit.path())?;
    if let Some((key, message)) = delivery.retry_on_failure.problem() {
        return Err(unit.problem(&format!("{}.retry_on_failure.{key}", unit.path()), message));
    }
    if let Some((key, message)) = delivery.sending_queue.problem() {
        return Err(unit.problem(&format!("{}.sending_queue.batch.{key}", unit.path()), message));
    }
    let spec = specify(&settings, &unit.path())?;
    let refused = spec.check(signals).iter().flat_map(|failure| unit.refused(failure).0).collect::<Vec<_>>();
    if !refused.is_empty() {
        return Err(ConfigErrors(refused));
    }
    if of_delivery.get(TIMEOUT).is_none_or(Node::is_null) {
        delivery.timeout = spec.timeout();
    }
    Ok(PlannedExporter { planned: Planned { unit: unit.clone(), spec, on_start_error }, delivery })
}

struct Builder<'a> {
    config: &'a Config,
    registry: &'a Registry,
    errors: Vec<ConfigError>,
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
        // An undefined id is an error that `Config::from_tree` has reported.
        let settings = &section.iter().find(|defined| defined.id == *id)?.settings;
        let Some(entry) = self.registry.find(role, id.component_type()) else {
            let known: Vec<_> = self.registry.iter().filter(|entry| entry.role == role).map(|e| e.name).collect();
            let message = format!("this program has no {role} `{}`; it has {}", id.component_type(), known.join(", "));
            self.report(&format!("{}.{id}", role.section()), settings.origin(), message);
            return None;
        };
        if !entry.signals.contains(&pipeline.signal()) {
            let carries: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
            let message =
                format!("the {role} `{id}` does not carry {}; it carries {}", pipeline.signal(), carries.join(", "));
            self.report(&format!("service.pipelines.{pipeline}.{}", role.section()), origin, message);
            return None;
        }
        if entry.name != id.component_type() {
            tracing::warn!(component = %id, alias = id.component_type(), name = entry.name, "a component is used by another name than its own");
        }
        Some(Unit { id: id.clone(), entry, settings: settings.clone() })
    }

    fn report(&mut self, path: &str, origin: &Origin, message: String) {
        let error = ConfigError::new(path, origin, message);
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// The position of this unit among `units`, where it is added if no pipeline has used it yet.
fn place(units: &mut Vec<Unit>, unit: Unit) -> usize {
    units.iter().position(|known| known.id == unit.id).unwrap_or_else(|| {
        units.push(unit);
        units.len() - 1
    })
}
