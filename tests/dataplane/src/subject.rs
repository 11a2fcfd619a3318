//! What is measured: the two relays, and tracecore under several configurations.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::encoding::Encoding;
use crate::failure::Failure;
use crate::load::Transport;
use crate::process::{Cores, Process};
use crate::relay;
use crate::requests::DROP;
use crate::signal::Signal;
use crate::sink::Sink;

/// A program that takes requests and passes them on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Subject {
    /// One of the two relays.
    Relay {
        kind: relay::Kind,
        /// Whether it keeps memory that was freed, as the collector does.
        keep_heap: bool,
    },
    /// The collector.
    Tracecore(Setup),
}

/// What the collector is told to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setup {
    /// How it sends; it takes everything.
    pub(crate) transport: Transport,
    /// How it compresses what it sends.
    pub(crate) encoding: Option<Encoding>,
    /// Whether its queue merges batches, as the Collector's `batch` processor does.
    pub(crate) batch: bool,
    /// Whether three processors stand between.
    pub(crate) processors: bool,
    /// What a full queue does.
    pub(crate) overflow: Overflow,
    /// What its queue holds, in MiB.
    pub(crate) queue_mib: u32,
    /// Where it runs.
    pub(crate) cores: Cores,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The sender waits: it sends as fast as the backend takes.
    Block,
    /// The sender is refused.
    Refuse,
}

/// What the queue holds: at saturation it is full, and what waits in it should still be in the cache when it is sent. The
/// relays have no queue; what their clients may have under way is seven MiB of the larger requests.
const QUEUE_MIB: u32 = 8;

impl Setup {
    /// Requests go through as they came, over gRPC, on one core.
    pub(crate) const PASS_THROUGH: Setup = Setup {
        transport: Transport::Grpc,
        encoding: None,
        batch: false,
        processors: false,
        overflow: Overflow::Block,
        queue_mib: QUEUE_MIB,
        cores: Cores::One,
    };
}

/// A running subject.
pub(crate) struct Running {
    pub(crate) process: Process,
    /// Where it takes gRPC.
    pub(crate) grpc: SocketAddr,
    /// Where it takes HTTP.
    pub(crate) http: SocketAddr,
}

impl Subject {
    /// Where it runs.
    fn cores(self) -> Cores {
        match self {
            Subject::Relay { .. } => Cores::One,
            Subject::Tracecore(setup) => setup.cores,
        }
    }

    /// Starts it before a sink. `folder` is for its configuration and its log.
    pub(crate) fn start(self, program: &Path, sink: &Sink, folder: &Path) -> Result<Running, Failure> {
        let [grpc, http] = free_ports()?;
        let mut command = match self {
            Subject::Relay { kind, keep_heap } => {
                let mut command = Command::new(std::env::current_exe()?);
                let kind = match kind {
                    relay::Kind::Bare => "bare",
                    relay::Kind::Prost => "prost",
                };
                command.args(["relay", kind, "--listen", &grpc.to_string(), "--to", &sink.grpc.to_string()]);
                command.args(keep_heap.then_some("--keep-heap"));
                command
            }
            Subject::Tracecore(setup) => {
                let path = folder.join("tracecore.yaml");
                std::fs::write(&path, configuration(setup, grpc, http, sink))?;
                let mut command = Command::new(program);
                command.arg("collect").arg("--config").arg(path).env_remove("RUST_LOG");
                command
            }
        };
        let process = Process::start(&mut command, self.cores(), folder.join("log"))?;
        Ok(Running { process, grpc, http })
    }
}

/// Two ports that nobody listens on. Between this and the start of the program another may take one; then the program
/// says so, and the bench ends.
fn free_ports() -> Result<[SocketAddr; 2], Failure> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [bind()?, bind()?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

/// The processors of a signal's pipeline: insert an attribute on every item, rename one that every item has, and drop
/// the hundredth item, which has one that no other has.
fn processors(signal: Signal) -> String {
    let (every, part, attributes) = match signal {
        Signal::Traces => ("url.scheme", "spans", "attributes"),
        Signal::Metrics => ("hw.model", "metrics", "attributes"),
        Signal::Logs => ("log.logger", "logs", "record_attributes"),
    };
    format!(
        "  resource/{signal}:
    attributes:
      - {{key: deployment.environment.name, value: bench, action: upsert}}
  attributes/{signal}:
    actions:
      - {{key: bench.inserted, value: one, action: insert}}
      - {{key: {every}, new_key: bench.renamed, action: rename}}
  filter/{signal}:
    {part}:
      exclude: {{match_type: strict, {attributes}: [{{key: {DROP}}}]}}"
    )
}

fn configuration(setup: Setup, grpc: SocketAddr, http: SocketAddr, sink: &Sink) -> String {
    let mut yaml = String::new();
    let mut line = |text: &str| writeln!(yaml, "{text}").expect("a string grows");
    line("receivers:\n  otlp:\n    protocols:");
    line(&format!("      grpc: {{endpoint: '{grpc}', max_recv_msg_size_mib: 64}}"));
    line(&format!("      http: {{endpoint: '{http}'}}"));
    if setup.processors {
        line("processors:");
        Signal::ALL.into_iter().for_each(|signal| line(&processors(signal)));
    }
    let encoding = setup.encoding.map_or("none", Encoding::as_str);
    line("exporters:");
    match setup.transport {
        Transport::Grpc => {
            line(&format!("  otlp_grpc:\n    endpoint: {}\n    tls: {{insecure: true}}", sink.grpc));
        }
        Transport::Http => line(&format!("  otlp_http:\n    endpoint: http://{}", sink.http)),
    }
    line(&format!("    compression: {encoding}"));
    line("    retry_on_failure: {initial_interval: 100ms}");
    line(&format!("    sending_queue:\n      sizer: bytes\n      queue_size: {}", u64::from(setup.queue_mib) << 20));
    line(&format!("      max_bytes: {}MiB", setup.queue_mib));
    line(match setup.overflow {
        Overflow::Block => "      block_on_overflow: true",
        Overflow::Refuse => "      block_on_overflow: false",
    });
    if setup.batch {
        line("      batch: {sizer: items, min_size: 8192, flush_timeout: 200ms}");
    }
    let workers = match setup.cores {
        Cores::One => 1,
        Cores::Two => 2,
    };
    line(&format!("service:\n  workers: {workers}\n  pipelines:"));
    let exporter = match setup.transport {
        Transport::Grpc => "otlp_grpc",
        Transport::Http => "otlp_http",
    };
    for signal in Signal::ALL {
        line(&format!("    {signal}:\n      receivers: [otlp]"));
        if setup.processors {
            line(&format!("      processors: [resource/{signal}, attributes/{signal}, filter/{signal}]"));
        }
        line(&format!("      exporters: [{exporter}]"));
    }
    yaml
}
