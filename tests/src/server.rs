//! The `test_server` receiver: takes metrics over OTLP/HTTP, on a port that its test learns.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::{Semaphore, watch};
use tower::service_fn;
use tracecore::net::{Accept, BindError, Bound, Limits, RequestBody, Route};
use tracecore::prelude::*;
use tracecore::testing::{Scripts, within_ceiling};

/// Where metrics are taken.
const METRICS: Route = Route("/v1/metrics");

/// Any port that is free.
const LISTEN: &str = "127.0.0.1:0";

static SCRIPTS: Scripts<Script> = Scripts::new();

/// Takes metrics over OTLP/HTTP.
#[receiver("test_server", signals = [Metrics], config = Config, error = Error)]
struct TestServer {
    config: Config,
    script: Arc<Script>,
}

/// Settings of the `test_server` receiver.
#[config]
struct Config {
    /// Which script it follows.
    key: String,
    /// How many clients may be connected.
    #[default(Limits::default().connections)]
    max_connections: NonZeroUsize,
    /// How long a request may take.
    #[default(Period::secs(30))]
    max_request: Period,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// The key is nobody's.
    #[error("there is no script `{0}`")]
    #[kind(Init)]
    NoScript(String),
    /// There is no port.
    #[error(transparent)]
    #[kind(Init)]
    Listen(BindError),
}

struct Script {
    address: watch::Sender<Option<SocketAddr>>,
    /// How often the socket is to break.
    breaks: Semaphore,
}

/// The far end of a `test_server`.
pub struct Server {
    key: String,
    script: Arc<Script>,
}

impl Default for Server {
    fn default() -> Self {
        let script = Arc::new(Script { address: watch::Sender::default(), breaks: Semaphore::new(0) });
        Server { key: SCRIPTS.keep("server", &script), script }
    }
}

impl Server {
    /// A server that is not there yet.
    pub fn new() -> Self {
        Server::default()
    }

    /// Where it listens, or will next.
    pub async fn address(&self) -> SocketAddr {
        let mut address = self.script.address.subscribe();
        let address = within_ceiling(address.wait_for(Option::is_some)).await;
        address.expect("the script holds the other end").expect("it was waited for")
    }

    /// Breaks its socket for good.
    pub fn break_socket(&self) {
        self.script.address.send_replace(None);
        self.script.breaks.add_permits(1);
    }
}

/// The key, as it stands in a configuration.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Receiver for TestServer {
    fn new(config: Config) -> Result<Self, Error> {
        let script = SCRIPTS.find(&config.key).ok_or_else(|| Error::NoScript(config.key.clone()))?;
        Ok(TestServer { config, script })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        let bound = cx.listen(LISTEN).await.map_err(Error::Listen)?;
        let emitter = cx.emitter().clone();
        let service = service_fn(move |request| answer(emitter.clone(), request));
        let (connections, request) = (self.config.max_connections, self.config.max_request.get());
        let limits = Limits { connections, request, ..Limits::default() };
        let listener = Breakable { bound, script: Arc::clone(&self.script) };
        self.script.address.send_replace(Some(listener.local_addr()));
        cx.serve(Arc::new(listener), service, limits);
        Ok(())
    }

    async fn run(self, cx: Cx<Self>) -> Result<(), Error> {
        cx.shutdown_requested().await;
        Ok(())
    }
}

/// A socket that breaks when it is told to.
struct Breakable {
    bound: Arc<Bound>,
    script: Arc<Script>,
}

impl Accept for Breakable {
    type Io = <Bound as Accept>::Io;

    async fn accept(&self) -> io::Result<(Self::Io, SocketAddr)> {
        tokio::select! {
            accepted = self.bound.accept() => accepted,
            told = self.script.breaks.acquire() => {
                told.expect("it is never closed").forget();
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.bound.local_addr()
    }
}

async fn answer(emitter: Emitter, request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != METRICS.0 {
        return Ok(plain(StatusCode::NOT_FOUND));
    }
    let mut response = match *request.method() {
        Method::POST => take(emitter, request).await,
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    };
    response.extensions_mut().insert(METRICS);
    Ok(response)
}

async fn take(emitter: Emitter, request: Request<RequestBody>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return plain(StatusCode::BAD_REQUEST) };
    let Ok(batch) = Batch::validate(Signal::Metrics, body.to_bytes()) else { return plain(StatusCode::BAD_REQUEST) };
    match emitter.emit_for(batch, Origin::of(&head.headers, &head.extensions)).await {
        // An empty message: everything was taken.
        Verdict::Accepted => with(StatusCode::OK, CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
        Verdict::Refused(Refusal::Permanent) => plain(StatusCode::BAD_REQUEST),
        Verdict::Refused(Refusal::Retryable { after }) => {
            with(StatusCode::TOO_MANY_REQUESTS, RETRY_AFTER, HeaderValue::from(after.as_secs()))
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn with(status: StatusCode, name: HeaderName, value: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = plain(status);
    response.headers_mut().insert(name, value);
    response
}
