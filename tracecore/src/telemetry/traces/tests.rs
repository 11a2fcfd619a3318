use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::trace;
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use tokio::net::TcpListener;

use super::*;
use crate::config;
use crate::net::testing::Logs;
use crate::telemetry::testing::{Answer, Backend, Received, builder, shown, tracing_to};
use crate::telemetry::{FLUSH_BUDGET, SelfTelemetry};
use crate::time::Duration;

/// Far above what a backend on this machine needs.
const PLENTY: Duration = Duration::from_secs(30);

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

fn receive(telemetry: &SelfTelemetry, parent: Option<SpanContext>) -> Span {
    telemetry.traces().span(Operation::Receive { component: &id("otlp") }, parent)
}

async fn stop(telemetry: &SelfTelemetry) {
    telemetry.stop(Instant::now() + PLENTY).await;
}

fn parent(text: &str) -> Option<SpanContext> {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", text.parse().unwrap());
    SpanContext::from_traceparent(&headers)
}

// What is sent

#[tokio::test]
async fn a_batch_is_followed_from_its_request_to_its_export() {
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    let (otlp, gateway) = (id("otlp"), id("otlp/gateway"));
    let traces = telemetry.traces();
    let operation = Operation::Request { component: &otlp, method: Method::Post };
    let mut request = traces.span(operation, parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let mut batch = traces.span(Operation::Receive { component: &otlp }, request.context());
    batch.set_items(7);
    let export = traces.span(Operation::Export { component: &gateway }, batch.context());
    export.end(Err(ErrorKind::Connect));
    batch.end(Ok(()));
    request.set_route(Route("/v1/traces"));
    request.set_status_class(StatusClass::of(202));
    drop(request);
    stop(&telemetry).await;

    let received = backend.rest();
    let [received] = &received[..] else { panic!("one request, and not {}", received.len()) };
    assert_eq!(received.path, "/v1/traces");
    assert_eq!(received.headers["content-type"], "application/x-protobuf");
    assert_eq!(received.headers["user-agent"], "tracecore/1.2.3");
    let resource = received.traces().resource_spans.remove(0);
    let mut attributes = shown(&resource.resource.unwrap().attributes);
    attributes.sort();
    let expected = ["host.name=node-7", "service.instance.id=one", "service.name=tracecore", "service.version=1.2.3"];
    assert_eq!(attributes, expected);
    assert_eq!(resource.scope_spans[0].scope.as_ref().unwrap().name, "tracecore");

    let spans = received.spans();
    let [export, batch, request] = &spans[..] else { panic!("three spans, and not {}", spans.len()) };
    assert_eq!([&*request.name, &batch.name, &export.name], ["POST /v1/traces", "receive otlp", "export otlp/gateway"]);
    let kinds = [request, batch, export].map(trace::v1::Span::kind);
    assert_eq!(kinds, [SpanKind::Server, SpanKind::Internal, SpanKind::Client]);
    let status = [request, batch, export].map(|span| span.status.as_ref().unwrap().code());
    assert_eq!(status, [SpanStatus::Unset, SpanStatus::Unset, SpanStatus::Error]);
    let expected = [
        "http.request.method=POST",
        "tracecore.component.id=otlp",
        "http.route=/v1/traces",
        "tracecore.status_class=2xx",
    ];
    assert_eq!(shown(&request.attributes), expected);
    assert_eq!(shown(&batch.attributes), ["tracecore.component.id=otlp", "tracecore.items=7"]);
    assert_eq!(shown(&export.attributes), ["tracecore.component.id=otlp/gateway", "error.type=connect"]);

    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    assert!(spans.iter().all(|span| span.trace_id == trace && span.start_time_unix_nano <= span.end_time_unix_nano));
    assert_eq!(request.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!((&batch.parent_span_id, &export.parent_span_id), (&request.span_id, &batch.span_id));
    let remote = [request, batch, export].map(|span| span.flags & SpanFlags::ContextIsRemoteMask as u32 != 0);
    assert_eq!(remote, [true, false, false], "only the request's parent is another process's");
}

#[tokio::test]
async fn so_many_spans_are_sent_as_were_made_and_none_for_the_sending() {
    const SPANS: usize = 1100;
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    // Two full batches go at once; what is left goes at the stop.
    (0..SPANS).for_each(|_| drop(receive(&telemetry, None)));
    let (first, second) = (backend.next().await, backend.next().await);
    assert_eq!((first.spans().len(), second.spans().len()), (512, 512));
    stop(&telemetry).await;
    let rest = backend.rest();
    let [last] = &rest[..] else { panic!("one more request, and not {}", rest.len()) };
    let spans: Vec<_> = [&first, &second, last].into_iter().flat_map(Received::spans).collect();
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!((spans.len(), ids.len()), (SPANS, SPANS));
    // Were the backend a collector, ours even, it would not trace what it is sent here.
    for received in [&first, &second, last] {
        let context = SpanContext::from_traceparent(&received.headers).unwrap();
        let span = receive(&telemetry, Some(context));
        assert!(!context.is_sampled() && !span.context().unwrap().is_sampled());
    }
}

#[tokio::test]
async fn a_trace_is_kept_as_its_caller_says_or_by_the_share() {
    let kept = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let not_kept = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    for (ratio, parent, sent) in
        [(1.0, None, 2), (1.0, kept, 2), (1.0, not_kept, 0), (0.0, None, 0), (0.0, kept, 2), (0.0, not_kept, 0)]
    {
        let mut backend = Backend::start().await;
        let telemetry = tracing_to(&backend.url, ratio);
        let span = receive(&telemetry, parent);
        let context = span.context().unwrap();
        assert_eq!(context.is_sampled(), sent > 0, "{ratio} {parent:?}");
        drop((receive(&telemetry, span.context()), span));
        stop(&telemetry).await;
        assert_eq!(backend.spans().len(), sent, "{ratio} {parent:?}");
    }
}

#[tokio::test]
async fn a_share_of_the_traces_is_kept() {
    let backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 0.25);
    let kept = (0..2000).filter(|_| receive(&telemetry, None).context().unwrap().is_sampled()).count();
    // Of 2000 traces 500, give or take: five deviations are 97.
    assert!((400..600).contains(&kept), "{kept}");
    stop(&telemetry).await;
}

#[tokio::test]
async fn what_goes_wrong_is_an_error_of_a_known_type() {
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    let answered = |status: StatusCode| {
        let mut span = receive(&telemetry, None);
        span.set_status_class(StatusClass::of(status.as_u16()));
        span
    };
    drop(answered(StatusCode::NOT_FOUND));
    drop(answered(StatusCode::SERVICE_UNAVAILABLE));
    answered(StatusCode::SERVICE_UNAVAILABLE).end(Err(ErrorKind::Downstream));
    drop(answered(StatusCode::from_u16(999).unwrap()));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _span = receive(&telemetry, None);
        panic!("as a component may");
    }));
    assert!(panicked.is_err());
    stop(&telemetry).await;
    let spans: Vec<_> = backend
        .spans()
        .iter()
        .map(|span| (shown(&span.attributes)[1..].join(" "), span.status.as_ref().unwrap().code()))
        .collect();
    let expected = [
        ("tracecore.status_class=4xx", SpanStatus::Unset),
        ("tracecore.status_class=5xx error.type=5xx", SpanStatus::Error),
        ("tracecore.status_class=5xx error.type=downstream", SpanStatus::Error),
        ("tracecore.status_class=unknown", SpanStatus::Unset),
        ("error.type=panic", SpanStatus::Error),
    ];
    assert_eq!(spans, expected.map(|(attributes, status)| (attributes.to_owned(), status)));
}

#[tokio::test]
async fn a_span_has_the_time_of_the_clock_that_was_handed_down() {
    let start = Duration::from_secs(1_780_000_000);
    let mut backend = Backend::start().await;
    let traces = config::Traces { endpoint: Some(backend.url.parse().unwrap()), ..Default::default() };
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + start);
    let telemetry = builder().clock(clock).traces(traces).build().unwrap();
    telemetry.start();
    drop(receive(&telemetry, None));
    stop(&telemetry).await;
    let span = backend.spans().remove(0);
    let times = [span.start_time_unix_nano, span.end_time_unix_nano].map(Duration::from_nanos);
    assert!(start <= times[0] && times[0] <= times[1] && times[1] < start + PLENTY, "{times:?}");
}

#[tokio::test]
async fn whatever_clients_send_the_names_stay_a_closed_set() {
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    let component = id("otlp");
    let mut request = |method: &str| {
        let method = Method::from(&http::Method::from_bytes(method.as_bytes()).unwrap());
        let operation = Operation::Request { component: &component, method };
        drop(telemetry.traces().span(operation, None));
    };
    (0..400).for_each(|number| request(&format!("METHOD{number}")));
    ["get", "GET", "PATCH"].into_iter().for_each(&mut request);
    stop(&telemetry).await;
    let spans: BTreeSet<_> =
        backend.spans().iter().map(|span| (span.name.clone(), shown(&span.attributes).join(" "))).collect();
    let expected = [
        ("GET unknown", "http.request.method=GET tracecore.component.id=otlp http.route=unknown"),
        ("HTTP unknown", "http.request.method=_OTHER tracecore.component.id=otlp http.route=unknown"),
        ("PATCH unknown", "http.request.method=PATCH tracecore.component.id=otlp http.route=unknown"),
    ];
    assert_eq!(spans, expected.map(|(name, attributes)| (name.to_owned(), attributes.to_owned())).into());
}

// What fails

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_not_there_or_silent_does_not_hold_up_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Nobody accepts: the kernel connects, and no answer ever comes.
    let mut listener = Some(listener);
    for gone in [false, true] {
        if gone {
            listener = None;
        }
        let telemetry = tracing_to(&url, 1.0);
        (0..1100).for_each(|_| drop(receive(&telemetry, None)));
        let before = Instant::now();
        telemetry.stop(before + FLUSH_BUDGET).await;
        assert!(before.elapsed() <= FLUSH_BUDGET + Duration::from_millis(1), "{:?}, gone: {gone}", before.elapsed());
    }
    assert!(listener.is_none());
}

#[tokio::test]
async fn a_failing_backend_is_one_warning_until_it_works_again() {
    let (logs, _guard) = Logs::capture();
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    let unavailable = Answer::Status(StatusCode::SERVICE_UNAVAILABLE);
    let redirect = Answer::Status(StatusCode::TEMPORARY_REDIRECT);
    let ok = Answer::Status(StatusCode::OK);
    for answer in [unavailable, redirect, Answer::Rejected(3), ok, ok, Answer::Rejected(3), ok] {
        *backend.answer.lock().unwrap() = answer;
        (0..512).for_each(|_| drop(receive(&telemetry, None)));
        assert_eq!(backend.next().await.spans().len(), 512);
    }
    stop(&telemetry).await;
    let text = logs.text();
    let lines = |level: &str| text.lines().filter(|line| line.contains(level)).collect::<Vec<_>>();
    let (warnings, news) = (lines("WARN"), lines("INFO"));
    assert_eq!((warnings.len(), news.len()), (2, 2), "{text}");
    assert!(warnings[0].contains("the backend answered 503"), "{text}");
    assert!(warnings[1].contains("did not take 3 of the items"), "{text}");
    assert!(news.iter().all(|line| line.contains("is taken again")), "{text}");
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_lost_and_told_once() {
    let (logs, _guard) = Logs::capture();
    let mut backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    // The sender shares this thread and has not run yet.
    (0..3000).for_each(|_| drop(receive(&telemetry, None)));
    stop(&telemetry).await;
    assert_eq!(backend.spans().len(), 2048);
    let text = logs.text();
    assert_eq!(text.matches("spans=952").count(), 1, "{text}");
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
    drop(receive(&telemetry, None));
    assert_eq!(backend.spans().len(), 0, "after the stop nothing is sent");
}

// What is not there

#[test]
fn without_an_endpoint_there_is_nothing_to_run() {
    let telemetry = builder().build().unwrap();
    assert!(telemetry.0.outbound.is_none() && !telemetry.traces().is_enabled());
    // There is no runtime here: a task could not be spawned.
    telemetry.start();
    let mut span = receive(&telemetry, parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    span.set_items(1);
    span.set_status_class(StatusClass::Success);
    assert_eq!(span.context(), None);
    span.end(Ok(()));
}

#[test]
fn telemetry_that_is_off_sends_nothing() {
    let traces = config::Traces { endpoint: Some("http://localhost:1".parse().unwrap()), sampling_ratio: Ratio::ONE };
    let telemetry = builder().level(crate::telemetry::Level::None).traces(traces).build().unwrap();
    assert!(telemetry.0.outbound.is_none() && !telemetry.traces().is_enabled());
}

#[tokio::test]
async fn with_an_endpoint_there_is_no_thread_either() {
    let backend = Backend::start().await;
    let telemetry = tracing_to(&backend.url, 1.0);
    drop(receive(&telemetry, None));
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let names: Vec<String> = names.filter(|name| name.starts_with("OpenTelemetry")).collect();
    assert_eq!(names, [""; 0]);
    stop(&telemetry).await;
}
