//! From a configuration to a service: what it is built with, and why there is none.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Service;
use crate::config::{
    Config, ConfigError, ConfigErrors, HealthCheck, Lines, Listen, Loaded, Origin, Severity, collisions,
};
use crate::cx::{Drain, Offloads, Resources, Shared};
use crate::events::Events;
use crate::graph::{Graph, check_unused};
use crate::memory::Memory;
use crate::registry::Registry;
use crate::telemetry::{BuildInfo, Resource, SelfTelemetry, TelemetryError};
use crate::time::Clock;

/// Where the surface listens, and where files of the Collector say so.
const SURFACE: &str = "telemetry.listen";
const SURFACE_OF_COLLECTOR: &str = "service.telemetry.metrics";

/// What a service is built with, besides its configuration.
pub struct Builder {
    build: BuildInfo,
    clock: Clock,
    resource: Option<Resource>,
    telemetry: Option<SelfTelemetry>,
    events_enabled: bool,
    strict: bool,
    memory: Option<Memory>,
}

/// Why a service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The self-telemetry cannot be set up.
    #[error("cannot set up self-telemetry")]
    Telemetry(#[from] TelemetryError),
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            build: BuildInfo::new("tracecore", env!("CARGO_PKG_VERSION"), ""),
            clock: Clock::system(),
            resource: None,
            telemetry: None,
            events_enabled: true,
            strict: false,
            memory: None,
        }
    }
}

impl Builder {
    /// What the program says of itself.
    pub fn build_info(mut self, build: BuildInfo) -> Self {
        self.build = build;
        self
    }

    /// The wall clock that components see.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The attributes that identify this process.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The self-telemetry to use, in place of one of its own.
    pub fn telemetry(mut self, telemetry: SelfTelemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Whether anybody can listen to its events; yes, unless told otherwise. What the service does is the same.
    pub fn events_enabled(mut self, enabled: bool) -> Self {
        self.events_enabled = enabled;
        self
    }

    /// Whether a warning of the configuration is an error; no, unless told otherwise.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The memory of the process, in place of what is found out.
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Wires the configuration, reads all settings and constructs every component once. This is all that `validate`
    /// does.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn build(self, config: Config, registry: &Registry) -> Result<Service, BuildError> {
        let (origin, lines) = (Origin::whole("configuration"), Lines::default());
        self.wire(config, registry, Vec::new(), (SURFACE, &origin), &lines)
    }

    /// As [`build`](Builder::build), from what was loaded.
    ///
    /// # Errors
    /// All problems of the configuration at once, those of its loading among them, each with its line.
    pub fn build_loaded(self, loaded: Loaded, registry: &Registry) -> Result<Service, BuildError> {
        let root = loaded.root();
        let is_ours = root.get("telemetry").is_some_and(|section| !section.is_null());
        let surface = if is_ours { SURFACE } else { SURFACE_OF_COLLECTOR };
        let origin = root.nearest_to(surface).origin().clone();
        let (config, errors, lines) = loaded.read();
        self.wire(config, registry, errors, (surface, &origin), &lines)
    }

    /// `surface` is the setting that has its address, and where that is written.
    fn wire(
        self,
        mut config: Config,
        registry: &Registry,
        mut errors: Vec<ConfigError>,
        (surface, surface_origin): (&str, &Origin),
        lines: &Lines,
    ) -> Result<Service, BuildError> {
        let mut problems = std::mem::take(&mut config.warnings);
        problems.append(&mut errors);
        let graph = Graph::read(&config, registry, &mut problems);
        let plan = graph.plan(&mut problems);
        check_unused(&config, registry, &mut problems);
        let mut listens = graph.listens();
        if config.telemetry.enabled {
            let (endpoint, origin) = (config.telemetry.listen.clone(), surface_origin.clone());
            listens.push(Listen { endpoint, path: surface.to_owned(), origin });
        }
        listens.extend(config.health_checks.iter().map(|HealthCheck { id, settings, origin }| Listen {
            endpoint: settings.endpoint.clone(),
            path: format!("extensions.{id}.endpoint"),
            origin: origin.clone(),
        }));
        problems.extend(collisions(listens, lines));
        if self.strict {
            problems.iter_mut().for_each(|problem| problem.severity = Severity::Error);
        }
        let holds = problems.iter().all(|problem| problem.severity == Severity::Warning);
        let problems = lines.shown(problems);
        let Some(plan) = plan.filter(|_| holds) else { return Err(ConfigErrors(problems).into()) };
        config.warnings = problems;
        let resource = self.resource.unwrap_or_else(|| Resource::detect(&self.build));
        let attributes = resource.attributes().to_vec().into();
        let node = resource.get("host.name").unwrap_or_default().to_owned();
        let version = self.build.version;
        let telemetry = match self.telemetry {
            Some(telemetry) => telemetry,
            None => SelfTelemetry::builder(self.build, resource)
                .clock(self.clock.clone())
                .level(config.telemetry.level)
                .traces(config.telemetry.traces.clone())
                .push(config.telemetry.push.clone())
                .build()?,
        };
        let events = if self.events_enabled { Events::default() } else { Events::switched_off() };
        events.set_origin(self.clock.clone(), &node);
        let memory = self.memory.unwrap_or_else(Memory::detect);
        let memory = match config.service.memory_limit {
            Some(limit) => memory.with_limit(limit.get()),
            None => memory,
        };
        let memory = match config.service.memory_budget {
            Some(budget) => memory.with_budget(budget.get()),
            None => memory,
        };
        telemetry.register_memory(&memory);
        let shared = Shared {
            clock: self.clock,
            memory,
            telemetry,
            events,
            fatal: Arc::default(),
            offloads: Offloads::new(config.service.workers),
            resources: Resources::default(),
            restart_budget: NonZeroU32::new(config.service.restart_budget),
            resource: attributes,
            version,
            drain: Arc::new(Drain::default()),
            stop: CancellationToken::new(),
        };
        Ok(Service { config, graph, plan, shared })
    }
}
