//! A network address as `host:port`.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_LENGTH: usize = 253;

/// What an empty host stands for: every IPv4 address of the machine.
const ANY_HOST: &str = "0.0.0.0";

/// How the schema says that a setting is listened on.
pub(crate) const LISTEN_FORMAT: &str = "listen-address";

/// A host and a port to listen on: `localhost:8888`, `0.0.0.0:4317`, `[::1]:8888`, or `:8888` for every address of the
/// machine.
///
/// A setting of this type is one that is listened on: two of one configuration that cannot both be are an error of it. What
/// is connected to is an [`HttpUrl`](super::HttpUrl) or a [`GrpcEndpoint`](super::GrpcEndpoint).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Cow<'static, str>,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing there.
    #[error("must not be empty; write host:port, such as localhost:8888")]
    Empty,
    /// A URL.
    #[error("must be host:port, without a scheme such as http://")]
    Scheme,
    /// No colon, or an IPv6 address without brackets.
    #[error("must be host:port, such as localhost:8888; an IPv6 address stands in brackets, as in [::1]:8888")]
    NoPort,
    /// A port that is no number, or too large.
    #[error("the port must be a number from 0 to 65535")]
    Port,
    /// A host with characters that no host has.
    #[error("the host must be a name or an address; an IPv6 address stands in brackets, as in [::1]:8888")]
    Host,
}

impl Endpoint {
    /// A port of the machine itself.
    pub const fn localhost(port: u16) -> Self {
        Endpoint { host: Cow::Borrowed("localhost"), port }
    }

    /// The host to resolve or bind, an IPv6 address without its brackets. Of `:8888` it is `0.0.0.0`.
    pub fn host(&self) -> &str {
        if self.host.is_empty() { ANY_HOST } else { &self.host }
    }

    /// The port; 0 lets the system choose one to listen on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether listening here serves every network that the machine is on.
    pub fn is_wildcard(&self) -> bool {
        self.host().parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }

    /// Whether only one of the two can be listened on at a time, as far as it can be known without a name server. `[::]`
    /// takes IPv4 too, as Linux has it by default; `localhost` is 127.0.0.1, which is tried first.
    pub(crate) fn collides_with(&self, other: &Endpoint) -> bool {
        self.port == other.port && self.port != 0 && (self.covers(other) || other.covers(self))
    }

    /// Whether all that comes to the other's host, of the same port, comes here.
    fn covers(&self, other: &Endpoint) -> bool {
        match (self.address(), other.address()) {
            (Some(IpAddr::V6(ours)), _) if ours.is_unspecified() => true,
            // A name is that of an IPv4 address, if it has one.
            (Some(IpAddr::V4(ours)), theirs) if ours.is_unspecified() => theirs.is_none_or(|theirs| theirs.is_ipv4()),
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, None) => self.host.eq_ignore_ascii_case(&other.host),
            _ => false,
        }
    }

    /// The address that the host is; nothing for a name that has to be looked up.
    fn address(&self) -> Option<IpAddr> {
        if self.host.eq_ignore_ascii_case("localhost") {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        self.host().parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        if text.contains("://") {
            return Err(EndpointError::Scheme);
        }
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => bracketed(rest)?,
            None if host.contains(':') => return Err(EndpointError::NoPort),
            None => name(host)?,
        };
        // u16 parses a sign too.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or(EndpointError::Port)?;
        Ok(Endpoint { host: Cow::Owned(host.to_owned()), port })
    }
}

fn bracketed(rest: &str) -> Result<&str, EndpointError> {
    let address = rest.strip_suffix(']').ok_or(EndpointError::NoPort)?;
    address.parse::<Ipv6Addr>().map(|_| address).map_err(|_| EndpointError::Host)
}

fn name(host: &str) -> Result<&str, EndpointError> {
    let legal = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if legal && host.len() <= MAX_HOST_LENGTH { Ok(host) } else { Err(EndpointError::Host) }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

super::written_as_text!(Endpoint, "host:port, such as \"localhost:8888\"");

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": LISTEN_FORMAT,
            "description": "A host and a port. An empty host is every address of the machine.",
            "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):[0-9]+$",
            "examples": ["localhost:8888", "[::1]:4317"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        let cases = [
            ("localhost:8888", "localhost", 8888, false),
            ("0.0.0.0:4317", "0.0.0.0", 4317, true),
            (":4317", "0.0.0.0", 4317, true),
            ("[::]:1", "::", 1, true),
            ("[::1]:0", "::1", 0, false),
            ("gpu-7.rack_2.example:65535", "gpu-7.rack_2.example", 65535, false),
        ];
        for (text, host, port, wildcard) in cases {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_wildcard()), (host, port, wildcard), "{text}");
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn two_collide_if_only_one_of_them_can_be_listened_on() {
        let cases = [
            ("localhost:1", "localhost:1", true),
            ("localhost:1", "localhost:2", false),
            ("localhost:0", "localhost:0", false),
            ("localhost:1", "LOCALHOST:1", true),
            ("localhost:1", "127.0.0.1:1", true),
            ("localhost:1", "[::ffff:127.0.0.1]:1", true),
            ("localhost:1", "127.0.0.2:1", false),
            ("localhost:1", "[::1]:1", false),
            ("localhost:1", ":1", true),
            ("localhost:1", "[::]:1", true),
            ("0.0.0.0:1", "[::]:1", true),
            ("0.0.0.0:1", ":1", true),
            ("0.0.0.0:1", "10.0.0.1:1", true),
            ("0.0.0.0:1", "gpu-7:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::]:1", "[fe80::1]:1", true),
            ("[::]:1", "gpu-7:1", true),
            ("gpu-7:1", "GPU-7:1", true),
            ("gpu-7:1", "gpu-8:1", false),
            ("gpu-7:1", "10.0.0.1:1", false),
        ];
        for (one, other, collide) in cases {
            let [first, second]: [Endpoint; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(first.collides_with(&second), collide, "{one} {other}");
            assert_eq!(second.collides_with(&first), collide, "{other} {one}");
        }
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        let cases = [
            ("", EndpointError::Empty),
            ("http://localhost:1", EndpointError::Scheme),
            ("localhost", EndpointError::NoPort),
            ("::1:8888", EndpointError::NoPort),
            ("[::1]", EndpointError::NoPort),
            ("[::1:80", EndpointError::NoPort),
            ("localhost:", EndpointError::Port),
            ("localhost:http", EndpointError::Port),
            ("localhost:65536", EndpointError::Port),
            ("localhost:+80", EndpointError::Port),
            ("local host:80", EndpointError::Host),
            ("user@host:80", EndpointError::Host),
            ("host/path:80", EndpointError::Host),
            ("[fe80::1%eth0]:80", EndpointError::Host),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text:?}");
        }
    }
}
