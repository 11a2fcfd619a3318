//! What can go wrong in the making.

use std::error::Error;

/// What can go wrong when the telemetry is set up or taken down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The name of a metric is not `[a-z][a-z0-9_.]*`.
    #[error("`{name}` is not a metric name: use lower-case words with dots or underscores between them")]
    Name {
        /// The name.
        name: &'static str,
    },
    /// The key of a label is not `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("metric `{name}`: `{key}` is not a label key: use letters, digits and underscores")]
    LabelKey {
        /// The name of the metric.
        name: &'static str,
        /// The key.
        key: &'static str,
    },
    /// The unit of a metric is not ASCII or too long.
    #[error("metric `{name}`: `{unit}` is not a unit: use at most 63 ASCII characters of UCUM")]
    Unit {
        /// The name of the metric.
        name: &'static str,
        /// The unit.
        unit: &'static str,
    },
    /// The buckets of a histogram are not ascending or not finite.
    #[error("metric `{name}`: the bucket edges must be finite and ascending")]
    Buckets {
        /// The name of the metric.
        name: &'static str,
    },
    /// A metric of this name exists, and it is another one.
    #[error("metric `{name}` exists with another type, help, unit, labels or buckets")]
    Conflict {
        /// The name.
        name: &'static str,
    },
    /// The exporter could not be set up.
    #[error("cannot set up the metrics exporter")]
    Exporter(#[source] Box<dyn Error + Send + Sync>),
    /// The exporter could not be taken down.
    #[error("cannot shut down the metrics exporter")]
    Shutdown(#[source] Box<dyn Error + Send + Sync>),
    /// The process has a log already.
    #[error("cannot set up the log")]
    Logging(#[source] Box<dyn Error + Send + Sync>),
}
