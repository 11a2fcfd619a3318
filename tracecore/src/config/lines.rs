//! The lines of the sources, to be shown beside what is wrong in them.

use std::sync::Arc;

use super::error::ConfigError;
use super::origin::Origin;
use super::yaml::MAX_ERRORS;

/// The longest line that is shown, in characters: a longer one is no line that somebody wrote to be read.
const MAX_SHOWN: usize = 160;

/// Keys whose values are not shown, wherever they stand and whether or not the component knows them.
const SECRET_KEYS: [&str; 13] = [
    "authorization",
    "password",
    "passphrase",
    "passwd",
    "token",
    "secret",
    "api_key",
    "api-key",
    "private",
    "credential",
    "cookie",
    "salt",
    "headers",
];

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

    /// The errors in the order of the sources, each told once and with its line; at most [`MAX_ERRORS`].
    pub(crate) fn shown(&self, mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
        let place = |error: &ConfigError| self.place(&error.origin);
        errors.sort_by(|one, other| {
            place(one).cmp(&place(other)).then_with(|| (&one.path, &one.message).cmp(&(&other.path, &other.message)))
        });
        errors.dedup_by(|one, other| {
            one.origin == other.origin && one.path == other.path && one.message == other.message
        });
        errors.truncate(MAX_ERRORS);
        for error in &mut errors {
            error.line = self.line(error);
        }
        errors
    }

    /// What comes before what: the sources in their order, `--set` behind them.
    pub(super) fn place(&self, origin: &Origin) -> (usize, u32, u32) {
        let source = self.sources.iter().position(|(name, _)| **name == *origin.source());
        (source.unwrap_or(usize::MAX), origin.line(), origin.column())
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
