//! A protobuf message as a table: field number to kind. The tables themselves are in [`otlp`](super::otlp).

/// How many messages (and unknown groups) may be nested in a request, the request itself not counted.
///
/// Real telemetry stays under 20. Prost refuses at 100, so whatever passes here can be decoded.
pub(super) const MAX_DEPTH: u32 = 64;

/// Field numbers reach 16 (`Span.flags`).
const FIELDS: usize = 17;

/// The wire types of protobuf.
pub(super) mod wire {
    pub(in super::super) const VARINT: u8 = 0;
    pub(in super::super) const FIXED64: u8 = 1;
    pub(in super::super) const LENGTH: u8 = 2;
    pub(in super::super) const START_GROUP: u8 = 3;
    pub(in super::super) const END_GROUP: u8 = 4;
    pub(in super::super) const FIXED32: u8 = 5;
    /// No wire type: what the table holds for numbers without a field.
    pub(super) const NONE: u8 = u8::MAX;
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// No such field.
    Unknown,
    /// Any integer, `bool` or enumeration of variable length.
    Varint,
    /// Four bytes.
    Fixed32,
    /// Eight bytes.
    Fixed64,
    /// A string.
    Text,
    /// Bytes.
    Bytes,
    /// An id: empty or of this length.
    Id(u8),
    /// Repeated integers of variable length; packed, as proto3 writes them.
    PackedVarint,
    /// Repeated eight-byte numbers; packed, as proto3 writes them.
    PackedFixed64,
    /// A message.
    Message(&'static Message),
    /// A message that is counted: a span, a data point, a log record.
    Item(&'static Message),
    /// One choice of `Metric.data`: another choice takes the place of the one before, and of its data points.
    Data(&'static Message),
    /// A `KeyValue`, which makes up most of any request.
    Attribute,
}

impl Kind {
    const fn wire(self) -> u8 {
        match self {
            Kind::Unknown => wire::NONE,
            Kind::Varint => wire::VARINT,
            Kind::Fixed32 => wire::FIXED32,
            Kind::Fixed64 => wire::FIXED64,
            _ => wire::LENGTH,
        }
    }

    /// The wire type of one element where a packed field may also come unpacked.
    pub(super) const fn unpacked_wire(self) -> Option<u8> {
        match self {
            Kind::PackedVarint => Some(wire::VARINT),
            Kind::PackedFixed64 => Some(wire::FIXED64),
            _ => None,
        }
    }
}

/// What the number in a field means, which the wire does not say and JSON writes out.
#[derive(Clone, Copy)]
pub(super) enum Number {
    /// `uint32`, `fixed32`.
    Unsigned32,
    /// `uint64`, `fixed64`.
    Unsigned64,
    /// `int32`.
    Signed32,
    /// `sint32`, which alternates between the signs.
    Zigzag32,
    /// `int64`, `sfixed64`.
    Signed64,
    /// `double`.
    Double,
    /// `bool`.
    Bool,
    /// An enumeration, with what gives the number of a name.
    Enumeration(fn(&str) -> Option<i32>),
}

/// One field number of a message.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// What it holds.
    pub(super) kind: Kind,
    /// The wire type it has in a request that any current library wrote.
    pub(super) wire: u8,
    /// The bit of this number.
    pub(super) bit: u32,
    /// The bits of those fields that make the message non-canonical if they came before this one: a singular field
    /// itself, the other choices of its `oneof`, and for `KeyValue.key` the value.
    pub(super) clash: u32,
}

/// One OTLP message.
pub(super) struct Message {
    /// Its name in the OTLP definition.
    pub(super) name: &'static str,
    /// Its fields by number.
    pub(super) fields: [Field; FIELDS],
    names: [&'static str; FIELDS],
    numbers: [Number; FIELDS],
}

impl Message {
    /// What field `number` holds.
    pub(super) fn kind(&self, number: u32) -> Kind {
        self.fields.get(number as usize).map_or(Kind::Unknown, |field| field.kind)
    }

    /// The length in bytes of the id in field `number`, 0 if there is none.
    pub(super) fn id_length(&self, number: u32) -> u64 {
        if let Kind::Id(length) = self.kind(number) { u64::from(length) } else { 0 }
    }

    /// What the number in field `number` means.
    pub(super) fn meaning(&self, number: u32) -> Number {
        self.numbers.get(number as usize).copied().unwrap_or(Number::Unsigned64)
    }

    /// Whether field `number` may occur more than once.
    pub(super) fn is_repeated(&self, number: u32) -> bool {
        self.fields.get(number as usize).is_some_and(|field| field.clash == 0)
    }

    /// The fields, with their names.
    pub(super) fn named(&self) -> impl Iterator<Item = (u32, &'static str)> {
        (0..).zip(self.names).filter(|(_, name)| !name.is_empty())
    }

    /// The name of field `number`, if there is such a field.
    pub(super) fn field_name(&self, number: u32) -> Option<&'static str> {
        self.names.get(number as usize).copied().filter(|name| !name.is_empty())
    }
}

/// A row of a table.
pub(super) struct Row {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) clash: u32,
    pub(super) meaning: Number,
}

impl Row {
    /// The row of a field whose number means something else than an unsigned integer of its width on the wire.
    pub(super) const fn of(self, meaning: Number) -> Row {
        Row { meaning, ..self }
    }
}

/// A singular field.
pub(super) const fn one(number: u32, name: &'static str, kind: Kind) -> Row {
    row(number, name, kind, 1 << number)
}

/// A repeated field.
pub(super) const fn many(number: u32, name: &'static str, kind: Kind) -> Row {
    row(number, name, kind, 0)
}

/// One choice of a `oneof` whose numbers are the bits of `choices`.
pub(super) const fn choice(number: u32, name: &'static str, kind: Kind, choices: u32) -> Row {
    row(number, name, kind, choices)
}

/// A field that clashes with those of these bits.
pub(super) const fn row(number: u32, name: &'static str, kind: Kind, clash: u32) -> Row {
    let meaning = match kind {
        Kind::Varint | Kind::Fixed32 => Number::Unsigned32,
        _ => Number::Unsigned64,
    };
    Row { number, name, kind, clash, meaning }
}

/// The message of these fields.
pub(super) const fn message(name: &'static str, rows: &[Row]) -> Message {
    let mut fields = [Field { kind: Kind::Unknown, wire: Kind::Unknown.wire(), bit: 0, clash: 0 }; FIELDS];
    let mut names = [""; FIELDS];
    let mut numbers = [Number::Unsigned64; FIELDS];
    let mut i = 0;
    while i < rows.len() {
        let Row { number, name, kind, clash, meaning } = rows[i];
        fields[number as usize] = Field { kind, wire: kind.wire(), bit: 1 << number, clash };
        names[number as usize] = name;
        numbers[number as usize] = meaning;
        i += 1;
    }
    Message { name, fields, names, numbers }
}
