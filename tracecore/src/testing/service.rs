//! A service under test: built from YAML, its events heard from the first on.

use std::collections::HashMap;
use std::fmt::Display;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ceiling::within_ceiling;
use super::heard::{Heard, Listener, Listening};
use super::mode::events_enabled;
use super::telemetry::{TelemetrySnapshot, sample};
use super::{event, registry};
use crate::config::{self, Config, Loaded, Source};
use crate::events::{Filter, Occurrence, Subscription};
use crate::memory::Memory;
use crate::runtime::{BuildError, Builder, Running, Service, StartError};
use crate::telemetry::{BuildInfo, Resource};
use crate::time::Clock;

/// A running service and its events.
///
/// It has the components that are linked into the test and those of the kit, and an identity that is the same on every
/// machine: command `tracecore-tests`, version 1.2.3, host `node-7`, instance `one`. Its wall clock begins 1,000,000,000
/// seconds after the epoch and moves with the pausable clock.
///
/// ```
/// use tracecore::testing::{RecordingExporter, ScriptedReceiver, TestService, metrics, pipeline};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(async {
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
/// let before = service.snapshot();
/// receiver.emit(metrics("cpu.time", 3)).await;
/// let accepted = before.delta("tracecore_pipeline_items_total", &[("direction", "in")]);
/// assert_eq!(accepted, 3.0);
/// service.stop().await;
/// # });
/// ```
pub struct TestService {
    /// The service.
    pub running: Running,
    /// Its events since before the start.
    pub events: Subscription,
    heard: Heard,
    /// The restarts that [`TestService::wait_restart`] has told of.
    pub(super) restarts: HashMap<String, u64>,
}

impl Listening for TestService {
    fn listening(&mut self) -> Listener<'_> {
        Listener { events: &mut self.events, heard: Some(&mut self.heard) }
    }
}

/// The configuration that this YAML is. It sees no variable of the environment.
///
/// # Panics
/// When it is none, with all that is wrong.
pub fn config(yaml: &str) -> Config {
    let loaded = config::load(&[Source::Yaml(yaml.to_owned())], &[], &|_| None);
    let config = loaded.and_then(Loaded::config);
    config.unwrap_or_else(|errors| panic!("{errors}"))
}

/// The service that this YAML asks for, not started, and its events from the first on.
///
/// # Panics
/// When there is no such service, with all that is wrong.
pub fn build(yaml: &str) -> (Service, Subscription) {
    build_by(yaml, |builder| builder)
}

/// As [`build`], with a wall clock of the test's own.
///
/// # Panics
/// As [`build`].
pub fn build_with(yaml: &str, clock: Clock) -> (Service, Subscription) {
    build_by(yaml, |builder| builder.clock(clock))
}

fn build_by(yaml: &str, with: impl FnOnce(Builder) -> Builder) -> (Service, Subscription) {
    // A round second, so that start times can be read off.
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let build = BuildInfo::new("tracecore-tests", "1.2.3", "");
    let resource = Resource::detect(&build).with("host.name", "node-7").with("service.instance.id", "one");
    // What the machine has and uses is no matter of a test.
    let memory = Memory::new(None, || None);
    let builder = Service::builder().build_info(build).resource(resource).clock(clock).memory(memory);
    let builder = builder.events_enabled(events_enabled());
    let service = with(builder).build(config(yaml), &registry()).unwrap_or_else(|error| panic!("{error}"));
    let events = service.events().subscribe(Filter::all());
    (service, events)
}

/// Why this YAML, which is a configuration, makes no service.
///
/// # Panics
/// When it makes one.
pub fn build_error(yaml: &str) -> BuildError {
    Service::builder().build(config(yaml), &registry()).err().expect("this is no service")
}

/// The YAML of one pipeline of metrics from a `test_source` to a `test_sink` with these keys, and with more settings of the
/// exporter, a line each.
///
/// ```
/// use tracecore::testing::{RecordingExporter, ScriptedReceiver, pipeline};
///
/// let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
/// let yaml = pipeline(&receiver, &exporter, "sending_queue: {queue_size: 1}");
/// assert!(yaml.contains(&format!("    key: {exporter}\n    sending_queue: {{queue_size: 1}}\n")));
/// ```
pub fn pipeline(receiver: impl Display, exporter: impl Display, settings: &str) -> String {
    let settings = settings.lines().map(|line| format!("\n    {}", line.trim_end())).collect::<String>();
    format!(
        "
receivers:
  test_source:
    key: {receiver}
exporters:
  test_sink:
    key: {exporter}{settings}
service:
  pipelines:
    metrics:
      receivers: [test_source]
      exporters: [test_sink]
"
    )
}

impl TestService {
    /// Starts the service that this YAML asks for, and waits until it is ready.
    ///
    /// # Panics
    /// When there is no such service, when it does not start, and when it does not get ready.
    pub async fn start(yaml: &str) -> TestService {
        TestService::start_built(build(yaml)).await
    }

    /// As [`TestService::start`], with a wall clock of the test's own.
    ///
    /// # Panics
    /// As [`TestService::start`].
    pub async fn start_with(yaml: &str, clock: Clock) -> TestService {
        TestService::start_built(build_with(yaml, clock)).await
    }

    /// As [`TestService::start`], with events whatever the environment says.
    pub(super) async fn start_telling(yaml: &str) -> TestService {
        TestService::start_built(build_by(yaml, |builder| builder.events_enabled(true))).await
    }

    async fn start_built(built: (Service, Subscription)) -> TestService {
        let mut service = TestService::try_start_built(built).await.unwrap_or_else(|error| panic!("{error}"));
        service.wait_ready().await;
        service
    }

    /// As [`TestService::start`], in a process that has this memory: what it uses is what the test says.
    ///
    /// # Panics
    /// As [`TestService::start`].
    pub async fn start_in(memory: Memory, yaml: &str) -> TestService {
        TestService::start_built(build_by(yaml, |builder| builder.memory(memory))).await
    }

    /// Starts the service that this YAML asks for. It may not be ready yet.
    ///
    /// # Errors
    /// As [`Service::start`].
    ///
    /// # Panics
    /// When there is no such service.
    pub async fn try_start(yaml: &str) -> Result<TestService, StartError> {
        TestService::try_start_built(build(yaml)).await
    }

    async fn try_start_built((service, events): (Service, Subscription)) -> Result<TestService, StartError> {
        let running = service.start().await?;
        Ok(TestService { running, events, heard: Heard::default(), restarts: HashMap::new() })
    }

    /// Waits for the first event that `wanted` accepts: [`assert_event!`](super::assert_event) for a filter that a test
    /// has made.
    ///
    /// # Panics
    /// When none comes, with those that did.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: Filter) -> impl Future<Output = Arc<Occurrence>> {
        let place = Location::caller();
        async move { self.listening().one(wanted).await.unwrap_or_else(|unmet| panic!("{place}: {unmet}")) }
    }

    /// Waits for this many such events.
    ///
    /// # Panics
    /// As [`TestService::wait_for`].
    #[track_caller]
    pub fn wait_for_all(&mut self, count: usize, wanted: Filter) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            for _ in 0..count {
                let one = self.listening().one(wanted.clone()).await;
                one.unwrap_or_else(|unmet| panic!("{place}: {unmet}"));
            }
        }
    }

    /// The sum of the series of this family of its self-telemetry with these labels.
    ///
    /// # Panics
    /// When there is none, with what there is.
    pub fn sample(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        sample(self.running.telemetry(), family, labels)
    }

    /// Its self-telemetry as it is now, to compare with later.
    pub fn snapshot(&self) -> TelemetrySnapshot {
        TelemetrySnapshot::take(self.running.telemetry())
    }

    /// Stops the service and gives what it told since it was last listened to.
    pub async fn stop(mut self) -> Vec<Arc<Occurrence>> {
        within_ceiling(self.running.stop()).await;
        let mut told = Vec::new();
        let last = event!("service.stopped", component = "");
        while let Ok(occurrence) = self.events.next().await {
            let is_last = last.accepts(&occurrence);
            told.push(occurrence);
            if is_last {
                break;
            }
        }
        told
    }
}
