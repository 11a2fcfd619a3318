//! OTLP/HTTP: a POST for each request, in protobuf or in JSON.
//!
//! A failure has a `google.rpc.Status` as its body, in the format of the request, and in JSON where that is not known.
//! Deliberately absent: compressed answers, and the query of a URL: it is not looked at.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tracecore::net::{HttpService, RequestBody, Route};
use tracecore::otlp::compression::Encoding;
use tracecore::otlp::grpc::Code;
use tracecore::otlp::status::{Status, http_status};
use tracecore::otlp::{self, Format, response};
use tracecore::prelude::*;

use super::config::{self, Cors};
use super::cors;
use super::intake::{Intake, broken};
use super::pieces::Pieces;
use super::unpack::{Packed, Unpackable};

/// The service of one listener.
#[derive(Clone)]
pub(super) struct Http(Arc<Shared>);

struct Shared {
    intake: Intake,
    paths: [(Signal, String); 3],
    /// The largest body in bytes, compressed as well as not.
    limit: usize,
    encodings: Vec<Encoding>,
    /// These as the value of `accept-encoding`.
    accepted: HeaderValue,
    cors: Option<Cors>,
    /// Of every answer.
    headers: HeaderMap,
}

impl Http {
    pub(super) fn new(intake: Intake, config: &config::Http, headers: HeaderMap) -> Self {
        let encodings: Vec<Encoding> = config.compression_algorithms.iter().map(|named| named.encoding()).collect();
        let names: Vec<&str> = encodings.iter().map(|encoding| encoding.as_str()).collect();
        Http(Arc::new(Shared {
            intake,
            paths: [
                (Signal::Traces, config.traces_url_path.clone()),
                (Signal::Metrics, config.metrics_url_path.clone()),
                (Signal::Logs, config.logs_url_path.clone()),
            ],
            limit: config.max_body(),
            accepted: HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static("identity")),
            encodings,
            cors: config.cors.clone(),
            headers,
        }))
    }
}

impl HttpService for Http {
    type Body = Full<Bytes>;

    async fn handle(self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let mut answer = self.0.answer(request).await;
        if !self.0.headers.is_empty() {
            answer.headers_mut().extend(self.0.headers.clone());
        }
        answer
    }
}

impl Shared {
    async fn answer(&self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let (peer, format) = (body.peer(), format(&head.headers));
        let Some((signal, _)) = self.paths.iter().find(|(_, path)| path == head.uri.path()) else {
            let unknown = Status::new(Code::NotFound, "nothing is taken at this path");
            let failure = Failure { http: StatusCode::NOT_FOUND, status: unknown };
            return self.refuse(peer, &failure, format);
        };
        let mut answer = match (&head.method, &self.cors) {
            (&Method::POST, _) => self.post(*signal, format, &head, body).await,
            (&Method::OPTIONS, Some(cors)) => {
                let mut answer = Response::default();
                *answer.status_mut() = StatusCode::NO_CONTENT;
                cors::preflight(cors, &head.headers, answer.headers_mut());
                answer
            }
            _ => {
                let status = Status::new(Code::Unimplemented, "this path takes POST alone");
                let failure = Failure { http: StatusCode::METHOD_NOT_ALLOWED, status };
                let mut answer = self.refuse(peer, &failure, format);
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                answer
            }
        };
        answer.extensions_mut().insert(Route(otlp::path(*signal)));
        answer
    }

    async fn post(
        &self,
        signal: Signal,
        format: Option<Format>,
        head: &Parts,
        body: RequestBody,
    ) -> Response<Full<Bytes>> {
        let peer = body.peer();
        let mut answer = match format {
            Some(format) => match self.take(signal, format, head, body).await {
                Ok(()) => with_body(StatusCode::OK, format, response::encode(signal, format, None)),
                Err(failure) => {
                    let mut answer = self.refuse(peer, &failure, Some(format));
                    if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                        answer.headers_mut().insert(ACCEPT_ENCODING, self.accepted.clone());
                    }
                    answer
                }
            },
            None => {
                let text = "content-type is neither application/x-protobuf nor application/json";
                let status = Status::new(Code::InvalidArgument, text);
                self.refuse(peer, &Failure { http: StatusCode::UNSUPPORTED_MEDIA_TYPE, status }, None)
            }
        };
        if let Some(cors) = &self.cors {
            cors::allow(cors, &head.headers, answer.headers_mut());
        }
        answer
    }

    async fn take(&self, signal: Signal, format: Format, head: &Parts, body: RequestBody) -> Result<(), Failure> {
        let encoding = self.encoding(&head.headers)?;
        let packed = Packed { signal, format, encoding, bytes: self.collect(body).await?, limit: self.limit };
        let batch = self.intake.unpacker.unpack(packed).await.map_err(|error| match error {
            Unpackable::TooLarge => self.too_large(),
            Unpackable::Corrupt(corrupt) => Status::new(Code::InvalidArgument, corrupt.to_string()).into(),
            Unpackable::Status(status) => status.into(),
        })?;
        Ok(self.intake.take(batch, head, None).await?)
    }

    /// The answer to a request that was not taken; in JSON where nobody knows what the client speaks.
    fn refuse(&self, peer: SocketAddr, failure: &Failure, format: Option<Format>) -> Response<Full<Bytes>> {
        self.intake.refusals.refused(peer, &failure.status);
        failure.response(format.unwrap_or(Format::Json))
    }

    /// What the body is compressed with.
    fn encoding(&self, headers: &HeaderMap) -> Result<Encoding, Failure> {
        let named = headers.get(CONTENT_ENCODING);
        let known = named.map_or(Some(Encoding::Identity), |value| Encoding::from_token(value.to_str().ok()?));
        known.filter(|encoding| self.encodings.contains(encoding)).ok_or_else(|| {
            let status =
                Status::new(Code::InvalidArgument, "content-encoding names none that `compression_algorithms` takes");
            Failure { http: StatusCode::UNSUPPORTED_MEDIA_TYPE, status }
        })
    }

    /// Reads the body into a buffer of its own: its pieces are slices of what the connection reads into.
    async fn collect(&self, mut body: RequestBody) -> Result<Bytes, Failure> {
        let declared = usize::try_from(body.size_hint().exact().unwrap_or_default()).unwrap_or(usize::MAX);
        if declared > self.limit {
            return Err(self.too_large());
        }
        let most = if declared > 0 { declared } else { self.limit };
        let mut pieces = Pieces::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(&*error))?;
            let Ok(piece) = frame.into_data() else { continue };
            if piece.len() > self.limit - pieces.len() {
                return Err(self.too_large());
            }
            pieces.push(&piece, most);
        }
        Ok(pieces.finish())
    }

    fn too_large(&self) -> Failure {
        let text = format!("a body of more than {} bytes: raise max_request_body_size", self.limit);
        Failure { http: StatusCode::PAYLOAD_TOO_LARGE, status: Status::new(Code::ResourceExhausted, text) }
    }
}

fn format(headers: &HeaderMap) -> Option<Format> {
    Format::from_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

/// Why a request was not taken.
struct Failure {
    http: StatusCode,
    status: Status,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let http = StatusCode::from_u16(http_status(status.code)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Failure { http, status }
    }
}

impl Failure {
    fn response(&self, format: Format) -> Response<Full<Bytes>> {
        let mut response = with_body(self.http, format, self.status.encode(format));
        if let Some(after) = self.status.retry_after {
            // Whole seconds: rounded up, or a client would come too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn with_body(status: StatusCode, format: Format, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response
}
