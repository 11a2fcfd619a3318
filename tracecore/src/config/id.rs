//! The names of components (`type[/name]`) and of pipelines (`signal[/name]`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::signal::Signal;

/// The longest component type, in characters: the Collector's bound.
const MAX_TYPE_LENGTH: usize = 63;

/// The longest name after the slash, in bytes: it goes into labels, file names and log lines.
const MAX_NAME_LENGTH: usize = 128;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The part before the slash.
    #[error("a component type is a letter, then letters, digits and `_`, at most {MAX_TYPE_LENGTH} characters in all")]
    Type,
    /// A slash with nothing behind it.
    #[error("the name after the `/` is empty")]
    EmptyName,
    /// A name over the bound.
    #[error("the name after the `/` is longer than {MAX_NAME_LENGTH} bytes")]
    LongName,
    /// A character that a name cannot have.
    #[error("{0:?} cannot stand in a name; letters, digits and `_ - . / : @` can")]
    NameCharacter(char),
    /// The signal of a pipeline.
    #[error("a pipeline is named `traces`, `metrics` or `logs`, or one of these with a name behind a `/`")]
    Signal,
    /// The fourth signal of OpenTelemetry.
    #[error("the signal `profiles` is not supported; there are traces, metrics and logs")]
    Profiles,
}

/// The id of a component: its type and, where there are several of a type, a name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    text: Arc<str>,
}

impl ComponentId {
    /// The type, which the registry knows.
    pub fn component_type(&self) -> &str {
        self.text.split_once('/').map_or(&*self.text, |(component_type, _)| component_type)
    }

    /// The name after the slash.
    pub fn name(&self) -> Option<&str> {
        self.text.split_once('/').map(|(_, name)| name)
    }

    /// The whole id, as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (component_type, name) = split(text);
        let well_formed = component_type.starts_with(|c: char| c.is_ascii_alphabetic())
            && component_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && component_type.len() <= MAX_TYPE_LENGTH;
        if !well_formed {
            return Err(IdError::Type);
        }
        name.map_or(Ok(()), check_name)?;
        Ok(ComponentId { text: text.into() })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The id of a pipeline: its signal and, where there are several of a signal, a name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    signal: Signal,
    name: Option<Arc<str>>,
}

impl PipelineId {
    /// What flows through the pipeline.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The name after the slash.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl FromStr for PipelineId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (signal, name) = split(text);
        if signal == "profiles" {
            return Err(IdError::Profiles);
        }
        let signal = signal.parse().map_err(|_| IdError::Signal)?;
        name.map_or(Ok(()), check_name)?;
        Ok(PipelineId { signal, name: name.map(Into::into) })
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.signal),
            Some(name) => write!(f, "{}/{name}", self.signal),
        }
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name)))
}

fn check_name(name: &str) -> Result<(), IdError> {
    if name.is_empty() {
        return Err(IdError::EmptyName);
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(IdError::LongName);
    }
    match name.chars().find(|c| !c.is_alphanumeric() && !"_-./:@".contains(*c)) {
        Some(c) => Err(IdError::NameCharacter(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_ids_have_a_type_and_perhaps_a_name() {
        let id: ComponentId = "otlp/a/b.c".parse().unwrap();
        assert_eq!((id.component_type(), id.name(), id.to_string().as_str()), ("otlp", Some("a/b.c"), "otlp/a/b.c"));
        let id: ComponentId = "clock".parse().unwrap();
        assert_eq!((id.component_type(), id.name()), ("clock", None));
        assert!(format!("a{}", "b".repeat(62)).parse::<ComponentId>().is_ok());
        assert!(format!("otlp/{}", "n".repeat(128)).parse::<ComponentId>().is_ok());
        assert!("otlp/überall".parse::<ComponentId>().is_ok());
    }

    #[test]
    fn refuses_what_is_no_component_id() {
        let cases = [
            ("", IdError::Type),
            ("/a", IdError::Type),
            ("1a", IdError::Type),
            ("_a", IdError::Type),
            ("a-b", IdError::Type),
            ("héron", IdError::Type),
            (" otlp", IdError::Type),
            ("otlp/", IdError::EmptyName),
            ("otlp/a b", IdError::NameCharacter(' ')),
            ("otlp/a\nb", IdError::NameCharacter('\n')),
            ("otlp/a\"b", IdError::NameCharacter('"')),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<ComponentId>(), Err(error), "{text:?}");
        }
        assert_eq!("a".repeat(64).parse::<ComponentId>(), Err(IdError::Type));
        assert_eq!(format!("otlp/{}", "n".repeat(129)).parse::<ComponentId>(), Err(IdError::LongName));
    }

    #[test]
    fn pipeline_ids_have_a_signal_and_perhaps_a_name() {
        let id: PipelineId = "metrics/primary".parse().unwrap();
        assert_eq!(
            (id.signal(), id.name(), id.to_string().as_str()),
            (Signal::Metrics, Some("primary"), "metrics/primary")
        );
        assert_eq!("logs".parse::<PipelineId>().unwrap().to_string(), "logs");
        assert_eq!("profiles/x".parse::<PipelineId>(), Err(IdError::Profiles));
        assert_eq!("metric".parse::<PipelineId>(), Err(IdError::Signal));
        assert_eq!("logs/".parse::<PipelineId>(), Err(IdError::EmptyName));
    }
}
