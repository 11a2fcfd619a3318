//! How the program is used: the examples and exit codes below each help text, the manual pages, and what shells complete.
//!
//! All of it is made of the arguments as they are declared. Deliberately absent: files; who installs the program writes
//! them where the system wants them.

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Args;
use crate::{Failure, INVALID, report};

pub(crate) const PROGRAM: &str = "\
Examples:
  tracecore collect                          collect this host; see localhost:8889/metrics
  tracecore collect --config agent.yaml      collect as the file says
  tracecore validate --config agent.yaml     say all that is wrong with it
  tracecore components                       what a configuration can be made of
  tracecore validate --help                  more about one command

Exit codes:
  0  done; of collect: stopped as it was asked to
  1  failed: a port was taken, a file could not be written, a component could not go on
  2  the configuration is not valid, or the arguments are wrong

Environment:
  RUST_LOG  how much the log says: error, warn, info (the default), debug or trace; also by
            part of the program, as in RUST_LOG=info,tracecore::queue=debug";

pub(crate) const COLLECT: &str = "\
Examples:
  tracecore collect
  tracecore collect --config /etc/tracecore/agent.yaml
  tracecore collect --config base.yaml --config site.yaml --set telemetry.enabled=true
  RUST_LOG=debug tracecore collect --config agent.yaml

Exit codes:
  0         stopped as it was asked to
  1         could not start, or could not go on
  2         the configuration is not valid, or the arguments are wrong
  130, 143  a second SIGINT or SIGTERM ended it at once";

pub(crate) const VALIDATE: &str = "\
Examples:
  tracecore validate --config agent.yaml
  tracecore validate --config agent.yaml --strict --format json    in a pipeline of changes
  tracecore validate --config agent.yaml --explain                 what it comes down to, and why

Exit codes:
  0  it is valid; there may be warnings
  1  it could not be checked
  2  it is not valid, or the arguments are wrong";

pub(crate) const COMPONENTS: &str = "\
Examples:
  tracecore components
  tracecore components --format json    with settings, metrics and kinds of errors, for programs";

pub(crate) const PRINT_CONFIG: &str = "\
Examples:
  tracecore print-config --config base.yaml --config site.yaml
  tracecore print-config                                       the embedded default

Exit codes:
  0  printed
  2  the configuration is not valid, or the arguments are wrong";

pub(crate) const SCHEMA: &str = "\
Examples:
  tracecore schema > tracecore.schema.json
  tracecore schema --component receiver/otlp

An editor with yaml-language-server then helps with a configuration that begins with
  # yaml-language-server: $schema=./tracecore.schema.json";

pub(crate) const DOCS: &str = "\
Examples:
  tracecore docs                     the list of all components
  tracecore docs receiver/otlp
  tracecore docs --output pages      every page as a file
  tracecore docs --check pages       in a pipeline of changes: are they still true?

Exit codes:
  0  printed, or written, or as written
  1  a page could not be written, or is not as it would be written
  2  there is no such component, or the arguments are wrong";

pub(crate) const VERSION: &str = "\
Examples:
  tracecore version
  tracecore version --bundle report.tgz --config /etc/tracecore/agent.yaml
  tracecore version --bundle report.tgz --from http://node-7:8888
  tar tf report.tgz                                         what is in it

Exit codes:
  0  printed, or written; what the archive lacks is said, in its README.txt too
  1  the archive could not be written
  2  the arguments are wrong";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  tracecore completions bash > /etc/bash_completion.d/tracecore
  tracecore completions zsh > \"${fpath[1]}/_tracecore\"
  tracecore completions fish > ~/.config/fish/completions/tracecore.fish";

pub(crate) const MAN: &str = "\
Examples:
  tracecore man | man -l -
  tracecore man validate | man -l -
  tracecore man > /usr/local/share/man/man1/tracecore.1
  tracecore man collect > /usr/local/share/man/man1/tracecore-collect.1";

/// A script with which a shell completes the arguments.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tracecore", &mut script);
    report::bytes(&script);
    ExitCode::SUCCESS
}

/// The manual page of the program, or of the command that these words name.
pub(crate) fn man(of: &[String]) -> Result<ExitCode, Failure> {
    let mut program = Args::command();
    // The names of commands in full, as in `tracecore-receivers-list`.
    program.build();
    let mut command = &program;
    for word in of {
        command = command.find_subcommand(word).ok_or_else(|| {
            let message = format!("error: there is no command {word:?}: `{} --help` lists them", named(command));
            Failure { message, code: INVALID }
        })?;
    }
    let mut page = Vec::new();
    let written = Man::new(command.clone()).manual("tracecore").source(source()).render(&mut page);
    written.and_then(|()| page.flush()).map_err(|error| Failure::failed(&error))?;
    report::bytes(&page);
    Ok(ExitCode::SUCCESS)
}

fn named(command: &clap::Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// What stands at the foot of each page.
fn source() -> &'static str {
    concat!("tracecore ", env!("CARGO_PKG_VERSION"))
}
