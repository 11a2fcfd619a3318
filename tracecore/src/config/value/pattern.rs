//! A regular expression.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A regular expression, compiled when it is read. Matching takes time linear in the text, whatever the expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a regular expression: {0}")]
pub struct PatternError(String);

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        // The error draws the expression over several lines; its last one says what is wrong.
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        Regex::new(text).map(Pattern).map_err(|error| PatternError(reason(error)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

super::written_as_text!(Pattern, "a regular expression");

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A regular expression.", "format": "regex" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compiled_when_it_is_read_and_says_what_is_wrong() {
        assert!("^a(?P<rest>.*)$".parse::<Pattern>().expect("valid").is_match("ab"));
        let error = "a(b".parse::<Pattern>().expect_err("a group that does not end");
        assert_eq!(error.to_string(), "is not a regular expression: error: unclosed group");
    }
}
