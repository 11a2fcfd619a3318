//! A service under test: built from YAML, its events heard from the first on.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use tracecore::config::{self, Config, Source as ConfigSource};
use tracecore::events::{Event, Events, Subscription};
use tracecore::registry::Registry;
use tracecore::runtime::{BuildError, Running, Service, StartError};
use tracecore::telemetry::{BuildInfo, Resource, SelfTelemetry};
use tracecore::time::Clock;

/// How long an event may take: a ceiling for what hangs, far above what anything takes. With time paused it costs none,
/// and lies above the longest back-off.
const CEILING: Duration = Duration::from_secs(60);

/// A running service and its events.
pub struct Rig {
    /// The service.
    pub running: Running,
    /// Its events since before the start.
    pub events: Subscription,
}

/// The configuration that this YAML is.
pub fn config(yaml: &str) -> Config {
    let loaded = config::load(&[ConfigSource::Yaml(yaml.to_owned())], &[], &|_| None).expect("the YAML of a test");
    Config::from_tree(loaded.root).expect("the configuration of a test")
}

/// The service that this YAML asks for, and its events.
pub fn build(yaml: &str) -> (Service, Subscription) {
    let events = Events::default();
    let heard = events.subscribe();
    let registry = Registry::linked().expect("the fixtures are linked");
    let build = BuildInfo::new("tracecore-tests", "1.2.3", "");
    let resource = Resource::detect(&build).with("host.name", "node-7").with("service.instance.id", "one");
    // A round second, so that start times can be read off.
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let builder = Service::builder().events(events).build_info(build).resource(resource).clock(clock);
    (builder.build(config(yaml), &registry).expect("a service of these"), heard)
}

/// Why this YAML makes no service.
pub fn build_error(yaml: &str) -> BuildError {
    let registry = Registry::linked().expect("the fixtures are linked");
    Service::builder().build(config(yaml), &registry).err().expect("this is no service")
}

/// One pipeline from a `test_source` to a `test_sink`, with more settings of the sink, a line each.
pub fn pipeline(source: impl Display, sink: impl Display, settings: &str) -> String {
    let settings = settings.lines().map(|line| format!("\n    {}", line.trim_end())).collect::<String>();
    format!(
        "
receivers:
  test_source:
    key: {source}
exporters:
  test_sink:
    key: {sink}{settings}
service:
  pipelines:
    metrics:
      receivers: [test_source]
      exporters: [test_sink]
"
    )
}

impl Rig {
    /// Starts a service and waits until it is ready.
    pub async fn start(yaml: &str) -> Rig {
        let mut rig = Rig::try_start(yaml).await.expect("it starts");
        within_ceiling(rig.running.ready()).await;
        rig
    }

    /// Starts a service, which may not be ready yet.
    ///
    /// # Errors
    /// As `Service::start`.
    pub async fn try_start(yaml: &str) -> Result<Rig, StartError> {
        let (service, events) = build(yaml);
        Ok(Rig { running: service.start().await?, events })
    }

    /// Waits for the first event that `wanted` accepts.
    pub async fn wait_for(&mut self, wanted: impl FnMut(&Event) -> bool) -> Event {
        let event = within_ceiling(self.events.wait_for(wanted)).await;
        event.expect("the bus lives as long as the service")
    }

    /// Waits for this many such events.
    pub async fn wait_for_all(&mut self, count: usize, mut wanted: impl FnMut(&Event) -> bool) {
        for _ in 0..count {
            self.wait_for(&mut wanted).await;
        }
    }

    /// The sum of the series of this family with these labels.
    pub fn sample(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        sample(self.running.telemetry(), family, labels)
    }

    /// Stops the service and gives what it told since it was last listened to.
    pub async fn stop(mut self) -> Vec<Event> {
        within_ceiling(self.running.stop()).await;
        let mut told = Vec::new();
        let last = |event: &Event| *event == Event::ServiceStopped;
        while let Some(event) = self.events.next().await {
            told.push(event);
            if told.last().is_some_and(last) {
                break;
            }
        }
        told
    }
}

/// Waits for what a test expects. Panics where it does not come.
pub async fn within_ceiling<F: Future>(expected: F) -> F::Output {
    tokio::time::timeout(CEILING, expected).await.expect("it comes")
}

/// The sum of the series of this family with these labels. Panics where there is none: a test that asks for a series
/// that does not exist would pass for the wrong reason.
pub fn sample(telemetry: &SelfTelemetry, family: &str, labels: &[(&str, &str)]) -> f64 {
    let found = scrape(telemetry, family, labels);
    assert!(!found.is_empty(), "no series {family}{labels:?}");
    found.iter().sum()
}

/// The values of the series of this family with these labels. Of a histogram, the counts.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the path would name a crate that this one does not depend on"
)]
pub fn scrape(telemetry: &SelfTelemetry, family: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let families = telemetry.gather();
    let series = families.iter().filter(|known| known.name() == family).flat_map(|known| known.get_metric());
    let wanted = series.filter(|series| {
        labels.iter().all(|(key, value)| series.get_label().iter().any(|l| l.name() == *key && l.value() == *value))
    });
    // A series is one of the three; as the other two it reads as zero.
    wanted
        .map(|series| {
            let observations = series.get_histogram().get_sample_count() as f64;
            series.get_counter().get_value() + series.get_gauge().get_value() + observations
        })
        .collect()
}
