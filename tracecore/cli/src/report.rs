//! What the program prints for people: results on standard output, errors on standard error.

use std::fmt::Write as _;
use std::io::Write as _;

use tracecore::component::Role;
use tracecore::registry::Registry;

/// A line on standard output. Whoever reads may have gone, as in `tracecore components | head -1`.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// An error on standard error.
pub(crate) fn error(message: &str) {
    let _ = writeln!(std::io::stderr(), "error: {message}");
}

/// The components as YAML. Their words are constants of the declarations, checked at compile time; JSON strings are
/// YAML strings.
pub(crate) fn components(registry: &Registry) -> String {
    let mut yaml = String::new();
    for role in [Role::Receiver, Role::Processor, Role::Exporter] {
        let mut entries = registry.iter().filter(|entry| entry.role == role).peekable();
        let _ = writeln!(yaml, "{}:{}", role.section(), if entries.peek().is_none() { " []" } else { "" });
        for entry in entries {
            let signals: Vec<_> = entry.signals.iter().map(|signal| signal.as_str()).collect();
            let _ = writeln!(yaml, "  - name: {}", entry.name);
            if !entry.aliases.is_empty() {
                let _ = writeln!(yaml, "    aliases: [{}]", entry.aliases.join(", "));
            }
            let _ = writeln!(yaml, "    summary: {:?}", entry.summary);
            let _ = writeln!(yaml, "    signals: [{}]", signals.join(", "));
            let _ = writeln!(yaml, "    stability: {}", entry.stability.as_str());
            let _ = writeln!(yaml, "    since: {}", entry.since);
        }
    }
    yaml
}
