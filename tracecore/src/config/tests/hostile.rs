//! Inputs that are wrong, large or meant to hurt.

use std::time::Duration;

use super::*;
use crate::testing::ceiling;
use crate::time::Instant;

/// Far above what any of these takes in a debug build, far below a hang.
const PATIENCE: Duration = Duration::from_secs(5);

fn bytes(bytes: &[u8]) -> Result<Loaded, ConfigErrors> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let loaded = load(&[Source::File(file.path().into())], &[], &|_| None);
    loaded.and_then(|loaded| ConfigErrors::unless_empty(loaded.errors.clone(), loaded)).map_err(
        |ConfigErrors(mut errors)| {
            for error in &mut errors {
                error.origin = Origin::new("f".into(), error.origin.line(), error.origin.column());
            }
            ConfigErrors(errors)
        },
    )
}

#[test]
fn what_is_no_configuration_is_refused_in_its_place() {
    let cases: [(&[u8], &str); 19] = [
        (b"a: 1\nb: \0 2", "f:2:4: the control character 0x00 cannot stand in YAML"),
        (b"a: \x1b[31m", "f:1:4: the control character 0x1b cannot stand in YAML"),
        (b"a: 1\nb\xc3\xbc: \xff", "f:2:5: this byte is not valid UTF-8"),
        (b"a: 1\n---\nb: 2", "f:2:1: a second document begins here; a source has one, so give each its own file"),
        (b"a: 1\nb: 2\na: 3", "f:3:1: the key \"a\" is given twice, first on line 1"),
        (b"x: {y: {a: 1, a: 3}}", "f:1:15: x.y: the key \"a\" is given twice, first on line 1"),
        (b"x: {'a': 1, a: 3}", "f:1:13: x: the key \"a\" is given twice, first on line 1"),
        (b"1: a", "f:1:1: a key is text: put 1 in quotes"),
        (b"true: a", "f:1:1: a key is text: put true in quotes"),
        (b"~: a", "f:1:1: a key is missing here"),
        (b"? [a]\n: b", "f:1:3: a key is text, not a list or a mapping"),
        (b"? {a: 1}\n: b", "f:1:3: a key is text, not a list or a mapping"),
        (b"a: !!str 5", "f:1:4: a: tags such as `!!str` are not supported; put a value in quotes to make it text"),
        (b"a: !x {b: 1}", "f:1:4: a: tags such as `!!str` are not supported; put a value in quotes to make it text"),
        (b"a: &a [*a]", "f:1:8: a[0]: this alias stands inside of what it refers to"),
        (b"a: {<<: 5}", "f:1:9: a: `<<` takes a mapping or a list of mappings"),
        (b"a: [1", "f:2:1: a[1]: this is not valid YAML: "),
        (b"a: *b", "f:1:4: a: this is not valid YAML: "),
        (b"a:\n\t- b", "f:2:1: a: this is not valid YAML: "),
    ];
    for (text, message) in cases {
        let errors = bytes(text).expect_err(&String::from_utf8_lossy(text)).to_string();
        let place = |text: &str| text.split(": this is not").next().map(str::to_owned);
        if message.ends_with("YAML: ") {
            assert!(errors.contains("this is not valid YAML: "), "{errors}");
            assert_eq!(
                place(&errors).map(|p| p.split(':').nth(1).map(str::to_owned)),
                place(message).map(|p| p.split(':').nth(1).map(str::to_owned)),
                "{errors}"
            );
        } else {
            assert_eq!(errors, message);
        }
    }
}

#[test]
fn mistakes_that_hide_nothing_are_all_reported() {
    let errors = bytes(b"a: 1\na: 2\nb: !t 1\n5: x\nc: {d: 1, d: 2}").unwrap_err();
    assert_eq!(errors.0.len(), 4, "{errors}");
    let many = "a: 1\n".repeat(5_000);
    assert_eq!(bytes(many.as_bytes()).unwrap_err().0.len(), MAX_ERRORS);
}

#[test]
fn a_file_over_the_bound_is_refused_unread() {
    let large = vec![b'#'; 10 * 1024 * 1024];
    assert_eq!(bytes(&large).unwrap_err().to_string(), "f: is larger than 1048576 bytes, the most a source may have");
    assert!(bytes(&vec![b'#'; MAX_SOURCE_BYTES]).is_ok());
    let endless = load(&[Source::File("/dev/zero".into())], &[], &|_| None);
    assert!(endless.unwrap_err().to_string().contains("is larger than"));
    assert!(load(&[Source::File("/".into())], &[], &|_| None).is_err());
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let errors = bytes(bomb.as_bytes()).unwrap_err().to_string();
    assert!(
        errors.contains("the configuration has more than 100000 keys and values, aliases counted in full"),
        "{errors}"
    );

    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..200 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(bytes(chain.as_bytes()).unwrap_err().to_string().contains("nested more than 64 levels deep"));
}

#[test]
fn sources_share_one_budget() {
    let half = format!("a: [{}]", "1, ".repeat(MAX_NODES * 2 / 3));
    let sources = [half.as_str(), &half.replace('a', "b")];
    assert!(try_load(&sources[..1], &[], &[]).is_ok());
    assert!(try_load(&sources, &[], &[]).unwrap_err().to_string().contains("more than 100000 keys and values"));
}

#[test]
fn nesting_ends_at_the_bound() {
    let nested = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(bytes(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    assert!(bytes(nested(MAX_DEPTH).as_bytes()).unwrap_err().to_string().contains("nested more than 64 levels deep"));
    let set = |levels: usize| format!("{}=1", vec!["a"; levels].join("."));
    assert!(try_load(&[], &[], &[&set(MAX_DEPTH - 1)]).is_ok());
    assert!(try_load(&[], &[], &[&set(100_000)]).unwrap_err().to_string().contains("nested more than 64 levels deep"));
}

#[test]
fn large_and_twisted_texts_end_quickly() {
    let million = |unit: &str| unit.repeat(MAX_SOURCE_BYTES / unit.len());
    let mut texts: Vec<String> = [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "&a ",
        "*a ",
        "!",
        "[a,",
        "{a: ",
        "\"",
        "'",
        "|\n",
        "- a\n",
        "a:\n ",
        "%",
        "---\n",
        "\t",
        " ",
        "\n",
        "#",
        ",",
        ":",
        "a,",
        "[]",
        "{}",
        "a: &a [*a",
        "<<: ",
        "a\n",
        "x ",
        "é",
        "-",
        "?\n",
        ": ",
        "${",
        "${A}",
    ]
    .iter()
    .map(|unit| million(unit))
    .collect();
    texts.push(format!("a: [{}", million("x,")).chars().take(MAX_SOURCE_BYTES).collect());
    texts.push((0..60_000).map(|n| format!("k{n}: 1\n")).collect());
    texts.push((0..40_000).map(|n| format!("k{n}: &a{n} 1\n")).collect());
    texts.push(format!("a: {}", million("${A}").get(..1_000_000).unwrap_or_default()));
    for text in texts {
        let started = Instant::now();
        let root = try_load(&[&text], &[("A", "${A}")], &[]);
        let config = root.map(|loaded| from_tree(loaded.root));
        let shown: String = text.chars().take(10).collect();
        assert!(started.elapsed() < ceiling(PATIENCE), "{shown:?} took {:?}, {}", started.elapsed(), config.is_ok());
    }
}

#[test]
fn many_keys_merge_quickly() {
    let text: String = (0..24_000).map(|n| format!("k{n}: 1\n")).collect();
    let started = Instant::now();
    assert_eq!(try_load(&[&text, &text], &[], &[]).unwrap().root.entries().len(), 24_000);
    assert!(started.elapsed() < ceiling(PATIENCE), "{:?}", started.elapsed());
}

#[test]
fn a_file_of_nothing_but_mistakes_is_answered_in_time_with_the_first_hundred() {
    let many = |line: &dyn Fn(usize) -> String| (0..2_000).map(line).collect::<String>();
    let start = Instant::now();
    let unknown = format!("s:\n{}", many(&|at| format!("  key{at}: 1\n")));
    let loaded = load(&[Source::Yaml(unknown)], &[], &|_| None).unwrap();
    let mut errors = Vec::new();
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    assert!(loaded.root.get("s").unwrap().read::<Nothing>("s", &mut errors).is_none());
    assert_eq!(errors.len(), MAX_ERRORS);

    let defined = many(&|at| format!("  clock/{at:040}:\n"));
    let named = many(&|at| format!("clok/{at:040}, "));
    let text = format!(
        "receivers:\n{defined}exporters:\n  a:\nservice: {{pipelines: {{metrics: {{receivers: [{named}], exporters: [a]}}}}}}"
    );
    let ConfigErrors(errors) = load(&[Source::Yaml(text)], &[], &|_| None).unwrap().config().unwrap_err();
    assert_eq!(errors.len(), MAX_ERRORS);
    assert!(start.elapsed() < ceiling(PATIENCE), "{:?}", start.elapsed());
}
