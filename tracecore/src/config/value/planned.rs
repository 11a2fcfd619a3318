//! What the Collector has and tracecore has not yet, in the places where people write it.
//!
//! A key that is refused as unknown looks like a typing error, and a server that was to be encrypted must not start in
//! clear text. What can be done without is read and has no effect, and whoever reads it says so.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Anything, without effect.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct NoEffect;

impl<'de> Deserialize<'de> for NoEffect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| NoEffect)
    }
}

impl JsonSchema for NoEffect {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NoEffect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

macro_rules! planned {
    ($(#[$doc:meta])* $name:ident, $refusal:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(de::Error::custom($refusal))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $refusal, "not": {} })
            }
        }
    };
}

planned!(
    /// TLS of a server.
    ServerTls,
    "is not there yet: servers speak plain text; put a proxy that ends TLS before it, or listen on localhost"
);
planned!(
    /// Authentication of a server's clients.
    ServerAuth,
    "is not there yet: servers ask nobody who they are; put a proxy that does before it, or listen on localhost"
);
planned!(
    /// What has to do with profiles.
    Profiles,
    "is not there yet: there are traces, metrics and logs"
);
planned!(
    /// A proxy between a client and its server.
    Proxy,
    "is not there yet: what is asked is asked directly, also where the environment names a proxy"
);
planned!(
    /// Authentication of a client by an extension.
    ClientAuth,
    "is not there yet: what the other side asks for can stand in `headers`, such as `authorization`"
);
