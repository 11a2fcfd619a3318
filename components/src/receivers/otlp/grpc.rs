//! OTLP/gRPC: the unary `Export` of the three services.
//!
//! The statuses are those of the OTLP specification where it has one, and of gRPC's own list (`doc/statuscodes.md`)
//! elsewhere. Deliberately absent: other services (reflection, health), streaming, and compressed answers: there is
//! nothing in them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tracecore::net::{HttpService, RequestBody, Route};
use tracecore::otlp::compression::Encoding;
use tracecore::otlp::grpc::{Code, parse_timeout};
use tracecore::otlp::status::Status;
use tracecore::otlp::{Format, grpc_path, signal_of_grpc_path};
use tracecore::prelude::*;
use tracecore::time::Instant;

use super::intake::{Intake, broken};
use super::message::{Collector, too_large};
use super::reply::Reply;
use super::unpack::{Packed, Unpackable};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What `grpc-encoding` may say.
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");

/// The service of one listener.
#[derive(Clone)]
pub(super) struct Grpc(Arc<Shared>);

struct Shared {
    intake: Intake,
    /// The largest message in bytes, compressed as well as not.
    limit: usize,
}

impl Grpc {
    pub(super) fn new(intake: Intake, limit: usize) -> Self {
        Grpc(Arc::new(Shared { intake, limit }))
    }

    async fn export(&self, signal: Signal, encoding: Encoding, head: &Parts, body: RequestBody) -> Result<(), Status> {
        let Shared { intake, limit } = &*self.0;
        let deadline = deadline(&head.headers)?;
        if head.headers.get(TE).is_none_or(|te| te != "trailers") {
            return Err(Status::new(
                Code::InvalidArgument,
                "`te: trailers` is missing: a proxy does not pass trailers",
            ));
        }
        let (compressed, message) = collect(body, *limit).await?;
        let encoding = match (compressed, encoding) {
            (false, _) => Encoding::Identity,
            (true, Encoding::Identity) => {
                let unclear = "the message is compressed, and grpc-encoding does not say how";
                return Err(Status::new(Code::Internal, unclear));
            }
            (true, encoding) => encoding,
        };
        let packed = Packed { signal, format: Format::Protobuf, encoding, bytes: message, limit: *limit };
        let batch = intake.unpacker.unpack(packed).await.map_err(|error| match error {
            Unpackable::TooLarge => too_large(format_args!("more than {limit}"), *limit),
            Unpackable::Corrupt(corrupt) => Status::new(Code::Internal, corrupt.to_string()),
            Unpackable::Status(status) => status,
        })?;
        intake.take(batch, head, deadline).await
    }
}

impl HttpService for Grpc {
    type Body = Reply;

    async fn handle(self, request: Request<RequestBody>) -> Response<Reply> {
        let (head, body) = request.into_parts();
        let peer = body.peer();
        let failure = |route, status: &Status| {
            self.0.intake.refusals.refused(peer, status);
            Reply::failure(route, status)
        };
        let not_grpc = |status, why| {
            self.0.intake.refusals.refused(peer, &Status::new(Code::InvalidArgument, why));
            Reply::not_grpc(status)
        };
        if head.method != Method::POST {
            return not_grpc(StatusCode::METHOD_NOT_ALLOWED, "not gRPC: its method is not POST");
        }
        if !is_grpc(&head.headers) {
            return not_grpc(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not gRPC: its content-type is another");
        }
        let Some(signal) = signal_of_grpc_path(head.uri.path()) else {
            let unknown =
                Status::new(Code::Unimplemented, "no such method: there is Export of traces, metrics and logs");
            return failure(Route::UNKNOWN, &unknown);
        };
        let route = Route(grpc_path(signal));
        let Some(encoding) = encoding(&head.headers) else {
            let unknown = Status::new(Code::Unimplemented, "grpc-encoding names none of gzip, zstd and deflate");
            let mut refusal = failure(route, &unknown);
            refusal.headers_mut().insert(GRPC_ACCEPT_ENCODING, ENCODINGS);
            return refusal;
        };
        match self.export(signal, encoding, &head, body).await {
            Ok(()) => Reply::success(route),
            Err(status) => failure(route, &status),
        }
    }

    fn told(response: &Response<Reply>) -> (Route, StatusCode) {
        (response.body().route, response.body().status)
    }
}

/// `application/grpc`, with `+proto` or parameters or without.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"application/grpc"[..], b"application/grpc+proto"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// When the client no longer waits.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let timeout = parse_timeout(value.to_str().unwrap_or_default());
    let timeout = timeout.map_err(|error| Status::new(Code::InvalidArgument, error.to_string()))?;
    Ok(Instant::now().checked_add(timeout))
}

/// What a message is compressed with, if it is; `None` for what nobody here can read.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    headers.get(GRPC_ENCODING).map_or(Some(Encoding::Identity), |value| Encoding::from_token(value.to_str().ok()?))
}

/// Reads the body: its message, and whether it is compressed.
async fn collect(mut body: RequestBody, limit: usize) -> Result<(bool, Bytes), Status> {
    let mut collector = Collector::new(limit);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&*error))?;
        // Trailers of a request mean nothing.
        if let Ok(piece) = frame.into_data() {
            collector.push(piece)?;
        }
    }
    collector.finish()
}
