//! What may be written for a value: a reference in its place, nothing for a mapping or a list, any scalar for a text.

use serde_json::{Map, Value, json};

use super::{REFERENCE, object, reference};

/// What a property says about itself, wherever its type stands.
const ANNOTATIONS: [&str; 6] = ["title", "description", "default", "examples", "deprecated", "writeOnly"];

/// Makes a schema of values that of what may be written for them.
pub(super) fn open(document: &mut Value) {
    widen(document);
    let defs = object(object(document).entry("$defs").or_insert_with(|| json!({})));
    defs.insert(
        REFERENCE.to_owned(),
        json!({
            "description": "A reference that is resolved when the configuration is loaded: `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}`.",
            "type": "string",
            "pattern": "\\$\\{",
        }),
    );
}

fn widen(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for key in ["properties", "patternProperties", "$defs"] {
        let Some(Value::Object(children)) = map.get_mut(key) else { continue };
        for child in children.values_mut() {
            widen(child);
            if key != "$defs" {
                or_reference(child);
            }
        }
    }
    for key in ["additionalProperties", "items"] {
        if let Some(child @ Value::Object(_)) = map.get_mut(key) {
            widen(child);
            or_reference(child);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(members)) = map.get_mut(key) {
            members.iter_mut().for_each(widen);
        }
    }
    let is_open = ["pattern", "format", "enum", "const"].iter().all(|key| !map.contains_key(*key));
    let types = map.get("type");
    let wide = match types.and_then(Value::as_str) {
        Some("object") if !map.contains_key("required") => json!(["object", "null"]),
        Some("array") if !map.contains_key("minItems") => json!(["array", "null"]),
        Some("string") if is_open => json!(["string", "number", "boolean"]),
        None if is_open && types == Some(&json!(["string", "null"])) => json!(["string", "number", "boolean", "null"]),
        _ => return,
    };
    map.insert("type".to_owned(), wide);
}

/// The same, or a reference. What is said about the value stays where it is looked for; its description stands with the
/// value too, for an editor shows that of the innermost schema, which would be the type's.
fn or_reference(schema: &mut Value) {
    let reference = json!({ "$ref": reference(REFERENCE) });
    let Value::Object(map) = schema else { return };
    if map.get("type").is_some_and(|types| types.as_array().is_some_and(|types| types.contains(&json!("number")))) {
        return;
    }
    let description = map.get("description").cloned();
    let describe = |value: &mut Map<String, Value>| {
        if let Some(description) = description {
            value.entry("description").or_insert(description);
        }
    };
    if let Some(Value::Array(members)) = map.get_mut("anyOf") {
        if let Some(Value::Object(value)) = members.first_mut() {
            describe(value);
        }
        members.push(reference);
        return;
    }
    let value = std::mem::take(map);
    let (said, mut value): (Map<_, _>, Map<_, _>) =
        value.into_iter().partition(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    describe(&mut value);
    *map = said;
    map.insert("anyOf".to_owned(), json!([value, reference]));
}
