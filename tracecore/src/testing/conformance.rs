//! What every component owes the runtime, whatever it does.
//!
//! A test runs [`Conformance`] over each row of its registry, so that a component is checked by being declared. Each rule
//! is shown in a service of its own, beside the components of the kit, on the machine's own clock: a component may read
//! real devices and sockets.
//!
//! Deliberately absent: threads that a constructor starts by itself, which nothing can tell from those of other tests;
//! `clippy.toml` of this project bans them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::ceiling::within_ceiling;
use super::{RecordingExporter, ScriptedReceiver, TestService, logs, metrics, registry, spans};
use crate::component::Role;
use crate::config::{self, Source};
use crate::docs::{OF_THE_RUNTIME, full_example};
use crate::emit::{Refusal, Verdict};
use crate::error::{ErrorKind, Report};
use crate::events::{Event, ServiceEvent};
use crate::registry::Entry;
use crate::runtime::{Failure, Service};
use crate::signal::view::View;
use crate::signal::{Batch, Signal};
use crate::status::{State, Status};
use crate::telemetry::StopReason;

/// How many items a batch has that has any.
const ITEMS: usize = 3;

/// One promise of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Its example, and that with every default written out, is a valid configuration without warnings.
    Example,
    /// Its constructor neither panics nor spawns.
    Constructor,
    /// It starts, and its series are there from the start, one of each kind of error that it declares.
    Start,
    /// What it measures is what it declares, and it measures something.
    Data,
    /// It takes batches, those of items with nothing in them too, without a panic, and fails with no kind of error that it
    /// does not declare. (A batch without items never reaches a component.)
    Batches,
    /// It stops when it is asked to, within the deadline.
    Stop,
    /// After a panic it runs again.
    Restart,
}

/// A promise that a component does not keep.
#[derive(Clone, Debug)]
pub struct Breach {
    /// Which one.
    pub rule: Rule,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// A component that is to show that it keeps the contract.
///
/// ```
/// use tracecore::component::Role;
/// use tracecore::prelude::*;
/// use tracecore::registry::Registry;
/// use tracecore::testing::Conformance;
///
/// /// Lets every batch through.
/// #[processor("lenient")]
/// struct Lenient;
///
/// impl Processor for Lenient {
///     fn new(_: NoConfig) -> Result<Self, Never> {
///         Ok(Lenient)
///     }
///
///     fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Never> {
///         Ok(Some(batch))
///     }
/// }
///
/// // In a test, for each entry of the registry; here for one of them.
/// let registry = Registry::linked().expect("components are linked");
/// let entry = registry.find(Role::Processor, "lenient").expect("it is declared above");
/// let breaches = Conformance::of(entry).check();
/// assert!(breaches.is_empty(), "{breaches:?}");
/// ```
pub struct Conformance {
    entry: &'static Entry,
    settings: String,
}

/// What a rule is shown by: the reason why it is not kept, or a panic with it.
type Shown = Result<(), String>;

impl Conformance {
    /// The component with the settings of its example.
    pub fn of(entry: &'static Entry) -> Self {
        Conformance { entry, settings: entry.example.to_owned() }
    }

    /// The component with these settings, as YAML: where those of its example name a port that may be taken, or a file.
    #[must_use]
    pub fn with(self, settings: &str) -> Self {
        Conformance { settings: settings.to_owned(), ..self }
    }

    /// The promises that it does not keep.
    ///
    /// # Panics
    /// Inside a runtime: it has one of its own, and there a constructor could spawn.
    pub fn check(&self) -> Vec<Breach> {
        assert!(Handle::try_current().is_err(), "a check of the contract is no async test");
        let mut breaches: Vec<Breach> = self.configures().err().into_iter().collect();
        let configures = breaches.is_empty();
        let mut show = |rule, shown: Shown| {
            let kept = shown.is_ok();
            breaches.extend(shown.err().map(|what| Breach { rule, what }));
            kept
        };
        if configures && show(Rule::Start, self.runs(Self::start)) {
            if self.measures() {
                show(Rule::Data, self.runs(Self::data));
            }
            if self.entry.role != Role::Receiver {
                show(Rule::Batches, self.runs(Self::batches));
            }
            show(Rule::Stop, self.runs(Self::stop));
            if self.entry.role == Role::Receiver {
                show(Rule::Restart, self.runs(Self::restart));
            }
        }
        breaches
    }

    /// Whether it declares what it measures.
    fn measures(&self) -> bool {
        let mut any = false;
        (self.entry.data)(&mut |_| any = true);
        any
    }

    /// Shows a rule in a runtime of its own.
    fn runs<F: Future<Output = Shown>>(&self, rule: impl FnOnce(Running) -> F) -> Shown {
        caught(|| {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.map_err(|error| format!("there is no runtime: {error}"))?;
            let shown = runtime.block_on(async { rule(Running::of(self).await).await });
            // What does not end is no matter of another rule.
            runtime.shutdown_background();
            shown
        })
    }

    /// Outside of a runtime, where nothing can be spawned.
    fn configures(&self) -> Result<(), Breach> {
        let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
        for settings in [self.entry.example, &full_example(self.entry), &self.settings] {
            let yaml = pipelines(self.entry, settings, &receiver, &exporter);
            match built(&yaml) {
                Ok(service) if service.warnings().is_empty() => {}
                Ok(service) => {
                    return Err(Breach { rule: Rule::Example, what: format!("{:?}\n{yaml}", service.warnings()) });
                }
                Err(what) if what.contains(": panicked: ") => return Err(Breach { rule: Rule::Constructor, what }),
                Err(what) => return Err(Breach { rule: Rule::Example, what }),
            }
        }
        Ok(())
    }

    async fn start(running: Running) -> Shown {
        let Running { entry, service, .. } = &running;
        let of_role = match entry.role {
            Role::Receiver => "tracecore_receiver_emissions_total",
            Role::Processor => "tracecore_processor_items_in_total",
            Role::Exporter => "tracecore_exporter_dropped_total",
        };
        let kinds = entry.kinds.iter().chain([&ErrorKind::Panic]).map(|kind| (errors(entry.role), kind.as_str()));
        let series = ["tracecore_component_starts_total", of_role].map(|family| (family, ""));
        let snapshot = service.snapshot();
        for (family, kind) in series.into_iter().chain(kinds) {
            let kind = (!kind.is_empty()).then_some(("kind", kind));
            let labels: Vec<_> = kind.into_iter().chain([("component_id", entry.name)]).collect();
            if snapshot.scrape(family, &labels).is_empty() {
                return Err(format!("there is no series {family}{labels:?}"));
            }
        }
        Ok(())
    }

    async fn data(mut running: Running) -> Shown {
        let (mut declared, entry) = (Vec::new(), running.entry);
        (entry.data)(&mut |metric| declared.push(metric.name.of(entry.name)));
        running.exporter.called().await;
        running.service.stop().await;
        for batch in running.exporter.taken() {
            let View::Metrics(resources) = batch.view() else { continue };
            for (_, _, metric) in resources.flat_map(|resource| resource.metrics()) {
                if !declared.iter().any(|name| name == metric.name) {
                    return Err(format!("it measures `{}`, which it does not declare", metric.name));
                }
            }
        }
        Ok(())
    }

    async fn batches(running: Running) -> Shown {
        let Running { entry, service, receiver, .. } = &running;
        for &signal in entry.signals {
            for (what, batch) in [
                ("nothing", batch(signal, "", 0)),
                ("bare items", batch(signal, "", ITEMS)),
                ("items", batch(signal, "usual", ITEMS)),
            ] {
                let refused = receiver.emit(batch).await == Verdict::Refused(Refusal::Permanent);
                let kinds = failures(entry, service);
                if refused || kinds.contains(&ErrorKind::Panic) {
                    return Err(format!(
                        "a batch of {signal} with {what} is refused for good, or fails with {kinds:?}"
                    ));
                }
                if let Some(kind) =
                    kinds.into_iter().find(|kind| !OF_THE_RUNTIME.contains(kind) && !entry.kinds.contains(kind))
                {
                    return Err(format!("it fails with `{kind}`, which it does not declare"));
                }
            }
        }
        Ok(())
    }

    async fn stop(running: Running) -> Shown {
        let name = running.entry.name;
        let told = running.service.stop().await;
        let mut of_it = told.iter().filter(|told| told.meta.component.as_ref().is_some_and(|id| id.as_str() == name));
        let aborted = of_it
            .any(|told| matches!(told.event, Event::Service(ServiceEvent::Stopped { reason: StopReason::Crashed })));
        if aborted { Err("it does not stop when it is asked to, and was aborted".to_owned()) } else { Ok(()) }
    }

    async fn restart(mut running: Running) -> Shown {
        let name = running.entry.name;
        running.service.running.panic_in(name);
        running.service.wait_restart(name).await;
        let mut status = watched(&running);
        let settled = |status: &Status| matches!(status.state, State::Ok | State::PermanentError | State::FatalError);
        let settled = within_ceiling(status.wait_for(settled)).await;
        let settled = settled.map_err(|_| "it is gone after its restart".to_owned())?;
        if settled.state == State::Ok { Ok(()) } else { Err(format!("after its restart it is {:?}", *settled)) }
    }
}

fn errors(role: Role) -> &'static str {
    match role {
        Role::Receiver => "tracecore_receiver_errors_total",
        Role::Processor => "tracecore_processor_errors_total",
        Role::Exporter => "tracecore_exporter_errors_total",
    }
}

/// The kinds of all that has failed in the component until now.
fn failures(entry: &Entry, service: &TestService) -> Vec<ErrorKind> {
    let snapshot = service.snapshot();
    let failed = |kind: &ErrorKind| {
        let labels = [("component_id", entry.name), ("kind", kind.as_str())];
        let families = [errors(entry.role), "tracecore_exporter_calls_total"];
        families.iter().flat_map(|family| snapshot.scrape(family, &labels)).any(|count| count > 0.0)
    };
    ErrorKind::ALL.into_iter().filter(failed).collect()
}

/// A service with the component, between others of the kit.
struct Running {
    entry: &'static Entry,
    receiver: ScriptedReceiver,
    exporter: RecordingExporter,
    service: TestService,
}

impl Running {
    async fn of(of: &Conformance) -> Self {
        let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
        let yaml = pipelines(of.entry, &of.settings, &receiver, &exporter);
        // The events say how it stopped.
        let service = TestService::start_telling(&yaml).await;
        Running { entry: of.entry, receiver, exporter, service }
    }
}

/// The status of the component, as it changes.
fn watched(running: &Running) -> watch::Receiver<Status> {
    let id = running.entry.name.parse().expect("a type is an id");
    running.service.running.watch(running.entry.role, &id).expect("it is in the configuration")
}

/// A pipeline with the component for each of its signals. An exporter delivers while its receiver waits.
fn pipelines(entry: &Entry, settings: &str, receiver: &ScriptedReceiver, exporter: &RecordingExporter) -> String {
    let ids = |role: Role, other: &'static str| if entry.role == role { entry.name } else { other };
    let (first, last) = (ids(Role::Receiver, "test_source"), ids(Role::Exporter, "test_sink"));
    let mut yaml = String::new();
    let at_once = "\nsending_queue: {enabled: false}\nretry_on_failure: {enabled: false}";
    for role in Role::ALL {
        let (id, settings) = match role {
            Role::Receiver if entry.role != role => (first, format!("key: {receiver}")),
            Role::Exporter if entry.role != role => (last, format!("key: {exporter}")),
            Role::Processor if entry.role != role => continue,
            Role::Exporter if !settings.contains("sending_queue") => (entry.name, format!("{settings}{at_once}")),
            _ => (entry.name, settings.to_owned()),
        };
        let settings: String = settings.lines().map(|line| format!("    {line}\n")).collect();
        yaml += &format!("{}:\n  {id}:\n{settings}", role.section());
    }
    // A second life that fails is the last.
    yaml += "service:\n  restart_budget: 1\n  pipelines:\n";
    let processors = if entry.role == Role::Processor { entry.name } else { "" };
    for signal in entry.signals {
        yaml += &format!("    {signal}: {{receivers: [{first}], processors: [{processors}], exporters: [{last}]}}\n");
    }
    yaml
}

/// The service that this YAML asks for, or what is wrong with it.
fn built(yaml: &str) -> Result<Service, String> {
    let loaded = config::load(&[Source::Yaml(yaml.to_owned())], &[], &|_| None);
    let service = loaded.map_err(|errors| errors.to_string()).and_then(|loaded| {
        Service::builder().build_loaded(loaded, &registry()).map_err(|error| Report(&error).to_string())
    });
    service.map_err(|error| format!("{error}\n{yaml}"))
}

fn batch(signal: Signal, name: &str, items: usize) -> Batch {
    match signal {
        Signal::Traces => spans(name, items),
        Signal::Metrics => metrics(name, items),
        Signal::Logs => logs(name, items),
    }
}

/// A panic is a way to say that a rule is not kept.
fn caught(rule: impl FnOnce() -> Shown) -> Shown {
    catch_unwind(AssertUnwindSafe(rule)).unwrap_or_else(|payload| Err(Failure::panic(&*payload).message))
}
