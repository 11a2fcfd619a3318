//! The program as a library: a distribution of its own is a ten-line crate that mentions its component crates and calls
//! [`main`].

mod args;
mod bundle;
mod collect;
mod help;
mod report;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use tracecore::config::{self, ConfigErrors, Loaded, Node, Show, Source};
use tracecore::docs;
use tracecore::registry::{Entry, Registry};
use tracecore::runtime::{BuildError, Service};
use tracecore::schema;
use tracecore::telemetry::BuildInfo;

use args::{Args, Command, ConfigArgs, Format, ListFormat, Mode, Receivers, ValidateArgs};
#[doc(hidden)]
pub use collect::Signals;

/// The exit code for a configuration that does not hold, apart from 1 for what fails when it runs.
const INVALID: u8 = 2;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    // A library or a test may have set up logging before us: then its choice stands.
    let log = tracecore::telemetry::init_logging().ok();
    let done = match args.command {
        Command::Collect(config) => collect::collect(&config, log.as_ref()),
        Command::Validate(config) => validate(&config),
        Command::Components { format } => components(format),
        Command::PrintConfig { config, mode } => print_config(&config, mode),
        Command::Receivers(Receivers::List) => list_receivers(),
        Command::Schema { component } => print_schema(component.as_deref()),
        Command::Docs { check: Some(folder), .. } => check_docs(&folder),
        Command::Docs { component, output, .. } => print_docs(component.as_deref(), output.as_deref()),
        Command::Version(args) => bundle::version(&args),
        Command::Completions { shell } => Ok(help::completions(shell)),
        Command::Man { of } => help::man(&of),
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
    fn invalid(error: &(dyn Error + 'static)) -> Self {
        let message = format!("error: {}", tracecore::error::Report(error));
        Failure { message, code: INVALID }
    }

    /// A file or a folder that cannot be written.
    fn unwritten(path: &Path, error: &io::Error) -> Self {
        Failure { message: format!("error: cannot write {}: {error}", path.display()), code: 1 }
    }

    fn failed(error: &(dyn Error + 'static)) -> Self {
        let message = format!("error: {}", tracecore::error::Report(error));
        Failure { message, code: 1 }
    }
}

/// Why there is no service.
enum Refused {
    /// The configuration does not hold.
    Config(ConfigErrors),
    Other(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Config(errors) => Failure { message: report::problems(&errors.0), code: INVALID },
            Refused::Other(failure) => failure,
        }
    }
}

/// A configuration that holds.
struct Built {
    service: Service,
    /// As it was loaded.
    root: Node,
    registry: Registry,
}

/// The service that the arguments ask for. Touches nothing but the files of the configuration.
fn build(args: &ConfigArgs, strict: bool) -> Result<Built, Refused> {
    let loaded = load(args)?;
    let registry = registry().map_err(Refused::Other)?;
    let root = loaded.root().clone();
    let builder = Service::builder().build_info(build_info()).strict(strict);
    let service = builder.build_loaded(loaded, &registry).map_err(|error| match error {
        BuildError::Config(errors) => Refused::Config(errors),
        error => Refused::Other(Failure::failed(&error)),
    })?;
    Ok(Built { service, root, registry })
}

/// The configuration that the arguments name, as it stands in its files.
fn load(args: &ConfigArgs) -> Result<Loaded, Refused> {
    let sources = sources(args).map_err(Refused::Other)?;
    config::load(&sources, &args.set, &variable).map_err(Refused::Config)
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

fn validate(args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let checked = match build(&args.config, args.strict) {
        Ok(built) => Ok(built),
        Err(Refused::Config(errors)) => Err(errors),
        Err(Refused::Other(failure)) => return Err(failure),
    };
    match (args.format, checked) {
        (Format::Text, Ok(Built { service, root, registry })) => {
            if !service.warnings().is_empty() {
                report::error(&report::problems(service.warnings()));
            }
            report::line(&report::wiring(service.graph()));
            if args.explain {
                let show = Show { defaults: true, origins: true, secrets: false };
                let resolved = config::resolved(&root, &schema::configuration(&registry), show);
                report::line(&report::explained(&resolved, service.surface().is_some()));
            }
        }
        (Format::Text, Err(errors)) => return Err(Refused::Config(errors).into()),
        (Format::Json, Ok(Built { service, .. })) => {
            report::json(&report::checked(service.warnings(), Some(service.graph())));
        }
        (Format::Json, Err(errors)) => {
            report::json(&report::checked(&errors.0, None));
            return Ok(ExitCode::from(INVALID));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn components(format: ListFormat) -> Result<ExitCode, Failure> {
    let registry = registry()?;
    match format {
        ListFormat::Yaml => report::line(report::components(&registry).trim_end()),
        ListFormat::Json => report::json(&schema::catalog(&registry)),
    }
    Ok(ExitCode::SUCCESS)
}

fn list_receivers() -> Result<ExitCode, Failure> {
    report::line(&report::receivers(&registry()?));
    Ok(ExitCode::SUCCESS)
}

fn print_config(args: &ConfigArgs, mode: Mode) -> Result<ExitCode, Failure> {
    let Built { root, registry, .. } = build(args, false)?;
    let show = Show { defaults: false, origins: false, secrets: mode == Mode::Unredacted };
    report::line(config::resolved(&root, &schema::configuration(&registry), show).trim_end());
    Ok(ExitCode::SUCCESS)
}

fn print_schema(component: Option<&str>) -> Result<ExitCode, Failure> {
    let registry = registry()?;
    let schema = match component {
        None => schema::configuration(&registry),
        Some(wanted) => schema::component(find(&registry, wanted)?),
    };
    report::json(&schema);
    Ok(ExitCode::SUCCESS)
}

fn print_docs(component: Option<&str>, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let registry = registry()?;
    match (component, output) {
        (_, Some(folder)) => {
            fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
            for (name, page) in docs::pages(&registry) {
                let path = folder.join(name);
                fs::write(&path, page).map_err(|error| Failure::unwritten(&path, &error))?;
            }
        }
        (Some(wanted), None) => report::line(docs::component(find(&registry, wanted)?).trim_end()),
        (None, None) => report::line(docs::index(&registry).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

fn check_docs(folder: &Path) -> Result<ExitCode, Failure> {
    let pages = docs::pages(&registry()?);
    let is_written = |name: &str, page: &str| fs::read_to_string(folder.join(name)).is_ok_and(|is| is == page);
    let differs = pages.iter().filter(|(name, page)| !is_written(name, page)).map(|(name, _)| name.clone());
    let differs: Vec<_> = differs.collect();
    // A page that nobody writes is of a component that is gone.
    let there = fs::read_dir(folder).into_iter().flatten().flatten();
    let there = there.filter_map(|file| file.file_name().into_string().ok());
    let gone: Vec<_> = there.filter(|name| name.ends_with(".md") && !pages.contains_key(name)).collect();
    for name in &differs {
        let (path, output) = (folder.join(name), folder.display());
        let path = path.display();
        report::error(&format!(
            "error: {path} is not as this program writes it: run `tracecore docs --output {output}`"
        ));
    }
    for name in &gone {
        let path = folder.join(name);
        report::error(&format!("error: {} is of no component of this program: delete it", path.display()));
    }
    Ok(if differs.is_empty() && gone.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The component that is called `role/type` on the command line.
fn find(registry: &Registry, wanted: &str) -> Result<&'static Entry, Failure> {
    let named = |entry: &&Entry| {
        let (role, name) = wanted.split_once('/').unwrap_or_default();
        role == entry.role.as_str() && (name == entry.name || entry.aliases.contains(&name))
    };
    registry.iter().find(named).ok_or_else(|| {
        let message =
            format!("error: this program has no component {wanted:?}: `tracecore components` lists what it has");
        Failure { message, code: INVALID }
    })
}

fn registry() -> Result<Registry, Failure> {
    Registry::linked().map_err(|error| Failure::failed(&error))
}
