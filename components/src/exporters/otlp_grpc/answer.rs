//! What the answer to a call means: gRPC's status (`doc/PROTOCOL-HTTP2.md`), and what OTLP says of it.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tracecore::error::Retry;
use tracecore::net::Answer;
use tracecore::otlp::Format;
use tracecore::otlp::grpc::{Code, Prefix, percent_decode};
use tracecore::otlp::response::{self, PartialSuccess};
use tracecore::otlp::status::Status;
use tracecore::prelude::*;

use crate::otlp::{Error, Message};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// Values of headers in `-bin`: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the other side did not take of a batch that it did take, or why it did not take it.
pub(super) fn read(signal: Signal, answer: &Answer) -> Result<Option<PartialSuccess>, Error> {
    let status = status(answer);
    if status.code != Code::Ok {
        let retry = if status.is_retryable() { Retry::Yes } else { Retry::Permanent };
        let message = Message::new(&status.message);
        return Err(Error::Refused { answer: status.code.to_string(), message, retry, after: status.retry_after });
    }
    // The batch was taken, whatever is wrong with the message that says so.
    let message = message(&answer.body);
    Ok(message.and_then(|message| response::decode(signal, Format::Protobuf, &message).ok()).flatten())
}

fn status(answer: &Answer) -> Status {
    // Where there is no body, the headers are the trailers.
    let found = answer.trailers.iter().chain([&answer.headers]).find(|headers| headers.contains_key(STATUS));
    match found {
        Some(headers) => told(headers),
        None if answer.status != http::StatusCode::OK => {
            Status::new(code_of_http(answer.status.as_u16()), format!("HTTP status {}", answer.status))
        }
        None if !is_grpc(&answer.headers) => Status::new(Code::Unknown, "the answer is not gRPC: is this a gRPC port?"),
        None => Status::new(Code::Unknown, "the answer has no grpc-status"),
    }
}

fn told(headers: &HeaderMap) -> Status {
    let code = headers.get(STATUS).and_then(|code| code.to_str().ok()).map_or(Code::Unknown, Code::from_header);
    let message = headers.get(MESSAGE).map(|message| percent_decode(message.as_bytes())).unwrap_or_default();
    let details = headers.get(DETAILS).and_then(|details| BASE64.decode(details).ok());
    let details = details.and_then(|details| Status::decode(Format::Protobuf, &details).ok());
    Status { code, message, retry_after: details.and_then(|details| details.retry_after) }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The code of an HTTP status that something on the way has answered (gRPC's `doc/http-grpc-status-mapping.md`).
fn code_of_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The one message of a body, if there is one that can be read: we ask for no compression.
fn message(body: &Bytes) -> Option<Bytes> {
    let prefix = body.first_chunk().and_then(|prefix| Prefix::parse(*prefix).ok())?;
    let end = Prefix::SIZE.checked_add(prefix.length as usize)?;
    (!prefix.compressed && body.len() >= end).then(|| body.slice(Prefix::SIZE..end))
}
