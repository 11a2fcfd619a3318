//! A backend that takes OTLP over HTTP, answers as its test wants, and keeps what it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::mpsc;
use tower::service_fn;
use tracecore::net::{Bound, Limits, RequestBody, Server};
use tracecore::testing::within_ceiling;

/// Where traces are taken.
const TRACES: &str = "/v1/traces";

type Answers = Box<dyn FnMut() -> StatusCode + Send>;

/// The backend. It ends when it is dropped.
pub struct Backend {
    address: SocketAddr,
    received: mpsc::UnboundedReceiver<(String, StatusCode, Bytes)>,
    _server: Server,
}

impl Backend {
    /// One that takes everything.
    pub async fn start() -> Self {
        Backend::answering(|| StatusCode::OK).await
    }

    /// One that takes traces, and answers everything else with `answers`.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn answering(answers: impl FnMut() -> StatusCode + Send + 'static) -> Self {
        let bound = Bound::bind("127.0.0.1:0").await.expect("a port is free");
        let address = bound.local_addr();
        let (sender, received) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(answers)));
        let service = service_fn(move |request: Request<RequestBody>| {
            let (sender, answers) = (sender.clone(), Arc::clone(&answers));
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.expect("the whole body comes").to_bytes();
                let status = match path.as_str() {
                    TRACES => StatusCode::OK,
                    _ => (answers.lock().unwrap_or_else(PoisonError::into_inner))(),
                };
                // The test may have gone.
                let _ = sender.send((path, status, body));
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        let limits = Limits { body_bytes: 4 << 20, ..Limits::default() };
        Backend { address, received, _server: Server::start(bound, service, limits, Arc::new(())) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bodies that came to a path and were taken, and what came before them is forgotten.
    pub fn taken(&mut self, path: &str) -> Vec<Bytes> {
        let came = std::iter::from_fn(|| self.received.try_recv().ok());
        came.filter(|(to, status, _)| to == path && status.is_success()).map(|(_, _, body)| body).collect()
    }

    /// The next spans, and what came before them is forgotten.
    ///
    /// # Panics
    /// When none come, or when they are not OTLP.
    pub async fn spans(&mut self) -> Vec<Span> {
        loop {
            let (path, _, body) = within_ceiling(self.received.recv()).await.expect("the server holds the other end");
            if path == TRACES {
                let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
                let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
                return scopes.flat_map(|scope| scope.spans).collect();
            }
        }
    }
}
