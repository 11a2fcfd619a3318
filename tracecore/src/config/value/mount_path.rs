//! The path at which something is served.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The longest mount path, in bytes: request lines are bounded too.
const MAX_LENGTH: usize = 256;

/// An absolute path on an HTTP server, such as `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountPath(Cow<'static, str>);

/// Why a text is no mount path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountPathError {
    /// Empty or relative.
    #[error("must be an absolute path starting with '/'")]
    NotAbsolute,
    /// A space, a tab or another blank.
    #[error("must not contain whitespace")]
    Whitespace,
    /// An invisible character.
    #[error("must not contain control characters")]
    Control,
    /// A query.
    #[error("must not contain a query ('?')")]
    Query,
    /// A fragment.
    #[error("must not contain a fragment ('#')")]
    Fragment,
    /// What a URL would have to encode.
    #[error("must contain only ASCII characters; percent-encode the others")]
    NotAscii,
    /// Over the bound.
    #[error("must have at most {MAX_LENGTH} bytes")]
    TooLong,
}

impl MountPath {
    /// A path that the program itself gives.
    pub(crate) const fn constant(path: &'static str) -> Self {
        MountPath(Cow::Borrowed(path))
    }

    /// The path, from its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MountPath {
    type Err = MountPathError;

    fn from_str(text: &str) -> Result<Self, MountPathError> {
        // A control character first: a line break is blank too, but it is not the blank that one would look for.
        let problem = if !text.starts_with('/') {
            Some(MountPathError::NotAbsolute)
        } else if text.chars().any(char::is_control) {
            Some(MountPathError::Control)
        } else if text.chars().any(char::is_whitespace) {
            Some(MountPathError::Whitespace)
        } else if text.contains('?') {
            Some(MountPathError::Query)
        } else if text.contains('#') {
            Some(MountPathError::Fragment)
        } else if !text.is_ascii() {
            Some(MountPathError::NotAscii)
        } else if text.len() > MAX_LENGTH {
            Some(MountPathError::TooLong)
        } else {
            None
        };
        problem.map_or_else(|| Ok(MountPath(Cow::Owned(text.to_owned()))), Err)
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::written_as_text!(MountPath, "an absolute path such as \"/metrics\"");

impl JsonSchema for MountPath {
    fn schema_name() -> Cow<'static, str> {
        "MountPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An absolute path without query or fragment.",
            "pattern": "^/[!\"$->@-~]*$",
            "maxLength": MAX_LENGTH,
            "examples": ["/metrics"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_path_is_absolute_and_nothing_but_a_path() {
        for good in ["/", "/metrics", "/a/b-c_d.e", "/%20"] {
            assert_eq!(good.parse::<MountPath>().unwrap().to_string(), good);
        }
        let cases = [
            ("", MountPathError::NotAbsolute),
            ("metrics", MountPathError::NotAbsolute),
            (" /metrics", MountPathError::NotAbsolute),
            ("http://a/metrics", MountPathError::NotAbsolute),
            ("/met rics", MountPathError::Whitespace),
            ("/metrics\u{a0}", MountPathError::Whitespace),
            ("/met\nrics", MountPathError::Control),
            ("/\0", MountPathError::Control),
            ("/metrics?a", MountPathError::Query),
            ("/metrics#a", MountPathError::Fragment),
            ("/métrics", MountPathError::NotAscii),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<MountPath>(), Err(error), "{text:?}");
        }
        assert_eq!(format!("/{}", "a".repeat(256)).parse::<MountPath>(), Err(MountPathError::TooLong));
        assert_eq!(MountPathError::NotAbsolute.to_string(), "must be an absolute path starting with '/'");
    }
}
