//! Serving clients, as a task of a component.
//!
//! Invariants: every connection is told of as an event of the component, and of a receiver every request is counted and has
//! a span; the server ends with the incarnation that began it, while the socket stays for the next one; a socket that is
//! broken is an error of the component, and is bound anew. Deliberately absent: spans of what is not ingest, such as a
//! scrape: they would be traces of nothing but the watching.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap};

use super::Cx;
use super::life::{Base, Own};
use super::resources::LISTENER;
use crate::component::Component;
use crate::emit::Origin;
use crate::error::ErrorKind;
use crate::events::{ConnectionEvent, ResourceEvent};
use crate::net::{
    Accept, Closed, Finished, HttpService, Limits, ListenerFailed, Method, Observer, RequestSpan, serve_component,
};
use crate::runtime::Failure;
use crate::status::State;
use crate::surface::SHUTDOWN_BUDGET;
use crate::telemetry::{IngestTelemetry, Operation, Span, SpanContext};
use crate::time::Instant;

/// How long before the component's own deadline the connections that are still open are cut: what is cut ends when it next
/// yields, and is then gone before the component is called late.
const CUT_MARGIN: Duration = Duration::from_millis(50);

impl<C: Component> Cx<C> {
    /// Serves `service` on a socket of [`Cx::listen`], as a task of this component, until its end. At a shutdown idle
    /// connections are closed and requests in flight finish, within the time that the component has to stop.
    ///
    /// A handler finds the [`Origin`] of its request by [`Origin::of`], and names the route that it takes by putting a
    /// [`Route`](crate::net::Route) into the extensions of its response.
    ///
    /// A socket that can never accept again is an error of the kind `io`: a receiver is then restarted, what has no loop to
    /// restart is in `PermanentError`.
    pub fn serve<L: Accept, S: HttpService>(&self, listener: Arc<L>, service: S, limits: Limits) {
        let base = self.base.clone();
        let observer = Arc::new(ServerObserver::new(base.clone()));
        self.spawn("serve", async move {
            let stop = async {
                base.shutdown.cancelled().await;
                let end = base.stop_by().unwrap_or_else(|| Instant::now() + SHUTDOWN_BUDGET);
                end.checked_sub(CUT_MARGIN).unwrap_or(end)
            };
            let address = listener.local_addr();
            if let Err(failed) = serve_component(listener, service, limits, observer, stop).await {
                base.forget_socket(address);
                base.listener_failed(&failed);
            }
        });
    }
}

impl Base {
    /// A socket that is broken must not be the one of the next incarnation.
    fn forget_socket(&self, address: std::net::SocketAddr) {
        for _ in 0..self.sockets.forget(address) {
            self.released(LISTENER);
        }
    }

    fn listener_failed(&self, failed: &ListenerFailed) {
        let failure = Failure::new(ErrorKind::Io, failed.to_string());
        if !matches!(self.own, Own::Receiver { .. }) {
            self.reported(State::PermanentError, Some((failure.kind, failure.message.clone())));
        }
        self.task_failed(failure);
    }
}

/// What a component's server tells of its clients.
struct ServerObserver {
    base: Base,
    /// Of a receiver.
    ingest: Option<IngestTelemetry>,
}

impl ServerObserver {
    fn new(base: Base) -> Self {
        let receives = matches!(base.own, Own::Receiver { .. });
        let ingest = receives.then(|| base.shared.telemetry.ingest(base.id.as_str()));
        ServerObserver { base, ingest }
    }
}

impl Observer for ServerObserver {
    fn connection_opened(&self) {
        if let Some(ingest) = &self.ingest {
            ingest.connection_opened();
        }
        self.base.tell(|| ConnectionEvent::Opened {});
    }

    fn connection_closed(&self, how: Closed) {
        if let Some(ingest) = &self.ingest {
            ingest.connection_closed();
        }
        self.base.tell(|| ConnectionEvent::Closed { reason: how.as_str() });
    }

    fn connections_full(&self) {
        self.base.tell(|| ResourceEvent::Exhausted { resource: "connection" });
    }

    fn accept_failed(&self) {
        self.base.tell(|| ConnectionEvent::Failed { error: "not accepted".to_owned() });
    }

    fn request_started(
        &self,
        method: Method,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Option<Box<dyn RequestSpan>> {
        let traces = self.base.shared.telemetry.traces();
        if self.ingest.is_none() || !traces.is_enabled() {
            return None;
        }
        let operation = Operation::Request { component: &self.base.id, method };
        let span = traces.span(operation, SpanContext::from_traceparent(headers));
        if let Some(context) = span.context() {
            extensions.insert(Origin::span(context));
        }
        Some(Box::new(span))
    }

    fn request_finished(&self, request: &Finished) {
        if let Some(ingest) = &self.ingest {
            ingest.answered(request.status_class(), request.took);
        }
    }

    fn handler_panicked(&self) {
        self.base.count_error(ErrorKind::Panic);
    }
}

impl RequestSpan for Span {
    fn finished(mut self: Box<Self>, request: &Finished) {
        self.set_route(request.route);
        self.set_status_class(request.status_class());
        self.end(Ok(()));
    }
}
