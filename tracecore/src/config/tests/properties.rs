//! What holds for any input.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;

/// Texts that look like YAML more often than chance has it.
fn yaml_like() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b",
        ": ",
        ":",
        "- ",
        "\n",
        "  ",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "|\n",
        ">",
        "&x ",
        "*x",
        "!!str ",
        "<<: ",
        "~",
        "#",
        "? ",
        "---\n",
        "...\n",
        "%YAML",
        "${",
        "$$",
        "env:",
        "A",
        "${A}",
        ":-",
        "1",
        "0x",
        "é",
        "\t",
        "\0",
        "receivers",
        "service",
        "pipelines",
        "metrics",
        "telemetry",
        "enabled: true",
    ]);
    vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

fn use_it_all(text: &str) {
    let variables = [("A", text), ("B", "${A}")];
    if let Ok(loaded) = try_load(&["{}", text], &variables, &["x=1", text]) {
        let _ = show(&loaded.root);
        let _ = loaded.root.deserialize::<Json>("");
        let _ = from_tree(loaded.root);
    }
    if let Ok(loaded) = try_load(&[text], &variables, &[]) {
        let _ = loaded.root.deserialize::<std::collections::BTreeMap<String, Period>>("");
        let _ = from_tree(loaded.root);
    }
}

/// Trees of what merges: mappings, lists and scalars under few keys.
fn json() -> impl Strategy<Value = Json> {
    let leaf =
        prop_oneof![Just(Json::Null), any::<u8>().prop_map(Json::from), vec(any::<u8>(), 0..3).prop_map(Json::from)];
    let object = |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..4)
            .prop_map(|map| Json::Object(map.into_iter().collect::<Map<_, _>>()))
    };
    let value = leaf.prop_recursive(3, 16, 4, move |inner| object(inner).boxed());
    prop::collection::btree_map("[a-c]", value, 0..4).prop_map(|map| Json::Object(map.into_iter().collect()))
}

/// The rule of merging, said once more over JSON.
fn merged(earlier: &Json, later: &Json) -> Json {
    let (Json::Object(earlier), Json::Object(later)) = (earlier, later) else { return later.clone() };
    let mut result = earlier.clone();
    for (key, value) in later {
        let value = result.get(key).map_or_else(|| value.clone(), |earlier| merged(earlier, value));
        result.insert(key.clone(), value);
    }
    Json::Object(result)
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in any::<String>()) {
        use_it_all(&text);
    }

    #[test]
    fn no_yaml_makes_the_loader_panic(text in yaml_like()) {
        use_it_all(&text);
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let _ = load(&[Source::File(file.path().into())], &[], &|_| None);
    }

    #[test]
    fn sources_merge_by_the_rule(a in json(), b in json(), c in json()) {
        let texts = [a.to_string(), b.to_string(), c.to_string()];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let root = try_load(&texts, &[], &[]).unwrap().root;
        prop_assert_eq!(root.deserialize::<Json>("").unwrap(), merged(&merged(&a, &b), &c));
    }

    #[test]
    fn an_override_is_what_is_there(tree in json(), key in "[a-c]{1,2}", value in any::<i32>()) {
        let set = format!("a.{key}.c={value}");
        let root = try_load(&[&tree.to_string()], &[], &[&set]).unwrap().root;
        let there = root.get("a").and_then(|a| a.get(&key)).and_then(|b| b.get("c")).unwrap();
        prop_assert_eq!(there.deserialize::<i32>("").unwrap(), value);
    }

    #[test]
    fn a_variable_reaches_a_string_field_as_it_is(value in "[^$\0]{0,40}") {
        let loaded = load_with("a: ${V}\nb: x${V}y", &[("V", &value)]);
        let text = |key| loaded.root.get(key).unwrap().deserialize::<String>(key).unwrap();
        prop_assert_eq!(text("a"), value.clone());
        prop_assert_eq!(text("b"), format!("x{value}y"));
    }
}

#[test]
fn json_is_yaml() {
    let json = json!({"a": [1, "x", null, true, {"b": 1.5}], "c": {}});
    assert_eq!(tree(&json.to_string()).deserialize::<Json>("").unwrap(), json);
}
