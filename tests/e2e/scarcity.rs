//! The program with less than it wants, under a load that is too much for it: a tenth of a core; little memory.
//!
//! A control group of the kernel's makes it scarce, of either version. Where a test may not make one it says so on standard
//! error, and has shown nothing.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use rustix::process::Signal;
use tracecore::surface::SHUTDOWN_BUDGET;
use tracecore::testing::{ceiling, metrics};
use tracecore::time::Instant;
use tracecore_tests::Backend;

use crate::http::{get, surface_of, value};
use crate::process::{Process, eventually, tracecore};

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// Joins the group that is named first, and becomes the program that follows.
const JOIN: &str = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;

/// What is scarce.
struct Limit {
    controller: &'static str,
    /// Files of version 1, and what is written to them.
    one: &'static [(&'static str, &'static str)],
    /// Of version 2.
    two: &'static [(&'static str, &'static str)],
}

const TENTH_OF_A_CORE: Limit = Limit {
    controller: "cpu",
    one: &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "10000")],
    two: &[("cpu.max", "10000 100000")],
};

/// In bytes: twice what batches may hold by default.
const MEMORY: u64 = 96 << 20;
const LITTLE_MEMORY: Limit =
    Limit { controller: "memory", one: &[("memory.limit_in_bytes", "96M")], two: &[("memory.max", "96M")] };

/// A control group of a test's own. It goes with the test.
struct Group(PathBuf);

impl Group {
    /// `None` where there can be none: then there is nothing to test, which is said.
    fn limited(limit: &Limit) -> Option<Self> {
        let made = Group::make(limit);
        if let Err(error) = &made {
            // Not captured, as what the macros print is: a test that shows nothing must not look as if it did.
            let name = limit.controller;
            let _ = writeln!(io::stderr(), "NOT TESTED: no control group for `{name}` can be made here: {error}");
        }
        made.ok()
    }

    fn make(limit: &Limit) -> io::Result<Self> {
        let root = Path::new(GROUPS);
        let unified = root.join("cgroup.controllers").exists();
        let (parent, files) =
            if unified { (root.to_owned(), limit.two) } else { (root.join(limit.controller), limit.one) };
        if unified {
            set(&parent.join("cgroup.subtree_control"), &format!("+{}", limit.controller))?;
        }
        let group = parent.join(format!("tracecore-test-{}-{}", limit.controller, std::process::id()));
        fs::create_dir(&group)?;
        let group = Group(group);
        for (file, value) in files {
            set(&group.0.join(file), value)?;
        }
        Ok(group)
    }

    /// The command as a process of this group, from its first instruction on.
    fn joined_by(&self, command: &Command) -> Command {
        let mut joined = Command::new("sh");
        joined.args(["-c", JOIN]).arg(&self.0).arg(command.get_program()).args(command.get_args());
        joined.env_remove("RUST_LOG");
        joined
    }

    /// Whether a process is in it.
    fn holds(&self, process: u32) -> bool {
        let processes = fs::read_to_string(self.0.join("cgroup.procs")).expect("the group lists them");
        processes.lines().any(|id| id.parse() == Ok(process))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group with a process in it stays: then the test has failed, and that is said already.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Writes to a file of the kernel's, which is there already.
fn set(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// How many clients send, and how many batches each.
const CLIENTS: usize = 4;
const BATCHES: usize = 30;
/// How long the drain may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How soon the surface answers, whatever is scarce.
const ANSWER: Duration = Duration::from_secs(1);
/// What a machine with both cores busy may add to a deadline.
const SLACK: Duration = Duration::from_secs(1);

/// What the clients have sent and heard.
#[derive(Default)]
struct Heard {
    accepted: Mutex<BTreeSet<String>>,
    refused: AtomicU64,
}

impl Heard {
    /// Sends a batch once; whether it was taken. What is not must be worth another try.
    fn send(&self, url: &str, name: &str, items: usize) -> Option<()> {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let body = metrics(name, items).parts().concat();
        let response = agent.post(url).content_type("application/x-protobuf").send(body.as_slice()).expect("an answer");
        if response.status() == 200 {
            self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            return Some(());
        }
        assert_eq!(response.status(), 503, "a refusal that is not for now");
        assert!(response.headers().contains_key("retry-after"), "a refusal without a time");
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Where something can listen.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it listens").to_string()
}

/// Puts the program under load while its backend takes nothing, until it refuses; then the backend takes all. The surface
/// answers in time all the while, and whatever was accepted has arrived by the end.
fn refuses_what_is_too_much_and_loses_nothing(group: &Group, queue: &str, items: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let open = Arc::new(AtomicBool::new(false));
    let opens = Arc::clone(&open);
    let mut backend = runtime.block_on(Backend::answering(move || match opens.load(Ordering::Relaxed) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }));
    let address = free_address();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.yaml");
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: {address}}}}}}}}}
exporters:
  otlp_http:
    endpoint: http://{}
    compression: none
    timeout: 30s
    circuit_breaker: {{enabled: false}}
    retry_on_failure: {{initial_interval: 100ms, max_interval: 100ms, max_elapsed_time: 0s}}
    sending_queue: {{num_consumers: 2, {queue}}}
service: {{drain_timeout: {DRAIN:?}, pipelines: {{metrics: {{receivers: [otlp], exporters: [otlp_http]}}}}}}
telemetry: {{enabled: true, listen: 'localhost:0'}}
",
        backend.address()
    );
    fs::write(&config, yaml).expect("a file");
    let command = tracecore(["collect".as_ref(), "--config".as_ref(), config.as_os_str()]);
    let mut process = Process::start(&mut group.joined_by(&command));
    let surface = surface_of(&mut process);
    process.logs("tracecore running");
    assert!(group.holds(process.id()), "it may have as much as it wants");

    let (heard, url) = (Heard::default(), format!("http://{address}/v1/metrics"));
    let mut slowest = Duration::ZERO;
    let client = |client: usize| {
        for number in 0..BATCHES {
            let name = format!("{client}/{number}");
            eventually("a batch is taken", || heard.send(&url, &name, items));
        }
    };
    thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            let began = Instant::now();
            assert_eq!(get(&format!("{surface}/healthz")).status, 200);
            slowest = slowest.max(began.elapsed());
            open.fetch_or(heard.refused.load(Ordering::Relaxed) > 0, Ordering::Relaxed);
        }
    });
    assert!(slowest < ceiling(ANSWER), "/healthz took {slowest:?}");
    assert!(heard.refused.into_inner() > 0, "it was not too much");
    let exposition = get(&format!("{surface}/metrics")).body;
    assert!(value(&exposition, "tracecore_receiver_emissions_total").is_some_and(|emitted| emitted > 0.0));

    let began = Instant::now();
    process.signal(Signal::TERM);
    let ended = process.ended();
    let took = began.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(took < DRAIN + SHUTDOWN_BUDGET + ceiling(SLACK), "the stop took {took:?}");
    let arrived = backend.taken("/v1/metrics").into_iter().flat_map(|body| names(&body)).collect::<BTreeSet<_>>();
    let accepted = heard.accepted.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(arrived, accepted, "{}", ended.log);
    assert_eq!(accepted.len(), CLIENTS * BATCHES);
}

/// The names of the metrics in a request.
fn names(body: &[u8]) -> Vec<String> {
    let request = ExportMetricsServiceRequest::decode(body).expect("it is OTLP");
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect()
}

#[test]
fn with_a_tenth_of_a_core_what_is_accepted_arrives_and_what_is_too_much_is_refused_for_now() {
    let Some(group) = Group::limited(&TENTH_OF_A_CORE) else { return };
    refuses_what_is_too_much_and_loses_nothing(&group, "queue_size: 20, sizer: requests", 100);
}

#[test]
fn with_little_memory_what_is_accepted_arrives_and_what_is_too_much_is_refused_for_now() {
    let Some(group) = Group::limited(&LITTLE_MEMORY) else { return };
    // All batches together are more than the group may have: only their refusal keeps the program alive.
    let items = 100_000;
    let all = (CLIENTS * BATCHES * metrics("0/00", items).size()) as u64;
    assert!(all > MEMORY, "{all} bytes are not too much");
    refuses_what_is_too_much_and_loses_nothing(&group, "queue_size: 1000, max_bytes: 1GiB", items);
}
