//! The lines of the sources, to be shown beside what is wrong in them.

use std::sync::Arc;

use super::error::ConfigError;

/// The longest line that is shown, in characters: a longer one is no line that somebody wrote to be read.
const MAX_SHOWN: usize = 160;

/// Keys whose values are not shown, wherever they stand and whether or not the component knows them.
const SECRET_KEYS: [&str; 8] =
    ["authorization", "password", "passwd", "token", "secret", "api_key", "api-key", "private"];

/// What stands in for them.
const HIDDEN: &str = "[redacted]";

/// The texts of the sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    sources: Vec<(Arc<str>, Vec<Box<str>>)>,
}

impl Lines {
    /// Adds a source. What is no text has no lines.
    pub(super) fn add(&mut self, name: &Arc<str>, bytes: &[u8]) {
        let text = str::from_utf8(bytes).unwrap_or_default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.sources.push((name.clone(), text.lines().map(Into::into).collect()));
    }

    /// The errors in the order of the sources, each told once and with its line.
    pub(crate) fn shown(&self, mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
        let place = |error: &ConfigError| {
            let source = self.sources.iter().position(|(name, _)| **name == *error.origin.source());
            (source.unwrap_or(usize::MAX), error.origin.line(), error.origin.column())
        };
        errors.sort_by_key(place);
        let mut told: Vec<ConfigError> = Vec::new();
        for mut error in errors {
            error.line = self.line(&error);
            if !told.contains(&error) {
                told.push(error);
            }
        }
        told
    }

    /// The line in which it stands.
    fn line(&self, error: &ConfigError) -> Option<Box<str>> {
        let (_, lines) = self.sources.iter().find(|(name, _)| **name == *error.origin.source())?;
        let index = usize::try_from(error.origin.line()).ok()?.checked_sub(1)?;
        let line = lines.get(index)?;
        if line.chars().nth(MAX_SHOWN).is_some() { None } else { Some(without_secrets(line).into()) }
    }
}

/// The line with what follows a key that sounds like a secret replaced.
fn without_secrets(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let first = SECRET_KEYS.iter().filter_map(|key| lower.find(key)).min();
    let value = first.and_then(|at| line.get(at..)?.find(':').map(|colon| at + colon + 1));
    match value.and_then(|at| line.split_at_checked(at)) {
        Some((before, after)) if !after.trim().is_empty() => format!("{before} {HIDDEN}"),
        _ => line.to_owned(),
    }
}
