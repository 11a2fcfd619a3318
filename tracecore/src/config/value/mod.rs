//! The types that settings are made of: each is written as text, is checked when it is read, and shows itself as it may
//! be written.

mod byte_size;
mod duration;
mod endpoint;
mod grpc_endpoint;
mod http_url;
mod literal;
mod mount_path;
mod named;
mod pattern;
mod planned;
mod ratio;
mod secret;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

pub use byte_size::{ByteSize, ByteSizeError};
pub use duration::{Delay, DurationError, Period};
pub(crate) use endpoint::LISTEN_FORMAT;
pub use endpoint::{Endpoint, EndpointError};
pub use grpc_endpoint::{GrpcEndpoint, GrpcEndpointError};
pub use http_url::{HttpUrl, HttpUrlError};
pub use literal::Literal;
pub use mount_path::{MountPath, MountPathError};
pub use named::Named;
pub(crate) use named::OFF_UNLESS_NAMED;
pub use pattern::{Pattern, PatternError};
pub(super) use planned::NoEffect;
pub use planned::{ClientAuth, Profiles, Proxy, ServerAuth, ServerTls};
pub use ratio::{Ratio, RatioError};
pub use secret::Secret;

/// Gives a type with `FromStr` and `Display` its serde side: it reads and writes text.
macro_rules! written_as_text {
    ($type:ident, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::config::value::from_text(deserializer, $expected)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
use written_as_text;

fn from_text<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(TextVisitor { expected, value: PhantomData })
}

struct TextVisitor<T> {
    expected: &'static str,
    value: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    // A format that resolves scalars itself makes a number of `0` or `1024`.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}
