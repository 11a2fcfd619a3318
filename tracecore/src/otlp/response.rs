//! The answer to a request that was taken: `Export*ServiceResponse`, with what was left out of it.

use prost::Message;
use serde_json::{Value, json};

use super::Format;
use crate::signal::Signal;

/// What the receiving side took a request without. It is final: the client does not send these items again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// The spans, data points or log records that were rejected; 0 makes the message a warning.
    pub rejected: u64,
    /// Why, for a person.
    pub message: String,
}

/// The answer to a request of `signal`; `None` says that all of it was taken.
pub fn encode(signal: Signal, format: Format, partial: Option<&PartialSuccess>) -> Vec<u8> {
    match format {
        Format::Protobuf => {
            let partial_success = partial.map(|partial| proto::PartialSuccess {
                rejected: i64::try_from(partial.rejected).unwrap_or(i64::MAX),
                error_message: partial.message.clone(),
            });
            proto::Response { partial_success }.encode_to_vec()
        }
        Format::Json => match partial {
            None => b"{}".to_vec(),
            Some(PartialSuccess { rejected, message }) => {
                let partial = json!({ rejected_name(signal): rejected.to_string(), "errorMessage": message });
                json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
        },
    }
}

/// Reads what [`encode`] writes. A partial success that rejects nothing and says nothing is none.
///
/// # Errors
/// When the bytes are not such an answer. An empty body is one, in both formats.
pub fn decode(signal: Signal, format: Format, bytes: &[u8]) -> Result<Option<PartialSuccess>, ResponseError> {
    let partial = match format {
        Format::Protobuf => proto::Response::decode(bytes)?.partial_success.map(|partial| PartialSuccess {
            rejected: u64::try_from(partial.rejected).unwrap_or_default(),
            message: partial.error_message,
        }),
        Format::Json if bytes.is_empty() => None,
        Format::Json => from_json(signal, &serde_json::from_slice(bytes)?)?,
    };
    Ok(partial.filter(|partial| *partial != PartialSuccess::default()))
}

fn from_json(signal: Signal, response: &Value) -> Result<Option<PartialSuccess>, ResponseError> {
    let response = response.as_object().ok_or(ResponseError::Shape)?;
    let Some(partial) = response.get("partialSuccess").filter(|partial| !partial.is_null()) else { return Ok(None) };
    let partial = partial.as_object().ok_or(ResponseError::Shape)?;
    let rejected = match partial.get(rejected_name(signal)) {
        None | Some(Value::Null) => 0,
        Some(Value::String(rejected)) => rejected.parse().map_err(|_| ResponseError::Shape)?,
        Some(rejected) => rejected.as_u64().ok_or(ResponseError::Shape)?,
    };
    let message = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(PartialSuccess { rejected, message }))
}

/// What the number of rejected items is called in JSON.
const fn rejected_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    }
}

/// The bytes are no answer to a request.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// They are not protobuf.
    #[error("not an OTLP response")]
    Protobuf(#[from] prost::DecodeError),
    /// They are not JSON.
    #[error("not an OTLP response in JSON")]
    Json(#[from] serde_json::Error),
    /// They are JSON of another shape.
    #[error("not an OTLP response in JSON: expected an object with `partialSuccess`")]
    Shape,
}

/// The three responses are the same on the wire.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(message, optional, tag = "1")]
        pub(super) partial_success: Option<PartialSuccess>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PartialSuccess {
        #[prost(int64, tag = "1")]
        pub(super) rejected: i64,
        #[prost(string, tag = "2")]
        pub(super) error_message: String,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};

    use super::*;

    const FORMATS: [Format; 2] = [Format::Protobuf, Format::Json];

    #[test]
    fn an_answer_is_read_as_written() {
        let partial = PartialSuccess { rejected: 3, message: "too \"old\"".to_owned() };
        let warning = PartialSuccess { rejected: 0, message: "use v2".to_owned() };
        for signal in Signal::ALL {
            for format in FORMATS {
                for answer in [None, Some(&partial), Some(&warning)] {
                    let read = decode(signal, format, &encode(signal, format, answer)).expect("it was just written");
                    assert_eq!(read.as_ref(), answer, "{signal} {format:?}");
                }
                let nothing = encode(signal, format, Some(&PartialSuccess::default()));
                assert_eq!(decode(signal, format, &nothing).expect("it was just written"), None);
                assert_eq!(decode(signal, format, b"").expect("an empty body is a success"), None);
            }
        }
    }

    #[test]
    fn an_answer_is_what_others_read() {
        let partial = PartialSuccess { rejected: 3, message: "old".to_owned() };
        let generated = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: "old".to_owned(),
            }),
        };
        assert_eq!(encode(Signal::Logs, Format::Protobuf, Some(&partial)), generated.encode_to_vec());
        assert_eq!(encode(Signal::Logs, Format::Protobuf, None), b"");
        assert_eq!(encode(Signal::Logs, Format::Json, None), b"{}");
        assert_eq!(
            encode(Signal::Logs, Format::Json, Some(&partial)),
            br#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}"#
        );
    }

    #[test]
    fn a_strange_answer_is_read_as_far_as_it_goes_and_no_answer_is_refused() {
        let read = |json: &str| decode(Signal::Traces, Format::Json, json.as_bytes());
        let rejected = |json: &str| read(json).expect("an answer").map(|partial| partial.rejected);
        assert_eq!(rejected(r#"{"partialSuccess":{"rejectedSpans":7}}"#), Some(7));
        assert_eq!(rejected(r#"{"partialSuccess":null,"new":1}"#), None);
        for wrong in ["[]", r#"{"partialSuccess":3}"#, r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#] {
            assert!(matches!(read(wrong), Err(ResponseError::Shape)), "{wrong}");
        }
        assert!(matches!(read("OK"), Err(ResponseError::Json(_))));
        assert!(matches!(decode(Signal::Traces, Format::Protobuf, b"<html>"), Err(ResponseError::Protobuf(_))));
        // A negative count means nothing to us, and the message stays.
        let negative = proto::Response {
            partial_success: Some(proto::PartialSuccess { rejected: -1, error_message: "odd".to_owned() }),
        };
        let partial = decode(Signal::Traces, Format::Protobuf, &negative.encode_to_vec()).expect("an answer");
        assert_eq!(partial, Some(PartialSuccess { rejected: 0, message: "odd".to_owned() }));
    }
}
