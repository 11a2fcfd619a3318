//! OTLP/HTTP: a POST for each request, in protobuf or in JSON.
//!
//! A failure has a `google.rpc.Status` as its body, in the format of the request, and in JSON where that is not known.
//! Deliberately absent: compressed answers, and the query of a URL: it is not looked at.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tracecore::error::Report;
use tracecore::memory::exact;
use tracecore::net::{HttpService, RequestBody, Route};
use tracecore::otlp::compression::{DecompressError, Encoding, decompress};
use tracecore::otlp::grpc::Code;
use tracecore::otlp::status::{Status, http_status};
use tracecore::otlp::{self, Format, json, response};
use tracecore::prelude::*;

use super::config::{self, Cors};
use super::cors;
use super::intake::Intake;

/// The least that is reserved for a body that comes in pieces, in bytes.
const MIN_RESERVE: usize = 16 * 1024;

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
}

impl Http {
    pub(super) fn new(intake: Intake, config: &config::Http) -> Self {
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
        }))
    }
}

impl HttpService for Http {
    type Body = Full<Bytes>;

    async fn handle(self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let format = format(&head.headers);
        let shared = &*self.0;
        let Some((signal, _)) = shared.paths.iter().find(|(_, path)| path == head.uri.path()) else {
            let unknown = Status::new(Code::NotFound, "nothing is taken at this path");
            return Failure { http: StatusCode::NOT_FOUND, status: unknown }.response(format.unwrap_or(Format::Json));
        };
        let mut answer = match (&head.method, &shared.cors) {
            (&Method::POST, _) => shared.post(*signal, format, &head, body).await,
            (&Method::OPTIONS, Some(cors)) => {
                let mut answer = Response::default();
                *answer.status_mut() = StatusCode::NO_CONTENT;
                cors::preflight(cors, &head.headers, answer.headers_mut());
                answer
            }
            _ => {
                let status = Status::new(Code::Unimplemented, "this path takes POST alone");
                let failure = Failure { http: StatusCode::METHOD_NOT_ALLOWED, status };
                let mut answer = failure.response(format.unwrap_or(Format::Json));
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                answer
            }
        };
        answer.extensions_mut().insert(Route(otlp::path(*signal)));
        answer
    }
}

impl Shared {
    async fn post(
        &self,
        signal: Signal,
        format: Option<Format>,
        head: &Parts,
        body: RequestBody,
    ) -> Response<Full<Bytes>> {
        let mut answer = match format {
            Some(format) => match self.take(signal, format, head, body).await {
                Ok(()) => with_body(StatusCode::OK, format, response::encode(signal, format, None)),
                Err(failure) => {
                    let mut answer = failure.response(format);
                    if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                        answer.headers_mut().insert(ACCEPT_ENCODING, self.accepted.clone());
                    }
                    answer
                }
            },
            None => {
                let text = "content-type is neither application/x-protobuf nor application/json";
                let status = Status::new(Code::InvalidArgument, text);
                Failure { http: StatusCode::UNSUPPORTED_MEDIA_TYPE, status }.response(Format::Json)
            }
        };
        if let Some(cors) = &self.cors {
            cors::allow(cors, &head.headers, answer.headers_mut());
        }
        answer
    }

    async fn take(&self, signal: Signal, format: Format, head: &Parts, body: RequestBody) -> Result<(), Failure> {
        let encoding = self.encoding(&head.headers)?;
        let body = self.collect(body).await?;
        let body = match encoding {
            Encoding::Identity => body,
            encoding => decompress(encoding, &body, self.limit).map_err(|error| match error {
                DecompressError::TooLarge(_) => self.too_large(),
                corrupt @ DecompressError::Corrupt { .. } => {
                    Status::new(Code::InvalidArgument, corrupt.to_string()).into()
                }
            })?,
        };
        let batch = match format {
            Format::Protobuf => Intake::validate(signal, body)?,
            Format::Json => json::decode(signal, &body)
                .map_err(|error| Status::new(Code::InvalidArgument, Report(&error).to_string()))?,
        };
        Ok(self.intake.take(batch, head, None).await?)
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

    /// Reads the body. Nothing is reserved by what its length is said to be.
    async fn collect(&self, mut body: RequestBody) -> Result<Bytes, Failure> {
        if usize::try_from(body.size_hint().lower()).is_ok_and(|declared| declared > self.limit) {
            return Err(self.too_large());
        }
        let mut one = Bytes::new();
        let mut more = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Status::new(Code::Cancelled, error.to_string()))?;
            let Ok(piece) = frame.into_data() else { continue };
            if one.is_empty() && more.is_empty() {
                one = piece;
                continue;
            }
            let taken = std::mem::take(&mut one);
            let room = taken.len() + piece.len();
            if more.capacity() - more.len() < room {
                more.reserve_exact(room.max(more.len()).max(MIN_RESERVE).min(self.limit.max(room)));
            }
            more.extend_from_slice(&taken);
            more.extend_from_slice(&piece);
            if more.len() > self.limit {
                return Err(self.too_large());
            }
        }
        // What came in one piece is a slice of what the connection reads into, and would hold all of that.
        let body = exact(if more.is_empty() { one.to_vec() } else { more });
        if body.len() > self.limit { Err(self.too_large()) } else { Ok(body) }
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
