//! From a [`Node`] to a type, by serde, with errors that know their place.
//!
//! serde tells an error as it unwinds. The innermost node that sees it puts its path and place to it, and only then is
//! the sentence made, so that a value which a substitution fetched is never part of it. It stops at the first error, so a
//! node of which an error was told is passed over as if it were not written, and the reading begins again: what is found
//! then is the next error, until nothing is.
//!
//! Where a type asks for text, it gets the text as written: `version: 1.10` is "1.10". Where it asks for a number or a
//! boolean, the scalar must be unquoted and mean one. Null is an empty mapping or list to those who ask for these. A
//! setting whose variable is not set counts as not written. What serde buffers (internally tagged enums, `flatten`)
//! loses its place inside: the error then stands at the node around it.

use std::collections::HashSet;
use std::fmt;
use std::ptr;

use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use super::error::{ConfigError, ConfigErrors};
use super::fault::{Fault, Placed, list, nearest};
use super::node::{Key, Node, Scalar, Value};
use super::origin::Path;
use super::scalar::{Plain, has_leading_zero};
use super::yaml::MAX_ERRORS;

impl Node {
    /// Makes a `T` of this tree. `path` is the way to this node from the top, for messages.
    ///
    /// An unknown key (of a type with `deny_unknown_fields`), a missing one, a value of the wrong type or out of range
    /// is an error with the path and the place of the very node.
    ///
    /// # Errors
    /// All that is wrong, in the order in which the type reads it. Of a mapping in which several keys are missing, one is
    /// told of.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self, path: &str) -> Result<T, ConfigErrors> {
        let mut errors = Vec::new();
        let read = self.read(path, &mut errors);
        read.ok_or(ConfigErrors(errors))
    }

    /// Makes a `T` of this tree, or adds what is wrong. Nothing is added where all that is wrong has been told of.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self, path: &str, errors: &mut Vec<ConfigError>) -> Option<T> {
        let path = Path::Root(path);
        let mut told = Told(HashSet::new());
        loop {
            let read = T::deserialize(NodeDeserializer { node: self, path, told: &told });
            let fault = match read {
                Ok(value) => return (told.0.is_empty() && !self.any(&|node| node.broken)).then_some(value),
                Err(fault) => fault,
            };
            let Placed { error, missing, through } = fault.place(path, &self.origin, self);
            let at = |node: &Node| through.first().is_some_and(|first| ptr::eq(*first, node));
            // What does not hold of a whole in which something was passed over follows from that; a key is missing because
            // it was passed over, or written with a slip.
            let follows = |node: &Node| match missing {
                Some(key) => node
                    .entries()
                    .iter()
                    .any(|(written, node)| told.skips(node) && nearest(written.as_str(), [key]).is_some()),
                None => node.any(&|node| told.skips(node)),
            };
            if !self.any(&|node| at(node) && follows(node)) {
                errors.push(error);
            }
            // Each error costs one more reading.
            if errors.len() >= MAX_ERRORS || told.0.len() >= MAX_ERRORS {
                return None;
            }
            let next = through.iter().find(|node| !told.0.contains(*node)).filter(|node| !ptr::eq(**node, self));
            told.0.insert(*next?);
        }
    }
}

/// The nodes of which an error was told. Their addresses, while the tree is borrowed.
struct Told(HashSet<*const Node>);

impl Told {
    /// Whether this node counts as not written.
    fn skips(&self, node: &Node) -> bool {
        node.broken || self.0.contains(&ptr::from_ref(node))
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de, 'p> {
    node: &'de Node,
    path: Path<'p>,
    told: &'p Told,
}

impl<'de, 'p> NodeDeserializer<'de, 'p> {
    fn placed<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.at(self.path, &self.node.origin, self.node))
    }

    /// The text that a string field takes.
    fn text(self) -> Option<&'de str> {
        match (&self.node.fetched, &self.node.value) {
            (Some(text), _) => Some(text),
            (None, Value::Scalar(scalar)) => Some(&scalar.text),
            (None, Value::Null | Value::Sequence(_) | Value::Mapping(_)) => None,
        }
    }

    fn plain(self) -> Option<Plain> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar.resolve()),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    fn integer<T: TryFrom<i128>>(self, least: impl fmt::Display, most: impl fmt::Display) -> Result<T, Fault> {
        let expected = format_args!("a whole number from {least} to {most}");
        match (self.plain(), &self.node.value) {
            (Some(Plain::Integer(value)), _) => T::try_from(value).map_err(|_| Fault::wrong(expected, self.node)),
            (_, Value::Scalar(scalar)) if !scalar.quoted && has_leading_zero(&scalar.text) => Err(Fault::said(
                "a leading zero is read differently by different programs: write 0o… for octal, or leave it out",
            )),
            _ => Err(Fault::wrong(expected, self.node)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a float field takes the nearest float, in YAML as in source text")]
    fn float(self) -> Result<f64, Fault> {
        match self.plain() {
            Some(Plain::Float(value)) => Ok(value),
            Some(Plain::Integer(value)) => Ok(value as f64),
            _ => Err(Fault::wrong("a number", self.node)),
        }
    }

    fn items(self) -> Result<Items<'de, 'p>, Fault> {
        match &self.node.value {
            Value::Sequence(items) => Ok(Items { items: items.iter().enumerate(), path: self.path, told: self.told }),
            _ if self.node.is_null() => Ok(Items { items: [].iter().enumerate(), path: self.path, told: self.told }),
            _ => Err(Fault::wrong("a list", self.node)),
        }
    }

    /// The entries, without those of `unset` keys whose variable is not set: these count as not written.
    fn entries(self, unset: &'static [&'static str]) -> Result<Entries<'de, 'p>, Fault> {
        match &self.node.value {
            Value::Mapping(_) => {}
            _ if self.node.is_null() => {}
            _ => return Err(Fault::wrong("a mapping", self.node)),
        }
        Ok(Entries { entries: self.node.entries().iter(), unset, current: None, path: self.path, told: self.told })
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $int:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.placed(self.integer::<$int>($int::MIN, $int::MAX).and_then(|value| visitor.$visit(value)))
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de, '_> {
    type Error = Fault;

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Sequence(_) => self.items().and_then(|items| visitor.visit_seq(items)),
            Value::Mapping(_) => self.entries(&[]).and_then(|entries| visitor.visit_map(entries)),
            Value::Scalar(Scalar { text, .. }) => match self.plain() {
                Some(Plain::Null) => visitor.visit_unit(),
                Some(Plain::Bool(value)) => visitor.visit_bool(value),
                Some(Plain::Integer(value)) => match (u64::try_from(value), i64::try_from(value)) {
                    (Ok(value), _) => visitor.visit_u64(value),
                    (_, Ok(value)) => visitor.visit_i64(value),
                    _ => self.float().and_then(|value| visitor.visit_f64(value)),
                },
                Some(Plain::Float(value)) => visitor.visit_f64(value),
                Some(Plain::Text) | None => visitor.visit_borrowed_str(text),
            },
        };
        self.placed(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(match self.plain() {
            Some(Plain::Bool(value)) => visitor.visit_bool(value),
            _ => Err(Fault::wrong("true or false", self.node)),
        })
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(self.float().and_then(|value| visitor.visit_f64(value)))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(match self.text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(Fault::wrong(&visitor as &dyn Expected, self.node)),
        })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(match self.node.is_null() {
            true => visitor.visit_unit(),
            false => Err(Fault::wrong("nothing", self.node)),
        })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.placed(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(self.items().and_then(|items| visitor.visit_seq(items)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(self.entries(&[]).and_then(|entries| visitor.visit_map(entries)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.placed(self.entries(fields).and_then(|entries| visitor.visit_map(entries)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match (self.node.entries(), self.text()) {
            ([(key, node)], _) => visitor.visit_enum(Variant { key, node, path: self.path, told: self.told }),
            (_, Some(text)) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Fault::wrong(format_args!("one of {}", list(variants)), self.node)),
        };
        self.placed(result)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf }
}

struct Items<'de, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
    path: Path<'p>,
    told: &'p Told,
}

impl<'de> de::SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.items.find(|(_, node)| !self.told.skips(node)) else { return Ok(None) };
        value(seed, node, Path::Index(&self.path, index), self.told).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de, 'p> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    unset: &'static [&'static str],
    current: Option<&'de (Key, Node)>,
    path: Path<'p>,
    told: &'p Told,
}

impl<'de> de::MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let unset = |key: &Key, node: &Node| node.is_unset() && self.unset.contains(&key.as_str());
        self.current = self.entries.find(|(key, node)| !unset(key, node) && !self.told.skips(node));
        let Some((key, node)) = self.current else { return Ok(None) };
        name(seed, key, node, self.path).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.current.take() else {
            return Err(Fault::said("a value was asked for before its key"));
        };
        value(seed, node, Path::Key(&self.path, key.as_str()), self.told)
    }
}

/// The variant of an enum that is written as a mapping with one key.
struct Variant<'de, 'p> {
    key: &'de Key,
    node: &'de Node,
    path: Path<'p>,
    told: &'p Told,
}

impl<'de, 'p> de::EnumAccess<'de> for Variant<'de, 'p> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        Ok((name(seed, self.key, self.node, self.path)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.newtype_variant_seed(std::marker::PhantomData)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        value(seed, self.node, Path::Key(&self.path, self.key.as_str()), self.told)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        let path = Path::Key(&self.path, self.key.as_str());
        NodeDeserializer { node: self.node, path, told: self.told }.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let path = Path::Key(&self.path, self.key.as_str());
        NodeDeserializer { node: self.node, path, told: self.told }.deserialize_struct("", fields, visitor)
    }
}

fn value<'de, T: DeserializeSeed<'de>>(
    seed: T,
    node: &'de Node,
    path: Path<'_>,
    told: &Told,
) -> Result<T::Value, Fault> {
    // What a type refuses after it was read (`try_from`) has no place yet.
    seed.deserialize(NodeDeserializer { node, path, told }).map_err(|fault| fault.at(path, &node.origin, node))
}

fn name<'de, K: DeserializeSeed<'de>>(seed: K, key: &'de Key, node: &Node, path: Path<'_>) -> Result<K::Value, Fault> {
    let text = de::value::BorrowedStrDeserializer::<Fault>::new(key.as_str());
    seed.deserialize(text).map_err(|fault| fault.at(Path::Key(&path, key.as_str()), &key.origin, node))
}
