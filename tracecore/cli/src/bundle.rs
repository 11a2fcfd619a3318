//! `tracecore version --bundle`: what a bug report needs, in one archive.
//!
//! Invariants: no file of it has a secret of the configuration in it, wherever that turned up; what cannot be had is told,
//! and the rest is written all the same, for a collector that is ill is what it is for. Deliberately absent: the log, of
//! which the program keeps nothing, and any way of sending it.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::{fs, io};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, StatusCode};
use serde_json::Value;
use tracecore::config::{self, ConfigErrors, Endpoint, HttpUrl, Paths, Show, Telemetry};
use tracecore::error::Report;
use tracecore::net::{Client, ClientLimits};
use tracecore::schema;
use tracecore::time::Clock;

use crate::args::{ConfigArgs, VersionArgs, version as described};
use crate::{Built, Failure, Refused, build, load, registry, report};

/// The folder that the files are in once they are unpacked.
const FOLDER: &str = "tracecore-bundle";

/// The largest answer that is taken, in bytes: the metrics of a hundred thousand series and more.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The shortest secret that is looked for, in bytes: shorter ones, such as `1` or `true`, stand in every text.
const MIN_SECRET_BYTES: usize = 6;

/// What stands in for them.
const REDACTED: &str = "[REDACTED]";

/// What there is of a log.
const NO_LOG: &str = "the log: the program keeps none. Add what it wrote to standard error, as in `journalctl --unit tracecore \
                      --since -1h`";

/// Prints what the program is, or writes the archive.
pub(crate) fn version(args: &VersionArgs) -> Result<ExitCode, Failure> {
    let Some(path) = &args.bundle else {
        report::line(&program());
        return Ok(ExitCode::SUCCESS);
    };
    let bundle = Bundle::gather(args)?;
    bundle.packed().and_then(|packed| fs::write(path, packed)).map_err(|error| Failure::unwritten(path, &error))?;
    report::line(&format!("written: {}\n\n{}", path.display(), bundle.readme().trim_end()));
    Ok(ExitCode::SUCCESS)
}

fn program() -> String {
    format!("tracecore {}", described())
}

/// What goes into the archive.
#[derive(Default)]
struct Bundle {
    files: Vec<File>,
    /// What is not there, and why.
    missing: Vec<String>,
    /// What is replaced wherever it stands, the longest first.
    secrets: Vec<String>,
}

struct File {
    name: &'static str,
    /// What it is, for the list of the files.
    about: &'static str,
    text: String,
}

impl Bundle {
    /// Everything that can be had.
    fn gather(args: &VersionArgs) -> Result<Self, Failure> {
        let mut bundle = Bundle::default();
        bundle.add("version.txt", "what the program is", program());
        let surface = match build(&args.config, false) {
            Ok(built) => bundle.configuration(&args.config, &built),
            Err(Refused::Config(errors)) => bundle.refused(&args.config, &errors)?,
            Err(Refused::Other(failure)) => return Err(failure),
        };
        let paths = surface.as_ref().map_or_else(|_| Paths::default(), |surface| surface.paths.clone());
        match surface_of(args.from.as_ref(), surface) {
            Ok(base) => bundle.ask(&base, &paths)?,
            Err(why) => bundle.missing.push(format!("metrics.txt and status.json: {why}")),
        }
        bundle.missing.push(NO_LOG.to_owned());
        Ok(bundle)
    }

    fn add(&mut self, name: &'static str, about: &'static str, text: String) {
        self.files.push(File { name, about, text });
    }

    /// Adds a configuration that holds; its surface, or why there is none.
    fn configuration(
        &mut self,
        args: &ConfigArgs,
        Built { service, root, registry }: &Built,
    ) -> Result<Telemetry, &'static str> {
        let schema = schema::configuration(registry);
        self.secrets = sought(config::secrets(root, &schema));
        let show = Show { defaults: true, origins: true, secrets: false };
        let about = match &args.config[..] {
            [] => "the configuration of a collector that is given none: --config says another",
            _ => "the configuration as it is resolved, and where each value comes from",
        };
        self.add("config.yaml", about, config::resolved(root, &schema, show));
        if !service.warnings().is_empty() {
            self.add("problems.txt", "what of it is hardly meant", report::problems(service.warnings()));
        }
        service
            .surface()
            .cloned()
            .ok_or("the configuration has no surface (telemetry.enabled); --from says where one is")
    }

    /// Adds what is wrong with a configuration.
    fn refused(
        &mut self,
        args: &ConfigArgs,
        errors: &ConfigErrors,
    ) -> Result<Result<Telemetry, &'static str>, Failure> {
        // What stands in it may turn up elsewhere all the same, unless it is no configuration at all.
        if let Ok(loaded) = load(args) {
            self.secrets = sought(config::secrets(loaded.root(), &schema::configuration(&registry()?)));
        }
        self.add("problems.txt", "what is wrong with the configuration", report::problems(&errors.0));
        self.missing.push("config.yaml: the configuration is not valid; problems.txt says why".to_owned());
        Ok(Err("the configuration does not say where they are; --from does"))
    }

    /// Adds what a collector tells of itself.
    fn ask(&mut self, base: &str, paths: &Paths) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(&error))?;
        let client = {
            let _inside = runtime.enter();
            Client::new(ClientLimits { body_bytes: MAX_ANSWER_BYTES, ..ClientLimits::DEFAULT }, std::sync::Arc::new(()))
        };
        for (name, about, path) in [
            ("metrics.txt", "the metrics of the collector itself", paths.metrics.as_str()),
            ("status.json", "how each of its components is", paths.status.as_str()),
        ] {
            let url = format!("{base}{path}");
            match runtime.block_on(answer(&client, &url)) {
                Ok(text) => self.add(name, about, text),
                Err(why) => self.missing.push(format!("{name}: {url}: {why}")),
            }
        }
        Ok(())
    }

    /// What is in the archive, and what is not.
    fn readme(&self) -> String {
        let mut text = "What `tracecore version --bundle` gathered for a bug report. Secrets of the configuration are \
                        replaced by\n[REDACTED]; look through it all the same before you pass it on.\n\nIn it:\n"
            .to_owned();
        for File { name, about, .. } in &self.files {
            let _ = writeln!(text, "  {name:<14}{about}");
        }
        text.push_str("\nNot in it:\n");
        for missing in &self.missing {
            let _ = writeln!(text, "  {missing}");
        }
        self.redacted(&text)
    }

    /// The archive.
    fn packed(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let made = Clock::system().unix_nanos() / 1_000_000_000;
        let mut append = |name: &str, text: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(made);
            header.set_size(u64::try_from(text.len()).map_err(io::Error::other)?);
            archive.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())
        };
        append("README.txt", &self.readme())?;
        for File { name, text, .. } in &self.files {
            append(name, &self.redacted(text))?;
        }
        archive.into_inner()?.finish()
    }

    /// A text without the secrets.
    fn redacted(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
    }
}

/// What is looked for so that no secret is passed on: each as it stands and as JSON writes it; and what follows its last
/// space, for in `Bearer …` only that is secret.
fn sought(secrets: Vec<String>) -> Vec<String> {
    let mut sought = Vec::new();
    for secret in secrets {
        let last = secret.rsplit(' ').next().unwrap_or_default().to_owned();
        for text in [secret, last] {
            let json = Value::from(text.as_str()).to_string();
            sought.extend(json.get(1..json.len().saturating_sub(1)).map(str::to_owned));
            sought.push(text);
        }
    }
    sought.retain(|text| text.len() >= MIN_SECRET_BYTES);
    sought.sort_by_key(|text| Reverse(text.len()));
    sought
}

/// Where a collector is asked.
fn surface_of(from: Option<&HttpUrl>, surface: Result<Telemetry, &'static str>) -> Result<String, &'static str> {
    match from {
        Some(url) => Ok(url.to_string()),
        None => reached(&surface?.listen),
    }
}

/// The URL of what listens there.
fn reached(listen: &Endpoint) -> Result<String, &'static str> {
    let host = match listen.host() {
        // To connect to all addresses is to connect to none.
        host if listen.is_wildcard() => {
            if host.contains(':') {
                "::1"
            } else {
                "127.0.0.1"
            }
        }
        host => host,
    };
    match listen.port() {
        0 => Err("the system chose the port (telemetry.listen); --from says which"),
        port if host.contains(':') => Ok(format!("http://[{host}]:{port}")),
        port => Ok(format!("http://{host}:{port}")),
    }
}

/// What stands at a URL, or why that is not known.
async fn answer(client: &Client, url: &str) -> Result<String, String> {
    let request = Request::get(url).body(Bytes::new()).map_err(|error| Report(&error).to_string())?;
    let answer = client.send(request).await.map_err(|error| Report(&error).to_string())?;
    match answer.status() {
        StatusCode::OK => Ok(String::from_utf8_lossy(answer.body()).into_owned()),
        status => Err(format!("the answer is {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_as_it_stands_as_json_writes_it_and_behind_its_scheme() {
        let secrets = ["Bearer hunter2-hunter2", "a\"quote\\d", "true", ""].map(str::to_owned);
        let bundle = Bundle { secrets: sought(secrets.to_vec()), ..Bundle::default() };
        for (text, expected) in [
            ("Authorization: Bearer hunter2-hunter2!", "Authorization: [REDACTED]!"),
            ("no such token: hunter2-hunter2", "no such token: [REDACTED]"),
            ("a\"quote\\d", REDACTED),
            (r#"{"last_error": "a\"quote\\d"}"#, r#"{"last_error": "[REDACTED]"}"#),
            (r#"{"ok": true}"#, r#"{"ok": true}"#),
        ] {
            assert_eq!(bundle.redacted(text), expected);
        }
    }

    #[test]
    fn a_surface_on_every_interface_is_asked_on_this_machine() {
        for (listen, url) in [
            ("localhost:8888", "http://localhost:8888"),
            (":8888", "http://127.0.0.1:8888"),
            ("0.0.0.0:8888", "http://127.0.0.1:8888"),
            ("[::]:8888", "http://[::1]:8888"),
            ("[fe80::1]:1", "http://[fe80::1]:1"),
        ] {
            assert_eq!(reached(&listen.parse().expect("an endpoint")), Ok(url.to_owned()));
        }
        assert!(reached(&Endpoint::localhost(0)).is_err());
    }
}
