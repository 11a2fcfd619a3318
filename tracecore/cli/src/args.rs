//! The command line.

use clap::{Parser, Subcommand};

/// An observability collector for GPU clusters.
#[derive(Debug, Parser)]
#[command(name = "tracecore", version = version(), disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect until SIGINT or SIGTERM, then drain and exit 0; a second signal exits at once
    Collect(ConfigArgs),
    /// Check a configuration without running it: exit 0 if it is valid, 2 if not
    Validate(ConfigArgs),
    /// List the components of this program, as YAML
    Components,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// A configuration: a path, or file:, env: or yaml: and the rest. Later ones win; none means the embedded default
    #[arg(long, value_name = "URI")]
    pub(crate) config: Vec<String>,
    /// Set one value, over all files: receivers.clock.interval=1s
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Everything that a bug report needs to say what was running.
fn version() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\nrevision=",
        env!("TRACECORE_REVISION"),
        "\ndate=",
        env!("TRACECORE_DATE"),
        "\nrustc=",
        env!("TRACECORE_RUSTC"),
        "\notel-sdk-metric=v",
        env!("TRACECORE_VERSION_OPENTELEMETRY_SDK"),
        "\notel-prom-exporter=v",
        env!("TRACECORE_VERSION_OPENTELEMETRY_PROMETHEUS"),
        "\notel-proto=v",
        env!("TRACECORE_VERSION_OPENTELEMETRY_PROTO"),
    )
}
