//! The base URL of something that is reached over HTTP.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The longest base URL, in bytes: far above any that is meant, and with a path behind it far below what a URL may be.
const MAX_LENGTH: usize = 2048;

/// A URL to send to, `http://host:port` or `https://host:port`, with a path if there is one: the whole address, or the
/// base to which a path is appended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    /// Without a slash at its end.
    base: String,
    /// As it was written, but for what every URL is without.
    whole: Uri,
}

/// Why a text is no base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpUrlError {
    /// No scheme, or one that is not HTTP.
    #[error("must be a URL that begins with http:// or https://, such as http://localhost:4318")]
    Scheme,
    /// A user name or a password.
    #[error("must not contain a user name or a password")]
    UserInfo,
    /// No host, or a port that is none.
    #[error("must be http://host:port, such as http://localhost:4318; an IPv6 address stands in brackets")]
    Authority,
    /// A query or a fragment.
    #[error("must not contain a query ('?') or a fragment ('#'): a path is appended to it")]
    Query,
    /// A character that no URL has.
    #[error("is not a URL; write it like http://localhost:4318")]
    Malformed,
    /// Over the bound.
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

impl HttpUrl {
    /// The URL itself.
    pub fn uri(&self) -> &Uri {
        &self.whole
    }

    /// Whether it is asked over TLS.
    pub fn is_https(&self) -> bool {
        self.whole.scheme() == Some(&Scheme::HTTPS)
    }

    /// The URL of `path`, which begins with a slash, below this one.
    ///
    /// # Panics
    /// If `path` holds what no path of a URL does: it is a constant of the program.
    pub fn join(&self, path: &'static str) -> Uri {
        format!("{}{path}", self.base).parse().expect("a base URL followed by a path is a URL")
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        if text.len() > MAX_LENGTH {
            return Err(HttpUrlError::TooLong);
        }
        let known = |scheme: &str| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        if !text.split_once("://").is_some_and(|(scheme, _)| known(scheme)) {
            return Err(HttpUrlError::Scheme);
        }
        // The parser lets a fragment go without a word.
        if text.contains(['?', '#']) {
            return Err(HttpUrlError::Query);
        }
        let uri: Uri = text.parse().map_err(|_| HttpUrlError::Malformed)?;
        let authority = uri.authority().ok_or(HttpUrlError::Authority)?;
        if authority.as_str().contains('@') {
            return Err(HttpUrlError::UserInfo);
        }
        // A port of 0 is none, and the parser takes `host:` for a host.
        let port = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
        let port_holds = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if authority.host().is_empty() || !port_holds {
            return Err(HttpUrlError::Authority);
        }
        let scheme = uri.scheme().unwrap_or(&Scheme::HTTP);
        let base = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(HttpUrl { base, whole: uri })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

super::written_as_text!(HttpUrl, "a URL such as \"http://localhost:4318\"");

impl JsonSchema for HttpUrl {
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A URL that begins with http:// or https://.",
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
            "examples": ["http://localhost:4318", "https://gateway.example:4318"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_to_a_base_url() {
        let cases = [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("HTTP://gateway", "http://gateway/v1/traces"),
            ("https://gateway:4318", "https://gateway:4318/v1/traces"),
            ("HTTPS://gateway/otlp", "https://gateway/otlp/v1/traces"),
            ("http://[::1]:4318/otlp/", "http://[::1]:4318/otlp/v1/traces"),
            ("http://[::1]", "http://[::1]/v1/traces"),
            ("http://10.0.0.1:80/a/b", "http://10.0.0.1:80/a/b/v1/traces"),
        ];
        for (text, joined) in cases {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.join("/v1/traces").to_string(), joined, "{text}");
            assert_eq!(url.is_https(), joined.starts_with("https"), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_base_url() {
        let long = format!("http://localhost/{}", "a".repeat(MAX_LENGTH));
        let cases = [
            ("", HttpUrlError::Scheme),
            ("localhost:4318", HttpUrlError::Scheme),
            ("grpc://localhost:4317", HttpUrlError::Scheme),
            ("httpss://localhost:4318", HttpUrlError::Scheme),
            ("http://", HttpUrlError::Malformed),
            ("http://:4318", HttpUrlError::Authority),
            ("http://localhost:", HttpUrlError::Authority),
            ("http://localhost:0", HttpUrlError::Authority),
            ("http://localhost:65536", HttpUrlError::Authority),
            ("http://user:secret@localhost:4318", HttpUrlError::UserInfo),
            ("http://localhost:4318?a=b", HttpUrlError::Query),
            ("http://localhost:4318/#there", HttpUrlError::Query),
            ("http://local host:4318", HttpUrlError::Malformed),
            (&long, HttpUrlError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<HttpUrl>(), Err(error), "{text:?}");
        }
    }
}
