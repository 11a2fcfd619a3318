//! The command line.

use std::path::PathBuf;

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
    /// Check a configuration without running it
    ///
    /// All that is wrong is told at once, each with its file, line and column, on standard error. Exit codes: 0 the
    /// configuration is valid, 2 it is not or the arguments are wrong, 1 it could not be checked.
    Validate(ValidateArgs),
    /// List the components of this program
    Components {
        /// How to write the list
        #[arg(long, value_enum, default_value_t = ListFormat::Yaml)]
        format: ListFormat,
    },
    /// Print a configuration as it is after merging and resolving; it must be valid
    #[command(alias = "print-initial-config")]
    PrintConfig {
        #[command(flatten)]
        config: ConfigArgs,
        /// Whether secrets are shown
        #[arg(long, value_enum, default_value_t)]
        mode: Mode,
    },
    /// Print the JSON Schema (2020-12) of all that this program can be configured with
    Schema {
        /// That of one component's settings alone, such as receiver/otlp
        #[arg(long, value_name = "ROLE/TYPE")]
        component: Option<String>,
    },
    /// Print the pages about the components of this program, as Markdown
    Docs {
        /// The page of one component, such as receiver/otlp; without it, the list of all
        #[arg(value_name = "ROLE/TYPE")]
        component: Option<String>,
        /// Write every page into this folder instead; it is made if there is none
        #[arg(long, value_name = "DIR", conflicts_with = "component")]
        output: Option<PathBuf>,
    },
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

#[derive(Debug, clap::Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Take a warning, such as one of a variable that is not set, for an error
    #[arg(long)]
    pub(crate) strict: bool,
    /// Show the configuration as it is resolved, defaults included, and where each value comes from
    #[arg(long, conflicts_with = "format")]
    pub(crate) explain: bool,
    /// How to say what was found
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object on standard output
    Json,
}

/// How the components are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    /// As YAML
    Yaml,
    /// As JSON
    Json,
}

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// As `[REDACTED]`
    #[default]
    Redacted,
    /// As they are
    Unredacted,
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
