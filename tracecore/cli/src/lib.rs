//! The program as a library: a distribution of its own is a ten-line crate that mentions its component crates and calls
//! [`main`].

mod args;
mod collect;
mod report;

use std::process::ExitCode;

use clap::Parser;
use tracecore::config::{self, Config, Loaded, Source};
use tracecore::registry::Registry;
use tracecore::runtime::Service;
use tracecore::telemetry::BuildInfo;

use args::{Args, Command, ConfigArgs};
#[doc(hidden)]
pub use collect::Signals;

/// The exit code for a configuration that does not hold, apart from 1 for what fails when it runs.
const INVALID: u8 = 2;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    // A library or a test may have set up logging before us: then its choice stands.
    let _ = tracecore::telemetry::init_logging();
    let done = match args.command {
        Command::Collect(config) => collect::collect(&config),
        Command::Validate(config) => validate(&config),
        Command::Components => components(),
    };
    done.unwrap_or_else(|failure| {
        report::error(&failure.message);
        ExitCode::from(failure.code)
    })
}

/// What ends the program other than well.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn invalid(error: &(dyn std::error::Error + 'static)) -> Self {
        Failure { message: tracecore::error::Report(error).to_string(), code: INVALID }
    }

    fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Failure { message: tracecore::error::Report(error).to_string(), code: 1 }
    }
}

/// The service that the arguments ask for, and its configuration. Touches nothing but the files of the configuration.
fn build(args: &ConfigArgs) -> Result<Service, Failure> {
    let sources = sources(args)?;
    let Loaded { root, warnings } =
        config::load(&sources, &args.set, &variable).map_err(|errors| Failure::invalid(&errors))?;
    let config = Config::from_tree(root).map_err(|errors| Failure::invalid(&errors))?;
    for warning in warnings.iter().chain(&config.warnings) {
        tracing::warn!(%warning, "configuration");
    }
    let registry = Registry::linked().map_err(|error| Failure::failed(&error))?;
    let builder = Service::builder().build_info(build_info());
    builder.build(config, &registry).map_err(|error| Failure::invalid(&error))
}

/// A variable of the environment. What is not UTF-8 in it shows as replacement characters: it is set, so it must not look
/// unset.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn sources(args: &ConfigArgs) -> Result<Vec<Source>, Failure> {
    if args.config.is_empty() {
        return Ok(vec![Source::Embedded { name: "default.yaml", text: include_str!("default.yaml") }]);
    }
    let parsed = args.config.iter().map(|uri| Source::from_uri(uri));
    parsed.collect::<Result<_, _>>().map_err(|error| Failure::invalid(&error))
}

/// What the program says of itself.
fn build_info() -> BuildInfo {
    BuildInfo::new("tracecore", env!("CARGO_PKG_VERSION"), env!("TRACECORE_REVISION"))
}

fn validate(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let service = build(args)?;
    let pipelines = &service.graph().pipelines;
    report::line(&format!("config valid: {} pipeline(s)", pipelines.len()));
    for pipeline in pipelines {
        report::line(&format!(
            "{}: receivers={} processors={} exporters={}",
            pipeline.id,
            pipeline.receivers.len(),
            pipeline.processors.len(),
            pipeline.exporters.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn components() -> Result<ExitCode, Failure> {
    let registry = Registry::linked().map_err(|error| Failure::failed(&error))?;
    report::line(report::components(&registry).trim_end());
    Ok(ExitCode::SUCCESS)
}
