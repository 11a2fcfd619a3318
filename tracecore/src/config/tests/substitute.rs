//! `${…}`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

const ENV: [(&str, &str); 16] = [
    ("PORT", "4317"),
    ("VERSION", "1.10"),
    ("FLAG", "true"),
    ("HOST", "node-7"),
    ("EMPTY", ""),
    ("NULL", "null"),
    ("MAP", "{a: 1, b: '${env:PORT}'}"),
    ("QUOTED", "\"q\""),
    ("BROKEN", "[1, \"x"),
    ("AGAIN", "${env:PORT}"),
    ("TEXT", "h-${HOST}"),
    ("DOLLARS", "pa$$word"),
    ("NAME", "PORT"),
    ("PAIR", "key: value # with a comment"),
    ("MULTI", "a: |\n  b\n"),
    ("BARE", "$HOST"),
];

/// What `field: TEXT` becomes when text is asked for, and when anything is.
fn field(text: &str) -> (Option<String>, serde_json::Value) {
    let loaded = load_with(&format!("field: {text}"), &ENV);
    let node = loaded.root.get("field").unwrap();
    (node.deserialize("field").ok(), node.deserialize("field").unwrap())
}

#[test]
fn a_reference_is_replaced_by_its_value() {
    use serde_json::json;
    let cases = [
        ("${PORT}", Some("4317"), json!(4317)),
        ("${env:PORT}", Some("4317"), json!(4317)),
        ("'${env:PORT}'", Some("4317"), json!(4317)),
        ("${env:VERSION}", Some("1.10"), json!(1.1)),
        ("${env:FLAG}", Some("true"), json!(true)),
        ("${env:EMPTY}", Some(""), json!(null)),
        ("${env:NULL}", Some("null"), json!(null)),
        ("${env:MAP}", Some("{a: 1, b: '4317'}"), json!({"a": 1, "b": 4317})),
        ("${env:QUOTED}", Some("\"q\""), json!("q")),
        ("${env:BROKEN}", Some("[1, \"x"), json!("[1, \"x")),
        ("${env:PAIR}", Some("key: value # with a comment"), json!({"key": "value"})),
        ("${env:MULTI}", Some("a: |\n  b\n"), json!({"a": "b\n"})),
        ("${env:AGAIN}", Some("4317"), json!(4317)),
        ("${env:TEXT}", Some("h-node-7"), json!("h-node-7")),
        ("${env:DOLLARS}", Some("pa$word"), json!("pa$word")),
        ("${env:BARE}", Some("$HOST"), json!("$HOST")),
        // Defaults.
        ("${env:UNSET:-7}", Some("7"), json!(7)),
        ("${UNSET:-7}", Some("7"), json!(7)),
        ("${env:UNSET:-a:-b}", Some("a:-b"), json!("a:-b")),
        ("${env:UNSET:-}", Some(""), json!("")),
        ("${env:EMPTY:-7}", Some(""), json!(null)),
        ("${env:UNSET:-${env:PORT}}", Some("4317"), json!(4317)),
        // In a longer text.
        ("${env:HOST}:${env:PORT}", Some("node-7:4317"), json!("node-7:4317")),
        ("1${env:PORT}", Some("14317"), json!("14317")),
        ("${env:EMPTY}${env:PORT}", Some("4317"), json!("4317")),
        ("x${env:MAP}", Some("x{a: 1, b: '4317'}"), json!("x{a: 1, b: '4317'}")),
        ("x${env:UNSET:-d}", Some("xd"), json!("xd")),
        // Names made of references.
        ("${env:${env:NAME}}", Some("4317"), json!(4317)),
        ("${${NAME}}", Some("4317"), json!(4317)),
        // Dollar signs.
        ("$$", Some("$"), json!("$")),
        ("$${env:PORT}", Some("${env:PORT}"), json!("${env:PORT}")),
        ("$$${env:PORT}", Some("$4317"), json!("$4317")),
        ("$$$${env:PORT}", Some("$${env:PORT}"), json!("$${env:PORT}")),
        ("$PORT", Some("$PORT"), json!("$PORT")),
        ("a$", Some("a$"), json!("a$")),
        ("a}b", Some("a}b"), json!("a}b")),
        // YAML in place. A reference ends at the first brace.
        ("'${yaml:[1, x]}'", Some("[1, x]"), json!([1, "x"])),
        ("'${yaml:{a: 1}}'", Some("{a: 1}"), json!("{a: 1}")),
    ];
    for (text, as_text, as_any) in cases {
        assert_eq!(field(text), (as_text.map(str::to_owned), as_any), "{text}");
    }
}

#[test]
fn a_substituted_node_keeps_its_place_and_tells_its_source() {
    let loaded = load_with("a:\n  b: ${env:MAP}\n  c: x-${HOST}\n  d: ${UNSET:-1}", &ENV);
    let a = loaded.root.get("a").unwrap();
    let place = |node: &Node| (node.origin().to_string(), node.origin().via().map(str::to_owned));
    let b = ("env:S0:2:6".to_owned(), Some("env:MAP".to_owned()));
    assert_eq!(place(a.get("b").unwrap()), b);
    assert_eq!(place(a.get("b").unwrap().get("b").unwrap()), b);
    assert_eq!(place(a.get("c").unwrap()), ("env:S0:3:6".to_owned(), Some("env:HOST".to_owned())));
    assert_eq!(place(a.get("d").unwrap()), ("env:S0:4:6".to_owned(), None));
}

#[test]
fn an_unset_variable_is_null_and_a_warning() {
    let loaded = load_with("a:\n  b: ${env:UNSET}\n  c: [\"x${OTHER}\"]", &[]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "env:S0:2:6: a.b: the environment variable UNSET is not set; write ${env:UNSET:-} if that is meant",
            "env:S0:3:7: a.c[0]: the environment variable OTHER is not set; write ${env:OTHER:-} if that is meant",
        ]
    );
    let a = loaded.root.get("a").unwrap();
    assert!(a.get("b").unwrap().is_null());
    assert_eq!(a.get("c").unwrap().deserialize::<Vec<String>>("c").unwrap(), ["x"]);

    let chained = load_with("a: ${A}", &[("A", "${B}")]);
    assert_eq!(chained.warnings.len(), 1);
    assert!(chained.root.get("a").unwrap().is_null());
}

#[test]
fn files_are_included_with_their_own_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("part.yaml"), "grpc:\n  endpoint: ${env:HOST}:1\n").unwrap();
    std::fs::write(path("token"), "s3cr$$et\n").unwrap();
    std::fs::write(path("cycle"), format!("a: '${{file:{}}}'", path("cycle"))).unwrap();

    let part = path("part.yaml");
    let loaded = load_with(&format!("a:\n  b: ${{file:{part}}}\n  c: Bearer ${{file:{}}}", path("token")), &ENV);
    let b = loaded.root.get("a").unwrap().get("b").unwrap();
    assert_eq!(b.origin().to_string(), "env:S0:2:6");
    let endpoint = b.get("grpc").unwrap().get("endpoint").unwrap();
    assert_eq!(endpoint.origin().to_string(), format!("{part}:2:13"));
    assert_eq!(endpoint.deserialize::<String>("").unwrap(), "node-7:1");
    assert_eq!(loaded.root.get("a").unwrap().get("c").unwrap().deserialize::<String>("").unwrap(), "Bearer s3cr$et");
    let token = load_with(&format!("a: ${{file:{}}}", path("token")), &[]).root;
    assert_eq!(token.get("a").unwrap().deserialize::<String>("").unwrap(), "s3cr$et");

    let cycle = path("cycle");
    let message = errors(&format!("a: ${{file:{cycle}}}"), &[]);
    assert!(message.ends_with(&format!(":1:4: a.a: ${{file:{cycle}}}: refers to itself")), "{message}");
    let message = errors(&format!("a: ${{file:{}}}", directory.path().display()), &[]);
    assert!(message.ends_with("is not a regular file"), "{message}");
    assert!(
        errors("a: ${file:/nowhere/x}", &[]).starts_with("env:S0:1:4: a: ${file:/nowhere/x}: cannot read the file: ")
    );
}

#[test]
fn refuses_what_is_no_reference() {
    let cases = [
        ("${}", "${}: the name of an environment variable is a letter or `_`, then letters, digits and `_`"),
        ("${env:}", "${env:}: the name of an environment variable"),
        ("${env:-x}", "${env:-x}: the name of an environment variable"),
        ("${env:1A}", "${env:1A}: the name of an environment variable"),
        ("${env:A-B}", "${env:A-B}: the name of an environment variable"),
        ("${http://host/a}", "${http://host/a}: no configuration is read over the network"),
        ("${https://host/a}", "${https://host/a}: no configuration is read over the network"),
        ("${s3:bucket}", "${s3:bucket}: unknown scheme; there are env, file and yaml"),
        ("${env:PORT", "`${` is not closed by `}`; write `$${` for the characters themselves"),
        ("${env:$PORT}", "${env:$PORT}: a reference cannot hold a `$`"),
        ("${env:${env:BARE}}", "a reference cannot hold a `$`"),
    ];
    for (text, message) in cases {
        let errors = errors(&format!("a: {text}"), &ENV);
        assert!(errors.starts_with(&format!("env:S0:1:4: a: {message}")), "{text}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn every_bad_reference_is_reported() {
    let message = errors("a: ${s3:x}\nb: [\"${env:1}\"]\nc: {d: '${'}", &[]);
    let places: Vec<&str> = message.lines().filter_map(|line| line.split(':').nth(4)).collect();
    assert_eq!(places, [" a", " b[0]", " c.d"], "{message}");
}

#[test]
fn cycles_and_explosions_of_references_end() {
    assert_eq!(
        errors("a: ${env:A}", &[("A", "${env:B}"), ("B", "${env:A}")]),
        "env:S0:1:4: a: refers to itself (value from env:A)"
    );
    assert!(errors("a: x${A}", &[("A", "y${A}")]).contains("refers to itself"));

    let doubling: Vec<(String, String)> =
        (0..30).map(|n| (format!("V{n}"), format!("${{V{}}}${{V{}}}", n + 1, n + 1))).collect();
    let doubling: Vec<(&str, &str)> = doubling.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(errors("a: ${V0}", &doubling).contains("more than 1000 references"));

    let chain: Vec<(String, String)> = (0..100).map(|n| (format!("V{n}"), format!("${{V{}}}", n + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(errors("a: ${V0}", &chain).contains("references nest more than 32 deep"));

    let large = "x".repeat(MAX_SOURCE_BYTES / 2);
    assert!(errors("a: ${L}${L}${L}", &[("L", &large)]).contains("fetch more than 1048576 bytes"));
    let deep = "[".repeat(100);
    assert!(errors("a: ${L}", &[("L", &deep)]).contains("nested more than 64 levels"));
}

#[test]
fn no_fetched_text_combines_with_its_surroundings() {
    let variables = [("OPEN", "$"), ("INJECT", "a, b: [1]"), ("LINE", "x\nreceivers: {}")];
    let root = load_with("a: ${OPEN}{env:INJECT}\nb: x${INJECT}\nc: x ${LINE}", &variables).root;
    assert_eq!(root.get("a").unwrap().deserialize::<String>("").unwrap(), "${env:INJECT}");
    assert_eq!(root.get("b").unwrap().deserialize::<String>("").unwrap(), "xa, b: [1]");
    assert_eq!(root.get("c").unwrap().deserialize::<String>("").unwrap(), "x x\nreceivers: {}");
    assert_eq!(root.entries().len(), 3);
}

#[test]
fn the_environment_is_read_only_through_the_function() {
    // Every process of a test run has these.
    let real = ["PATH", "CARGO_MANIFEST_DIR"];
    assert!(real.iter().all(|name| std::env::var_os(name).is_some()));
    let asked = RefCell::new(BTreeSet::new());
    let source = Source::Yaml("a: ${PATH}\nb: x${env:CARGO_MANIFEST_DIR}\nc: $PATH".into());
    let loaded = load(&[source, Source::Env("SOURCE".into())], &["d=${PATH:-none}".into()], &|name| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "SOURCE").then(|| "e: 1".to_owned())
    })
    .unwrap();
    assert_eq!(show(&loaded.root), r#"{"a": ${env:PATH}, "b": "x", "c": "$PATH", "e": 1, "d": none}"#);
    assert!(loaded.root.get("a").unwrap().is_null());
    assert_eq!(asked.into_inner(), ["PATH", "CARGO_MANIFEST_DIR", "SOURCE"].map(str::to_owned).into());
}

#[test]
fn no_message_repeats_what_a_variable_held() {
    let text = "a: ${SECRET}\nb: x${SECRET}\nc: [\"${SECRET}\"]\nd: ${env:OTHER:-${SECRET}}\ne: ${yaml:${SECRET}}";
    let loaded = load_with(text, &[("SECRET", "hunter2")]);
    for (key, node) in loaded.root.entries() {
        let errors = [
            node.deserialize::<u16>(key.as_str()).unwrap_err(),
            node.deserialize::<Period>(key.as_str()).unwrap_err(),
            node.deserialize::<std::collections::BTreeMap<String, u8>>(key.as_str()).unwrap_err(),
            node.deserialize::<Vec<bool>>(key.as_str()).unwrap_err(),
            node.deserialize::<std::net::IpAddr>(key.as_str()).unwrap_err(),
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        assert!(!show(node).contains("hunter2"));
    }
    for value in ["x${hunter2", "x${1hunter2}", "x${hunter2:a}", "${file:hunter2}", "[${hunter2 }]", "${env:$hunter2}"]
    {
        let message = errors("a: ${SECRET}\nb: x${SECRET}", &[("SECRET", value)]);
        assert!(!message.contains("hunter2") && message.lines().count() == 2, "{message}");
    }
    let loaded = load_with("a: ${SECRET}\nb: x${SECRET}", &[("SECRET", "x${hunter2}")]);
    assert!(loaded.warnings.iter().all(|warning| !warning.to_string().contains("hunter2")));
    assert_eq!(loaded.warnings.len(), 2);
}
