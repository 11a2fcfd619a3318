//! `tracecore version --bundle`: what a bug report is given, and what it is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::http::surface_of;
use crate::process::{Ended, Process, run, tracecore};

/// What must be in no file.
const SECRET: &str = "hunter2-and-a-half";

/// A configuration with a secret in it, which a backend that is not there never hears.
const CONFIG: &str = "\
receivers:
  clock: {interval: 1h}
exporters:
  otlp_http/away:
    endpoint: http://127.0.0.1:9
    headers: {authorization: Bearer hunter2-and-a-half, x-team: '${env:TRACECORE_TEST_SECRET}'}
service:
  pipelines:
    metrics:
      receivers: [clock]
      exporters: [otlp_http/away]
telemetry: {enabled: true, listen: '127.0.0.1:0'}
";

/// A folder with the configuration.
fn folder(config: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("c.yaml"), config).expect("the folder is ours");
    folder
}

/// The program in a folder, with the secret in its environment too.
fn within(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = tracecore(arguments);
    command.current_dir(folder).env("TRACECORE_TEST_SECRET", SECRET);
    command
}

/// Makes a bundle.
fn bundle(folder: &Path, arguments: &[&str]) -> Ended {
    run(&mut within(folder, &[&["version", "--bundle", "report.tgz"], arguments].concat()))
}

/// The names in the bundle as `tar` lists them, and the text of each file.
fn unpacked(folder: &Path) -> Vec<(String, String)> {
    let listed = run(Command::new("tar").current_dir(folder).args(["tf", "report.tgz"]));
    assert_eq!(listed.code, Some(0), "{}", listed.log);
    let unpacked = run(Command::new("tar").current_dir(folder).args(["xf", "report.tgz"]));
    assert_eq!(unpacked.code, Some(0), "{}", unpacked.log);
    let text = |name: &str| fs::read_to_string(folder.join(name)).expect("it was unpacked");
    listed.out.lines().map(|name| (name.to_owned(), text(name))).collect()
}

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.trim_start_matches("tracecore-bundle/")).collect()
}

fn file<'f>(files: &'f [(String, String)], name: &str) -> &'f str {
    let named = files.iter().find(|(path, _)| path.strip_prefix("tracecore-bundle/") == Some(name));
    &named.unwrap_or_else(|| panic!("no {name} in {:?}", names(files))).1
}

#[test]
fn a_bundle_holds_what_a_bug_report_needs_and_no_secret() {
    let folder = folder(CONFIG);
    let mut collector = Process::start(&mut within(folder.path(), &["collect", "--config", "c.yaml"]));
    let surface = surface_of(&mut collector);
    collector.logs("tracecore running");

    // The address that was configured, and one that is told.
    let address = format!("telemetry.listen={}", surface.trim_start_matches("http://"));
    for where_to in [["--set", &address], ["--from", &surface]] {
        let Ended { code, out, log } = bundle(folder.path(), &[&["--config", "c.yaml"], &where_to[..]].concat());
        assert_eq!((code, log.as_str()), (Some(0), ""));
        let files = unpacked(folder.path());
        assert_eq!(names(&files), ["README.txt", "version.txt", "config.yaml", "metrics.txt", "status.json"], "{out}");
        assert!(file(&files, "version.txt").contains("rustc=rustc 1."));
        let config = file(&files, "config.yaml");
        assert!(config.contains("authorization: \"[REDACTED]\"  # c.yaml:6"), "{config}");
        assert!(config.contains("num_consumers: 10  # default"), "{config}");
        assert!(file(&files, "metrics.txt").contains("tracecore_build_info{"));
        assert!(file(&files, "status.json").contains("\"id\":\"otlp_http/away\""), "{}", file(&files, "status.json"));
        let readme = file(&files, "README.txt");
        assert!(readme.contains("the log: the program keeps none"), "{readme}");
        assert!(out.ends_with(readme.trim_end()), "what is in it is said: {out}");
        for (name, text) in &files {
            assert!(!text.contains(SECRET), "a secret in {name}: {text}");
        }
    }
}

#[test]
fn a_secret_that_turns_up_elsewhere_is_taken_out() {
    // As a path it is no secret; that it is the same text as a header makes it one.
    let config = CONFIG.replace("clock: {interval: 1h}", "file: {include: [/no/such/hunter2-and-a-half.json]}");
    let folder = folder(&config.replace("[clock]", "[file]"));
    assert_eq!(bundle(folder.path(), &["--config", "c.yaml"]).code, Some(0));
    let files = unpacked(folder.path());
    assert!(file(&files, "config.yaml").contains("/no/such/[REDACTED].json"), "{}", file(&files, "config.yaml"));
}

#[test]
fn what_cannot_be_had_is_told_and_the_rest_is_written() {
    let folder = folder(CONFIG);
    // A port that nobody listens on.
    let Ended { code, out, .. } = bundle(folder.path(), &["--config", "c.yaml", "--from", "http://127.0.0.1:9"]);
    assert_eq!(code, Some(0));
    let files = unpacked(folder.path());
    assert_eq!(names(&files), ["README.txt", "version.txt", "config.yaml"]);
    assert!(out.contains("metrics.txt: http://127.0.0.1:9/metrics: cannot connect"), "{out}");

    // A configuration that does not hold, and so does not say where to ask.
    let misspelt = CONFIG.replace("interval: 1h", "intervall: 1h");
    fs::write(folder.path().join("c.yaml"), misspelt).expect("the folder is ours");
    let Ended { code, out, .. } = bundle(folder.path(), &["--config", "c.yaml"]);
    assert_eq!(code, Some(0), "{out}");
    let files = unpacked(folder.path());
    assert_eq!(names(&files), ["README.txt", "version.txt", "problems.txt"]);
    let problems = file(&files, "problems.txt");
    assert!(problems.contains("c.yaml:2:11: receivers.clock.intervall: unknown key \"intervall\""), "{problems}");
    assert!(out.contains("config.yaml: the configuration is not valid"), "{out}");

    // A surface that is off.
    let off = CONFIG.replace("enabled: true", "enabled: false, token: hunter2-and-a-half");
    fs::write(folder.path().join("c.yaml"), off).expect("the folder is ours");
    let Ended { out, .. } = bundle(folder.path(), &["--config", "c.yaml"]);
    assert!(out.contains("the configuration has no surface"), "{out}");
    for (name, text) in unpacked(folder.path()) {
        assert!(!text.contains(SECRET), "a secret in {name}: {text}");
    }
}

#[test]
fn a_bundle_that_cannot_be_written_is_an_error() {
    let folder = folder(CONFIG);
    let arguments = ["version", "--bundle", "no/such/folder.tgz", "--config", "c.yaml", "--from", "http://127.0.0.1:9"];
    let Ended { code, log, .. } = run(&mut within(folder.path(), &arguments));
    assert_eq!(code, Some(1));
    assert!(log.contains("cannot write no/such/folder.tgz"), "{log}");
}

#[test]
fn the_version_alone_is_what_the_flag_says() {
    let flag = run(&mut tracecore(["--version"]));
    let verb = run(&mut tracecore(["version"]));
    assert_eq!((verb.code, verb.out), (Some(0), flag.out));
    // Without a bundle nothing would read it.
    assert_eq!(run(&mut tracecore(["version", "--config", "c.yaml"])).code, Some(2));
}
