//! The parts of gRPC that a unary call consists of: codes, the prefix of a message, `grpc-message`, `grpc-timeout`.
//!
//! Written after the gRPC protocol over HTTP/2 (PROTOCOL-HTTP2.md). Deliberately absent: streaming, and everything
//! that needs a connection.

use std::fmt::{self, Write};
use std::time::Duration;

/// The outcome of a call, as `grpc-status` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// It succeeded.
    Ok = 0,
    /// The caller gave it up.
    Cancelled = 1,
    /// Nobody knows, or the code is one that gRPC does not have.
    Unknown = 2,
    /// The request itself is wrong.
    InvalidArgument = 3,
    /// It took longer than the caller would wait.
    DeadlineExceeded = 4,
    /// What it is about does not exist.
    NotFound = 5,
    /// What it would make exists.
    AlreadyExists = 6,
    /// The caller may not do it.
    PermissionDenied = 7,
    /// A quota, a queue or a size limit is reached.
    ResourceExhausted = 8,
    /// The system is not in the state that it needs.
    FailedPrecondition = 9,
    /// It gave way to another.
    Aborted = 10,
    /// It went past the end.
    OutOfRange = 11,
    /// The server does not have it.
    Unimplemented = 12,
    /// The server broke.
    Internal = 13,
    /// The server cannot at the moment.
    Unavailable = 14,
    /// Data is lost.
    DataLoss = 15,
    /// The caller did not say who it is.
    Unauthenticated = 16,
}

impl Code {
    /// Every code; the position is the number.
    pub const ALL: [Code; 17] = [
        Code::Ok,
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    /// The code of a number; [`Code::Unknown`] if gRPC does not have it.
    pub fn from_number(number: i32) -> Code {
        usize::try_from(number).ok().and_then(|number| Code::ALL.get(number)).copied().unwrap_or(Code::Unknown)
    }

    /// The code in a `grpc-status` header; [`Code::Unknown`] if it is no number or none that gRPC has.
    pub fn from_header(value: &str) -> Code {
        value.parse().map_or(Code::Unknown, Code::from_number)
    }

    /// The number.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The value of `grpc-status`.
    pub const fn as_header(self) -> &'static str {
        const NUMBERS: [&str; 17] =
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
        NUMBERS[self as usize]
    }

    /// The name, as in `RESOURCE_EXHAUSTED`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands before each message in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Whether the message is compressed with the encoding that `grpc-encoding` names.
    pub compressed: bool,
    /// The length of the message in bytes, as it is in the body. The other side declares it: reserve nothing by it.
    pub length: u32,
}

impl Prefix {
    /// Its size in bytes.
    pub const SIZE: usize = 5;

    /// Reads it.
    ///
    /// # Errors
    /// When the flag is neither 0 nor 1.
    pub fn parse(bytes: [u8; Prefix::SIZE]) -> Result<Prefix, PrefixError> {
        let [flag, a, b, c, d] = bytes;
        let length = u32::from_be_bytes([a, b, c, d]);
        match flag {
            0 => Ok(Prefix { compressed: false, length }),
            1 => Ok(Prefix { compressed: true, length }),
            flag => Err(PrefixError(flag)),
        }
    }

    /// Writes it.
    pub const fn encode(self) -> [u8; Prefix::SIZE] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.compressed as u8, a, b, c, d]
    }
}

/// The body is not gRPC: a message begins with a flag that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a gRPC message begins with flag {0}, expected 0 or 1")]
pub struct PrefixError(pub u8);

/// `message` as the value of `grpc-message`: what is not printable ASCII, and `%`, as `%XX` for each byte of its UTF-8.
pub fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The message in a `grpc-message`. What is not encoded well is left as it came; what is not UTF-8 is replaced.
pub fn percent_decode(value: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                decoded.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The most digits that a `grpc-timeout` has.
const TIMEOUT_DIGITS: usize = 8;

/// The units of a `grpc-timeout`, the finest first, with their length.
const TIMEOUT_UNITS: [(char, Duration); 6] = [
    ('n', Duration::from_nanos(1)),
    ('u', Duration::from_micros(1)),
    ('m', Duration::from_millis(1)),
    ('S', Duration::from_secs(1)),
    ('M', Duration::from_secs(60)),
    ('H', Duration::from_secs(60 * 60)),
];

/// Reads a `grpc-timeout`: up to eight digits and a unit, as in `1500m`.
///
/// # Errors
/// When it is anything else.
pub fn parse_timeout(value: &str) -> Result<Duration, TimeoutError> {
    let refused = || TimeoutError(value.chars().take(SHOWN_CHARS).collect());
    let unit = value.chars().next_back().ok_or_else(refused)?;
    let digits = &value[..value.len() - unit.len_utf8()];
    let (_, length) = TIMEOUT_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(refused());
    }
    // Eight digits fit 32 bits, and as many hours fit a duration.
    digits.parse::<u32>().map(|count| length * count).map_err(|_| refused())
}

/// Writes `timeout` as a `grpc-timeout`, in the finest unit that has room for it, rounded up.
pub fn encode_timeout(timeout: Duration) -> String {
    const MOST: u128 = 10_u128.pow(TIMEOUT_DIGITS as u32) - 1;
    let counts = TIMEOUT_UNITS.map(|(unit, length)| (timeout.as_nanos().div_ceil(length.as_nanos()), unit));
    let (count, unit) = counts.into_iter().find(|(count, _)| *count <= MOST).unwrap_or((MOST, 'H'));
    format!("{count}{unit}")
}

/// How much of a wrong value an error repeats, in characters.
const SHOWN_CHARS: usize = 32;

/// A `grpc-timeout` that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid grpc-timeout `{0}`, expected up to 8 digits and a unit of H, M, S, m, u, n")]
pub struct TimeoutError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_number_and_what_grpc_does_not_have_is_unknown() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.number(), number as i32);
            assert_eq!(Code::from_number(number as i32), code);
            assert_eq!(Code::from_header(code.as_header()), code);
        }
        for strange in ["17", "-1", "99999999999", "", "OK"] {
            assert_eq!(Code::from_header(strange), Code::Unknown, "{strange}");
        }
    }

    #[test]
    fn a_prefix_is_read_as_written_and_a_strange_flag_is_refused() {
        for prefix in [Prefix { compressed: false, length: 0 }, Prefix { compressed: true, length: 0x0102_0304 }] {
            assert_eq!(Prefix::parse(prefix.encode()), Ok(prefix));
        }
        assert_eq!(Prefix { compressed: true, length: 0x0102_0304 }.encode(), [1, 1, 2, 3, 4]);
        assert_eq!(Prefix::parse([2, 0, 0, 0, 0]), Err(PrefixError(2)));
    }

    #[test]
    fn a_message_survives_its_header() {
        for message in ["", "plain text, no change", "100 %", "größer\nals 4 MiB", "%41", "\u{7f}\u{0}"] {
            let encoded = percent_encode(message);
            assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{encoded}");
            assert_eq!(percent_decode(encoded.as_bytes()), message);
        }
        assert_eq!(percent_encode("a%b é"), "a%25b %C3%A9");
        assert_eq!(percent_decode(b"50% of %zz%4"), "50% of %zz%4");
        assert_eq!(percent_decode(b"%ff"), "\u{FFFD}");
    }

    #[test]
    fn a_timeout_is_read_in_every_unit_and_refused_otherwise() {
        let read =
            [("1H", 3600e3), ("2M", 120e3), ("3S", 3e3), ("1500m", 1500.0), ("7u", 7e-3), ("99999999n", 99.999_999)];
        for (value, millis) in read {
            assert_eq!(parse_timeout(value), Ok(Duration::from_secs_f64(millis / 1e3)), "{value}");
        }
        for value in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", " 5S", "5é", "٣S"] {
            assert_eq!(parse_timeout(value), Err(TimeoutError(value.to_owned())));
        }
    }

    #[test]
    fn a_timeout_is_written_in_the_finest_unit_that_has_room() {
        assert_eq!(encode_timeout(Duration::ZERO), "0n");
        assert_eq!(encode_timeout(Duration::from_secs(5)), "5000000u");
        assert_eq!(encode_timeout(Duration::from_nanos(100_000_001)), "100001u", "never shorter than asked for");
        assert_eq!(encode_timeout(Duration::MAX), "99999999H");
        for secs in [1, 60, 100_000, 10_000_000_000] {
            let timeout = Duration::from_secs(secs);
            assert!(parse_timeout(&encode_timeout(timeout)).is_ok_and(|read| read >= timeout));
        }
    }
}
