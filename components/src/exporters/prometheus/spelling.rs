//! How a sender writes the attributes of a series, as bytes to look it up by.
//!
//! Equal bytes mean equal attributes in equal order; equal attributes in another order are other bytes, and another way to
//! the same series. So a series that is known is found without making its labels.

use tracecore::signal::view::{Attributes, ValueRef};

/// Appends attributes.
pub(super) fn spell(out: &mut Vec<u8>, attributes: Attributes<'_>) {
    for attribute in attributes {
        spell_bytes(out, attribute.key.as_bytes());
        spell_value(out, attribute.value);
    }
    // No key is as long: it ends the list.
    out.extend_from_slice(&u32::MAX.to_le_bytes());
}

fn spell_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => out.push(0),
        ValueRef::Str(text) => {
            out.push(1);
            spell_bytes(out, text.as_bytes());
        }
        ValueRef::Bool(value) => out.extend_from_slice(&[2, u8::from(value)]),
        ValueRef::Int(value) => {
            out.push(3);
            out.extend_from_slice(&value.to_le_bytes());
        }
        ValueRef::Double(value) => {
            out.push(4);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        ValueRef::Bytes(bytes) => {
            out.push(5);
            spell_bytes(out, bytes);
        }
        ValueRef::Array(values) => {
            out.push(6);
            for value in values {
                spell_value(out, value);
            }
            out.push(u8::MAX);
        }
        ValueRef::KvList(attributes) => {
            out.push(7);
            spell(out, attributes);
        }
    }
}

/// Appends bytes.
pub(super) fn spell_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // A batch is far smaller than 4 GiB; a length that does not fit is one that no batch has.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}
