//! The collector's own traces: a span for each ingest request, each batch of a receiver and each export attempt.
//!
//! Off by default: then there is no provider, no task and no allocation, and a span costs one branch. On, a span costs a
//! few allocations; it goes through a bounded queue to one task that sends it ([`queue`]).
//!
//! Invariants: the names of spans and the values of their attributes are a closed set, times the components of the
//! configuration: an HTTP method of the known ones, the template of a route and never a path, the class of a status and
//! never a code, an [`ErrorKind`]. A trace that comes with a request is kept if its caller keeps it; of those that begin
//! here a share is kept, and the children of a span fare as it does. Our own export has no span (see `otlp`).
//!
//! Deliberately absent: an ambient current span (a parent is handed over), events, links, baggage, headers with
//! credentials for the backend, and spans of processors: a batch's has them all.

mod context;
mod queue;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use http::Method;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits};

pub use self::context::SpanContext;

use self::queue::span_queue;
use super::labels::StatusClass;
use super::otlp::Destination;
use super::outbound::Outbound;
use super::provider::{Identity, SCOPE};
use crate::config::{ComponentId, HttpUrl, Ratio};
use crate::error::ErrorKind;
use crate::time::{Clock, Instant};

/// Where an OTLP/HTTP backend takes traces, below its base URL.
const PATH: &str = "/v1/traces";

/// What a route is called that is none of ours.
const UNKNOWN_ROUTE: &str = "unknown";

/// What the semantic conventions call a method that they do not list, as an attribute and in a name.
const OTHER_METHOD: (&str, &str) = ("_OTHER", "HTTP");

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS_CLASS: &str = "tracecore.status_class";
const COMPONENT: &str = "tracecore.component.id";
const ITEMS: &str = "tracecore.items";
const ERROR_TYPE: &str = "error.type";

/// Where spans are made. Cheap to clone; the default makes none.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Tracer>>);

struct Tracer {
    sdk: SdkTracer,
    clock: Clock,
}

/// What a span stands for.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// A client's request to a receiver, from its headers to its answer: `POST /v1/traces`.
    Request {
        /// The receiver.
        component: &'a ComponentId,
        /// The method; one that the semantic conventions do not list is not shown.
        method: &'a Method,
        /// The template of the route, a constant of the program; none if no route is the request's.
        route: Option<&'static str>,
    },
    /// A batch on its way from a receiver through the processors to the queues: `receive otlp`.
    Receive {
        /// The receiver.
        component: &'a ComponentId,
    },
    /// One attempt of an exporter to deliver a batch: `export otlp/gateway`.
    Export {
        /// The exporter.
        component: &'a ComponentId,
    },
}

/// An operation that goes on. It ends when this is dropped; dropped by a panic, it is an error of the kind `panic`.
#[must_use = "a span that is dropped ends"]
#[derive(Default)]
pub struct Span(Option<Box<Recording>>);

struct Recording {
    span: opentelemetry_sdk::trace::Span,
    began: SystemTime,
    /// What it lasted is measured by the clock that nobody sets.
    since: Instant,
    // What is learned on the way is told at the end: the SDK would keep both values of what is set twice.
    items: Option<u64>,
    status_class: Option<StatusClass>,
    error: Option<ErrorKind>,
}

impl Traces {
    /// Sends spans to `endpoint` once `outbound` has started.
    pub(super) fn new(
        endpoint: &HttpUrl,
        ratio: Ratio,
        identity: Identity<'_>,
        clock: Clock,
        outbound: &Outbound,
    ) -> Self {
        let Identity { build, resource } = identity;
        let destination = Destination::new(endpoint.join(PATH), build);
        let (queue, sender) = span_queue(resource.into(), destination);
        outbound.add(|stop| sender.run(stop));
        // What is not set here the SDK would take from environment variables.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio.get()))))
            .with_span_limits(SpanLimits::default())
            .with_span_processor(queue)
            .build();
        let scope = InstrumentationScope::builder(SCOPE).with_version(build.version).build();
        Traces(Some(Arc::new(Tracer { sdk: provider.tracer_with_scope(scope), clock })))
    }

    /// Whether spans are made at all.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span: a child of `parent`, or the first of a trace.
    pub fn span(&self, operation: Operation<'_>, parent: Option<SpanContext>) -> Span {
        Span(self.0.as_ref().map(|tracer| Box::new(tracer.begin(operation, parent))))
    }
}

impl Tracer {
    fn begin(&self, operation: Operation<'_>, parent: Option<SpanContext>) -> Recording {
        let (name, kind, attributes) = operation.describe();
        let (began, since) = (self.clock.now(), Instant::now());
        let builder = self.sdk.span_builder(name).with_kind(kind).with_attributes(attributes).with_start_time(began);
        let parent =
            parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.to_sdk()));
        let span = builder.start_with_context(&self.sdk, &parent);
        Recording { span, began, since, items: None, status_class: None, error: None }
    }
}

impl Operation<'_> {
    fn describe(&self) -> (Cow<'static, str>, SpanKind, Vec<KeyValue>) {
        let component = |id: &ComponentId| KeyValue::new(COMPONENT, id.as_str().to_owned());
        match *self {
            Operation::Request { component: id, method, route } => {
                let (method, verb) = known_method(method).map_or(OTHER_METHOD, |method| (method, method));
                let route = route.unwrap_or(UNKNOWN_ROUTE);
                let attributes = vec![KeyValue::new(METHOD, method), KeyValue::new(ROUTE, route), component(id)];
                (format!("{verb} {route}").into(), SpanKind::Server, attributes)
            }
            Operation::Receive { component: id } => {
                (format!("receive {}", id.as_str()).into(), SpanKind::Internal, vec![component(id)])
            }
            // What is behind an exporter is another service, most often.
            Operation::Export { component: id } => {
                (format!("export {}", id.as_str()).into(), SpanKind::Client, vec![component(id)])
            }
        }
    }
}

/// The methods of RFC 9110 and RFC 5789.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| method == known)
}

impl Span {
    /// What a child of this span is given as its parent; nothing if there are no traces.
    pub fn context(&self) -> Option<SpanContext> {
        SpanContext::of(self.0.as_ref()?.span.span_context())
    }

    /// How many items (spans, points, records) the operation is about.
    pub fn set_items(&mut self, items: u64) {
        if let Some(recording) = &mut self.0 {
            recording.items = Some(items);
        }
    }

    /// How a request was answered. The class `5xx` is an error even without a kind.
    pub fn set_status_class(&mut self, class: StatusClass) {
        if let Some(recording) = &mut self.0 {
            recording.status_class = Some(class);
        }
    }

    /// Ends the operation: as it should be, or with an error of a kind.
    pub fn end(mut self, outcome: Result<(), ErrorKind>) {
        if let Some(recording) = &mut self.0 {
            recording.error = outcome.err();
        }
    }
}

impl Recording {
    /// The value of `error.type`. A success has no status: the conventions leave `Ok` to the one who reads.
    fn error_type(&self) -> Option<&'static str> {
        let panicked = thread::panicking().then_some(ErrorKind::Panic);
        let class = self.status_class.filter(|class| *class == StatusClass::ServerError);
        self.error.or(panicked).map(ErrorKind::as_str).or(class.map(StatusClass::as_str))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let (error, span) = (self.error_type(), &mut self.span);
        if let Some(items) = self.items {
            span.set_attribute(KeyValue::new(ITEMS, i64::try_from(items).unwrap_or(i64::MAX)));
        }
        if let Some(class) = self.status_class {
            span.set_attribute(KeyValue::new(STATUS_CLASS, class.as_str()));
        }
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(ERROR_TYPE, error));
            span.set_status(Status::error(error));
        }
        span.end_with_timestamp(self.began + self.since.elapsed());
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traces({})", if self.is_enabled() { "on" } else { "off" })
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.context()).finish()
    }
}
