//! One JSON Schema (2020-12) of all that a program can be configured with, made of what its components declare.
//!
//! A schema says what the loader takes: a text of YAML that is a mapping or a list may be left empty, a text field takes
//! any scalar as it is written, and each value may be a reference (`${env:NAME}`) instead. What a value refers to, and which
//! components a pipeline names, is beyond a schema: that is `validate`'s.

mod open;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::component::Role;
use crate::config::{
    BATCH_PROCESSOR, BatchProcessor, HealthCheckSettings, ServiceSchema, Telemetry, extension_schemas,
};
use crate::metrics::Metric;
use crate::metrics::health::OF_HEALTH;
use crate::queue::DeliverySettings;
use crate::registry::{Entry, Registry};
use crate::runtime::OnStartError;

use self::open::open;

/// The meta-schema.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The definition of what may stand in the place of any value.
const REFERENCE: &str = "Reference";

/// What follows a component's type in an id.
const NAMED: &str = "(/.+)?$";

/// The schema of a whole configuration of exactly this program.
pub fn configuration(registry: &Registry) -> Value {
    let mut defs = Definitions::default();
    let mut properties = Map::new();
    for role in Role::ALL {
        let mut ids = Map::new();
        for entry in registry.iter().filter(|entry| entry.role == role) {
            let name = format!("{role}.{}", entry.name);
            let schema = defs.adopt(&name, component(entry));
            defs.0.insert(name.clone(), schema);
            for id in std::iter::once(&entry.name).chain(entry.aliases) {
                ids.insert(format!("^{id}{NAMED}"), json!({ "$ref": reference(&name), "description": entry.summary }));
            }
        }
        if role == Role::Processor {
            let mut batch = document::<BatchProcessor>();
            open(&mut batch);
            let batch = defs.adopt(BATCH_PROCESSOR, batch);
            ids.insert(format!("^{BATCH_PROCESSOR}{NAMED}"), batch);
        }
        let section = json!({
            "description": format!("The {}s, by id: a type, and `/` and a name where there are several of it.", role),
            "type": ["object", "null"],
            "patternProperties": ids,
            "additionalProperties": false,
        });
        properties.insert(role.section().to_owned(), section);
    }
    properties.insert("extensions".to_owned(), extensions(&mut defs));
    properties.insert(
        "connectors".to_owned(),
        json!({ "description": "There are none.", "type": ["object", "null"], "maxProperties": 0 }),
    );
    let mut service = document::<ServiceSchema>();
    open(&mut service);
    properties.insert("service".to_owned(), defs.adopt("service", service));
    let mut telemetry = document::<Telemetry>();
    open(&mut telemetry);
    let telemetry = defs.adopt("telemetry", telemetry);
    defs.0.insert("telemetry".to_owned(), telemetry);
    properties.insert("telemetry".to_owned(), json!({
        "description": "The collector's own surface. A block that is not enabled may hold anything: a template may stay there.",
        "anyOf": [
            { "$ref": reference("telemetry") },
            {
                "type": ["object", "null"],
                "properties": { "enabled": { "enum": [false, null] } },
            },
        ],
    }));
    json!({
        "$schema": DIALECT,
        "title": "tracecore",
        "description": "A configuration of the collector.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["service"],
        "$defs": defs.0,
    })
}

/// The section of the extensions.
fn extensions(defs: &mut Definitions) -> Value {
    let mut health_check = document::<HealthCheckSettings>();
    open(&mut health_check);
    let health_check = defs.adopt("extension", health_check);
    let ids = extension_schemas(health_check).into_iter().map(|(kind, schema)| {
        let name = format!("extension.{kind}");
        defs.0.insert(name.clone(), schema);
        (format!("^{kind}{NAMED}"), json!({ "$ref": reference(&name) }))
    });
    json!({
        "description": "What is served beside the pipelines, by id: a type, and `/` and a name where there are several of it.",
        "type": ["object", "null"],
        "patternProperties": ids.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// The schema of one component's settings, the runtime's keys among them.
pub fn component(entry: &Entry) -> Value {
    let mut schema: Value = entry.settings_schema().into();
    if let Some(timeout) = entry.timeout {
        let mut delivery: Value = DeliverySettings::schema().into();
        delivery["properties"]["timeout"]["default"] = json!(timeout);
        properties(&mut schema).append(properties(&mut delivery));
        let defs = delivery.get_mut("$defs").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
        object(object(&mut schema).entry("$defs").or_insert_with(|| json!({}))).extend(defs);
    }
    properties(&mut schema).insert("on_start_error".to_owned(), inline(document::<OnStartError>(), "fail"));
    open(&mut schema);
    schema
}

/// What a program has, for programs that read it: each component with where it is declared, what it is configured with,
/// what it measures and what can go wrong.
pub fn catalog(registry: &Registry) -> Value {
    let component = |entry: &Entry| {
        let metrics = |prefix: &str, describe: fn(&mut dyn FnMut(&'static Metric))| {
            let mut metrics = Vec::new();
            describe(&mut |metric| metrics.push(metric_of(&format!("{prefix}{}", metric.name.of(entry.name)), metric)));
            metrics
        };
        let kinds: Vec<_> = entry.kinds.iter().map(|kind| kind.as_str()).collect();
        json!({
            "role": entry.role.as_str(),
            "type": entry.name,
            "aliases": entry.aliases,
            "summary": entry.summary,
            "signals": entry.signals.iter().map(|signal| signal.as_str()).collect::<Vec<_>>(),
            "stability": entry.stability.as_str(),
            "since": entry.since,
            "source": entry.location,
            "schema": format!("{}.{}.json", entry.role, entry.name),
            "settings": settings(entry),
            "metrics": metrics("", entry.data),
            "telemetry": metrics(OF_HEALTH, entry.telemetry),
            "error_kinds": kinds,
        })
    };
    json!({ "components": registry.iter().map(component).collect::<Vec<_>>() })
}

/// What is said of a metric.
fn metric_of(name: &str, metric: &Metric) -> Value {
    let Metric { name: _, unit, help, kind, keys, buckets, quantiles } = metric;
    json!({
        "name": name,
        "unit": unit,
        "kind": kind.as_str(),
        "description": help,
        "attributes": keys.iter().flat_map(|keys| keys.iter()).collect::<Vec<_>>(),
        "buckets": buckets,
        "quantiles": quantiles,
    })
}

/// The settings of a component, the nested ones by their path: what each is, of which type, and by default.
pub fn settings(entry: &Entry) -> Value {
    let schema = component(entry);
    let mut rows = Vec::new();
    rows_of(&schema, &schema, "", &mut rows);
    rows.into()
}

/// Adds the settings of one mapping, and those below them.
fn rows_of(document: &Value, schema: &Value, path: &str, rows: &mut Vec<Value>) {
    let required = schema.get("required").and_then(Value::as_array);
    for (key, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let described = described(document, schema);
        let said = |what: &str| described.iter().find_map(|schema| schema.get(what)).cloned();
        let below = described.iter().find(|schema| schema.get("properties").is_some());
        rows.push(json!({
            "setting": path,
            "type": type_of(document, schema),
            "required": required.is_some_and(|required| required.contains(&json!(key))),
            // That of a mapping is told at the settings in it.
            "default": if below.is_some() { None } else { said("default") },
            "description": said("description"),
        }));
        if let Some(below) = below {
            rows_of(document, below, &path, rows);
        }
        let items = described.iter().find_map(|schema| schema.get("items"));
        let items = items.map(|items| self::described(document, items)).unwrap_or_default();
        if let Some(item) = items.iter().find(|schema| schema.get("properties").is_some()) {
            rows_of(document, item, &format!("{path}[]"), rows);
        }
    }
}

/// The schema with all that it refers to and offers, the outermost first, without the reference that may stand for it.
pub(crate) fn described<'s>(document: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let (mut all, mut next): (Vec<&Value>, _) = (Vec::new(), vec![schema]);
    while let Some(schema) = next.pop() {
        if !schema.is_object() || all.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        all.push(schema);
        if let Some(to) = schema.get("$ref").and_then(Value::as_str).filter(|to| *to != reference(REFERENCE)) {
            next.extend(to.strip_prefix('#').and_then(|pointer| document.pointer(pointer)));
        }
        if let Some(Value::Array(members)) = schema.get("anyOf") {
            next.extend(members.iter().rev());
        }
    }
    all
}

/// The type of a setting in a word or two.
fn type_of(document: &Value, schema: &Value) -> String {
    let described = described(document, schema);
    let refers_to = described.iter().filter_map(|schema| schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/"));
    let named = refers_to.into_iter().find(|name| *name != REFERENCE && !name.is_empty());
    let words =
        described.iter().find_map(|schema| match (schema.get("enum"), schema.get("oneOf"), schema.get("type")) {
            (Some(Value::Array(values)), ..) => Some(one_of(values.iter().filter_map(Value::as_str))),
            (_, Some(Value::Array(variants)), _) => {
                Some(one_of(variants.iter().filter_map(|variant| variant.get("const")?.as_str())))
            }
            (.., Some(Value::String(word))) if word != "null" => Some(word.clone()),
            (.., Some(Value::Array(words))) => words.first().and_then(Value::as_str).map(str::to_owned),
            _ => None,
        });
    match (words.as_deref(), named) {
        (Some("string"), Some(named)) => named.to_lowercase(),
        (Some("array"), _) => {
            let items = described.iter().find_map(|schema| schema.get("items"));
            format!("list of {}", items.map_or("any".to_owned(), |items| type_of(document, items)))
        }
        (Some("object"), _) => "mapping".to_owned(),
        (Some(words), _) => words.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

fn one_of<'v>(values: impl Iterator<Item = &'v str>) -> String {
    values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// A type as a document of its own.
fn document<T: JsonSchema>() -> Value {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().into();
    generator.into_root_schema_for::<T>().into()
}

/// A type without definitions, as a property.
fn inline(mut document: Value, default: &str) -> Value {
    let schema = object(&mut document);
    schema.remove("$schema");
    schema.remove("title");
    schema.insert("default".to_owned(), default.into());
    document
}

fn reference(name: &str) -> String {
    format!("#/$defs/{name}")
}

fn object(schema: &mut Value) -> &mut Map<String, Value> {
    if !schema.is_object() {
        *schema = json!({});
    }
    match schema {
        Value::Object(map) => map,
        _ => unreachable!("it has just been made one"),
    }
}

fn properties(schema: &mut Value) -> &mut Map<String, Value> {
    object(object(schema).entry("properties").or_insert_with(|| json!({})))
}

/// The definitions of one document, by name.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    /// Takes the definitions of a document over: what is the same under the same name is shared, what is another gets a
    /// name of its own.
    fn adopt(&mut self, name: &str, mut document: Value) -> Value {
        let schema = object(&mut document);
        schema.remove("$schema");
        let defs =
            schema.remove("$defs").and_then(|defs| if let Value::Object(defs) = defs { Some(defs) } else { None });
        let defs = defs.unwrap_or_default();
        let taken = |def: &String, schema: &Value| self.0.get(def).is_some_and(|known| known != schema);
        let renamed: Vec<String> =
            defs.iter().filter(|(def, schema)| taken(def, schema)).map(|(def, _)| def.clone()).collect();
        let rename =
            |def: &str| if renamed.iter().any(|known| known == def) { format!("{name}.{def}") } else { def.to_owned() };
        refer(&mut document, &rename);
        for (def, mut schema) in defs {
            refer(&mut schema, &rename);
            self.0.insert(rename(&def), schema);
        }
        document
    }
}

/// Renames what is referred to.
fn refer(schema: &mut Value, rename: &impl Fn(&str) -> String) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(to) if key == "$ref" => {
                        if let Some(def) = to.strip_prefix("#/$defs/") {
                            *to = reference(&rename(def));
                        }
                    }
                    value => refer(value, rename),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, rename)),
        _ => {}
    }
}
