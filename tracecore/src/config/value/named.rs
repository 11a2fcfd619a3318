//! What is on once it is named.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// How the schema says that what is not written is off, whatever its own defaults are.
pub(crate) const OFF_UNLESS_NAMED: &str = "x-off-unless-named";

/// Settings that are in force if their key is there, also with nothing behind it: `grpc:` is on with its defaults, and off
/// where the key is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<T>(pub Option<T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(None)
    }
}

/// Asks for a `T`, to which nothing is an empty mapping. An `Option` would be none then.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|settings| Named(Some(settings)))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert(OFF_UNLESS_NAMED.to_owned(), true.into());
        schema
    }
}
