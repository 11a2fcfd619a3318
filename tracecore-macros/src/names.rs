//! How names are written, and which known name a mistyped one is nearest to.

use syn::Ident;

/// The longest name of a component.
const COMPONENT_NAME_MAX: usize = 63;

/// The longest name of a metric, as OpenTelemetry has it.
const METRIC_NAME_MAX: usize = 255;

/// `RoundRobin` as `round_robin`, by the rule that serde has: one `_` before each capital but the first.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// The identifier as people write it: `r#type` as `type`.
pub(crate) fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// Whether a component may have this name: `^[a-z][0-9a-z_]{0,62}$`.
pub(crate) fn is_component_name(name: &str) -> bool {
    name.len() <= COMPONENT_NAME_MAX && starts_with_a_letter(name) && name.bytes().all(is_of_a_word)
}

/// Whether a metric or an attribute may have this name: words with dots between them, as `system.cpu.load_average.1m`.
pub(crate) fn is_dotted_name(name: &str) -> bool {
    let mut words = name.split('.');
    name.len() <= METRIC_NAME_MAX
        && starts_with_a_letter(name)
        && words.all(|word| !word.is_empty() && word.bytes().all(is_of_a_word))
}

fn starts_with_a_letter(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// The end of a sentence about an unknown word: the nearest known one, or all of them.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of `{}`", known.join("`, `")),
    }
}

/// The known word that `word` was meant to be, if it is at most a third of its letters away.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// How many letters to add, drop, change or swap with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, &a) in from.iter().enumerate() {
        let mut current = vec![row + 1; to.len() + 1];
        for (column, &b) in to.iter().enumerate() {
            let changed = last[column] + usize::from(a != b);
            let mut best = changed.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == to[column - 1] && from[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_become_snake_case_as_serde_writes_them() {
        assert_eq!(snake_case("RoundRobin"), "round_robin");
        assert_eq!(snake_case("Read"), "read");
        assert_eq!(snake_case("IoWait2"), "io_wait2");
    }

    #[test]
    fn component_names_have_the_collectors_alphabet_and_length() {
        assert!(is_component_name("hostmetrics"));
        assert!(is_component_name(&"a".repeat(63)));
        for refused in ["", "2fast", "_x", "Clock", "my-clock", "clock/fast", &"a".repeat(64)] {
            assert!(!is_component_name(refused), "{refused}");
        }
    }

    #[test]
    fn dotted_names_have_no_empty_word() {
        assert!(is_dotted_name("system.cpu.load_average.1m"));
        for refused in ["", ".", "system.", ".io", "1m.load", "system..io", "system.disk-io", "System.io"] {
            assert!(!is_dotted_name(refused), "{refused}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_mistake() {
        assert_eq!(nearest("Raed", &["Connect", "Read", "Io"]), Some("Read"));
        assert_eq!(nearest("io", &["Connect", "Read", "Io"]), Some("Io"));
        assert_eq!(nearest("Timeout", &["Connect", "Read", "Io"]), None);
    }
}
