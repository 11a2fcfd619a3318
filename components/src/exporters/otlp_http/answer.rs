//! What an answer means: OTLP/HTTP, "Response" and "Failures".

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use tracecore::error::Retry;
use tracecore::net::Answer;
use tracecore::otlp::Format;
use tracecore::otlp::response::{self, PartialSuccess};
use tracecore::otlp::status::{Status, is_retryable_http};
use tracecore::prelude::*;

use crate::otlp::{Error, Message};

/// What the other side did not take of a batch that it did take, or why it did not take it. `now` is by the wall clock.
pub(super) fn read(signal: Signal, answer: &Answer, now: SystemTime) -> Result<Option<PartialSuccess>, Error> {
    let format = format(&answer.headers);
    if answer.status.is_success() {
        // The batch was taken, whatever is wrong with the message that says so.
        let partial = format.and_then(|format| response::decode(signal, format, &answer.body).ok());
        return Ok(partial.flatten());
    }
    let told = format.and_then(|format| Status::decode(format, &answer.body).ok());
    let message = match (told, answer.status.is_redirection()) {
        (_, true) => redirected(&answer.headers),
        (Some(told), false) => Message::new(&told.message),
        (None, false) => Message::new(&String::from_utf8_lossy(&answer.body)),
    };
    let (retry, after) = match is_retryable_http(answer.status.as_u16()) {
        true => (Retry::Yes, retry_after(&answer.headers, now)),
        false => (Retry::Permanent, None),
    };
    Err(Error::Refused { answer: answer.status.to_string(), message, retry, after })
}

fn format(headers: &HeaderMap) -> Option<Format> {
    Format::from_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

/// Where to is told, for it to be put into the settings: it may be a host that the headers are not meant for.
fn redirected(headers: &HeaderMap) -> Message {
    let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
    Message::new(&format!("it redirects to {to}, and redirects are not followed: set the endpoint to where it is"))
}

/// A number of seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> (String, Retry, Option<Duration>) {
        let mut answer = Answer { status: StatusCode::from_u16(status).unwrap(), ..Answer::default() };
        answer.body = body.to_owned().into();
        answer.headers.extend(
            headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())),
        );
        let now = httpdate::parse_http_date("Fri, 27 Nov 2026 10:00:00 GMT").unwrap();
        let error = read(Signal::Logs, &answer, now).unwrap_err();
        (error.to_string(), error.retry(), error.retry_after())
    }

    #[test]
    fn only_what_otlp_lists_is_tried_again() {
        for status in 100..600 {
            if !(200..300).contains(&status) {
                let (_, retry, _) = refused(status, &[], "");
                assert_eq!(retry == Retry::Yes, [429, 502, 503, 504].contains(&status), "{status}");
            }
        }
    }

    #[test]
    fn the_wait_is_in_seconds_or_until_a_date() {
        let cases = [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("Fri, 27 Nov 2026 10:02:00 GMT", Some(120)),
            ("Fri, 27 Nov 2026 09:59:00 GMT", Some(0)),
            ("Friday, 27-Nov-26 10:00:05 GMT", Some(5)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("", None),
        ];
        for (value, seconds) in cases {
            let (_, _, after) = refused(429, &[("retry-after", value)], "");
            assert_eq!(after, seconds.map(Duration::from_secs), "{value:?}");
        }
        let (_, _, after) = refused(400, &[("retry-after", "30")], "");
        assert_eq!(after, None, "nobody comes again");
    }

    #[test]
    fn the_message_is_the_statuss_or_the_body_on_one_line() {
        type Headers = &'static [(&'static str, &'static str)];
        let cases: [(u16, Headers, &str, &str); 4] = [
            (
                400,
                &[("content-type", "application/json")],
                r#"{"message":"no such field"}"#,
                "400 Bad Request: no such field",
            ),
            (
                503,
                &[("content-type", "text/html")],
                "<html>\n<b>gone</b>",
                "503 Service Unavailable: <html> <b>gone</b>",
            ),
            (413, &[], "", "413 Payload Too Large"),
            (
                301,
                &[("location", "https://b/")],
                "",
                "301 Moved Permanently: it redirects to https://b/, and redirects are not followed: set the endpoint to where it is",
            ),
        ];
        for (status, headers, body, message) in cases {
            assert_eq!(refused(status, headers, body).0, format!("the backend answered {message}"));
        }
        let (long, ..) = refused(500, &[], &"x".repeat(1 << 20));
        assert!(long.len() < 400, "{}", long.len());
    }
}
