//! The trace of a request goes on to the backend, whichever exporter sends it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use tracecore::net::{Client, ClientLimits};
use tracecore::testing::{TestService as Rig, metrics};
use tracecore_tests::{GrpcServer, HttpServer, Server};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A `test_server` that sends on to `backend`.
async fn relaying(exporter: &str, backend: SocketAddr, blocks: &str) -> (Rig, Server) {
    let server = Server::new();
    let yaml = format!(
        "
receivers:
  test_server: {{key: {server}}}
exporters:
  {exporter}: {{endpoint: 'http://{backend}'}}
service:
  pipelines:
    metrics: {{receivers: [test_server], exporters: [{exporter}]}}
{blocks}"
    );
    (Rig::start(&yaml).await, server)
}

async fn post(server: &Server) {
    let client = Client::new(ClientLimits::default(), Arc::new(()));
    let request = http::Request::post(format!("http://{}/v1/metrics", server.address().await));
    let body = metrics("one", 1).parts().concat();
    let answer = client.send(request.header("traceparent", PARENT).body(body.into()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// What the backend is told, without spans of ours and with them.
async fn is_told(exporter: &str, backend: SocketAddr, mut call: impl AsyncFnMut() -> HeaderMap) {
    let (rig, server) = relaying(exporter, backend, "").await;
    post(&server).await;
    assert_eq!(call().await["traceparent"], PARENT, "{exporter}: without spans, that of the sender");
    rig.stop().await;

    let spans = HttpServer::start().await;
    let blocks = format!(
        "telemetry: {{enabled: true, listen: '127.0.0.1:0', traces: {{endpoint: 'http://{}'}}}}\n",
        spans.address()
    );
    let (rig, server) = relaying(exporter, backend, &blocks).await;
    post(&server).await;
    let headers = call().await;
    let parent = headers["traceparent"].to_str().unwrap();
    assert_eq!((&parent[..36], &parent[52..]), (&PARENT[..36], "-01"), "{exporter}: the same trace: {parent}");
    assert_ne!(parent, PARENT, "{exporter}: the attempt has a span of its own");
    rig.stop().await;
}

#[tokio::test]
async fn the_trace_of_a_request_goes_on_to_the_backend() {
    let mut backend = GrpcServer::start().await;
    is_told("otlp_grpc", backend.address(), async || backend.call().await.headers).await;
    let mut backend = HttpServer::start().await;
    is_told("otlp_http", backend.address(), async || backend.call().await.headers).await;
}
