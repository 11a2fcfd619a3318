//! TLS between the exporters `otlp_grpc` and `otlp_http` and servers with certificates made on the spot: what is trusted
//! is sent to, and everything else is an error that says what to do, and is never followed by plaintext.

mod files;
mod refused;
mod trusted;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracecore::component::Role;
use tracecore::emit::Verdict;
use tracecore::error::ErrorKind;
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig, metrics, name_of};
use tracecore_tests::{GrpcAnswer, GrpcServer, HttpAnswer, HttpServer, Identity, ServerTls};

/// Which of the two exporters asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Grpc,
    Http,
}

const BOTH: [Asker; 2] = [Asker::Grpc, Asker::Http];

/// A receiver that hears how it ended, and attempts one after the other at once.
const AT_ONCE: &str = "sending_queue: {wait_for_result: true}
retry_on_failure: {initial_interval: 1ms, max_interval: 1ms, max_elapsed_time: 60s}
circuit_breaker: {enabled: false}";

impl Asker {
    fn id(self) -> &'static str {
        match self {
            Asker::Grpc => "otlp_grpc",
            Asker::Http => "otlp_http",
        }
    }

    /// What its servers agree to in the handshake.
    fn alpn(self) -> &'static [&'static str] {
        match self {
            Asker::Grpc => &["h2"],
            Asker::Http => &["http/1.1"],
        }
    }

    fn endpoint(self, secured: bool, address: impl Display) -> String {
        format!("{}://{address}", if secured { "https" } else { "http" })
    }

    /// Metrics from a source, sent to `endpoint` with these settings of `tls`, and further ones, a line each.
    fn yaml(self, source: &Source, endpoint: &str, tls: &str, settings: &str) -> String {
        let (id, settings) = (self.id(), settings.lines().map(|line| format!("\n    {line}")).collect::<String>());
        format!(
            "
receivers:
  test_source: {{key: {source}}}
exporters:
  {id}:
    endpoint: {endpoint}
    tls: {{{tls}}}{settings}
service:
  pipelines:
    metrics: {{receivers: [test_source], exporters: [{id}]}}
"
        )
    }

    /// A running service that sends to `endpoint`.
    async fn sending(self, endpoint: &str, tls: &str) -> (Rig, Source) {
        let source = Source::new();
        (Rig::start(&self.yaml(&source, endpoint, tls, AT_ONCE)).await, source)
    }
}

/// A server of either kind.
enum Peer {
    Grpc(GrpcServer),
    Http(HttpServer),
}

impl Peer {
    /// One that speaks plaintext, or TLS.
    async fn start(asker: Asker, tls: Option<TlsAcceptor>) -> Self {
        Peer::at("127.0.0.1:0", asker, tls).await
    }

    /// One at an address.
    async fn at(address: &str, asker: Asker, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port is free");
        match asker {
            Asker::Grpc => Peer::Grpc(GrpcServer::serve(listener, tls, |_| GrpcAnswer::Ok)),
            Asker::Http => Peer::Http(HttpServer::serve(listener, tls, |_| HttpAnswer::ok())),
        }
    }

    /// One that is `identity`, and agrees to what its clients speak.
    async fn secured(asker: Asker, identity: &Identity) -> Self {
        let tls = ServerTls { alpn: asker.alpn(), ..ServerTls::default() };
        Peer::start(asker, Some(identity.acceptor(&tls))).await
    }

    fn address(&self) -> SocketAddr {
        match self {
            Peer::Grpc(server) => server.address(),
            Peer::Http(server) => server.address(),
        }
    }

    /// The next batch that came.
    async fn batch(&mut self) -> Batch {
        match self {
            Peer::Grpc(server) => server.call().await.batch,
            Peer::Http(server) => server.call().await.batch(Signal::Metrics),
        }
    }

    /// Ends it, and waits until its port is free.
    async fn end(self) {
        match self {
            Peer::Grpc(server) => server.end().await,
            Peer::Http(server) => server.end().await,
        }
    }

    /// How many requests came that were not looked at.
    fn more(&mut self) -> usize {
        match self {
            Peer::Grpc(server) => server.more().len(),
            Peer::Http(server) => server.more().len(),
        }
    }

    /// Sends it a batch, which it must take.
    async fn is_sent_to(&mut self, source: &Source, name: &str) {
        assert_eq!(source.emit(metrics(name, 2)).await, Verdict::Accepted, "{name}");
        assert_eq!(name_of(&self.batch().await), name);
    }
}

/// A server that a client with these settings of `tls` must send to.
async fn delivers(asker: Asker, peer: Peer, host: &str, tls: &str) {
    let endpoint = asker.endpoint(true, format_args!("{host}:{}", peer.address().port()));
    delivers_to(&endpoint, asker, peer, tls).await;
}

/// As [`delivers`], where the settings say this endpoint.
async fn delivers_to(endpoint: &str, asker: Asker, mut peer: Peer, tls: &str) {
    let (rig, source) = asker.sending(endpoint, tls).await;
    peer.is_sent_to(&source, &format!("{asker:?} {tls}")).await;
    assert_eq!(rig.sample("tracecore_exporter_calls_total", &[("result", "failure")]), 0.0, "{asker:?} {tls}");
    rig.stop().await;
}

/// What went wrong last in an exporter.
fn last_error(rig: &Rig, asker: Asker) -> (ErrorKind, String) {
    let id = asker.id().parse().expect("an id");
    let status = rig.running.watch(Role::Exporter, &id).expect("it is there").borrow().clone();
    let error = status.last_error.expect("something went wrong");
    (error.kind, error.message.to_string())
}

/// A setting that names a file.
fn file(setting: &str, path: &Path) -> String {
    format!("{setting}: '{}'", path.display())
}

/// The settings of a client that trusts `authority`.
fn trusting(authority: &tracecore_tests::Authority) -> String {
    file("ca_file", &authority.file())
}

/// The settings of a client that is `identity`.
fn being(identity: &Identity) -> String {
    format!("{}, {}", file("cert_file", &identity.cert_file), file("key_file", &identity.key_file))
}
