//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use tracecore::config::HttpUrl;

use crate::help;

/// An observability collector for GPU clusters
///
/// One program on every node, and the same program as a gateway. It reads a configuration in the shape of the OpenTelemetry
/// Collector's, carries traces, metrics and logs from receivers through processors to exporters, and tells about itself on a
/// telemetry surface of its own.
#[derive(Debug, Parser)]
#[command(name = "tracecore", version = version(), disable_help_subcommand = true, after_long_help = help::PROGRAM)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect until SIGINT or SIGTERM, then drain and exit 0
    ///
    /// Without --config it collects this host and shows its metrics to Prometheus on localhost:8889. The first SIGINT or
    /// SIGTERM stops the receivers and drains the queues for up to `service.drain_timeout`; a second one ends it at once. The
    /// log goes to standard error.
    #[command(after_long_help = help::COLLECT)]
    Collect(ConfigArgs),
    /// Check a configuration without running it
    ///
    /// All that is wrong is told at once, each with its file, line and column, on standard error. Nothing is touched but the
    /// files of the configuration: no port is taken and nothing is connected to.
    #[command(after_long_help = help::VALIDATE)]
    Validate(ValidateArgs),
    /// List the components of this program
    ///
    /// Receivers, processors and exporters, each with what it does, the signals that it carries, and how much it may still
    /// change.
    #[command(after_long_help = help::COMPONENTS)]
    Components {
        /// How to write the list
        #[arg(long, value_enum, default_value_t = ListFormat::Yaml)]
        format: ListFormat,
    },
    /// Tell about the receivers of this program
    #[command(subcommand)]
    Receivers(Receivers),
    /// Print a configuration as it is after merging and resolving
    ///
    /// All sources are merged, the references such as ${env:NAME} resolved, and secrets shown as [REDACTED]. What is printed
    /// is a configuration again. It must be valid. `validate --explain` shows the defaults too, and where each value comes
    /// from.
    #[command(alias = "print-initial-config", after_long_help = help::PRINT_CONFIG)]
    PrintConfig {
        #[command(flatten)]
        config: ConfigArgs,
        /// Whether secrets are shown
        #[arg(long, value_enum, default_value_t)]
        mode: Mode,
    },
    /// Print the JSON Schema (2020-12) of all that this program can be configured with
    ///
    /// An editor that knows it completes and explains a configuration while it is written.
    #[command(after_long_help = help::SCHEMA)]
    Schema {
        /// That of one component's settings alone, such as receiver/otlp
        #[arg(long, value_name = "ROLE/TYPE")]
        component: Option<String>,
    },
    /// Print the pages about the components of this program, as Markdown
    ///
    /// One for each, with its settings, what it measures and what can go wrong; a list of all; and every kind of error with
    /// what to do about it. They are of exactly this program.
    #[command(after_long_help = help::DOCS)]
    Docs {
        /// The page of one component, such as receiver/otlp; without it, the list of all
        #[arg(value_name = "ROLE/TYPE")]
        component: Option<String>,
        /// Write every page into this folder instead; it is made if there is none
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "component")]
        output: Option<PathBuf>,
        /// Say which pages in this folder are not as they would be written, or are of no component, and write nothing
        #[arg(
            long,
            value_name = "DIR",
            value_hint = ValueHint::DirPath,
            num_args = 0..=1,
            default_missing_value = "docs/components",
            conflicts_with_all = ["component", "output"]
        )]
        check: Option<PathBuf>,
    },
    /// Say what this program is, and gather what a bug report needs
    ///
    /// Without --bundle it prints what --version does. With it, it writes an archive: the version, the configuration as it is
    /// resolved, what is wrong with it, and the metrics and the status of a collector that runs with it. Secrets of the
    /// configuration are in none of its files, and nothing is sent anywhere.
    #[command(after_long_help = help::VERSION)]
    Version(VersionArgs),
    /// Print a script with which a shell completes the arguments of this program
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// Whose script
        shell: Shell,
    },
    /// Print a manual page
    #[command(after_long_help = help::MAN)]
    Man {
        /// The command that it is about, such as validate; without one, the program
        #[arg(value_name = "COMMAND")]
        of: Vec<String>,
    },
}

/// What can be told about the receivers.
#[derive(Debug, Subcommand)]
pub(crate) enum Receivers {
    /// List them, a line for each: its name, how much it may still change, its signals and what it does
    List,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// A configuration: a path, or file:, env: or yaml: and the rest. Later ones win; none means the embedded default
    ///
    /// May be given several times: mappings merge deeply, lists and all else are replaced by the later one.
    #[arg(long, value_name = "URI", value_hint = ValueHint::FilePath)]
    pub(crate) config: Vec<String>,
    /// Set one value, over all files: receivers.clock.interval=1s
    ///
    /// May be given several times. The value is read as YAML.
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

#[derive(Debug, clap::Args)]
#[command(mut_arg("config", |arg| arg.requires("bundle")), mut_arg("set", |arg| arg.requires("bundle")))]
pub(crate) struct VersionArgs {
    /// Write an archive for a bug report: a gzipped tar, in the place of a file that is there
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Ask the collector there, such as http://node-7:8888; without it, where telemetry.listen of the configuration says
    #[arg(long, value_name = "URL", requires = "bundle", value_hint = ValueHint::Url)]
    pub(crate) from: Option<HttpUrl>,
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
pub(crate) fn version() -> &'static str {
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
