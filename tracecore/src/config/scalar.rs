//! What an unquoted scalar means: the core schema of YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>).
//!
//! One difference: a whole number with a leading zero (`0644`) is text. YAML 1.1 and the Collector's parser read it as
//! octal, YAML 1.2 as decimal; a reader who wants a number is told to write `0o644` or `644`. Deliberately absent:
//! `yes`, `no`, `on` and `off` as booleans, digit groups (`1_000`), binary and base-60 numbers.

/// An unquoted scalar, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

/// Resolves an unquoted scalar. A whole number too large for `i128` is a float.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        _ => number(text).unwrap_or(Plain::Text),
    }
}

/// Whether this is a whole number that YAML 1.1 and 1.2 read differently.
pub(super) fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Option<Plain> {
    // from_str_radix takes a sign, which the schema does not allow after a prefix.
    let radix = |digits: &str, radix| {
        let unsigned = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        unsigned.then(|| i128::from_str_radix(digits, radix).ok()).flatten().map(Plain::Integer)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let ".inf" | ".Inf" | ".INF" = magnitude {
        return Some(Plain::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if has_leading_zero(text) {
        return None;
    }
    if !magnitude.is_empty() && magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Plain::Integer).or_else(|_| text.parse().map(Plain::Float)).ok();
    }
    // f64 also parses `inf`, `nan` and `infinity`, which are text in YAML.
    let float_like = magnitude.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && magnitude.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    float_like.then(|| text.parse().ok()).flatten().map(Plain::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_scalars_follow_the_core_schema() {
        let cases = [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("NULL", Plain::Null),
            ("nULL", Plain::Text),
            ("True", Plain::Bool(true)),
            ("tRUE", Plain::Text),
            ("yes", Plain::Text),
            ("on", Plain::Text),
            ("0", Plain::Integer(0)),
            ("-0", Plain::Integer(0)),
            ("+12", Plain::Integer(12)),
            ("-12", Plain::Integer(-12)),
            ("0x1F", Plain::Integer(31)),
            ("0o17", Plain::Integer(15)),
            ("0x", Plain::Text),
            ("0x-1", Plain::Text),
            ("0o+1", Plain::Text),
            ("0o8", Plain::Text),
            ("0644", Plain::Text),
            ("-01", Plain::Text),
            ("+-5", Plain::Text),
            ("1_000", Plain::Text),
            ("0b1", Plain::Text),
            ("1.10", Plain::Float(1.1)),
            (".5", Plain::Float(0.5)),
            ("1.", Plain::Float(1.0)),
            ("1e3", Plain::Float(1000.0)),
            ("-.Inf", Plain::Float(f64::NEG_INFINITY)),
            ("inf", Plain::Text),
            ("nan", Plain::Text),
            ("-nan", Plain::Text),
            ("1.2.3", Plain::Text),
            (".", Plain::Text),
            ("-", Plain::Text),
            ("1-2", Plain::Text),
            ("12:30", Plain::Text),
            ("500ms", Plain::Text),
        ];
        for (text, meaning) in cases {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
        assert!(matches!(resolve(".nan"), Plain::Float(value) if value.is_nan()));
        assert!(matches!(resolve(&"9".repeat(60)), Plain::Float(_)));
    }
}
