//! Lengths of time: a [`Period`], which is never zero, and a [`Delay`], which may be.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The units with their nanoseconds, in ascending order; each row's first name is the one that is shown.
const UNITS: [(&[&str], u64); 7] = [
    (&["ns", "nsec"], 1),
    (&["us", "µs", "μs", "usec"], 1_000),
    (&["ms", "msec"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
];

/// The longest time, a hundred years: beyond any use, and far from where adding it to a clock overflows.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The most digits after the point: a fraction of a day in nanoseconds has fewer.
const MAX_FRACTION_DIGITS: usize = 15;

/// A length of time above zero: `500ms`, `2m`, `1h30m`, `1.5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(Duration);

/// A length of time that may be zero: `0`, or what a [`Period`] may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delay(Duration);

/// Why a text is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers, each with a unit.
    #[error("is not a duration; write it like \"500ms\", \"2m\", \"1h30m\" or \"1.5s\"")]
    Malformed,
    /// A number alone.
    #[error("needs a unit: \"30s\", \"500ms\", \"2m\"")]
    NoUnit,
    /// A unit that does not exist.
    #[error("has an unknown unit; there are ns, us, ms, s, m, h and d")]
    Unit,
    /// A minus sign.
    #[error("must not be negative")]
    Negative,
    /// Zero, where something would never rest.
    #[error("must be greater than zero")]
    Zero,
    /// Beyond a hundred years.
    #[error("is longer than a hundred years")]
    TooLong,
}

impl Period {
    /// So many milliseconds. For constants: panics on zero and beyond a hundred years.
    pub const fn millis(millis: u64) -> Self {
        Period::constant(millis, 1)
    }

    /// So many seconds. For constants: panics on zero and beyond a hundred years.
    pub const fn secs(secs: u64) -> Self {
        Period::constant(secs, 1_000)
    }

    /// So many minutes. For constants: panics on zero and beyond a hundred years.
    pub const fn minutes(minutes: u64) -> Self {
        Period::constant(minutes, 60_000)
    }

    const fn constant(number: u64, unit_millis: u64) -> Self {
        let delay = Delay::constant(number, unit_millis);
        assert!(!delay.0.is_zero(), "a period is greater than zero");
        Period(delay.0)
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Delay {
    /// No time at all.
    pub const ZERO: Delay = Delay(Duration::ZERO);

    /// So many milliseconds. For constants: panics beyond a hundred years.
    pub const fn millis(millis: u64) -> Self {
        Delay::constant(millis, 1)
    }

    /// So many seconds. For constants: panics beyond a hundred years.
    pub const fn secs(secs: u64) -> Self {
        Delay::constant(secs, 1_000)
    }

    /// So many minutes. For constants: panics beyond a hundred years.
    pub const fn minutes(minutes: u64) -> Self {
        Delay::constant(minutes, 60_000)
    }

    const fn constant(number: u64, unit_millis: u64) -> Self {
        let millis = number.saturating_mul(unit_millis);
        assert!(millis as u128 <= MAX.as_millis(), "a duration of the program is at most a hundred years");
        Delay(Duration::from_millis(millis))
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Period> for Delay {
    fn from(period: Period) -> Self {
        Delay(period.0)
    }
}

impl TryFrom<Duration> for Period {
    type Error = DurationError;

    fn try_from(duration: Duration) -> Result<Self, DurationError> {
        match duration {
            Duration::ZERO => Err(DurationError::Zero),
            duration if duration > MAX => Err(DurationError::TooLong),
            duration => Ok(Period(duration)),
        }
    }
}

impl FromStr for Period {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        Period::try_from(parse(text)?)
    }
}

impl FromStr for Delay {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text).map(Delay)
    }
}

/// Reads numbers with units, blanks between them or not.
fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim_matches(' ');
    match rest {
        "" => return Err(DurationError::Malformed),
        "0" => return Ok(Duration::ZERO),
        _ if rest.starts_with('-') => return Err(DurationError::Negative),
        _ => {}
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = part(rest)?;
        total = total.checked_add(nanos).filter(|total| *total <= MAX.as_nanos()).ok_or(DurationError::TooLong)?;
        rest = after.trim_start_matches(' ');
    }
    let total = u64::try_from(total).map_err(|_| DurationError::TooLong)?;
    Ok(Duration::from_nanos(total))
}

/// Reads one number and its unit, in nanoseconds; gives what follows. Less than a nanosecond is cut off.
fn part(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() || fraction.len() > MAX_FRACTION_DIGITS {
        return Err(DurationError::Malformed);
    }
    let rest = rest.trim_start_matches(' ');
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len()));
    if unit.is_empty() {
        return Err(if rest.is_empty() { DurationError::NoUnit } else { DurationError::Malformed });
    }
    let found = UNITS.iter().find(|(names, _)| names.contains(&unit));
    let unit = found.map(|(_, nanos)| u128::from(*nanos)).ok_or(DurationError::Unit)?;
    let number = |digits: &str| match digits {
        "" => Ok(0),
        digits => digits.parse::<u128>().map_err(|_| DurationError::TooLong),
    };
    let scale = fraction.bytes().fold(1_u128, |scale, _| scale.saturating_mul(10));
    let nanos = number(whole)?.checked_mul(unit).ok_or(DurationError::TooLong)?;
    let more = number(fraction)?.checked_mul(unit).ok_or(DurationError::TooLong)?.checked_div(scale).unwrap_or(0);
    Ok((nanos.checked_add(more).ok_or(DurationError::TooLong)?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Shows the length as it may be written, in units up to the hour: `1h30m`, `1s500ms`.
fn show(duration: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return f.write_str("0s");
    }
    for (names, nanos) in UNITS.iter().rev().filter(|(names, _)| !names.contains(&"d")) {
        let nanos = u128::from(*nanos);
        let count = rest / nanos;
        rest %= nanos;
        if let (1.., Some(name)) = (count, names.first()) {
            write!(f, "{count}{name}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

super::written_as_text!(Period, "a duration such as \"500ms\" or \"2m\"");
super::written_as_text!(Delay, "a duration such as \"500ms\" or \"2m\", or 0");

/// Numbers with units, as a regular expression.
fn pattern() -> String {
    let units: Vec<&str> = UNITS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    format!(r"( *([0-9]+(\.[0-9]*)?|\.[0-9]+) *({}))+ *", units.join("|"))
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time above zero.",
            "pattern": format!("^{}$", pattern()),
            "not": { "pattern": "^[0.a-z]*$" },
            "examples": ["500ms", "2m", "1h30m"],
        })
    }
}

impl JsonSchema for Delay {
    fn schema_name() -> Cow<'static, str> {
        "Delay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": format!("^(0|{})$", pattern()) },
                { "const": 0 },
            ],
            "description": "A length of time, or 0.",
            "examples": ["0", "500ms", "2m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        let cases = [
            ("500ms", 500_000_000, "500ms"),
            ("2m", 120_000_000_000, "2m"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("1h 30m", 5_400_000_000_000, "1h30m"),
            ("1.5s", 1_500_000_000, "1s500ms"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("0.1d", 8_640_000_000_000, "2h24m"),
            ("2 days", 172_800_000_000_000, "48h"),
            ("90min", 5_400_000_000_000, "1h30m"),
            ("3µs", 3_000, "3us"),
            ("1ns", 1, "1ns"),
        ];
        for (text, nanos, shown) in cases {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.get(), period.to_string().as_str()), (Duration::from_nanos(nanos), shown), "{text}");
        }
        const INTERVAL: Period = Period::minutes(2);
        assert_eq!(INTERVAL, "2m".parse().unwrap());
        assert_eq!((Period::millis(1500), Period::secs(3)), ("1.5s".parse().unwrap(), "3s".parse().unwrap()));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        let cases = [
            ("", DurationError::Malformed),
            ("fast", DurationError::Malformed),
            ("1..5s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("1,5s", DurationError::Malformed),
            ("1s,", DurationError::Malformed),
            ("30", DurationError::NoUnit),
            ("1h30", DurationError::NoUnit),
            ("00", DurationError::NoUnit),
            ("3 fortnights", DurationError::Unit),
            ("5M", DurationError::Unit),
            ("-5s", DurationError::Negative),
            ("101y", DurationError::Unit),
            ("36501d", DurationError::TooLong),
            ("99999999999999999999999999999999999999999999s", DurationError::TooLong),
            ("340282366920938463463374607431768211455h", DurationError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Delay>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn only_a_delay_may_be_zero() {
        for zero in ["0", "0s", "0h0m", "0.0000000001ns"] {
            assert_eq!(zero.parse::<Period>(), Err(DurationError::Zero), "{zero}");
            assert_eq!(zero.parse::<Delay>(), Ok(Delay::ZERO), "{zero}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(nanos in 1..3_000_000_000_000_000_000_u64) {
            let period = Period::try_from(Duration::from_nanos(nanos)).unwrap();
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-zµ. -]{0,40}") {
            let _ = text.parse::<Period>();
        }
    }
}
