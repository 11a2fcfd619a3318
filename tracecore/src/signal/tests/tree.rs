//! A request as a tree of fields, to be rearranged and written again with right lengths.
//!
//! It has its own, untyped idea of which fields are messages, so that a slip in the tables of the walk does not repeat
//! itself here. Needs the standard library alone.

/// Which message field `number` of `message` is; `None` if it is none.
fn child(message: &'static str, number: u32) -> Option<&'static str> {
    Some(match (message, number) {
        ("traces", 1) => "resource_spans",
        ("metrics", 1) => "resource_metrics",
        ("logs", 1) => "resource_logs",
        ("resource_spans" | "resource_metrics" | "resource_logs", 1) => "resource",
        ("resource_spans", 2) => "scope_spans",
        ("resource_metrics", 2) => "scope_metrics",
        ("resource_logs", 2) => "scope_logs",
        ("scope_spans" | "scope_metrics" | "scope_logs", 1) => "scope",
        ("scope_spans", 2) => "span",
        ("scope_metrics", 2) => "metric",
        ("scope_logs", 2) => "log_record",
        ("resource", 1) | ("scope", 3) | ("span", 9) | ("event", 3) | ("link", 4) | ("metric", 12) => "key_value",
        ("log_record", 6) | ("number_point", 7) | ("histogram_point", 9) => "key_value",
        ("exponential_point", 1) | ("summary_point", 7) | ("exemplar", 7) | ("kvlist", 1) => "key_value",
        ("resource", 3) => "entity_ref",
        ("span", 11) => "event",
        ("span", 13) => "link",
        ("span", 15) => "status",
        ("log_record", 5) | ("key_value", 2) | ("array", 1) => "any_value",
        ("any_value", 5) => "array",
        ("any_value", 6) => "kvlist",
        ("metric", 5 | 7) => "numbers",
        ("metric", 9) => "histogram",
        ("metric", 10) => "exponential",
        ("metric", 11) => "summary",
        ("numbers", 1) => "number_point",
        ("histogram", 1) => "histogram_point",
        ("exponential", 1) => "exponential_point",
        ("summary", 1) => "summary_point",
        ("number_point", 5) | ("histogram_point", 8) | ("exponential_point", 11) => "exemplar",
        ("exponential_point", 8 | 9) => "buckets",
        ("summary_point", 6) => "quantile",
        _ => return None,
    })
}

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name in [`child`].
    pub(super) name: &'static str,
    /// Its fields in order.
    pub(super) fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its number.
    pub(super) number: u32,
    /// Its value.
    pub(super) value: Value,
}

/// A value, still encoded unless it is a message.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Without a length: the wire type and the bytes.
    Raw(u8, Vec<u8>),
    /// With a length.
    Bytes(Vec<u8>),
    /// With a length.
    Message(Node),
}

impl Node {
    /// Reads a request that some encoder wrote. `name` is `traces`, `metrics` or `logs`.
    pub(super) fn read(name: &'static str, mut bytes: &[u8]) -> Node {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes);
            let number = u32::try_from(key >> 3).expect("a field number");
            let value = match key & 7 {
                0 => {
                    let before = bytes;
                    take_varint(&mut bytes);
                    Value::Raw(0, before[..before.len() - bytes.len()].to_vec())
                }
                1 => Value::Raw(1, bytes.split_off(..8).expect("eight bytes").to_vec()),
                5 => Value::Raw(5, bytes.split_off(..4).expect("four bytes").to_vec()),
                2 => {
                    let length = usize::try_from(take_varint(&mut bytes)).expect("a length");
                    let body = bytes.split_off(..length).expect("the announced bytes");
                    match child(name, number) {
                        Some(child) => Value::Message(Node::read(child, body)),
                        None => Value::Bytes(body.to_vec()),
                    }
                }
                wire => panic!("an encoder does not write wire type {wire}"),
            };
            fields.push(Field { number, value });
        }
        Node { name, fields }
    }

    /// The message, encoded.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for Field { number, value } in &self.fields {
            let wire = if let Value::Raw(wire, _) = value { *wire } else { 2 };
            put_varint(u64::from(number << 3 | u32::from(wire)), &mut out);
            match value {
                Value::Raw(_, bytes) => out.extend(bytes),
                Value::Bytes(bytes) => put_bytes(bytes, &mut out),
                Value::Message(node) => put_bytes(&node.write(), &mut out),
            }
        }
        out
    }

    /// Calls `visit` for this message and every message in it.
    pub(super) fn visit(&mut self, visit: &mut impl FnMut(&mut Node)) {
        visit(self);
        for field in &mut self.fields {
            if let Value::Message(node) = &mut field.value {
                node.visit(visit);
            }
        }
    }
}

/// Puts the fields of every message in another order; `random` gives the numbers it is made of.
pub(super) fn shuffle(node: &mut Node, random: &mut impl FnMut() -> u64) {
    node.visit(&mut |node| {
        for i in (1..node.fields.len()).rev() {
            node.fields.swap(i, random() as usize % (i + 1));
        }
    });
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// Writes a varint.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = *bytes.split_off_first().expect("a whole varint");
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
