//! What can be wrong with a configuration: always a place, a path and a sentence.

use std::fmt;

use super::origin::Origin;

/// One problem, shown as `file.yaml:3:15: receivers.clock.interval: must be greater than zero`.
///
/// The sentence never repeats a value that a substitution fetched: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The way to the setting from the top; empty where the problem is with the source as a whole.
    pub path: String,
    /// Where it is written.
    pub origin: Origin,
    /// What is wrong, as a plain sentence.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(path: impl fmt::Display, origin: &Origin, message: impl fmt::Display) -> Self {
        ConfigError { path: path.to_string(), origin: origin.clone(), message: message.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.origin, &self.path, &self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that was found wrong, in the order of the sources. Shown one problem a line. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// `value` if nothing was found wrong.
    pub(super) fn unless_empty<T>(errors: Vec<ConfigError>, value: T) -> Result<T, ConfigErrors> {
        if errors.is_empty() { Ok(value) } else { Err(ConfigErrors(errors)) }
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something that works but is hardly meant, shown like a [`ConfigError`]. The caller logs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The way to the setting from the top.
    pub path: String,
    /// Where it is written.
    pub origin: Origin,
    /// What is odd, as a plain sentence.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.origin, &self.path, &self.message)
    }
}

fn line(f: &mut fmt::Formatter<'_>, origin: &Origin, path: &str, message: &str) -> fmt::Result {
    write!(f, "{origin}: ")?;
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    f.write_str(message)?;
    origin.via().map_or(Ok(()), |via| write!(f, " (value from {via})"))
}
