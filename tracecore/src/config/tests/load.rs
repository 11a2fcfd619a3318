//! Sources, merging, overrides, places.

use std::io::Write;

use super::*;

#[test]
fn every_key_and_value_knows_its_place() {
    let root = tree("a:\n  b: 1\n  ü: [x,\n    \"y\"]\n");
    let places: Vec<(String, String)> = root.get("a").unwrap().entries()[..]
        .iter()
        .map(|(key, node)| (key.origin().to_string(), node.origin().to_string()))
        .collect();
    assert_eq!(places[0], ("env:S0:2:3".to_owned(), "env:S0:2:6".to_owned()));
    assert_eq!(places[1], ("env:S0:3:3".to_owned(), "env:S0:3:6".to_owned()));
    let Value::Sequence(items) = root.get("a").unwrap().get("ü").unwrap().value() else { panic!("a list") };
    assert_eq!(items[1].origin().to_string(), "env:S0:4:5");
    assert_eq!(root.entries()[0].0.origin().to_string(), "env:S0:1:1");
}

#[test]
fn a_file_gives_its_path_to_its_nodes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\xef\xbb\xbfa: 1\n").unwrap();
    let source = Source::from_uri(file.path().to_str().unwrap()).unwrap();
    let loaded = load(&[source], &[], &|_| None).unwrap();
    let a = loaded.root.get("a").unwrap().origin().clone();
    assert_eq!((a.source(), a.line(), a.via()), (file.path().to_str().unwrap(), 1, None));
}

#[test]
fn a_uri_names_a_source() {
    let cases = [
        ("a.yaml", Ok(Source::File("a.yaml".into()))),
        ("/etc/a.yaml", Ok(Source::File("/etc/a.yaml".into()))),
        ("file:/etc/a.yaml", Ok(Source::File("/etc/a.yaml".into()))),
        ("env:CONFIG", Ok(Source::Env("CONFIG".into()))),
        ("yaml:a: 1", Ok(Source::Yaml("a: 1".into()))),
        ("", Err(UriError::Empty)),
        ("file:", Err(UriError::Empty)),
        ("env:", Err(UriError::Variable(String::new()))),
        ("env:1A", Err(UriError::Variable("1A".into()))),
        ("https://host/a.yaml", Err(UriError::Network("https://host/a.yaml".into()))),
        ("s3:a", Err(UriError::Scheme("s3:a".into()))),
    ];
    for (uri, source) in cases {
        assert_eq!(Source::from_uri(uri), source, "{uri}");
    }
}

#[test]
fn keys_of_a_yaml_source_may_be_paths() {
    let source = Source::from_uri("yaml:processors::batch::timeout: 2s\nprocessors::batch::size: 1").unwrap();
    let root = load(&[source], &[], &|_| None).unwrap().root;
    assert_eq!(show(&root), show(&tree("processors: {batch: {timeout: 2s, size: 1}}")));
}

#[test]
fn later_sources_win() {
    let cases: [(&[&str], &str); 9] = [
        (&["a: {b: 1, c: 2}", "a: {c: 3, d: 4}"], "a: {b: 1, c: 3, d: 4}"),
        (&["a: [1, 2]", "a: [3]"], "a: [3]"),
        (&["a: {b: 1}", "a:"], "a: null"),
        (&["a: {b: 1}", "a: {}"], "a: {b: 1}"),
        (&["a: {b: {c: 1}}", "a: {b:}"], "a: {b: null}"),
        (&["a: null", "a: {b: 1}"], "a: {b: 1}"),
        (&["a: {b: 1}", "a: x"], "a: x"),
        (&["a: 1", "# nothing\n"], "a: 1"),
        (&["a: 1", "b: 2", "a: 3"], "a: 3\nb: 2"),
    ];
    for (sources, merged) in cases {
        let root = try_load(sources, &[], &[]).unwrap().root;
        assert_eq!(show(&root), show(&tree(merged)), "{sources:?}");
    }
}

#[test]
fn a_merged_value_keeps_the_place_of_the_source_that_gave_it() {
    let root = try_load(&["a:\n  b: 1\n  c: 1", "a:\n\n  c: 2"], &[], &[]).unwrap().root;
    let a = root.get("a").unwrap();
    assert_eq!(a.get("b").unwrap().origin().to_string(), "env:S0:2:6");
    assert_eq!(a.get("c").unwrap().origin().to_string(), "env:S1:3:6");
}

#[test]
fn overrides_win_over_sources() {
    let cases: [(&[&str], &str); 8] = [
        (&["a.b=2"], "a: {b: 2, c: [1, 2]}"),
        (&["a.b=2", "a.b=3"], "a: {b: 3, c: [1, 2]}"),
        (&["a.c=[3]"], "a: {b: 1, c: [3]}"),
        (&["a.d.e=x=y"], "a: {b: 1, c: [1, 2], d: {e: x=y}}"),
        (&["a::b=text"], "a: {b: text, c: [1, 2]}"),
        (&["a={b: 5}"], "a: {b: 5, c: [1, 2]}"),
        (&["a.b="], "a: {b: null, c: [1, 2]}"),
        (&["a.b=${env:X}"], "a: {b: '${env:X}', c: [1, 2]}"),
    ];
    for (overrides, merged) in cases {
        let root = try_load(&["a: {b: 1, c: [1, 2]}"], &[("X", "9")], overrides).unwrap().root;
        assert_eq!(show(&root), show(&load_with(merged, &[("X", "9")]).root), "{overrides:?}");
    }
    let root = try_load(&[], &[], &["a.b=2"]).unwrap().root;
    assert_eq!(root.get("a").unwrap().get("b").unwrap().origin().to_string(), "--set a.b");
}

#[test]
fn refuses_an_override_that_is_no_assignment() {
    let cases = [
        ("a.b", "--set a.b: has no `=`; write --set path.to.key=value"),
        ("=1", "--set : a key of the path is empty; write --set path.to.key=value"),
        ("a..b=1", "--set a..b: a key of the path is empty; write --set path.to.key=value"),
    ];
    for (set, message) in cases {
        assert_eq!(try_load(&[], &[], &[set]).unwrap_err().to_string(), message);
    }
    assert!(
        try_load(&[], &[], &["a=[1"]).unwrap_err().to_string().starts_with("--set a: a[1]: this is not valid YAML: ")
    );
}

#[test]
fn reports_what_is_wrong_in_every_source() {
    let sources = [Source::File("/nowhere/a.yaml".into()), Source::Env("UNSET".into()), Source::Yaml("[1]".into())];
    let errors = load(&sources, &["x".into()], &|_| None).unwrap_err().to_string();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 4, "{errors}");
    assert!(lines[0].starts_with("/nowhere/a.yaml: cannot read the file: "), "{errors}");
    assert_eq!(lines[1], "env:UNSET: the environment variable is not set");
    assert_eq!(lines[2], "yaml:1:1: a configuration is a mapping of sections, such as receivers");
    assert_eq!(lines[3], "--set x: has no `=`; write --set path.to.key=value");
}

#[test]
fn nothing_at_all_is_an_empty_configuration() {
    assert!(load(&[], &[], &|_| None).unwrap().root.entries().is_empty());
    assert!(tree("# only a comment\n").entries().is_empty());
    assert!(tree("---\n...\n").entries().is_empty());
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let root = tree(
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 3}\nuse: *base\n\
         own: {<<: *base, b: 9}\nboth: {<<: [*base, *more], d: 4}\ntext: {'<<': 1}",
    );
    assert_eq!(show(root.get("use").unwrap()), r#"{"a": 1, "b": 2}"#);
    assert_eq!(show(root.get("own").unwrap()), r#"{"b": 9, "a": 1}"#);
    assert_eq!(show(root.get("both").unwrap()), r#"{"d": 4, "a": 1, "b": 2, "c": 3}"#);
    assert_eq!(show(root.get("text").unwrap()), r#"{"<<": 1}"#);
}

#[test]
fn keys_can_be_taken_off_a_mapping() {
    let mut node = tree("timeout: 5s\nurl: x\nsending_queue: {size: 1}");
    let own = node.split_off(&["sending_queue", "timeout", "retry_on_failure"]);
    assert_eq!(show(&own), r#"{"timeout": 5s, "sending_queue": {"size": 1}}"#);
    assert_eq!(own.origin(), node.origin());
    assert_eq!(show(&node), r#"{"url": x}"#);
    assert_eq!(node.take("url").map(|node| show(&node)).as_deref(), Some("x"));
    assert!(node.take("url").is_none());

    let root = tree("clock:");
    let mut null = root.get("clock").unwrap().clone();
    assert!(null.split_off(&["timeout"]).entries().is_empty());
    assert!(null.take("timeout").is_none());
}
