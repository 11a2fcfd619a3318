//! The `test_meter` receiver: measures what its test tells it to, with every kind of instrument.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracecore::metrics::health;
use tracecore::prelude::*;
use tracecore::testing::{Scripts, within_ceiling};

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Measures what a test tells it to.
#[receiver("test_meter", aliases = ["test_meter_alias"], signals = [Metrics], config = Config, data = Data, telemetry = Health, error = NoScript)]
struct TestMeter {
    script: Arc<Script>,
}

/// Settings of the `test_meter` receiver.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
}

/// The key is nobody's.
#[derive(Debug, thiserror::Error, Classify)]
#[error("there is no script `{0}`")]
#[kind(Init)]
struct NoScript(String);

/// Every kind of instrument that sends data.
#[derive(MetricSet)]
pub struct Data {
    /// Whole numbers that only rise.
    #[unit("{tick}")]
    pub ticks: Counter,
    /// Fractions that only rise, by phase.
    #[unit("s")]
    #[name("test.busy.time")]
    pub busy: Counter<Phase, f64>,
    /// Bytes moved, by device and direction.
    #[unit("By")]
    #[name("test.io")]
    pub io: Counter<(Device, Direction)>,
    /// Requests between two devices, both known at run time only.
    #[unit("{request}")]
    #[name("test.lanes")]
    pub lanes: Counter<(Device, Lane)>,
    /// What rises and falls.
    #[unit("{thing}")]
    #[name("test.things")]
    pub things: UpDownCounter<Direction>,
    /// What stands for itself.
    #[unit("Cel")]
    #[name("test.temperature")]
    pub temperature: Gauge<Device>,
    /// A whole number that stands for itself.
    #[unit("1")]
    #[name("test.level")]
    pub level: Gauge<(), i64>,
    /// How long something took.
    #[unit("s")]
    #[name("test.duration")]
    #[buckets(0.1, 1.0, 10.0)]
    pub duration: Histogram<Phase>,
    /// How long an answer took.
    #[unit("s")]
    #[name("test.latency")]
    pub latency: Summary<Device>,
    /// How large an answer was.
    #[unit("By")]
    #[name("test.size")]
    #[quantiles(0.0, 0.5, 1.0)]
    pub size: Summary,
}

/// Its own health.
#[derive(MetricSet)]
pub struct Health {
    /// Ticks by mode.
    #[unit("{tick}")]
    #[name("test_meter.ticks_total")]
    pub ticks: health::Counter<Mode>,
}

/// A device, known only at run time.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("test.device")]
#[max(3)]
pub struct Device(pub Name);

/// Another thing known only at run time.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("test.lane")]
#[max(2)]
pub struct Lane(pub Name);

/// How it works. A label of its own: one of `/metrics` has no dot in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Label)]
#[key("mode")]
pub enum Mode {
    /// As it should.
    Normal,
    /// Less than it should.
    Safe,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Label)]
#[key("test.direction")]
pub enum Direction {
    /// To us.
    Read,
    /// From us.
    Write,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Label)]
#[key("test.phase")]
pub enum Phase {
    /// Little.
    Idle,
    /// Much.
    InUse,
}

type Measure = Box<dyn FnOnce(&mut Data, &Health) + Send>;

struct Script {
    measures: mpsc::UnboundedSender<(Measure, oneshot::Sender<Verdict>)>,
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Measure, oneshot::Sender<Verdict>)>>,
}

/// The far end of a `test_meter`.
pub struct Meter {
    key: String,
    script: Arc<Script>,
}

impl Default for Meter {
    fn default() -> Self {
        let (measures, told) = mpsc::unbounded_channel();
        let script = Arc::new(Script { measures, told: told.into() });
        Meter { key: SCRIPTS.keep("meter", &script), script }
    }
}

impl Meter {
    /// A meter that has measured nothing.
    pub fn new() -> Self {
        Meter::default()
    }

    /// Measures this, then sends everything that it has measured.
    pub async fn measure(&self, measure: impl FnOnce(&mut Data, &Health) + Send + 'static) -> Verdict {
        let (reply, verdict) = oneshot::channel();
        self.script
            .measures
            .send((Box::new(measure), reply))
            .unwrap_or_else(|_| unreachable!("the script holds the other end"));
        within_ceiling(verdict).await.expect("the meter lives until the verdict")
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Receiver for TestMeter {
    fn new(config: Config) -> Result<Self, NoScript> {
        let script = SCRIPTS.find(&config.key).ok_or(NoScript(config.key))?;
        Ok(TestMeter { script })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), NoScript> {
        let mut told = self.script.told.lock().await;
        while let Some(Some((measure, reply))) = cx.until_shutdown(told.recv()).await {
            measure(&mut cx.data, &cx.telemetry);
            // The test may have gone.
            let _ = reply.send(cx.emit_data().await);
        }
        Ok(())
    }
}
