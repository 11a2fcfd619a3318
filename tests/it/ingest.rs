//! A receiver that serves clients: its requests, its connections, and its batches on their way to a backend.

#![expect(clippy::unwrap_used, reason = "the helpers of a test panic where the test cannot go on")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracecore::component::Role;
use tracecore::error::Report;
use tracecore::events::{Filter, Occurrence};
use tracecore::net::{Client, ClientLimits};
use tracecore::status::State;
use tracecore::testing::{
    Answer, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, assert_sequence, event,
    events_enabled, metrics, needs_events, within_ceiling,
};
use tracecore_tests::{Backend, Server, loopback};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A server before an exporter, with further settings, a line each, and further blocks.
fn yaml(server: &Server, settings: &str, exporter: &str, blocks: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("\n    {line}")).collect();
    let (name, exporter) = exporter.split_once('\n').unwrap();
    let exporter: String = exporter.lines().map(|line| format!("\n    {line}")).collect();
    format!(
        "
receivers:
  test_server:
    key: {server}{settings}
exporters:
  {name}:{exporter}
service:
  pipelines:
    metrics:
      receivers: [test_server]
      exporters: [{name}]
{blocks}"
    )
}

fn to_sink(server: &Server, sink: &Sink) -> String {
    yaml(server, "", &format!("test_sink\nkey: {sink}"), "")
}

/// An exporter whose outcome the sender waits for.
fn waiting(sink: &Sink) -> String {
    format!("test_sink\nkey: {sink}\nsending_queue: {{wait_for_result: true}}")
}

/// Posts to a backend, trying again at once.
fn to_backend(server: &Server, backend: SocketAddr, blocks: &str) -> String {
    let retry = "retry_on_failure: {initial_interval: 1ms}";
    yaml(server, "", &format!("test_poster\nendpoint: {backend}\n{retry}"), blocks)
}

fn client() -> Client {
    Client::new(ClientLimits::default(), Arc::new(()))
}

fn good() -> Bytes {
    Bytes::from(metrics("cpu.time", 3).parts().concat())
}

async fn send(client: &Client, method: &str, url: &str, traceparent: Option<&str>, body: Bytes) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(parent) = traceparent {
        request = request.header("traceparent", parent);
    }
    client.send(request.body(body).unwrap()).await.unwrap()
}

async fn post(client: &Client, address: SocketAddr, traceparent: Option<&str>, body: Bytes) -> Response<Bytes> {
    send(client, "POST", &format!("http://{address}/v1/metrics"), traceparent, body).await
}

fn series(rig: &Rig) -> usize {
    rig.running.telemetry().gather().iter().map(|family| family.get_metric().len()).sum()
}

/// Drops the client, and waits until all that it did is counted.
async fn closed(rig: &Rig, client: Client) {
    drop(client);
    rig.wait_metric("tracecore_receiver_connections_active", &[], |open| open == 0.0).await;
}

/// Waits until so many batches are exported.
async fn exported(rig: &Rig, batches: f64) {
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == batches).await;
}

// What is counted

#[tokio::test]
async fn good_and_bad_requests_are_counted_by_the_class_of_their_answer() {
    let (server, sink, client) = (Server::new(), Sink::new(), client());
    let rig = Rig::start(&to_sink(&server, &sink)).await;
    let requests = |rig: &Rig, class: &str| {
        rig.sample("tracecore_ingest_requests_total", &[("receiver", "test_server"), ("status_class", class)])
    };
    let connections =
        |rig: &Rig| rig.sample("tracecore_receiver_connections_active", &[("component_id", "test_server")]);
    assert_eq!(["1xx", "2xx", "3xx", "4xx", "5xx", "unknown"].map(|class| requests(&rig, class)), [0.0; 6]);
    assert_eq!(connections(&rig), 0.0);

    let address = server.address().await;
    for _ in 0..2 {
        assert_eq!(post(&client, address, None, good()).await.status(), StatusCode::OK);
    }
    assert_eq!(connections(&rig), 1.0, "one after the other, on one connection");
    assert_eq!(post(&client, address, None, Bytes::from_static(b"not OTLP")).await.status(), StatusCode::BAD_REQUEST);
    let wrong_method = send(&client, "GET", &format!("http://{address}/v1/metrics"), None, Bytes::new()).await;
    assert_eq!(wrong_method.status(), StatusCode::METHOD_NOT_ALLOWED);
    let wrong_path = send(&client, "POST", &format!("http://{address}/v2"), None, good()).await;
    assert_eq!(wrong_path.status(), StatusCode::NOT_FOUND);

    closed(&rig, client).await;
    assert_eq!(["2xx", "4xx"].map(|class| requests(&rig, class)), [2.0, 3.0]);
    assert_eq!(rig.sample("tracecore_ingest_requests_total", &[]), 5.0);
    assert_eq!(rig.sample("tracecore_ingest_duration_seconds", &[("receiver", "test_server")]), 5.0);
    assert_eq!(connections(&rig), 0.0);
    rig.stop().await;
    assert_eq!(sink.items(), 6);
}

#[tokio::test]
async fn a_thousand_paths_and_methods_make_no_series() {
    let (server, sink, client) = (Server::new(), Sink::new(), client());
    let rig = Rig::start(&to_sink(&server, &sink)).await;
    let (address, before) = (server.address().await, series(&rig));
    for n in 0..1000 {
        let answer = send(&client, &format!("M{n}"), &format!("http://{address}/{n}?{n}"), None, Bytes::new()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    closed(&rig, client).await;
    assert_eq!(rig.sample("tracecore_ingest_requests_total", &[("status_class", "4xx")]), 1000.0);
    assert_eq!(series(&rig), before);
    rig.stop().await;
}

#[tokio::test]
async fn the_answer_says_whether_to_come_again() {
    let (server, mut sink, client) = (Server::new(), Sink::answering(Answer::Stall), client());
    let exporter = format!("test_sink\nkey: {sink}\nsending_queue: {{queue_size: 10, sizer: items}}");
    let rig = Rig::start(&yaml(&server, "", &exporter, "")).await;
    let address = server.address().await;
    let larger_than_the_queue = Bytes::from(metrics("cpu.time", 11).parts().concat());
    let answer = post(&client, address, None, larger_than_the_queue).await;
    assert_eq!((answer.status(), answer.headers().get("retry-after")), (StatusCode::BAD_REQUEST, None));

    let fills_the_queue = Bytes::from(metrics("cpu.time", 10).parts().concat());
    assert_eq!(post(&client, address, None, fills_the_queue).await.status(), StatusCode::OK);
    sink.called().await;
    let answer = post(&client, address, None, good()).await;
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    sink.release(1);
    rig.stop().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_answered_for() {
    let (server, sink, client) = (Server::new(), Sink::answering(Answer::Stall), client());
    let rig = Rig::start(&yaml(&server, "max_request: 50ms", &waiting(&sink), "")).await;
    let answer = post(&client, server.address().await, None, good()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    closed(&rig, client).await;
    assert_eq!(rig.sample("tracecore_ingest_requests_total", &[("status_class", "5xx")]), 1.0);
    sink.release(1);
    rig.stop().await;
}

// What is told

#[tokio::test]
async fn a_connection_is_told_of_from_its_beginning_to_its_end() {
    needs_events!();
    let (server, sink, client) = (Server::new(), Sink::new(), client());
    let mut rig = Rig::start(&yaml(&server, "max_connections: 1", &format!("test_sink\nkey: {sink}"), "")).await;
    post(&client, server.address().await, None, good()).await;
    rig.wait_for(event!("connection.opened", component = "test_server")).await;
    rig.wait_for(event!("resource.exhausted", component = "test_server", resource = "connection")).await;
    drop(client);
    rig.wait_for(event!("connection.closed", component = "test_server", reason = "done")).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_pool_is_told_of_from_its_beginning_to_its_end() {
    needs_events!();
    let (server, backend, client) = (Server::new(), Backend::start().await, client());
    let mut rig = Rig::start(&to_backend(&server, backend.address(), "")).await;
    rig.wait_for(event!("pool.created", component = "test_poster")).await;
    post(&client, server.address().await, None, good()).await;
    let of = |name| event!(name, component = "test_poster");
    for wanted in [
        of("connection.opened"),
        of("connection.acquired"),
        of("pool.health").with("active", 1).with("idle", 0),
        of("connection.released"),
        of("pool.health").with("active", 0).with("idle", 1),
    ] {
        rig.wait_for(wanted).await;
    }
    drop(client);
    let mut events = rig.running.events().subscribe(event!("connection.closed", component = "test_poster"));
    rig.stop().await;
    assert!(within_ceiling(events.next()).await.is_ok(), "its exporter has ended");
}

#[tokio::test]
async fn a_connection_that_is_not_made_is_told_of() {
    needs_events!();
    let (server, client) = (Server::new(), client());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let exporter = format!("test_poster\nendpoint: {nobody}\nretry_on_failure: {{enabled: false}}");
    let mut rig = Rig::start(&yaml(&server, "", &exporter, "")).await;
    post(&client, server.address().await, None, good()).await;
    let failed = event!("connection.failed", component = "test_poster", error = "refused");
    assert!(rig.wait_for(failed).await.meta.duration.is_some());
    drop(client);
    rig.stop().await;
}

// What is traced

/// The block that sends our own spans to a backend.
fn traced_by(backend: &Backend) -> String {
    let url = format!("http://{}", backend.address());
    format!("telemetry: {{enabled: true, listen: '127.0.0.1:0', traces: {{endpoint: '{url}'}}}}\n")
}

/// The spans of one name.
fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The value of an attribute that is a text.
fn attribute(span: &Span, key: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn span_per_request() {
    let mut answers = [StatusCode::SERVICE_UNAVAILABLE].into_iter();
    let mut backend = Backend::answering(move || answers.next().unwrap_or(StatusCode::OK)).await;
    let (server, client) = (Server::new(), client());
    let mut rig = Rig::start(&to_backend(&server, backend.address(), &traced_by(&backend))).await;
    let address = server.address().await;
    assert_eq!(post(&client, address, Some(PARENT), good()).await.status(), StatusCode::OK);
    exported(&rig, 1.0).await;
    if events_enabled() {
        let told = assert_sequence!(rig, ["export.started", "export.failed", "retry.backoff", "export.succeeded"]);
        let ids = told.map(|event| event.meta.correlation.map(|id| id.to_string()));
        assert_eq!(ids.each_ref().map(Option::as_deref), [Some(TRACE); 4]);
    }
    // A path of a client's own, without a trace of its own.
    send(&client, "GET", &format!("http://{address}/a/path/of/many"), None, Bytes::new()).await;
    closed(&rig, client).await;
    rig.stop().await;

    let spans = backend.spans().await;
    let ours: Vec<Span> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE).cloned().collect();
    let [request] = named(&ours, "POST /v1/metrics")[..] else { panic!("{spans:#?}") };
    let [batch] = named(&ours, "receive test_server")[..] else { panic!("{spans:#?}") };
    let [first, second] = named(&ours, "export test_poster")[..] else { panic!("{spans:#?}") };
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(batch.parent_span_id, request.span_id);
    assert_eq!([&first.parent_span_id, &second.parent_span_id], [&batch.span_id; 2]);
    assert_eq!(attribute(request, "tracecore.status_class").as_deref(), Some("2xx"));
    assert_eq!(attribute(request, "http.route").as_deref(), Some("/v1/metrics"));
    assert_eq!([first, second].map(|span| attribute(span, "error.type")), [Some("io".to_owned()), None]);

    let others: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) != TRACE).collect();
    let [other] = others[..] else { panic!("{others:#?}") };
    assert_eq!((&*other.name, &other.parent_span_id[..]), ("GET unknown", &[][..]));
    assert!(!format!("{spans:?}").contains("/a/path"), "no path is in a span");
}

#[tokio::test]
async fn a_batch_of_nobodys_trace_is_joined_to_the_span_of_its_request() {
    needs_events!();
    let mut backend = Backend::start().await;
    let (server, client) = (Server::new(), client());
    let mut rig = Rig::start(&to_backend(&server, backend.address(), &traced_by(&backend))).await;
    assert_eq!(post(&client, server.address().await, None, good()).await.status(), StatusCode::OK);
    let exported = rig.wait_for(event!("export.succeeded")).await;
    closed(&rig, client).await;
    rig.stop().await;
    let id = exported.meta.correlation.unwrap().to_string();
    let traces: Vec<String> = backend.spans().await.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces, [&*id; 3], "of the request, the batch and the export");
}

#[tokio::test]
async fn without_spans_the_trace_of_the_sender_still_joins_what_is_told() {
    needs_events!();
    let (server, sink, client) = (Server::new(), Sink::new(), client());
    let mut rig = Rig::start(&to_sink(&server, &sink)).await;
    post(&client, server.address().await, Some(PARENT), good()).await;
    for name in ["batch.accepted", "export.succeeded"] {
        let id = rig.wait_for(event!(name)).await.meta.correlation;
        assert_eq!(id.map(|id| id.to_string()).as_deref(), Some(TRACE), "{name}");
    }
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn the_export_of_our_own_events_is_not_traced() {
    needs_events!();
    let mut backend = Backend::start().await;
    let (source, sink, mut log) = (Source::new(), Sink::new(), Sink::new());
    let url = format!("http://{}", backend.address());
    let yaml = format!(
        "
receivers:
  test_source: {{key: {source}}}
exporters:
  test_sink: {{key: {sink}}}
  test_sink/events: {{key: {log}}}
service:
  pipelines:
    metrics: {{receivers: [test_source], exporters: [test_sink]}}
    logs/events: {{receivers: [], exporters: [test_sink/events]}}
telemetry:
  enabled: true
  listen: 127.0.0.1:0
  traces: {{endpoint: '{url}'}}
  events: {{pipeline: {{id: logs/events}}}}
"
    );
    let rig = Rig::start(&yaml).await;
    assert!(source.emit(metrics("traced", 1)).await.is_accepted());
    log.called().await;
    rig.stop().await;
    let names: BTreeSet<String> = backend.spans().await.into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["export test_sink", "receive test_source"].map(str::to_owned).into());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// What ends

/// A client whose request waits for the exporter.
async fn in_flight(server: &Server, sink: &mut Sink) -> TcpStream {
    let mut stream = TcpStream::connect(server.address().await).await.unwrap();
    let body = good();
    let head = format!("POST /v1/metrics HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    sink.called().await;
    stream
}

fn was_told(told: &[Arc<Occurrence>], wanted: &Filter) -> bool {
    told.iter().any(|event| wanted.accepts(event))
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_receiver_stops() {
    let (server, mut sink) = (Server::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&yaml(&server, "", &waiting(&sink), "")).await;
    let mut client = in_flight(&server, &mut sink).await;
    let mut status = rig.running.watch(Role::Receiver, &"test_server".parse().unwrap()).unwrap();
    let mut answer = String::new();
    let release = async {
        within_ceiling(status.wait_for(|status| status.state == State::Stopping)).await.unwrap();
        sink.release(1);
    };
    let (told, (), read) = tokio::join!(rig.stop(), release, client.read_to_string(&mut answer));
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    needs_events!();
    assert!(was_told(&told, &event!("connection.closed", component = "test_server", reason = "done")));
    assert!(was_told(&told, &event!("service.stopped", component = "test_server", reason = "graceful")));
    assert!(was_told(&told, &event!("resource.released", component = "test_server", resource = "listener")));
}

#[tokio::test]
async fn a_request_whose_batch_is_not_delivered_is_told_so_at_the_end_of_the_drain() {
    let (server, mut sink) = (Server::new(), Sink::answering(Answer::Stall));
    let yaml = yaml(&server, "", &waiting(&sink), "").replace("service:\n", "service:\n  drain_timeout: 400ms\n");
    let rig = Rig::start(&yaml).await;
    let mut client = in_flight(&server, &mut sink).await;
    let mut answer = String::new();
    let (told, read) = tokio::join!(rig.stop(), client.read_to_string(&mut answer));
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    needs_events!();
    assert!(was_told(&told, &event!("service.stopped", component = "test_server", reason = "graceful")));
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_before_the_receiver_is_late() {
    let (server, sink) = (Server::new(), Sink::new());
    let yaml = to_sink(&server, &sink).replace("service:\n", "service:\n  drain_timeout: 400ms\n");
    let rig = Rig::start(&yaml).await;
    let mut client = TcpStream::connect(server.address().await).await.unwrap();
    client.write_all(b"POST /v1/metrics HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n").await.unwrap();
    rig.wait_metric("tracecore_receiver_connections_active", &[], |open| open == 1.0).await;
    let told = rig.stop().await;
    needs_events!();
    assert!(was_told(&told, &event!("connection.closed", component = "test_server", reason = "cut")));
    assert!(was_told(&told, &event!("service.stopped", component = "test_server", reason = "graceful")));
}

#[tokio::test]
async fn two_servers_of_a_component_do_not_share_a_socket() {
    let (sink, address) = (Sink::new(), loopback());
    // The same address by another name, or it would be told before anything is bound.
    let name = u32::from(address);
    let yaml = format!(
        "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '{address}:4317'}}, http: {{endpoint: '{name}:4317'}}}}}}
exporters:
  test_sink: {{key: {sink}}}
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [test_sink]}}
"
    );
    let error = Report(&Rig::try_start(&yaml).await.err().unwrap()).to_string();
    assert!(error.contains("protocols.http.endpoint") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_socket_that_breaks_is_an_error_and_is_bound_anew() {
    let (server, sink, client) = (Server::new(), Sink::new(), client());
    let yaml = to_sink(&server, &sink);
    let mut rig = Rig::start(&yaml).await;
    server.break_socket();
    rig.wait_restart("test_server").await;
    assert_eq!(rig.sample("tracecore_receiver_errors_total", &[("kind", "io")]), 1.0);
    assert_eq!(rig.wait_metric("tracecore_component_restarts_total", &[], |restarts| restarts > 0.0).await, 1.0);
    assert_eq!(post(&client, server.address().await, None, good()).await.status(), StatusCode::OK);
    drop(client);
    rig.stop().await;
    assert_eq!(sink.items(), 3);
}
