//! What tests of what is sent share: a backend that takes OTLP over HTTP and keeps it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::mpsc;

use super::{BuildInfo, Resource, SelfTelemetry, SelfTelemetryBuilder};
use crate::config::{Period, Push, Ratio, Traces};
use crate::net::{Bound, Limits, RequestBody, Server};

pub(super) const BUILD: BuildInfo = BuildInfo::new("tracecore", "1.2.3", "abc123");

/// What the backend was sent.
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

/// What the backend answers.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Status(StatusCode),
    /// 200, without so many spans.
    Rejected(i64),
}

pub(super) struct Backend {
    pub(super) url: String,
    pub(super) answer: Arc<Mutex<Answer>>,
    received: mpsc::UnboundedReceiver<Received>,
    _server: Server,
}

impl Backend {
    pub(super) async fn start() -> Self {
        let bound = Bound::bind("localhost:0").await.unwrap();
        let url = format!("http://{}", bound.local_addr());
        let (sender, received) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(Answer::Status(StatusCode::OK)));
        let answers = Arc::clone(&answer);
        let service = tower::service_fn(move |request: Request<RequestBody>| {
            let (sender, answers) = (sender.clone(), Arc::clone(&answers));
            async move {
                let (head, body) = request.into_parts();
                assert_eq!(head.method, Method::POST);
                let body = body.collect().await.unwrap().to_bytes();
                let received = Received { path: head.uri.path().to_owned(), headers: head.headers, body };
                let _ = sender.send(received);
                let answer = *answers.lock().unwrap();
                Ok::<_, Infallible>(answer.response())
            }
        });
        let limits = Limits { body_bytes: 4 << 20, ..Limits::default() };
        Backend { url, answer, received, _server: Server::start(bound, service, limits, Arc::new(())) }
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Received {
        self.received.recv().await.expect("the backend runs")
    }

    /// What has come and nobody has looked at.
    pub(super) fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }

    /// The spans of what has come and nobody has looked at.
    pub(super) fn spans(&mut self) -> Vec<Span> {
        self.rest().iter().flat_map(Received::spans).collect()
    }
}

impl Answer {
    fn response(self) -> Response<Full<Bytes>> {
        let (status, rejected_spans) = match self {
            Answer::Status(status) => (status, 0),
            Answer::Rejected(spans) => (StatusCode::OK, spans),
        };
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: "no".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) };
        let mut response = Response::new(body.encode_to_vec().into());
        *response.status_mut() = status;
        response
    }
}

impl Received {
    pub(super) fn traces(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(self.body.clone()).unwrap()
    }

    pub(super) fn metrics(&self) -> ExportMetricsServiceRequest {
        ExportMetricsServiceRequest::decode(self.body.clone()).unwrap()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let resources = self.traces().resource_spans.into_iter();
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

/// Attributes as `key=value`, in the order in which they came.
pub(super) fn shown(attributes: &[KeyValue]) -> Vec<String> {
    let value = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|attribute| format!("{}={}", attribute.key, value(attribute))).collect()
}

pub(super) fn resource() -> Resource {
    Resource::detect(&BUILD).with("host.name", "node-7").with("service.instance.id", "one")
}

pub(super) fn builder() -> SelfTelemetryBuilder {
    SelfTelemetry::builder(BUILD, resource())
}

/// Telemetry that sends its traces to `url`, started.
pub(super) fn tracing_to(url: &str, ratio: f64) -> SelfTelemetry {
    let traces = Traces { endpoint: Some(url.parse().unwrap()), sampling_ratio: Ratio::try_from(ratio).unwrap() };
    let telemetry = builder().traces(traces).build().unwrap();
    telemetry.start();
    telemetry
}

/// Telemetry that pushes its metrics to `url`, started.
pub(super) fn pushing_to(url: &str, interval: Period) -> SelfTelemetry {
    let push = Push { endpoint: Some(url.parse().unwrap()), interval };
    let telemetry = builder().push(push).build().unwrap();
    telemetry.start();
    telemetry
}
