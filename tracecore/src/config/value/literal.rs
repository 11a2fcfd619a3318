//! A value whose type is the one it is written with.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::signal::edit::PlainValue;
use crate::signal::view::ValueRef;

/// The value of an attribute as it is written in a configuration: `8080` is an integer, `"8080"` a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
}

impl Literal {
    /// The value to write.
    pub fn plain(&self) -> PlainValue<'_> {
        match self {
            Literal::Text(text) => PlainValue::Str(text),
            Literal::Bool(value) => PlainValue::Bool(*value),
            Literal::Int(value) => PlainValue::Int(*value),
            Literal::Double(value) => PlainValue::Double(*value),
        }
    }

    /// Whether an attribute has this value, of this type.
    pub fn is(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Literal::Text(text), ValueRef::Str(value)) => text == value,
            (Literal::Bool(literal), ValueRef::Bool(value)) => *literal == value,
            (Literal::Int(literal), ValueRef::Int(value)) => *literal == value,
            (Literal::Double(literal), ValueRef::Double(value)) => *literal == value,
            _ => false,
        }
    }
}

/// As it may be written, texts without quotes.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => f.write_str(text),
            Literal::Bool(value) => value.fmt(f),
            Literal::Int(value) => value.fmt(f),
            Literal::Double(value) => value.fmt(f),
        }
    }
}

struct LiteralVisitor;

impl Visitor<'_> for LiteralVisitor {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Literal, E> {
        Ok(Literal::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Literal, E> {
        Ok(Literal::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Literal, E> {
        i64::try_from(value).map(Literal::Int).map_err(|_| E::custom("the greatest integer is 9223372036854775807"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Literal, E> {
        Ok(Literal::Double(value))
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LiteralVisitor)
    }
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "A value whose type is the one it is written with: `8080` is an integer, `\"8080\"` a text."
        })
    }
}
