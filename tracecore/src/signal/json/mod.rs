//! OTLP/JSON: a batch as text for programs, there and back.
//!
//! Both directions follow the tables of OTLP, straight between the text and the wire bytes; nothing is decoded between.
//! Written is what the specification says: lowerCamelCase keys, ids in hexadecimal, integers of 64 bits as strings,
//! enumerations as numbers, bytes in base64, `NaN` and the infinities as strings. Read is also what other collectors read:
//! the names of the `.proto` files as keys, integers of any width as numbers or strings, enumerations by name, base64 in
//! either alphabet with or without padding, `null` for what is absent. Unknown keys are passed over, as OTLP wants.
//!
//! Deliberately absent: unknown fields of the wire, which JSON has no names for, and the payload of a NaN.

mod decode;
mod encode;
mod passed;
mod scalar;

pub use decode::{JsonError, decode, signal_of};
pub use encode::encode;

use std::fmt;

/// The name of a field of a `.proto` file in JSON.
#[derive(Clone, Copy)]
struct CamelCase(&'static str);

impl CamelCase {
    fn chars(self) -> impl Iterator<Item = u8> {
        let mut starts_word = false;
        self.0.bytes().filter_map(move |byte| {
            let upper = std::mem::replace(&mut starts_word, byte == b'_');
            if byte == b'_' { None } else { Some(if upper { byte.to_ascii_uppercase() } else { byte }) }
        })
    }
}

impl fmt::Display for CamelCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|byte| write!(f, "{}", char::from(byte)))
    }
}
