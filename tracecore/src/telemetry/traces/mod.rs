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
use crate::net::{Method, Route};
use crate::time::{Clock, Instant};

/// Where an OTLP/HTTP backend takes traces, below its base URL.
const PATH: &str = "/v1/traces";

/// What the semantic conventions call a method that they do not list, in a name.
const OTHER_METHOD: &str = "HTTP";

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
    /// A client's request to a receiver, from its headers to its answer: `POST /v1/traces`, by the route that is known
    /// when it is answered.
    Request {
        /// The receiver.
        component: &'a ComponentId,
        /// The method.
        method: Method,
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
    method: Option<Method>,
    route: Route,
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
        let method = operation.method();
        let (began, since) = (self.clock.now(), Instant::now());
        let builder = self.sdk.span_builder(name).with_kind(kind).with_attributes(attributes).with_start_time(began);
        let parent =
            parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.to_sdk()));
        let span = builder.start_with_context(&self.sdk, &parent);
        let route = Route::UNKNOWN;
        Recording { span, began, since, method, route, items: None, status_class: None, error: None }
    }
}

impl Operation<'_> {
    fn describe(&self) -> (Cow<'static, str>, SpanKind, Vec<KeyValue>) {
        let component = |id: &ComponentId| KeyValue::new(COMPONENT, id.as_str().to_owned());
        match *self {
            Operation::Request { component: id, method } => {
                (verb(method).into(), SpanKind::Server, vec![KeyValue::new(METHOD, method.as_str()), component(id)])
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

    fn method(self) -> Option<Method> {
        match self {
            Operation::Request { method, .. } => Some(method),
            Operation::Receive { .. } | Operation::Export { .. } => None,
        }
    }
}

/// A method in the name of a span.
fn verb(method: Method) -> &'static str {
    if method == Method::Other { OTHER_METHOD } else { method.as_str() }
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

    /// Which route took a request; without, it is [`Route::UNKNOWN`].
    pub fn set_route(&mut self, route: Route) {
        if let Some(recording) = &mut self.0 {
            recording.route = route;
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
        if let Some(method) = self.method.filter(|_| span.is_recording()) {
            let route = self.route.0;
            span.update_name(format!("{} {route}", verb(method)));
            span.set_attribute(KeyValue::new(ROUTE, route));
        }
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
