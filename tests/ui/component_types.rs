use tracecore::prelude::*;

macro_rules! exporter {
    ($name:ident, $config:ty, $error:ty) => {
        impl Exporter for $name {
            fn new(_: $config) -> Result<Self, $error> {
                Ok($name)
            }

            async fn export(&self, _: &Batch, _: &Cx<Self>) -> Result<(), $error> {
                Ok(())
            }
        }
    };
}

struct Plain;

/// Its settings are none.
#[exporter("settings", config = Plain)]
struct Settings;
exporter!(Settings, Plain, Never);

/// Its metrics are none.
#[exporter("metrics", data = Plain)]
struct Metrics;
exporter!(Metrics, NoConfig, Never);

#[derive(Debug, thiserror::Error)]
#[error("broken")]
struct Unclassified;

/// Its error has no kinds.
#[exporter("error", error = Unclassified)]
struct Errs;
exporter!(Errs, NoConfig, Unclassified);

/// What it measures.
#[derive(MetricSet)]
struct Data {
    /// Batches seen.
    #[unit("{batch}")]
    batches: Counter,
}

/// It measures where it should count its own health.
#[exporter("end", telemetry = Data)]
struct End;
exporter!(End, NoConfig, Never);

fn main() {}
