//! The `otlp` receiver in a running service, asked over TCP: what it takes, what it answers, and what nobody can make it
//! do. After each bad input it serves a good request, and what it took is what the exporter got.

#![expect(clippy::unwrap_used, reason = "the helpers of a test panic where the test cannot go on")]

mod abuse;
mod bad;
mod client;
mod cors;
mod grpc;
mod held;
mod http;
mod limits;
mod pings;
mod semantics;
mod settings;
mod stop;
mod unpacking;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use tracecore::testing::{RecordingExporter as Sink, TestService as Rig, logs};
use tracecore_tests as _;

use self::client::{Grpc, Http, body_of, call, message, post};

/// Items of a good request.
const GOOD: u64 = 3;

/// How the receiver and the exporter behind it are set: the inside of their YAML maps.
#[derive(Clone, Copy, Default)]
struct Settings<'a> {
    grpc: &'a str,
    http: &'a str,
    /// `None` waits for the exporter, so that an answer tells of what has arrived.
    exporter: Option<&'a str>,
    /// A line.
    service: &'a str,
}

/// A service that takes OTLP by both protocols, all three signals, and the exporter that it hands them to.
struct Served {
    rig: Rig,
    sink: Sink,
    grpc: SocketAddr,
    http: SocketAddr,
    /// Items that were sent and taken.
    taken: u64,
}

impl Served {
    async fn start() -> Self {
        Served::with(Settings::default(), Sink::new()).await
    }

    async fn with(settings: Settings<'_>, sink: Sink) -> Self {
        let (grpc, http) = (own_address(), own_address());
        let exporter = settings.exporter.unwrap_or("sending_queue: {wait_for_result: true}");
        let pipeline = |signal| format!("\n    {signal}: {{receivers: [otlp], exporters: [test_sink]}}");
        let yaml = format!(
            "
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '{grpc}', {}}}
      http: {{endpoint: '{http}', {}}}
exporters:
  test_sink: {{key: {sink}, {exporter}}}
service:
  {}
  pipelines:{}
",
            settings.grpc,
            settings.http,
            settings.service,
            ["traces", "metrics", "logs"].map(pipeline).concat()
        );
        Served { rig: Rig::start(&yaml).await, sink, grpc, http, taken: 0 }
    }

    async fn grpc(&self) -> Grpc {
        Grpc::connect(self.grpc).await
    }

    async fn http(&self) -> Http {
        Http::connect(self.http).await
    }

    /// Sends a good request by each protocol, on connections of their own.
    async fn still_serves(&mut self) {
        let body = body_of(&logs("good", GOOD as usize));
        let answer = self.grpc().await.send(call(tracecore::signal::Signal::Logs), message(&body)).await;
        assert_eq!((answer.status, answer.grpc_status()), (200, Some(0)), "{answer:?}");
        let answer = self.http().await.ask(post("/v1/logs", "content-type: application/x-protobuf\r\n", &body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.taken += 2 * GOOD;
        self.holds();
    }

    /// Nothing arrived but what was taken, and nothing of that is lost.
    #[track_caller]
    fn holds(&self) {
        let through = |direction| self.rig.sample("tracecore_pipeline_items_total", &[("direction", direction)]);
        let dropped = self.rig.sample("tracecore_exporter_dropped_total", &[]);
        let ledger = [self.sink.items() as f64, through("in"), through("out"), dropped];
        assert_eq!(ledger, [self.taken as f64, self.taken as f64, self.taken as f64, 0.0], "arrived, in, out, dropped");
    }

    /// Waits until every connection has ended, and so many requests were answered with this class of status.
    async fn answered(&self, class: &str, requests: usize) {
        self.rig.wait_metric("tracecore_receiver_connections_active", &[], |open| open == 0.0).await;
        let labels = [("status_class", class)];
        self.rig.wait_metric("tracecore_ingest_requests_total", &labels, |told| told == requests as f64).await;
    }

    async fn stop(self) {
        self.rig.stop().await;
        assert_eq!(self.sink.items(), self.taken);
    }
}

/// An address that nobody else has: of the loopback network, whose part after 127 tells the process.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, a.wrapping_add(1), b, c));
    SocketAddr::new(address, NEXT.fetch_add(1, Ordering::Relaxed))
}
