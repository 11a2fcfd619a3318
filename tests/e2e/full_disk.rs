//! The disk that the `file` exporter writes to is full: what was accepted waits, and is written once there is room.
//!
//! The program gets a small disk of memory that only it sees. Where a test may not mount one it says so on standard error,
//! and has shown nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tracecore::testing::logs;

use crate::http::{get, surface_of};
use crate::process::{Process, eventually, tracecore};
use crate::scarcity::free_address;

/// Mounts a disk at the folder that is named first, and becomes the program that follows.
const MOUNT: &str = r#"mount -t tmpfs -o size=1m none "$0" && exec "$@""#;
/// What lies on the disk before the exporter writes, in bytes of its 1 MiB.
const FILLER: usize = 832 * 1024;
/// Batches, and records in each: some 8 KB as JSON. They fit the disk, but not beside the filler.
const BATCHES: usize = 40;
const RECORDS: usize = 400;

/// The command with a small disk at `folder`, which nobody else sees.
fn with_a_disk(folder: &Path, command: &Command) -> Command {
    let mut mounted = Command::new("unshare");
    mounted.args(["--mount", "sh", "-c", MOUNT]).arg(folder).arg(command.get_program()).args(command.get_args());
    mounted.env_remove("RUST_LOG");
    mounted
}

#[test]
fn what_a_full_disk_does_not_take_is_written_whole_once_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let tried = with_a_disk(folder.path(), &Command::new("true")).output().expect("a command runs");
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr);
        let _ = writeln!(io::stderr(), "NOT TESTED: no disk can be mounted here: {}", why.trim());
        return;
    }
    let address = free_address();
    let file = folder.path().join("disk/records.json");
    let config = format!(
        "yaml:
receivers: {{otlp: {{protocols: {{http: {{endpoint: {address}}}}}}}}}
exporters:
  file:
    path: {}
    create_directory: true
    circuit_breaker: {{enabled: false}}
    retry_on_failure: {{initial_interval: 50ms, max_interval: 50ms, max_elapsed_time: 0s}}
service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [file]}}}}}}
telemetry: {{enabled: true, listen: 'localhost:0'}}
",
        file.display()
    );
    let mut process = Process::start(&mut with_a_disk(folder.path(), &tracecore(["collect", "--config", &config])));
    let surface = surface_of(&mut process);
    process.logs("tracecore running");
    // The disk as the program sees it.
    let seen = |path: &Path| PathBuf::from(format!("/proc/{}/root{}", process.id(), path.display()));
    let filler = seen(&folder.path().join("filler"));
    fs::write(&filler, vec![0; FILLER]).expect("it fits");

    for number in 0..BATCHES {
        let body = logs(&number.to_string(), RECORDS).parts().concat();
        let request = ureq::post(format!("http://{address}/v1/logs")).content_type("application/x-protobuf");
        assert_eq!(request.send(body.as_slice()).expect("it is taken").status(), 200);
    }
    eventually("the exporter tells of the full disk", || {
        let status: Value = serde_json::from_str(&get(&format!("{surface}/status")).body).expect("JSON");
        let file = status["components"].as_array()?.iter().find(|component| component["id"] == "file")?;
        let message = file["last_error"]["message"].as_str()?;
        (file["status"] == "recoverable_error" && file["last_error"]["kind"] == "io").then_some(())?;
        message.contains("No space left on device").then_some(())
    });
    assert_eq!(get(&format!("{surface}/healthz")).status, 200);
    fs::remove_file(&filler).expect("it is there");
    let written = eventually("all is written", || {
        let text = fs::read_to_string(seen(&file)).expect("the file is there");
        (text.lines().count() == BATCHES && text.ends_with('\n')).then_some(text)
    });
    process.signal(Signal::TERM);
    assert_eq!(process.ended().code, Some(0));

    let mut arrived = BTreeSet::new();
    for line in written.lines() {
        let line: Value = serde_json::from_str(line).expect("no line is torn");
        let records = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records").clone();
        assert_eq!(records.len(), RECORDS);
        arrived.insert(records[0]["eventName"].as_str().expect("a name").parse::<usize>().expect("a number"));
    }
    assert!(arrived.into_iter().eq(0..BATCHES));
}
