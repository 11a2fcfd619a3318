//! One request: the body's limit and the panic boundary around a handler.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use tower::{Service, ServiceExt};
use tracing::{debug, error};

use super::body::Unread;
use super::{Limits, Observer, RequestBody, Route};

/// Why the body of an answer ended before its end.
pub(super) type BodyError = Box<dyn Error + Send + Sync>;

/// What a client gets: the body of a handler's answer, or of the server's own.
pub(super) type AnswerBody<B> = Either<B, Full<Bytes>>;

/// What [`super::serve`] serves. A cloneable tower service that answers its own errors is one.
pub trait HttpService: Clone + Send + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static;

    /// Answers one request.
    fn handle(self, request: Request<RequestBody>) -> impl Future<Output = Response<Self::Body>> + Send;

    /// What to tell the [`Observer`] of an answer: its route, and its status in the words of HTTP. A protocol that has
    /// statuses of its own and says 200 to everything, such as gRPC, translates them here.
    fn told(response: &Response<Self::Body>) -> (Route, StatusCode) {
        (response.extensions().get().copied().unwrap_or(Route::UNKNOWN), response.status())
    }
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

/// Asks the service, and is ready for its panic.
///
/// # Errors
///
/// What the server answers in its place.
pub(super) async fn guarded<S: HttpService>(
    service: S,
    request: Request<Incoming>,
    peer: SocketAddr,
    unread: Option<Unread>,
    limits: Limits,
    observer: Arc<dyn Observer>,
) -> Result<Response<S::Body>, LastWord> {
    let refused = refuse(&request, limits);
    let head = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    // Who asks first does not send what it hears is not wanted.
    let unread = unread.filter(|_| !request.headers().contains_key(EXPECT));
    let request =
        request.map(|body| RequestBody::new(body, peer, unread, limits.body_bytes, head, Arc::clone(&observer)));
    refused?;
    let handled = AssertUnwindSafe(service.handle(request)).catch_unwind();
    handled.await.map_err(|panic| {
        observer.handler_panicked();
        error!(panic = panic_message(&*panic), "request handler panicked");
        LastWord { status: StatusCode::INTERNAL_SERVER_ERROR, text: "internal error\n" }
    })
}

/// What no handler is asked: a body that says it is too large, and `CONNECT`. No handler is a proxy, and many take for
/// granted that a request has a path, which `CONNECT` alone has not.
fn refuse(request: &Request<Incoming>, limits: Limits) -> Result<(), LastWord> {
    let limit = u64::try_from(limits.body_bytes).unwrap_or(u64::MAX);
    if request.method() == Method::CONNECT {
        Err(LastWord { status: StatusCode::NOT_IMPLEMENTED, text: "not a proxy\n" })
    } else if request.body().size_hint().lower() > limit {
        Err(LastWord { status: StatusCode::PAYLOAD_TOO_LARGE, text: "request body too large\n" })
    } else {
        Ok(())
    }
}

/// The handler did not answer within [`Limits::request`]. 503 and not 408: clients may send the same again, and the
/// handler may have been what was slow.
pub(super) fn too_slow(limits: Limits) -> LastWord {
    debug!(limit = ?limits.request, "request took too long");
    LastWord { status: StatusCode::SERVICE_UNAVAILABLE, text: "request took too long\n" }
}

/// An answer of the server's own, in the place of a handler's.
pub(super) struct LastWord {
    pub(super) status: StatusCode,
    text: &'static str,
}

impl LastWord {
    pub(super) fn response<B>(self) -> Response<AnswerBody<B>> {
        let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(self.text.as_bytes()))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// What a panic said; most say a string.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
