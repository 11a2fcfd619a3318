//! The address of a gRPC server, as the Collector's exporters take it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Endpoint, EndpointError};

/// A gRPC server: `host:port`, or with a scheme that says whether it is asked over TLS, `http://host:port` and
/// `https://host:port`. `dns:///host:port` and `passthrough:///host:port` are `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcEndpoint {
    tls: Option<bool>,
    endpoint: Endpoint,
}

/// Why a text is no address of a gRPC server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrpcEndpointError {
    /// What is left without the scheme is no `host:port`.
    #[error(transparent)]
    Endpoint(EndpointError),
    /// Port 0.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A scheme that gRPC has and tracecore has not.
    #[error("only host:port, dns:///host:port, http://host:port and https://host:port can be reached")]
    Scheme,
    /// A name server of its own.
    #[error("a name server of its own cannot be given: write dns:///host:port, which asks that of the system")]
    NameServer,
}

impl GrpcEndpoint {
    /// Whether the scheme asks for TLS (`https`) or for none (`http`), if there is one that says so.
    pub fn tls(&self) -> Option<bool> {
        self.tls
    }

    /// The URL of `path`, which begins with a slash, at this server, whose name in the requests is `authority` if there is
    /// one.
    ///
    /// # Errors
    /// When `authority` is none that a URL has.
    pub fn uri(&self, tls: bool, authority: Option<&str>, path: &'static str) -> Result<Uri, http::Error> {
        let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
        let own = || Cow::Owned(self.to_string());
        let authority = authority.map_or_else(own, Cow::Borrowed);
        Uri::builder().scheme(scheme).authority(authority.as_ref()).path_and_query(path).build()
    }
}

impl FromStr for GrpcEndpoint {
    type Err = GrpcEndpointError;

    fn from_str(text: &str) -> Result<Self, GrpcEndpointError> {
        let (tls, address) = match text.split_once("://") {
            Some(("http", address)) => (Some(false), address),
            Some(("https", address)) => (Some(true), address),
            Some(("dns" | "passthrough", rest)) => (None, rest.strip_prefix('/').ok_or(GrpcEndpointError::NameServer)?),
            Some(_) => return Err(GrpcEndpointError::Scheme),
            None if text.starts_with("unix:") => return Err(GrpcEndpointError::Scheme),
            None => (None, text.strip_prefix("dns:").unwrap_or(text)),
        };
        let endpoint: Endpoint = address.parse().map_err(GrpcEndpointError::Endpoint)?;
        if endpoint.port() == 0 {
            return Err(GrpcEndpointError::Port);
        }
        Ok(GrpcEndpoint { tls, endpoint })
    }
}

/// Host and port; a host that is left out is this machine.
impl fmt::Display for GrpcEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoint.is_wildcard() {
            return write!(f, "localhost:{}", self.endpoint.port());
        }
        self.endpoint.fmt(f)
    }
}

super::written_as_text!(GrpcEndpoint, "host:port, such as \"gateway:4317\"");

impl JsonSchema for GrpcEndpoint {
    fn schema_name() -> Cow<'static, str> {
        "GrpcEndpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A gRPC server, as host:port, with http://, https:// or dns:/// before it or without.",
            "pattern": r"^((dns|passthrough):///|dns:|https?://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):[0-9]+$",
            "examples": ["gateway:4317", "https://gateway.example:4317"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_what_grpc_takes() {
        let cases = [
            ("gateway:4317", None, "gateway:4317"),
            ("dns:///gateway:4317", None, "gateway:4317"),
            ("dns:gateway:4317", None, "gateway:4317"),
            ("passthrough:///10.0.0.1:4317", None, "10.0.0.1:4317"),
            ("http://gateway:4317", Some(false), "gateway:4317"),
            ("https://[::1]:4317", Some(true), "[::1]:4317"),
            (":4317", None, "localhost:4317"),
        ];
        for (text, tls, address) in cases {
            let endpoint: GrpcEndpoint = text.parse().unwrap();
            assert_eq!((endpoint.tls(), endpoint.to_string().as_str()), (tls, address), "{text}");
            let uri = endpoint.uri(true, None, "/a.B/C").unwrap();
            assert_eq!(uri.to_string(), format!("https://{address}/a.B/C"), "{text}");
        }
        let endpoint: GrpcEndpoint = "gateway:4317".parse().unwrap();
        assert_eq!(endpoint.uri(false, Some("other"), "/a").unwrap().to_string(), "http://other/a");
        assert!(endpoint.uri(false, Some("not one"), "/a").is_err());
    }

    #[test]
    fn refuses_what_is_none() {
        let cases = [
            ("", GrpcEndpointError::Endpoint(EndpointError::Empty)),
            ("gateway", GrpcEndpointError::Endpoint(EndpointError::NoPort)),
            ("https://gateway", GrpcEndpointError::Endpoint(EndpointError::NoPort)),
            ("https://gateway:4317/", GrpcEndpointError::Endpoint(EndpointError::Port)),
            ("gateway:0", GrpcEndpointError::Port),
            ("unix:///run/otel.sock", GrpcEndpointError::Scheme),
            ("unix:/run/otel.sock", GrpcEndpointError::Scheme),
            ("xds:///gateway:4317", GrpcEndpointError::Scheme),
            ("dns://8.8.8.8/gateway:4317", GrpcEndpointError::NameServer),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<GrpcEndpoint>(), Err(error), "{text:?}");
        }
    }
}
