//! Damage: at the level of bytes, and at the level of fields with lengths that stay right.

use super::generate::Generator;
use super::tree::{Field, Node, Value, put_varint};

/// Changes a few bytes.
pub(super) fn damage_bytes(bytes: &mut Vec<u8>, random: &mut Generator) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.bits() as u8,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.bits() as u8),
        4 if !bytes.is_empty() => drop(bytes.remove(at)),
        _ => {
            let end = (at + random.below(12)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
    }
}

/// Changes the fields of one message, anywhere in the request.
pub(super) fn damage_fields(root: &mut Node, random: &mut Generator) {
    let mut messages = 0;
    root.visit(&mut |_| messages += 1);
    let target = random.below(messages);
    let mut index = 0;
    root.visit(&mut |node| {
        if index == target {
            damage_message(node, random);
        }
        index += 1;
    });
}

fn damage_message(node: &mut Node, random: &mut Generator) {
    let at = random.below(node.fields.len());
    if node.fields.is_empty() || random.chance(4) {
        node.fields.insert(at, any_field(random));
        return;
    }
    match random.below(8) {
        0 => {
            let copy = node.fields[at].clone();
            let to = random.below(node.fields.len() + 1);
            node.fields.insert(to, copy);
        }
        1 => {
            let other = random.below(node.fields.len());
            node.fields.swap(at, other);
        }
        2 => drop(node.fields.remove(at)),
        // Another choice of a `oneof`, or another type.
        3 => node.fields[at].number = 1 + random.below(17) as u32,
        4 => node.fields[at].value = any_field(random).value,
        5 => {
            // One packed chunk becomes elements of their own, or is empty.
            if let Value::Bytes(bytes) = &node.fields[at].value
                && bytes.len().is_multiple_of(8)
            {
                let number = node.fields[at].number;
                let single = |chunk: &[u8]| Field { number, value: Value::Raw(1, chunk.to_vec()) };
                let elements: Vec<Field> = bytes.chunks(8).map(single).collect();
                node.fields.splice(at..=at, elements);
            }
        }
        6 => {
            // A longer form of the same integer.
            if let Value::Raw(0, bytes) = &mut node.fields[at].value
                && let Some(last) = bytes.last_mut()
            {
                *last |= 0x80;
                bytes.extend(vec![0x80; random.below(9)]);
                bytes.push(random.below(2) as u8);
            }
        }
        _ => {
            if let Value::Bytes(bytes) | Value::Raw(_, bytes) = &mut node.fields[at].value {
                damage_bytes(bytes, random);
            }
        }
    }
}

/// A field with any number and any wire type, often valid.
pub(super) fn any_field(random: &mut Generator) -> Field {
    let number = match random.below(8) {
        0 => 0,
        1 => (1 << 29) - 1,
        2 => 1 + random.below(400) as u32,
        _ => 1 + random.below(20) as u32,
    };
    let value = match random.below(8) {
        0 => Value::Raw(0, varint(random)),
        1 => Value::Raw(1, vec![7; 8]),
        2 => Value::Raw(5, vec![7; 4]),
        3 | 4 => Value::Bytes(vec![b'x'; random.below(20)]),
        5 => Value::Raw(3, group(number, random, 3)),
        6 => Value::Raw(3, nested_groups(number, random.below(110))),
        _ => Value::Raw(random.below(8) as u8, varint(random)),
    };
    Field { number, value }
}

fn varint(random: &mut Generator) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(random.bits() >> random.below(64), &mut bytes);
    bytes
}

/// The content and the end of a group.
fn group(number: u32, random: &mut Generator, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(3) {
        let inner = 1 + random.below(30) as u32;
        match random.below(if depth == 0 { 2 } else { 3 }) {
            0 => bytes.extend([varint_key(inner, 0), varint(random)].concat()),
            1 => bytes.extend([varint_key(inner, 1), vec![1; 8]].concat()),
            _ => bytes.extend([varint_key(inner, 3), group(inner, random, depth - 1)].concat()),
        }
    }
    let end = if random.chance(10) { number + 1 } else { number };
    bytes.extend(varint_key(end, 4));
    bytes
}

/// The content and the end of a group with `depth` groups in it, each in the one before.
pub(super) fn nested_groups(number: u32, depth: usize) -> Vec<u8> {
    let open = varint_key(1, 3).repeat(depth);
    let close = varint_key(1, 4).repeat(depth);
    [open, close, varint_key(number, 4)].concat()
}

/// A field key.
pub(super) fn varint_key(number: u32, wire: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(u64::from(number) << 3 | u64::from(wire), &mut bytes);
    bytes
}
