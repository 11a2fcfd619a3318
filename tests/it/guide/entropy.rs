//! The `entropy` receiver: how much randomness the kernel has.

use std::fs;
use std::io;
use std::time::Duration;

use tracecore::prelude::*;

/// How long a read may take: a file of the kernel's answers at once, or its driver hangs.
const DEADLINE: Duration = Duration::from_secs(1);

/// Reads how much entropy the kernel has at hand.
#[receiver("entropy", signals = [Metrics], config = Config, data = Data, error = Error)]
struct Entropy {
    config: Config,
}

/// Settings of the `entropy` receiver.
#[config]
struct Config {
    /// Time between two reads.
    #[default(Period::secs(10))]
    interval: Period,
    /// The file with the number of bits.
    #[default("/proc/sys/kernel/random/entropy_avail".to_owned())]
    path: String,
}

/// What it measures.
#[derive(MetricSet)]
struct Data {
    /// Entropy that the kernel has at hand.
    #[unit("bit")]
    available: Gauge,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    #[error("cannot read {0}")]
    #[kind(Read)]
    Read(String, #[source] io::Error),
    #[error("{0} did not answer")]
    #[kind(Read)]
    Blocked(String, #[source] Blocked),
    #[error("{0} holds no number: {1:?}")]
    #[kind(Parse)]
    NoNumber(String, String),
}

impl Receiver for Entropy {
    fn new(config: Config) -> Result<Self, Error> {
        Ok(Entropy { config })
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Error> {
        while cx.tick(self.config.interval).await {
            match self.read(&cx).await {
                Ok(bits) => {
                    cx.data.available.set(bits, ());
                    cx.emit_data().await;
                }
                Err(error) => cx.report(&error),
            }
        }
        Ok(())
    }
}

impl Entropy {
    async fn read(&self, cx: &Cx<Self>) -> Result<f64, Error> {
        let path = self.config.path.clone();
        let from = path.clone();
        let read = cx.blocking("read", DEADLINE, move || fs::read_to_string(from)).await;
        let text = read.map_err(|error| Error::Blocked(path.clone(), error))?;
        let text = text.map_err(|error| Error::Read(path.clone(), error))?;
        text.trim().parse().map_err(|_| Error::NoNumber(path, text))
    }
}
