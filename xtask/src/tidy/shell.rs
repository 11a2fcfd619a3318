//! Rules about shell, wherever it stands.

use super::File;

/// Whether a file is shell, or may hold some: what CI runs, a script, and YAML of tests.
pub(super) fn holds(path: &str) -> bool {
    let yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    path.starts_with(".ci/") || path.ends_with(".sh") || yaml && path.starts_with("tests/")
}

/// A shell that waits for time to pass waits too long or not long enough, like any other test.
pub(super) fn check(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate().map(|(number, line)| (number, line.trim()));
    let code = lines.filter(|(_, line)| !line.starts_with('#'));
    let sleeps = code.filter(|(_, line)| {
        line.match_indices("sleep").any(|(start, word)| {
            let (before, after) = (&line[..start], &line[start + word.len()..]);
            let begins =
                !before.ends_with(|c: char| c.is_alphanumeric() || "_-./".contains(c)) || before.ends_with("bin/");
            begins && after.starts_with([' ', '\t'])
        })
    });
    sleeps.map(|(number, line)| file.at(number, &format!("a test waits for an event, so no `sleep`: {line}"))).collect()
}
