/// Sends one tick per interval.
///
/// For trying out what stands behind it.
#[receiver("clock", aliases = ["clockreceiver"], signals = [Metrics], config = Config, data = Data, since = "0.2.0")]
struct Clock {
    config: Config,
}

/// Lets one batch in `every` through.
#[processor("sample", config = Config, error = Error, stability = Beta)]
struct Sample {
    config: Config,
}

/// Writes every batch to standard output.
#[exporter("stdout", telemetry = Health)]
struct Stdout;
