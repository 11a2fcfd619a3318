//! The `clock` receiver: the smallest component that measures something.

use tracecore::prelude::*;

/// Sends one tick per interval.
#[receiver("clock", aliases = ["clockreceiver"], signals = [Metrics], config = Config, data = Data)]
struct Clock {
    config: Config,
}

/// Settings of the `clock` receiver.
#[config]
struct Config {
    /// Time between two ticks.
    #[default(Period::millis(100))]
    interval: Period,
}

/// What it measures.
#[derive(MetricSet)]
struct Data {
    /// Ticks sent since the start.
    #[unit("{tick}")]
    ticks: Counter,
}

impl Receiver for Clock {
    fn new(config: Config) -> Result<Self, Never> {
        Ok(Clock { config })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Never> {
        while cx.tick(self.config.interval).await {
            cx.data.ticks.add(1, ());
            cx.emit_data().await;
        }
        Ok(())
    }
}
