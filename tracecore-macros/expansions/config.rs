/// Settings of the `clock` receiver.
#[config]
struct Config {
    /// Time between two ticks.
    #[default(Period::millis(100))]
    interval: Period,
    /// How much is sent at once.
    #[default]
    batch: Batching,
    /// Stop after so many ticks.
    limit: Option<NonZeroU64>,
}

/// How ticks become batches.
#[config]
struct Batching {
    /// Where to.
    endpoint: Endpoint,
    /// Wait for more.
    #[default(false)]
    r#await: bool,
}

/// How to choose the next endpoint.
#[config]
#[derive(Copy)]
enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one that the label names.
    #[value("by-label")]
    ByLabel,
}

/// Where a certificate comes from.
#[config]
enum Certificate {
    /// None is needed.
    Off,
    /// From this file.
    File(PathBuf),
    /// From a directory that is watched.
    Watched {
        /// The directory.
        path: PathBuf,
        /// Time between two looks.
        #[default(Period::secs(10))]
        interval: Period,
    },
}
