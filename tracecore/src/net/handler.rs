//! One request: the body's limit, the time limit and the panic boundary around a handler.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tower::{Service, ServiceExt};
use tracing::{debug, error};

use super::connection::Progress;
use super::request::Exchange;
use super::{Limits, Observer};

/// The body of a request. It fails with [`http_body_util::LengthLimitError`] once it is longer than
/// [`Limits::body_bytes`]; the handler answers that with 413.
pub type RequestBody = Limited<Incoming>;

/// What [`super::serve`] serves: a cloneable tower service that answers its own errors.
pub trait HttpService: Clone + Send + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static;

    /// Answers one request.
    fn handle(self, request: Request<RequestBody>) -> impl Future<Output = Response<Self::Body>> + Send;
}

impl<S, B> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    type Body = B;

    async fn handle(self, request: Request<RequestBody>) -> Response<B> {
        let Ok(response) = self.oneshot(request).await;
        response
    }
}

/// The service of one connection, with what bounds each of its requests.
pub(super) struct Handler<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) progress: Progress,
}

impl<S: HttpService> Handler<S> {
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<S::Body>>, Infallible>> + use<S> {
        self.progress.request_begins();
        let Handler { limits, observer, progress, .. } = self;
        let (limits, observer, progress, service) =
            (*limits, Arc::clone(observer), progress.clone(), self.service.clone());
        let (mut exchange, request) = Exchange::begin(Arc::clone(&observer), request);
        async move {
            let response = bounded(service, request, limits, &*observer, &progress).await;
            exchange.answered(&response);
            Ok(response.map(|body| Answer { body, exchange: Some(exchange), progress }))
        }
    }
}

async fn bounded<S: HttpService>(
    service: S,
    request: Request<Incoming>,
    limits: Limits,
    observer: &dyn Observer,
    progress: &Progress,
) -> Response<Either<S::Body, Full<Bytes>>> {
    if let Some(refusal) = refusal(&request, limits) {
        return refusal.map(Either::Right);
    }
    let request = request.map(|body| Limited::new(body, limits.body_bytes));
    let handled = AssertUnwindSafe(service.handle(request)).catch_unwind();
    match tokio::time::timeout(limits.request, handled).await {
        Ok(Ok(response)) => response.map(Either::Left),
        Ok(Err(panic)) => {
            observer.handler_panicked();
            panicked(&*panic).map(Either::Right)
        }
        // 503 and not 408: clients may send the same again, and the handler may have been what was slow.
        Err(_elapsed) => {
            progress.request_timed_out();
            debug!(limit = ?limits.request, "request took too long");
            last_word(StatusCode::SERVICE_UNAVAILABLE, "request took too long\n").map(Either::Right)
        }
    }
}

/// What no handler is asked: a body that says it is too large, and `CONNECT`. No handler is a proxy, and many take for
/// granted that a request has a path, which `CONNECT` alone has not.
fn refusal(request: &Request<Incoming>, limits: Limits) -> Option<Response<Full<Bytes>>> {
    let limit = u64::try_from(limits.body_bytes).unwrap_or(u64::MAX);
    if request.method() == Method::CONNECT {
        Some(last_word(StatusCode::NOT_IMPLEMENTED, "not a proxy\n"))
    } else if request.body().size_hint().lower() > limit {
        Some(last_word(StatusCode::PAYLOAD_TOO_LARGE, "request body too large\n"))
    } else {
        None
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response<Full<Bytes>> {
    error!(panic = panic_message(panic), "request handler panicked");
    last_word(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

/// An answer of the server's own, after which the connection is closed: the state of the request is not known.
fn last_word(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a panic said; most say a string.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The body of an answer. hyper drops it once it has its last byte, which is when the server is done with the request.
pub(super) struct Answer<B> {
    body: Either<B, Full<Bytes>>,
    exchange: Option<Exchange>,
    progress: Progress,
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.progress.request_ends(exchange);
        }
    }
}
