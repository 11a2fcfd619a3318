//! What can be wrong with a configuration: always a place, a path and a sentence.

use std::fmt;

use super::origin::Origin;

/// One problem, shown as `file.yaml:3:15: receivers.clock.interval: must be greater than zero`.
///
/// The sentence never repeats a value that a substitution fetched: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Whether it can run.
    pub severity: Severity,
    /// The way to the setting from the top; empty where the problem is with the source as a whole.
    pub path: Box<str>,
    /// Where it is written.
    pub origin: Origin,
    /// What is wrong, as a plain sentence.
    pub message: String,
    /// What is probably meant, as a plain sentence.
    pub hint: Option<Box<str>>,
    /// The line of the source in which it stands, without secrets; nothing where it has none, or a very long one.
    pub line: Option<Box<str>>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration does not hold.
    Error,
    /// It works and is hardly meant.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl ConfigError {
    pub(crate) fn new(path: impl fmt::Display, origin: &Origin, message: impl fmt::Display) -> Self {
        ConfigError {
            severity: Severity::Error,
            path: path.to_string().into(),
            origin: origin.clone(),
            message: message.to_string(),
            hint: None,
            line: None,
        }
    }

    pub(crate) fn warning(path: impl fmt::Display, origin: &Origin, message: impl fmt::Display) -> Self {
        ConfigError { severity: Severity::Warning, ..ConfigError::new(path, origin, message) }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { path, origin, message, .. } = self;
        write!(f, "{origin}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)?;
        origin.via().map_or(Ok(()), |via| write!(f, " (value from {via})"))
    }
}

impl std::error::Error for ConfigError {}

/// Everything that was found wrong, in the order of the sources, and the warnings with it. Shown one problem a line. Never
/// without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// `value` if nothing was found wrong.
    pub(crate) fn unless_empty<T>(errors: Vec<ConfigError>, value: T) -> Result<T, ConfigErrors> {
        if errors.is_empty() { Ok(value) } else { Err(ConfigErrors(errors)) }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if problem.severity == Severity::Warning {
                f.write_str("warning: ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
