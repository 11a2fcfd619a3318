//! What becomes of a request, told to the [`Observer`] in words of closed sets.
//!
//! Invariants: each request is told of once, also one that no handler saw and one whose client has gone; an observer
//! learns a request's method, headers and route, and never its path, so that no path can become a label or the name of a
//! span. Deliberately absent: the sizes of bodies.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Either;

use super::Observer;
use super::handler::{AnswerBody, HttpService, LastWord};
use crate::telemetry::StatusClass;
use crate::time::Instant;

/// The method of a request, as far as HTTP has a name for it. The words are those of the OpenTelemetry attribute
/// `http.request.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `CONNECT`.
    Connect,
    /// `OPTIONS`.
    Options,
    /// `TRACE`.
    Trace,
    /// `PATCH`.
    Patch,
    /// Any other word, and what never got as far as a method.
    Other,
}

impl Method {
    /// Every method, so that each series stands at zero from the start.
    pub const ALL: [Method; 10] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
        Method::Other,
    ];

    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other => "_OTHER",
        }
    }
}

impl From<&http::Method> for Method {
    fn from(method: &http::Method) -> Self {
        Method::ALL.into_iter().find(|known| known.as_str() == method.as_str()).unwrap_or(Method::Other)
    }
}

/// The route that a request took, such as `/v1/traces`: a literal of the code, however many paths lead to it. A handler
/// puts it into the extensions of its response; without, it is [`Route::UNKNOWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route(pub &'static str);

impl Route {
    /// No handler took the request.
    pub const UNKNOWN: Route = Route("unknown");
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its method.
    pub method: Method,
    /// Its route.
    pub route: Route,
    /// The status of the answer; `None` when the client did not get the whole of it, or none at all.
    pub status: Option<StatusCode>,
    /// From the end of the headers until the socket took the last of the answer. Where the headers did not come to an
    /// end, from their first byte.
    pub took: Duration,
}

impl Finished {
    /// The class of [`Finished::status`].
    pub fn status_class(&self) -> StatusClass {
        StatusClass::of(self.status.map_or(0, |status| status.as_u16()))
    }
}

/// What accompanies one request, such as its span; made by [`Observer::request_started`].
pub trait RequestSpan: Send + Sync + 'static {
    /// The request has ended. Called once, before [`Observer::request_finished`].
    fn finished(self: Box<Self>, request: &Finished);
}

/// A request under way. Dropping it tells that it has ended, without an answer unless [`Exchange::delivered`] was called.
pub(super) struct Exchange {
    observer: Arc<dyn Observer>,
    span: Option<Box<dyn RequestSpan>>,
    method: Method,
    route: Route,
    /// What the handler answered.
    answered: Option<StatusCode>,
    /// What the client got.
    status: Option<StatusCode>,
    began: Instant,
}

impl Exchange {
    /// The headers are complete.
    pub(super) fn begin<B>(observer: Arc<dyn Observer>, request: Request<B>) -> (Self, Request<B>) {
        let (mut parts, body) = request.into_parts();
        let method = Method::from(&parts.method);
        let span = observer.request_started(method, &parts.headers, &mut parts.extensions);
        let (route, began) = (Route::UNKNOWN, Instant::now());
        let exchange = Exchange { observer, span, method, route, answered: None, status: None, began };
        (exchange, Request::from_parts(parts, body))
    }

    /// Something began to arrive at `began` and never became a request; `status` is what it was answered with.
    pub(super) fn stillborn(observer: Arc<dyn Observer>, began: Instant, status: Option<StatusCode>) {
        let (method, route) = (Method::Other, Route::UNKNOWN);
        drop(Exchange { observer, span: None, method, route, answered: status, status, began });
    }

    /// The handler, or the server in its place, has answered: gives what the client is to get.
    pub(super) fn answered<S: HttpService>(
        &mut self,
        answered: Result<Response<S::Body>, LastWord>,
    ) -> Response<AnswerBody<S::Body>> {
        let (route, status) = match &answered {
            Ok(response) => S::told(response),
            Err(last_word) => (Route::UNKNOWN, last_word.status),
        };
        (self.route, self.answered) = (route, Some(status));
        match answered {
            Ok(response) => response.map(Either::Left),
            Err(last_word) => last_word.response(),
        }
    }

    /// The client's side has the whole answer.
    pub(super) fn delivered(mut self) {
        self.status = self.answered;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Exchange { method, route, status, .. } = *self;
        let finished = Finished { method, route, status, took: self.began.elapsed() };
        if let Some(span) = self.span.take() {
            span.finished(&finished);
        }
        self.observer.request_finished(&finished);
    }
}
