//! The headers of a request that are the same for all.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracecore::prelude::*;

/// Names the span that a request is a part of (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What tracecore or the connection says itself, besides what begins with `grpc-`.
const OURS: [&str; 8] =
    ["connection", "content-encoding", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"];

/// A setting that can be no header.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` {why}")]
pub(crate) struct HeaderError {
    name: String,
    why: &'static str,
}

/// The headers of a setting such as `headers`.
pub(crate) fn configured(settings: &BTreeMap<String, Secret>) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::with_capacity(settings.len());
    for (name, value) in settings {
        let refused = |why| HeaderError { name: name.clone(), why };
        let header = HeaderName::try_from(name).map_err(|_| refused("is no name of a header"))?;
        if OURS.contains(&header.as_str()) || header.as_str().starts_with("grpc-") {
            return Err(refused("is set by tracecore"));
        }
        let value = HeaderValue::try_from(value.expose());
        let mut value = value.map_err(|_| refused("has a value that no header can have (not shown)"))?;
        // It is in no log, and in no table of compressed headers.
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Who asks.
pub(crate) fn user_agent(version: &str) -> HeaderValue {
    HeaderValue::try_from(format!("tracecore/{version}")).unwrap_or(HeaderValue::from_static("tracecore"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<HeaderMap, String> {
        let settings = BTreeMap::from([(name.to_owned(), Secret::from(value.to_owned()))]);
        configured(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_configured_header_is_sent_and_not_shown() {
        let headers = read("Authorization", "Bearer hunter2").unwrap();
        assert_eq!(headers["authorization"], "Bearer hunter2");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_refused_without_its_value() {
        for (name, value) in
            [("a b", "hunter2"), ("", "hunter2"), ("x", "hunter2\n"), ("TE", "hunter2"), ("grpc-timeout", "hunter2")]
        {
            let error = read(name, value).unwrap_err();
            assert!(error.starts_with(&format!("`{name}` ")) && !error.contains("hunter2"), "{error}");
        }
    }
}
