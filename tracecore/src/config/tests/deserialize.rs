//! From a tree to a type.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroUsize};

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    version: String,
    #[serde(alias = "n")]
    number: u8,
    signed: i64,
    big: u64,
    float: f64,
    flag: bool,
    interval: Option<Period>,
    size: Option<ByteSize>,
    nonzero: Option<NonZeroU16>,
    list: Vec<Inner>,
    map: BTreeMap<String, u16>,
    inner: Inner,
    mode: Option<Mode>,
    tagged: Option<Tagged>,
    pair: Option<(u8, String)>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(default)]
    a: u16,
    #[serde(default)]
    b: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Off,
    Every(Period),
    Custom { low: u8, high: u8 },
    Range(u8, u8),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Tagged {
    File { path: String },
    Count { n: u32 },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    endpoint: String,
}

fn settings(text: &str) -> Result<Settings, String> {
    tree(&format!("c:\n  {text}")).get("c").unwrap().deserialize("receivers.c").map_err(|error| error.to_string())
}

#[test]
fn settings_are_read_from_a_tree() {
    let all = "{version: 1.10, number: 255, signed: -16, big: 18446744073709551615, float: 3, flag: True, \
               interval: 1h30m, size: 1024, nonzero: 0x5, list: [{a: 1}, null, {b: 007}], map: {x: 1, 'y z': 0o17}, \
               inner: {a: 2, b: yes}, mode: off, tagged: {type: count, n: 3}, pair: [1, 2.50]}";
    let expected = Settings {
        version: "1.10".into(),
        number: 255,
        signed: -16,
        big: u64::MAX,
        float: 3.0,
        flag: true,
        interval: Some(Period::minutes(90)),
        size: Some(ByteSize::kib(1)),
        nonzero: NonZeroU16::new(5),
        list: vec![Inner { a: 1, b: None }, Inner::default(), Inner { a: 0, b: Some("007".into()) }],
        map: [("x".to_owned(), 1), ("y z".to_owned(), 15)].into(),
        inner: Inner { a: 2, b: Some("yes".into()) },
        mode: Some(Mode::Off),
        tagged: Some(Tagged::Count { n: 3 }),
        pair: Some((1, "2.50".into())),
    };
    assert_eq!(settings(all).unwrap(), expected);
}

#[test]
fn null_is_the_default_of_a_section_and_nothing_for_an_option() {
    for text in ["", "null", "~", "{}", "{inner: , list: , map: ~, interval: , mode: null}"] {
        assert_eq!(settings(text).unwrap(), Settings::default(), "{text}");
    }
}

#[test]
fn a_setting_whose_variable_is_not_set_counts_as_not_written() {
    let root = load_with("a: {endpoint: '${env:UNSET}'}\nb: {number: '${env:UNSET}', nope: '${env:UNSET}'}", &[]).root;
    let error = root.get("a").unwrap().deserialize::<Strict>("a").unwrap_err();
    assert_eq!(error.to_string(), "env:S0:1:4: a.endpoint: is required and not set");
    let error = root.get("b").unwrap().deserialize::<Settings>("b").unwrap_err();
    assert!(error.to_string().contains("b.nope: unknown key \"nope\""), "{error}");
    let root = load_with("b: {number: '${env:UNSET}'}", &[]).root;
    assert_eq!(root.get("b").unwrap().deserialize::<Settings>("b").unwrap(), Settings::default());
}

#[test]
fn enums_are_a_name_or_a_name_with_settings() {
    let mode = |text: &str| settings(&format!("mode: {text}")).map(|settings| settings.mode);
    assert_eq!(mode("off").unwrap(), Some(Mode::Off));
    assert_eq!(mode("{off: }").unwrap(), Some(Mode::Off));
    assert_eq!(mode("{every: 5s}").unwrap(), Some(Mode::Every(Period::secs(5))));
    assert_eq!(mode("{custom: {low: 1, high: 2}}").unwrap(), Some(Mode::Custom { low: 1, high: 2 }));
    assert_eq!(mode("{range: [1, 2]}").unwrap(), Some(Mode::Range(1, 2)));
    assert_eq!(
        mode("on").unwrap_err(),
        "env:S0:2:9: receivers.c.mode: expected one of `off`, `every`, `custom` and `range`, found the text \"on\""
    );
    assert_eq!(mode("{every: 0s}").unwrap_err(), "env:S0:2:17: receivers.c.mode.every: must be greater than zero");
    assert_eq!(
        mode("{custom: {low: 1, high: 256}}").unwrap_err(),
        "env:S0:2:33: receivers.c.mode.custom.high: expected a whole number from 0 to 255, found the number 256"
    );
    assert!(mode("{every: 1s, off: }").unwrap_err().contains("expected one of"));
}

#[test]
fn every_error_has_its_path_and_place() {
    let cases = [
        ("number: 256", "2:11: receivers.c.number: expected a whole number from 0 to 255, found the number 256"),
        ("number: -1", "2:11: receivers.c.number: expected a whole number from 0 to 255, found the number -1"),
        ("number: 1.5", "2:11: receivers.c.number: expected a whole number from 0 to 255, found the number 1.5"),
        ("number: \"5\"", "2:11: receivers.c.number: expected a whole number from 0 to 255, found the text \"5\""),
        ("number: [1]", "2:11: receivers.c.number: expected a whole number from 0 to 255, found a list"),
        (
            "number: 010",
            "2:11: receivers.c.number: a leading zero is read differently by different programs: write 0o… for octal, or \
             leave it out",
        ),
        ("number:", "2:9: receivers.c.number: expected a whole number from 0 to 255, found nothing"),
        (
            "big: 18446744073709551616",
            "2:8: receivers.c.big: expected a whole number from 0 to 18446744073709551615, found the number 18446744073709551616",
        ),
        ("nonzero: 0", "2:12: receivers.c.nonzero: expected a nonzero u16, found the number 0"),
        ("float: x", "2:10: receivers.c.float: expected a number, found the text \"x\""),
        ("flag: yes", "2:9: receivers.c.flag: expected true or false, found the text \"yes\""),
        ("version: [1]", "2:12: receivers.c.version: expected a string, found a list"),
        ("interval: 5", "2:13: receivers.c.interval: needs a unit: \"30s\", \"500ms\", \"2m\""),
        ("interval: [5]", "2:13: receivers.c.interval: expected a duration such as \"500ms\" or \"2m\", found a list"),
        ("list: x", "2:9: receivers.c.list: expected a list, found the text \"x\""),
        (
            "list: [{}, {a: x}]",
            "2:18: receivers.c.list[1].a: expected a whole number from 0 to 65535, found the text \"x\"",
        ),
        ("map: {k: true}", "2:12: receivers.c.map.k: expected a whole number from 0 to 65535, found the boolean true"),
        ("inner: [1]", "2:10: receivers.c.inner: expected a mapping, found a list"),
        ("inner: {x: 1}", "2:11: receivers.c.inner.x: unknown key \"x\"; the known ones are `a` and `b`"),
        (
            "tagged: {type: x}",
            "2:18: receivers.c.tagged.type: expected one of `file` and `count`, found the text \"x\"",
        ),
        ("{n: 1, number: 2}", "2:3: receivers.c: `number` is given twice, once under another of its names"),
    ];
    for (text, message) in cases {
        assert_eq!(settings(text).unwrap_err(), format!("env:S0:{message}"), "{text}");
    }
    let error = tree("a: {}").get("a").unwrap().deserialize::<Strict>("a").unwrap_err();
    assert_eq!(error.to_string(), "env:S0:1:4: a.endpoint: is required and not set");
    let error = tree("a: {endpont: x}").get("a").unwrap().deserialize::<Strict>("a").unwrap_err();
    assert_eq!(error.to_string(), "env:S0:1:5: a.endpont: unknown key \"endpont\"; the known one is `endpoint`");
}

#[test]
fn long_values_are_cut_in_messages() {
    let error = settings(&format!("flag: {}", "é".repeat(100_000))).unwrap_err();
    assert!(error.len() < 300, "{}", error.len());
}

#[test]
fn an_untyped_tree_follows_the_core_schema() {
    let root = tree("x: [a, ~, true, 1, -1, 1.5, '1', 0x10, 18446744073709551616, {k: []}]");
    let any: serde_json::Value = root.deserialize("").unwrap();
    assert_eq!(
        any,
        serde_json::json!({"x": ["a", null, true, 1, -1, 1.5, "1", 16, 18_446_744_073_709_551_616.0, {"k": []}]})
    );
}

#[test]
fn settings_that_are_nowhere_written_are_the_defaults() {
    let node = Node::empty(Origin::whole("nowhere"));
    assert_eq!(node.deserialize::<Settings>("a").unwrap(), Settings::default());
    assert_eq!(
        node.deserialize::<Strict>("a").unwrap_err().to_string(),
        "nowhere: a.endpoint: is required and not set"
    );
    assert!(tree("w: 0").get("w").unwrap().deserialize::<Option<NonZeroUsize>>("w").is_err());
}
