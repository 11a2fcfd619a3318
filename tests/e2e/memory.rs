//! How much memory the program has while its backend takes nothing: what its queue may hold, and a bounded rest.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tracecore::net::{Client, ClientLimits};
use tracecore::otlp::compression::{Compressor, Encoding};
use tracecore::otlp::json;
use tracecore::signal::Batch;
use tracecore::testing::{logs, spans};

use crate::http::{get, surface_of};
use crate::process::{Process, tracecore};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the program may have beside what its queue holds, in bytes.
const REST: u64 = 64 * MIB;

/// How many requests are under way at once.
const CLIENTS: u64 = 16;

/// How many times what fits in the queue is sent.
const OVERLOAD: u64 = 2;

/// An address that nobody else has: of the loopback network, whose part after 127 tells the process.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(40_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, a.wrapping_add(1), b, c));
    SocketAddr::new(address, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The most that the process ever had in RAM, in bytes.
fn peak(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    let kib: u64 = line.split_ascii_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

/// The program between clients and a backend that takes connections and nothing else.
struct Stalled {
    process: Process,
    surface: String,
    address: SocketAddr,
    _backend: TcpListener,
    _folder: tempfile::TempDir,
}

impl Stalled {
    fn start(service: &str, queue: &str) -> Self {
        let (address, folder) = (own_address(), tempfile::tempdir().expect("a folder"));
        let backend = TcpListener::bind(own_address()).expect("nobody has the address");
        let yaml = format!(
            "
receivers:
  otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}
exporters:
  otlp_http: {{endpoint: 'http://{}', timeout: 1h, sending_queue: {{{queue}}}}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
  drain_timeout: 10ms
  {service}
telemetry: {{enabled: true, listen: 'localhost:0'}}
",
            backend.local_addr().expect("it listens")
        );
        let config = folder.path().join("stalled.yaml");
        fs::write(&config, yaml).expect("a file");
        let mut process = Process::start(&mut tracecore(["collect", "--config", &config.display().to_string()]));
        let surface = surface_of(&mut process);
        process.logs("tracecore running");
        Stalled { process, surface, address, _backend: backend, _folder: folder }
    }

    /// Sends the request from all clients until that has been tried with so many bytes, and gives how many requests were
    /// taken.
    fn flood(&self, path: &str, headers: &[(&'static str, &str)], body: &Bytes, each: u64, bytes: u64) -> u64 {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (left, taken) = (Arc::new(AtomicU64::new(bytes / each)), Arc::new(AtomicU64::new(0)));
        runtime.block_on(async {
            let client = Client::new(ClientLimits::default(), Arc::new(()));
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let mut request = Request::post(format!("http://{}{path}", self.address));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let request = request.body(body.clone()).expect("a request");
                let (client, left, taken) = (client.clone(), Arc::clone(&left), Arc::clone(&taken));
                clients.spawn(async move {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        let status = client.send(request.clone()).await.expect("an answer").status();
                        assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status}");
                        taken.fetch_add(u64::from(status == StatusCode::OK), Ordering::Relaxed);
                    }
                });
            }
            clients.join_all().await;
        });
        taken.load(Ordering::Relaxed)
    }
}

/// A queue of so many bytes, flooded with a request that stands for `batch`.
fn bounded(queue: u64, path: &str, headers: &[(&'static str, &str)], batch: &Batch, body: &Bytes) {
    let settings = format!("sizer: bytes, queue_size: {queue}, max_bytes: {queue}");
    let stalled = Stalled::start("", &settings);
    let size = batch.size() as u64;
    let taken = stalled.flood(path, headers, body, size, OVERLOAD * queue);
    let peak = peak(&stalled.process);
    // Of batches below a KiB one for each KiB is all that a queue holds: what each takes beside its bytes is more.
    let full = (taken + CLIENTS) * size.max(KIB) > queue / 2;
    assert!(taken * size <= queue && full, "{taken} requests of {size} bytes taken");
    assert!(peak <= queue + REST, "{} MiB for a queue of {} MiB", peak / MIB, queue / MIB);
    assert_eq!(get(&format!("{}/healthz", stalled.surface)).status, 200);
}

fn body(batch: &Batch) -> Bytes {
    batch.parts().concat().into()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn with_a_stalled_backend_the_program_has_what_its_queue_may_hold_and_a_bounded_rest() {
    let (large, small) = (spans("large", 5000), logs("small", 50));
    bounded(64 * MIB, "/v1/traces", &[PROTOBUF], &large, &body(&large));
    bounded(8 * MIB, "/v1/logs", &[PROTOBUF], &small, &body(&small));
    let compressor = Compressor::new(Encoding::Gzip, None).expect("a level");
    let text = compressor.compress(&[Bytes::from(json::encode(&large))]).expect("it is compressed");
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    bounded(32 * MIB, "/v1/traces", &headers, &large, &text);
}

#[test]
fn near_its_limit_of_memory_the_program_refuses_for_now_and_answers_for_its_health() {
    let limit = 64 * MIB;
    let queue = format!("sizer: bytes, queue_size: {0}, max_bytes: {0}", 1024 * MIB);
    let mut stalled = Stalled::start(&format!("memory_limit: {limit}\n  memory_budget: {}", 1024 * MIB), &queue);
    let large = spans("large", 1000);
    let taken = stalled.flood("/v1/traces", &[PROTOBUF], &body(&large), large.size() as u64, 4 * limit);
    assert!(taken * (large.size() as u64) < limit, "{taken} taken");
    stalled.process.logs("what comes is refused, for now");
    let peak = peak(&stalled.process);
    assert!(peak <= limit + limit / 10, "{} MiB of {}", peak / MIB, limit / MIB);
    assert_eq!(get(&format!("{}/healthz", stalled.surface)).status, 200);
}
