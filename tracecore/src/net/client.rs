//! The one way in which tracecore asks others over HTTP.
//!
//! Invariants: a call ends within [`CALL_TIMEOUT`]; no more than [`MAX_ANSWER_BYTES`] of an answer are kept; a redirect
//! is an answer like any other and is not followed, because whoever answers would decide where our data goes. The
//! connections belong to the client and end with its last clone.
//!
//! Deliberately absent: a proxy from the environment, cookies, compression, retries of what was sent, and TLS, which will
//! wrap the connector.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

/// For the TCP connection, names resolved. On one continent it takes milliseconds; one lost packet costs a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For a whole call, the connection and the answer's body included: OpenTelemetry's default for an export.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer's body. What a backend answers to an export is a few bytes, or an error page.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// How long a connection is kept between two calls. Below the usual 60 s after which servers and balancers close theirs,
/// so that a call seldom meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept between two calls: who sends one batch after the other needs one.
const MAX_IDLE_CONNECTIONS: usize = 1;

/// A client for plain HTTP/1. Making one touches nothing; a call needs the runtime. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection.
    #[error("cannot connect")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke, or what came is not HTTP/1.
    #[error("the connection broke before the answer was there")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The answer took too long.
    #[error("no answer within {}", humantime::format_duration(CALL_TIMEOUT))]
    Timeout,
    /// The answer is too long.
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

impl Client {
    /// A client without connections.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // A request is written whole: waiting to fill a packet only adds latency.
        connector.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .build(connector);
        Client(client)
    }

    /// Sends `request`, whose URI is absolute, and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        timeout(CALL_TIMEOUT, self.call_unbounded(request)).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn call_unbounded(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let answer = self.0.request(request.map(Full::new)).await.map_err(|error| {
            if error.is_connect() { CallError::Connect(error.into()) } else { CallError::Broken(error.into()) }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { CallError::TooLarge } else { CallError::Broken(error) }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::StatusCode;
    use http::header::LOCATION;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::error::Report;
    use crate::net::{Bound, Limits, RequestBody, Server};

    /// Answers `/large` with too much, `/away` with a redirect to `/`, and anything else with what it was sent.
    async fn answer(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut response = Response::new(Full::default());
        match head.uri.path() {
            "/large" => *response.body_mut() = vec![0; MAX_ANSWER_BYTES + 1].into(),
            "/away" => {
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                response.headers_mut().insert(LOCATION, "/".parse().unwrap());
            }
            _ => *response.body_mut() = body.collect().await.unwrap().to_bytes().into(),
        }
        Ok(response)
    }

    async fn call(base: &str, path: &str) -> Result<(StatusCode, Bytes), CallError> {
        let request = Request::post(format!("http://{base}{path}")).body(Bytes::from_static(b"ping")).unwrap();
        Client::new().call(request).await.map(|answer| (answer.status(), answer.into_body()))
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_a_redirect_is_not_followed() {
        let bound = Bound::bind("localhost:0").await.unwrap();
        let base = bound.local_addr().to_string();
        let _server = Server::start(bound, tower::service_fn(answer), Limits::default(), Arc::new(()));
        assert_eq!(call(&base, "/").await.unwrap(), (StatusCode::OK, Bytes::from_static(b"ping")));
        assert_eq!(call(&base, "/away").await.unwrap(), (StatusCode::TEMPORARY_REDIRECT, Bytes::new()));
        let error = call(&base, "/large").await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is longer than 4194304 bytes");
    }

    #[tokio::test]
    async fn who_is_not_there_and_who_hangs_up_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let (error, ()) = tokio::join!(call(&base, "/"), async {
            let mut stream = listener.accept().await.unwrap().0;
            // Read first: a client whose request was not taken at all would connect again.
            stream.read_u8().await.unwrap();
        });
        let error = error.unwrap_err();
        assert!(matches!(error, CallError::Broken(_)), "{}", Report(&error));
        drop(listener);
        let error = call(&base, "/").await.unwrap_err();
        assert!(matches!(error, CallError::Connect(_)), "{}", Report(&error));
        assert!(Report(&error).to_string().contains("refused"), "{}", Report(&error));
    }

    #[tokio::test]
    async fn who_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let calling = call(&base, "/");
        let silent = async {
            let mut stream = listener.accept().await.unwrap().0;
            stream.read_u8().await.unwrap();
            // Only from here on does nothing but the clock move.
            tokio::time::pause();
            stream
        };
        let (error, _stream) = tokio::join!(calling, silent);
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 10s");
    }
}
