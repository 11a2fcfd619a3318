//! Tells the program what it was built from: revision, date, compiler, and the versions of the metrics and OTLP crates.

use std::process::Command;
use std::{env, fs};

fn main() {
    // Written by every commit and checkout. Cargo would rerun this at each build for a file that does not exist.
    let log = output("git", &["rev-parse", "--git-path", "logs/HEAD"]);
    if fs::exists(&log).unwrap_or(false) {
        println!("cargo:rerun-if-changed={log}");
    }
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    // A source archive has no repository: then the revision is empty, and says so.
    set("TRACECORE_REVISION", &output("git", &["rev-parse", "--short=12", "HEAD"]));
    set("TRACECORE_DATE", &output("git", &["log", "-1", "--format=%cs"]));
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    set("TRACECORE_RUSTC", &output(&rustc, &["--version"]));
    let lock = fs::read_to_string("../../Cargo.lock").unwrap_or_default();
    for name in ["opentelemetry_sdk", "opentelemetry-prometheus", "opentelemetry-proto"] {
        let variable = format!("TRACECORE_VERSION_{}", name.replace('-', "_").to_uppercase());
        set(&variable, locked_version(&lock, name).unwrap_or("unknown"));
    }
}

fn set(variable: &str, value: &str) {
    println!("cargo:rustc-env={variable}={value}");
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .ok()
        .filter(|o| o.status.success())
        .map_or_else(String::new, |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

/// The version of `name` in a `Cargo.lock`.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}
