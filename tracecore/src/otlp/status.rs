//! Why a request failed, as OTLP tells it: `google.rpc.Status`, and the HTTP status beside it.
//!
//! A server that wants the client to come back later says so with a `RetryInfo` (gRPC) or a `Retry-After` (HTTP); both
//! are [`Status::retry_after`] here. What may be retried at all is written after the OTLP specification.

use std::time::Duration;

use prost::Message;
use serde_json::{Value, json};

use super::Format;
use super::grpc::Code;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of failure.
    pub code: Code,
    /// What is wrong and what to do, for a person.
    pub message: String,
    /// How long the client should wait before it tries again.
    pub retry_after: Option<Duration>,
}

impl Status {
    /// A status without a delay.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Status { code, message: message.into(), retry_after: None }
    }

    /// Whether the client may send the same request again. A server that is exhausted must say for how long: without a
    /// delay it means that it will never take this request.
    pub fn is_retryable(&self) -> bool {
        match self.code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// The status as the body of an HTTP response, or (in protobuf) as `grpc-status-details-bin`.
    pub fn encode(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Protobuf => self.to_proto().encode_to_vec(),
            Format::Json => self.to_json().to_string().into_bytes(),
        }
    }

    /// Reads what [`encode`](Status::encode) writes. Details other than a `RetryInfo` are left out.
    ///
    /// # Errors
    /// When the bytes are not such a status.
    pub fn decode(format: Format, bytes: &[u8]) -> Result<Status, StatusError> {
        match format {
            Format::Protobuf => Ok(Status::from_proto(proto::Status::decode(bytes)?)),
            Format::Json => Status::from_json(&serde_json::from_slice(bytes)?).ok_or(StatusError::Shape),
        }
    }

    fn to_proto(&self) -> proto::Status {
        let details = self.retry_after.map(|delay| {
            let delay = proto::Duration {
                seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                nanos: delay.subsec_nanos().cast_signed(),
            };
            let value = proto::RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
            proto::Any { type_url: RETRY_INFO.to_owned(), value }
        });
        let details = details.into_iter().collect();
        proto::Status { code: self.code.number(), message: self.message.clone(), details }
    }

    fn from_proto(status: proto::Status) -> Status {
        let retry_after = status.details.iter().filter(|detail| detail.type_url == RETRY_INFO).find_map(|detail| {
            let delay = proto::RetryInfo::decode(detail.value.as_slice()).ok()?.retry_delay?;
            Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?.min(MOST_NANOS)))
        });
        Status { code: Code::from_number(status.code), message: status.message, retry_after }
    }

    fn to_json(&self) -> Value {
        let mut status = json!({ "code": self.code.number(), "message": self.message });
        if let Some(delay) = self.retry_after {
            let seconds = format!("{}.{:09}s", delay.as_secs(), delay.subsec_nanos());
            status["details"] = json!([{ "@type": RETRY_INFO, "retryDelay": seconds }]);
        }
        status
    }

    fn from_json(status: &Value) -> Option<Status> {
        let status = status.as_object()?;
        let code = match status.get("code") {
            None | Some(Value::Null) => Code::Ok,
            Some(code) => {
                code.as_i64().map_or(Code::Unknown, |code| i32::try_from(code).map_or(Code::Unknown, Code::from_number))
            }
        };
        let message = status.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut details = status.get("details").and_then(Value::as_array).into_iter().flatten();
        let retry_after = details.find_map(|detail| {
            let delay = detail.get("retryDelay").filter(|_| detail.get("@type").is_some_and(|of| of == RETRY_INFO))?;
            let seconds: f64 = delay.as_str()?.strip_suffix('s')?.parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok()
        });
        Some(Status { code, message, retry_after })
    }
}

/// The type of a delay among the details of a status.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The most nanoseconds beside whole seconds.
const MOST_NANOS: u32 = 999_999_999;

/// The HTTP status that goes with `code`, as the Collector answers: 429, 502, 503 and 504 may be retried.
pub const fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::Unimplemented => 404,
        Code::ResourceExhausted => 429,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => 503,
        Code::Unknown | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::Internal => 500,
    }
}

/// The code that an HTTP status stands for where the body does not say.
pub const fn code_of_http_status(status: u16) -> Code {
    match status {
        200..=299 => Code::Ok,
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 => Code::ResourceExhausted,
        502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Whether OTLP/HTTP lets a client send the request again after this HTTP status.
pub const fn is_retryable_http(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The bytes are no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// They are not protobuf.
    #[error("not a google.rpc.Status")]
    Protobuf(#[from] prost::DecodeError),
    /// They are not JSON.
    #[error("not a google.rpc.Status in JSON")]
    Json(#[from] serde_json::Error),
    /// They are JSON and no object.
    #[error("not a google.rpc.Status in JSON: expected an object")]
    Shape,
}

/// `google/rpc/status.proto`, `error_details.proto` and what they are made of, as far as OTLP uses them.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(int32, tag = "1")]
        pub(super) code: i32,
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(message, repeated, tag = "3")]
        pub(super) details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Any {
        #[prost(string, tag = "1")]
        pub(super) type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub(super) retry_delay: Option<Duration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Duration {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 2] = [Format::Protobuf, Format::Json];

    #[test]
    fn a_status_is_read_as_written() {
        for retry_after in
            [None, Some(Duration::ZERO), Some(Duration::from_millis(1500)), Some(Duration::from_secs(30))]
        {
            for code in Code::ALL {
                let status = Status { code, message: "queue \"a\" is full é".to_owned(), retry_after };
                for format in FORMATS {
                    let read = Status::decode(format, &status.encode(format)).expect("it was just written");
                    assert_eq!(read, status, "{format:?}");
                }
            }
        }
    }

    #[test]
    fn a_status_is_what_others_read() {
        let status =
            Status { retry_after: Some(Duration::from_millis(1500)), ..Status::new(Code::Unavailable, "full") };
        let json = String::from_utf8(status.encode(Format::Json)).expect("JSON is text");
        assert_eq!(
            json,
            r#"{"code":14,"message":"full","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500000000s"}]}"#
        );
        let mut bytes = b"\x08\x0e\x12\x04full\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo".to_vec();
        bytes.extend_from_slice(b"\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01");
        assert_eq!(status.encode(Format::Protobuf), bytes);
    }

    #[test]
    fn a_strange_status_is_read_as_far_as_it_goes() {
        let read = |json: &str| Status::decode(Format::Json, json.as_bytes());
        assert_eq!(read("{}").expect("an object"), Status::new(Code::Ok, ""));
        assert_eq!(
            read(r#"{"code":null,"message":7,"details":[3,{"@type":"x"}]}"#).expect("an object"),
            Status::new(Code::Ok, "")
        );
        assert_eq!(read(r#"{"code":99}"#).expect("an object").code, Code::Unknown);
        assert!(matches!(read("[]"), Err(StatusError::Shape)));
        assert!(matches!(read("upstream connect error"), Err(StatusError::Json(_))));
        let late = r#"{"code":8,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"-1s"}]}"#;
        assert_eq!(read(late).expect("an object").retry_after, None);
        assert!(matches!(Status::decode(Format::Protobuf, b"<html>"), Err(StatusError::Protobuf(_))));
    }

    #[test]
    fn only_what_otlp_lists_may_be_retried() {
        let retryable: Vec<Code> = Code::ALL.into_iter().filter(|code| Status::new(*code, "").is_retryable()).collect();
        let listed = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        assert_eq!(retryable, listed);
        let told = Status { retry_after: Some(Duration::ZERO), ..Status::new(Code::ResourceExhausted, "") };
        assert!(told.is_retryable(), "an exhausted server that says for how long");
    }

    #[test]
    fn a_retryable_code_has_a_retryable_http_status_and_no_other_has() {
        for code in Code::ALL {
            let retryable = Status { retry_after: Some(Duration::ZERO), ..Status::new(code, "") }.is_retryable();
            assert_eq!(is_retryable_http(http_status(code)), retryable, "{code}");
        }
        for status in [429, 502, 503, 504] {
            assert!(is_retryable_http(http_status(code_of_http_status(status))), "{status}");
        }
    }
}
