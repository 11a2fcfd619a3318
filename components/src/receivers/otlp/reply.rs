//! The answer to a gRPC call: one HEADERS, one DATA and the trailers for a success; HEADERS alone for a failure.
//!
//! What a success consists of is made of constants, so that it costs two maps of headers and nothing else.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tracecore::net::Route;
use tracecore::otlp::Format;
use tracecore::otlp::grpc::{Code, Prefix, percent_encode};
use tracecore::otlp::status::{Status, http_status};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// An empty message: every `Export*ServiceResponse` of a full success is one.
const EMPTY_MESSAGE: [u8; Prefix::SIZE] = Prefix { compressed: false, length: 0 }.encode();

/// The most bytes of `grpc-message`: with the rest it stays below what clients allow for headers, 8 KiB.
const MAX_MESSAGE_BYTES: usize = 1024;

/// The body of an answer, and what is told of it.
#[derive(Debug)]
pub(super) struct Reply {
    stage: Stage,
    pub(super) route: Route,
    /// The status in the words of HTTP: the answer itself is 200 whatever it says.
    pub(super) status: StatusCode,
}

#[derive(Debug)]
enum Stage {
    Message,
    Trailers,
    Done,
}

impl Reply {
    /// All was taken.
    pub(super) fn success(route: Route) -> Response<Reply> {
        let mut response = Response::new(Reply { stage: Stage::Message, route, status: StatusCode::OK });
        *response.headers_mut() = with_one(CONTENT_TYPE, GRPC);
        response
    }

    /// Nothing was taken, and why.
    pub(super) fn failure(route: Route, failure: &Status) -> Response<Reply> {
        let status = StatusCode::from_u16(http_status(failure.code)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Reply { stage: Stage::Done, route, status });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(GRPC_STATUS, HeaderValue::from_static(failure.code.as_header()));
        let mut message = percent_encode(&failure.message);
        message.truncate(MAX_MESSAGE_BYTES);
        headers.extend(HeaderValue::try_from(message).ok().map(|message| (GRPC_MESSAGE, message)));
        if failure.retry_after.is_some() {
            let details = base64(&failure.encode(Format::Protobuf));
            headers.extend(HeaderValue::try_from(details).ok().map(|details| (GRPC_STATUS_DETAILS, details)));
        }
        response
    }

    /// The request is not gRPC: the answer is HTTP's.
    pub(super) fn not_grpc(status: StatusCode) -> Response<Reply> {
        let mut response = Response::new(Reply { stage: Stage::Done, route: Route::UNKNOWN, status });
        *response.status_mut() = status;
        response
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match self.stage {
            Stage::Message => (Frame::data(Bytes::from_static(&EMPTY_MESSAGE)), Stage::Trailers),
            Stage::Trailers => {
                let ok = HeaderValue::from_static(Code::Ok.as_header());
                (Frame::trailers(with_one(GRPC_STATUS, ok)), Stage::Done)
            }
            Stage::Done => return Poll::Ready(None),
        };
        self.stage = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Not known, or there would be a `content-length`, which gRPC has not.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn with_one(name: HeaderName, value: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(name, value);
    headers
}

/// Base64 without padding, as gRPC wants it of a header whose name ends in `-bin`.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        [18, 12, 6, 0].into_iter().take(chunk.len() + 1).map(move |shift| (bits >> shift) as usize & 63)
    });
    digits.map(|digit| char::from(ALPHABET[digit])).collect()
}
