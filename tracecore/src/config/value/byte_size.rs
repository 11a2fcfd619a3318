//! An amount of bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The units, largest first: binary ones (IEC 80000-13), then decimal ones.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// An amount of bytes: `64MiB`, `1GiB`, `10MB`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// Why a text is no amount of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Not a whole number with a unit or without.
    #[error("is not a size; write a whole number of bytes, or one with a unit, such as \"64MiB\" or \"1GiB\"")]
    Malformed,
    /// A unit that does not exist.
    #[error("has an unknown unit; there are B, KiB, MiB, GiB and TiB, and kB, MB, GB and TB of a thousand")]
    Unit,
    /// Over 64 bits.
    #[error("is too large")]
    TooLarge,
}

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// So many times 1,024 bytes.
    pub const fn kib(kib: u64) -> Self {
        ByteSize(kib.checked_mul(1 << 10).expect("a size of the program is below 2^64 bytes"))
    }

    /// So many times 1,048,576 bytes.
    pub const fn mib(mib: u64) -> Self {
        ByteSize(mib.checked_mul(1 << 20).expect("a size of the program is below 2^64 bytes"))
    }

    /// So many times 1,073,741,824 bytes.
    pub const fn gib(gib: u64) -> Self {
        ByteSize(gib.checked_mul(1 << 30).expect("a size of the program is below 2^64 bytes"))
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        if digits.is_empty() || unit.starts_with(['.', ',']) {
            return Err(ByteSizeError::Malformed);
        }
        let unit = match unit.trim_start_matches(' ') {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes).ok_or(ByteSizeError::Unit)?,
        };
        let number: u64 = digits.parse().map_err(|_| ByteSizeError::TooLarge)?;
        number.checked_mul(unit).map(ByteSize).ok_or(ByteSizeError::TooLarge)
    }
}

/// The largest binary unit that leaves no fraction.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        match binary.copied().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes)) {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

super::written_as_text!(ByteSize, "a size such as \"64MiB\"");

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let units = UNITS.map(|(name, _)| name).join("|");
        json_schema!({
            "type": ["string", "integer"],
            "description": "An amount of bytes.",
            "pattern": format!("^[0-9]+ *({units})?$"),
            "minimum": 0,
            "examples": ["64MiB", "1GiB", 1024],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit_or_without() {
        let cases = [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("1024", 1024, "1KiB"),
            ("64MiB", 64 << 20, "64MiB"),
            ("1 GiB", 1 << 30, "1GiB"),
            ("1536MiB", 1536 << 20, "1536MiB"),
            ("10MB", 10_000_000, "10000000"),
            ("5B", 5, "5"),
            ("2TiB", 2 << 40, "2TiB"),
        ];
        for (text, bytes, shown) in cases {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.get(), size.to_string().as_str()), (bytes, shown), "{text}");
            assert_eq!(shown.parse::<ByteSize>().unwrap(), size);
        }
        assert_eq!(ByteSize::mib(64), "64MiB".parse().unwrap());
    }

    #[test]
    fn refuses_what_is_no_size() {
        let cases = [
            ("", ByteSizeError::Malformed),
            ("MiB", ByteSizeError::Malformed),
            ("-1", ByteSizeError::Malformed),
            ("1.5GiB", ByteSizeError::Malformed),
            ("64Mi", ByteSizeError::Unit),
            ("64mib", ByteSizeError::Unit),
            ("64MiB ", ByteSizeError::Unit),
            ("18446744073709551616", ByteSizeError::TooLarge),
            ("18014398509481984KiB", ByteSizeError::TooLarge),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<ByteSize>(), Err(error), "{text:?}");
        }
    }
}
