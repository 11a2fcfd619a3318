//! What all signals share: attributes, values, resources and scopes.

use std::fmt::{self, Write};

use super::wire::{Body, Repeated};

/// The attributes of something, in the order of the wire.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(Repeated<'a, KeyValueRef<'a>>);

impl<'a> Attributes<'a> {
    /// The attributes in field `number` of `body`.
    pub(super) fn of(body: Body<'a>, number: u32) -> Self {
        Attributes(body.repeated(number))
    }

    /// The value of the first attribute called `key`.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        let Attributes(mut attributes) = self;
        while let Some(body) = attributes.next_body() {
            let found = RawKeyValue::from(body);
            // Bytes are compared before anything is read as text.
            if found.key == key.as_bytes() {
                return Some(found.value.into());
            }
        }
        None
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = KeyValueRef<'a>;

    fn next(&mut self) -> Option<KeyValueRef<'a>> {
        self.0.next()
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueRef<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value.
    pub value: ValueRef<'a>,
}

impl<'a> From<Body<'a>> for KeyValueRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let RawKeyValue { key, value } = body.into();
        KeyValueRef { key: str::from_utf8(key).unwrap_or_default(), value: value.into() }
    }
}

#[derive(Default)]
struct RawKeyValue<'a> {
    key: &'a [u8],
    value: Body<'a>,
}

impl<'a> From<Body<'a>> for RawKeyValue<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut pair = RawKeyValue::default();
        for (number, value) in body.fields() {
            match number {
                1 => pair.key = value.bytes(),
                2 => pair.value = value.body(),
                _ => {}
            }
        }
        pair
    }
}

/// The value of an attribute or the body of a log record.
#[derive(Clone, Copy, Debug, Default)]
pub enum ValueRef<'a> {
    /// No value.
    #[default]
    Empty,
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Several values.
    Array(Values<'a>),
    /// Several named values.
    KvList(Attributes<'a>),
}

/// The values of an array.
pub type Values<'a> = Repeated<'a, ValueRef<'a>>;

impl<'a> ValueRef<'a> {
    /// The string, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        if let ValueRef::Str(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_int(self) -> Option<i64> {
        if let ValueRef::Int(value) = self { Some(value) } else { None }
    }
}

impl<'a> From<Body<'a>> for ValueRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut value = ValueRef::Empty;
        for (number, field) in body.fields() {
            value = match number {
                1 => ValueRef::Str(field.text()),
                2 => ValueRef::Bool(field.bool()),
                3 => ValueRef::Int(field.i64()),
                4 => ValueRef::Double(field.f64()),
                5 => ValueRef::Array(field.body().repeated(1)),
                6 => ValueRef::KvList(Attributes::of(field.body(), 1)),
                7 => ValueRef::Bytes(field.bytes()),
                // A string index means something in profiles only.
                8 => ValueRef::Empty,
                _ => value,
            };
        }
        value
    }
}

/// The value as text: a string as it is, nothing for no value, bytes in hexadecimal, arrays and lists as JSON.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ValueRef::Empty => Ok(()),
            ValueRef::Str(text) => f.write_str(text),
            ValueRef::Bytes(bytes) => Hex(bytes).fmt(f),
            other => write_json(other, f),
        }
    }
}

fn write_json(value: ValueRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        ValueRef::Empty => f.write_str("null"),
        ValueRef::Str(text) => write_json_string(text, f),
        ValueRef::Bool(value) => write!(f, "{value}"),
        ValueRef::Int(value) => write!(f, "{value}"),
        ValueRef::Double(value) => write!(f, "{value}"),
        ValueRef::Bytes(bytes) => write!(f, "\"{}\"", Hex(bytes)),
        ValueRef::Array(values) => {
            f.write_char('[')?;
            for (i, value) in values.enumerate() {
                f.write_str(if i == 0 { "" } else { "," })?;
                write_json(value, f)?;
            }
            f.write_char(']')
        }
        ValueRef::KvList(pairs) => {
            f.write_char('{')?;
            for (i, KeyValueRef { key, value }) in pairs.enumerate() {
                f.write_str(if i == 0 { "" } else { "," })?;
                write_json_string(key, f)?;
                f.write_char(':')?;
                write_json(value, f)?;
            }
            f.write_char('}')
        }
    }
}

fn write_json_string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0'..='\x1F' => write!(f, "\\u{:04x}", u32::from(c))?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Bytes in lower-case hexadecimal, as trace and span ids are written.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the telemetry is about: a host, a pod, a service.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceRef<'a> {
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    body: Body<'a>,
}

impl<'a> ResourceRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 1)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }
}

impl<'a> From<Body<'a>> for ResourceRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut resource = ResourceRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            if number == 2 {
                resource.dropped_attributes_count = value.u32();
            }
        }
        resource
    }
}

/// The library or component that made the telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    body: Body<'a>,
}

impl<'a> ScopeRef<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.body, 3)
    }

    /// The value of its first attribute called `key`.
    pub fn attr(&self, key: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(key)
    }
}

impl<'a> From<Body<'a>> for ScopeRef<'a> {
    fn from(body: Body<'a>) -> Self {
        let mut scope = ScopeRef { body, ..Default::default() };
        for (number, value) in body.fields() {
            match number {
                1 => scope.name = value.text(),
                2 => scope.version = value.text(),
                4 => scope.dropped_attributes_count = value.u32(),
                _ => {}
            }
        }
        scope
    }
}
