//! Signals, and the order of the end.

use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::{fs, io};

use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat};
use rustix::process::Signal;
use tracecore::surface::SHUTDOWN_BUDGET;
use tracecore::testing::ceiling;
use tracecore::time::Instant;

use crate::http::{get, surface_of, try_get, value};
use crate::process::{Process, eventually, example, tracecore};

/// What a machine with both cores busy may add to a deadline.
const SLACK: std::time::Duration = std::time::Duration::from_secs(1);

/// A collector whose exporter stands still: its standard output is a pipe that was full from the start and is not read.
struct Stalled {
    process: Process,
    surface: String,
    /// As long as it is open, a write waits for room.
    _unread: io::PipeReader,
}

impl Stalled {
    fn start(drain_timeout: &str) -> Self {
        let (unread, mut pipe) = io::pipe().expect("a pipe");
        let flags = fcntl_getfl(&pipe).expect("flags");
        fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).expect("flags");
        while pipe.write(&[b'\n'; 512]).is_ok() {}
        fcntl_setfl(&pipe, flags).expect("flags");
        let drain_timeout = format!("service.drain_timeout={drain_timeout}");
        let config = example("with-telemetry.yaml");
        let mut command = tracecore(["collect", "--config", &config, "--set", "telemetry.listen=localhost:0"]);
        command.args(["--set", &drain_timeout, "--set", "exporters.stdout.sending_queue.queue_size=1"]);
        let mut process = Process::start_with(&mut command, Stdio::from(pipe));
        let surface = surface_of(&mut process);
        process.logs("tracecore running");
        eventually("a batch that waits in the queue", || {
            value(&get(&format!("{surface}/metrics")).body, "tracecore_queue_depth_ratio").filter(|depth| *depth == 1.0)
        });
        Stalled { process, surface, _unread: unread }
    }
}

#[test]
fn sighup_is_told_of_and_ends_nothing() {
    let mut process = Process::start(&mut tracecore(["collect", "--config", &example("clock.yaml")]));
    process.logs("tracecore running");
    process.signal(Signal::HUP);
    process.logs("signal=\"SIGHUP\"");
    process.signal(Signal::TERM);
    let ended = process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[test]
fn the_limit_on_open_files_is_raised_to_what_the_system_allows() {
    let mut shell = std::process::Command::new("sh");
    let program = std::path::PathBuf::from(tracecore::<&str>([]).get_program());
    let collect = format!("ulimit -Sn 64; exec {} collect --config {}", program.display(), example("clock.yaml"));
    let mut process = Process::start(shell.args(["-c", &collect]));
    process.logs("tracecore running");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).expect("its limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("the line");
    let [.., soft, hard, _] = files.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{files}") };
    assert_eq!(soft, hard);
}

#[test]
fn sigint_exits_cleanly() {
    let mut process = Process::start(&mut tracecore(["collect", "--config", &example("clock.yaml")]));
    process.logs("tracecore running");
    process.signal(Signal::INT);
    let ended = process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("signal received signal=\"SIGINT\""), "{}", ended.log);
    assert!(ended.log.contains("tracecore stopped"), "{}", ended.log);
}

#[test]
fn double_sigterm_does_not_hang() {
    let Stalled { mut process, _unread, .. } = Stalled::start("1h");
    process.signal(Signal::TERM);
    process.logs("signal received");
    process.logs("tracecore stopping");
    process.signal(Signal::TERM);
    let ended = process.ended();
    assert_eq!(ended.code, Some(128 + Signal::TERM.as_raw()), "{}", ended.log);
    assert!(ended.log.contains("second signal: leaving at once"), "{}", ended.log);
}

#[test]
fn signal_during_boot() {
    // The configuration is a pipe, so the program is in the middle of its start for as long as nothing is written.
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.yaml");
    mkfifoat(CWD, &config, Mode::RUSR | Mode::WUSR).expect("a named pipe");
    let mut process = Process::start(&mut tracecore(["collect", "--config", &config.display().to_string()]));
    process.logs("starting");
    process.signal(Signal::TERM);
    fs::write(&config, fs::read(example("clock.yaml")).expect("the example")).expect("the program reads");
    let ended = process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("tracecore stopped"), "{}", ended.log);
}

#[test]
fn is_alive_and_not_ready_while_it_drains() {
    let Stalled { mut process, surface, _unread } = Stalled::start("1h");
    assert_eq!(get(&format!("{surface}/readyz")).status, 200);
    process.signal(Signal::TERM);
    process.logs("tracecore stopping");
    eventually("readyz says no", || (get(&format!("{surface}/readyz")).status == 503).then_some(()));
    assert_eq!(get(&format!("{surface}/healthz")).status, 200);
    assert_eq!(get(&format!("{surface}/metrics")).status, 200, "the drain can be watched");
}

#[test]
fn what_does_not_drain_in_time_is_counted_and_the_exit_is_clean() {
    let Stalled { process, _unread, .. } = Stalled::start("100ms");
    process.signal(Signal::TERM);
    let ended = process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("items were dropped"), "{}", ended.log);
    assert!(ended.log.contains("component=stdout items=1 reason=\"shutdown\""), "{}", ended.log);
}

#[test]
fn a_held_connection_does_not_hold_up_the_exit() {
    let config = example("with-telemetry.yaml");
    let arguments = ["collect", "--config", &config, "--set", "telemetry.listen=localhost:0"];
    let mut process = Process::start(&mut tracecore(arguments));
    let surface = surface_of(&mut process);
    process.logs("tracecore running");
    let mut half = TcpStream::connect(surface.trim_start_matches("http://")).expect("the surface listens");
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").expect("the surface reads");
    // Whoever answers a later connection has taken this one.
    assert_eq!(get(&format!("{surface}/healthz")).status, 200);
    let start = Instant::now();
    process.signal(Signal::TERM);
    let ended = process.ended();
    let took = start.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(took < SHUTDOWN_BUDGET + ceiling(SLACK), "the exit took {took:?}");
    assert!(try_get(&format!("{surface}/healthz"), "*/*").is_none());
}
