//! What is passed over: the values of keys that OTLP does not have. Their arrays and objects may be nested no deeper than
//! messages, so that the bound holds for the whole of a text, whatever its keys are.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::signal::schema::MAX_DEPTH;

/// What is one level below `depth`.
pub(super) fn deeper<E: de::Error>(depth: u32) -> Result<u32, E> {
    match depth {
        MAX_DEPTH => Err(de::Error::custom(format_args!("nested deeper than {MAX_DEPTH} messages"))),
        depth => Ok(depth + 1),
    }
}

/// The value of a key that OTLP does not have.
pub(super) struct Passed {
    /// How many messages, arrays and objects it is below the request.
    pub(super) depth: u32,
}

impl<'de> DeserializeSeed<'de> for Passed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Passed {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<(), S::Error> {
        let depth = deeper(self.depth)?;
        while elements.next_element_seed(Passed { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let depth = deeper(self.depth)?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Passed { depth })?;
        }
        Ok(())
    }
}
