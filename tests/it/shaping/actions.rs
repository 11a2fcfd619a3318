//! `attributes` and `resource`: every action, on items and on resources.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tracecore::signal::{Batch, Decoded, Metadata, Signal};

use super::data::{encoded, get, items, pair, resources, some, text};
use super::rig::Rig;

type Model = fn(&mut Vec<KeyValue>);

/// An action as it is written, and what it does.
const ACTIONS: [(&str, Model); 22] = [
    ("{key: env, action: insert, value: prod}", |all| insert(all, "env", text("prod"))),
    ("{key: absent, action: insert, value: 7}", |all| insert(all, "absent", Some(Value::IntValue(7)))),
    ("{key: env, action: update, value: true}", |all| {
        update(all, "env", &Some(Value::BoolValue(true)));
    }),
    ("{key: env, action: upsert, value: 2.5}", |all| upsert(all, "env", Some(Value::DoubleValue(2.5)))),
    ("{key: env, action: insert, from_attribute: tenant}", |all| {
        if let Some(value) = copied(all, "tenant") {
            insert_value(all, "env", value);
        }
    }),
    ("{key: env, action: update, from_attribute: tenant}", |all| {
        if let Some(value) = copied(all, "tenant") {
            update_value(all, "env", &value);
        }
    }),
    ("{key: env, action: upsert, from_attribute: env}", |all| {
        if let Some(value) = copied(all, "env") {
            update_value(all, "env", &value);
        }
    }),
    ("{key: env, action: upsert, from_attribute: nobody, default_value: none}", |all| upsert(all, "env", text("none"))),
    ("{key: env, action: delete}", |all| all.retain(|pair| pair.key != "env")),
    ("{key: '', action: delete}", |all| all.retain(|pair| !pair.key.is_empty())),
    ("{pattern: '^(user|url)', action: delete}", |all| {
        all.retain(|pair| !pair.key.starts_with("user") && !pair.key.starts_with("url"));
    }),
    ("{key: env, pattern: 'name$', action: delete}", |all| {
        all.retain(|pair| pair.key != "env" && !pair.key.ends_with("name"));
    }),
    ("{key: env, action: rename, new_key: environment}", |all| rename(all, "env", "environment")),
    ("{key: env, action: rename, new_key: tenant}", |all| rename(all, "env", "tenant")),
    ("{key: '', action: rename, new_key: url}", |all| rename(all, "", "url")),
    ("{key: env, action: rename, new_key: env}", |_| {}),
    ("{key: url, action: extract, pattern: '^(?P<env>[a-z]+)-(?P<number>[0-9]+)$'}", |all| {
        if let Some(Some(Value::StringValue(url))) = get(all, "url")
            && url == "blue-7"
        {
            upsert(all, "env", text("blue"));
            upsert(all, "number", text("7"));
        }
    }),
    ("{key: env, action: convert, converted_type: int}", |all| {
        map(all, "env", |value| match value {
            Value::StringValue(text) => text.parse().ok().map(Value::IntValue),
            Value::BoolValue(value) => Some(Value::IntValue((*value).into())),
            Value::DoubleValue(value) => Some(Value::IntValue(*value as i64)),
            _ => None,
        });
    }),
    ("{key: env, action: convert, converted_type: double}", |all| {
        map(all, "env", |value| match value {
            Value::StringValue(text) => text.parse().ok().map(Value::DoubleValue),
            Value::BoolValue(value) => Some(Value::DoubleValue((*value).into())),
            Value::IntValue(value) => Some(Value::DoubleValue(*value as f64)),
            _ => None,
        });
    }),
    ("{key: env, action: convert, converted_type: string}", |all| {
        map(all, "env", |value| match value {
            Value::BoolValue(value) => text(&value.to_string()),
            Value::IntValue(value) => text(&value.to_string()),
            Value::DoubleValue(value) => text(&value.to_string()),
            _ => None,
        });
    }),
    ("{key: user.id, action: hash}", |all| map(all, "user.id", |value| hashed(value, 0))),
    ("{key: user.id, action: hash, salt: pepper}", |all| map(all, "user.id", |value| hashed(value, 1))),
];

/// The SHA-256 of some values, and their HMAC-SHA-256 with the key `pepper`, as Python's `hashlib` and `hmac` have them.
const HASHES: [(Value, [&str; 2]); 3] = [
    (
        Value::IntValue(1),
        [
            "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8",
            "c64950726f75cc448c09f60f7090c4648b1f7a8b9a4d621403c5fdf6a302f345",
        ],
    ),
    (
        Value::BoolValue(true),
        [
            "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
            "2e9a847900d12db29a302dcefb02e47ed447168576008f1a9f48139a219dc1e3",
        ],
    ),
    (
        Value::DoubleValue(2.5),
        [
            "5caaabe50da77f59f448b3edf650d68fbca7b858390664c251c52b3f458a881c",
            "1917f3df915fbbac1aab9f664231b44e1e6a6b6e56fc45d57ba1a994738e6811",
        ],
    ),
];

/// The same of texts.
const TEXT_HASHES: [(&str, [&str; 2]); 2] = [
    (
        "abc",
        [
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "95ac8d48c4886bae06029b433c46c419019bf03a65a842069d84b7755b1d08c4",
        ],
    ),
    ("", ["", ""]),
];

fn hashed(value: &Value, which: usize) -> Option<Value> {
    let plain = HASHES.iter().find(|(known, _)| known == value).map(|(_, hashes)| hashes[which]);
    let of_text = |known: &str| *value == Value::StringValue(known.to_owned());
    let found = plain.or_else(|| TEXT_HASHES.iter().find(|(known, _)| of_text(known)).map(|(_, hashes)| hashes[which]));
    text(found.expect("the tests hash what the tables have"))
}

fn insert(all: &mut Vec<KeyValue>, key: &str, value: Option<Value>) {
    insert_value(all, key, Some(AnyValue { value }));
}

fn insert_value(all: &mut Vec<KeyValue>, key: &str, value: Option<AnyValue>) {
    if all.iter().all(|pair| pair.key != key) {
        all.push(KeyValue { value, ..pair(key, None) });
    }
}

fn update(all: &mut [KeyValue], key: &str, value: &Option<Value>) -> bool {
    update_value(all, key, &Some(AnyValue { value: value.clone() }))
}

fn update_value(all: &mut [KeyValue], key: &str, value: &Option<AnyValue>) -> bool {
    let found = all.iter_mut().filter(|pair| pair.key == key);
    found.map(|pair| pair.value.clone_from(value)).count() > 0
}

fn upsert(all: &mut Vec<KeyValue>, key: &str, value: Option<Value>) {
    if !update(all, key, &value) {
        insert(all, key, value);
    }
}

fn copied(all: &[KeyValue], key: &str) -> Option<Option<AnyValue>> {
    all.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone())
}

fn rename(all: &mut Vec<KeyValue>, from: &str, to: &str) {
    if all.iter().any(|pair| pair.key == from) {
        all.retain(|pair| pair.key != to);
        all.iter_mut().filter(|pair| pair.key == from).for_each(|pair| to.clone_into(&mut pair.key));
    }
}

fn map(all: &mut [KeyValue], key: &str, new: impl Fn(&Value) -> Option<Value>) {
    for pair in all.iter_mut().filter(|pair| pair.key == key) {
        if let Some(value) = pair.value.as_ref().and_then(|value| value.value.as_ref()).and_then(&new) {
            pair.value = Some(AnyValue { value: Some(value) });
        }
    }
}

/// Applies a model to the attributes of a resource that may be absent, and stays so if there is nothing to say of it.
fn on_resource(resource: &mut Option<Resource>, model: impl FnOnce(&mut Vec<KeyValue>)) {
    let is_absent = resource.is_none();
    model(&mut resource.get_or_insert_default().attributes);
    if is_absent && resource.as_ref().is_some_and(|resource| resource.attributes.is_empty()) {
        *resource = None;
    }
}

/// Only what the tables of hashes have is hashed.
fn hashes(action: &str) -> bool {
    action.contains("hash")
}

#[test]
fn attributes_does_to_items_what_is_done_to_decoded_data() {
    for (action, model) in ACTIONS.iter().filter(|(action, _)| !hashes(action)) {
        let rig = Rig::start(&[("attributes", &format!("{{actions: [{action}]}}"))]);
        let (came, went) = rig.check(|decoded| {
            items(decoded, |_, attributes| {
                model(attributes);
                true
            });
        });
        assert!(came > 0 && came == went, "{action}");
        rig.stop();
    }
}

#[test]
fn resource_does_to_resources_what_is_done_to_decoded_data() {
    for (action, model) in ACTIONS.iter().filter(|(action, _)| !hashes(action)) {
        let rig = Rig::start(&[("resource", &format!("{{attributes: [{action}]}}"))]);
        rig.check(|decoded| {
            resources(decoded, |resource| {
                on_resource(resource, model);
                true
            });
        });
        rig.stop();
    }
}

#[test]
fn hash_replaces_values_by_what_other_libraries_make_of_them() {
    for (action, model) in ACTIONS.iter().filter(|(action, _)| hashes(action)) {
        let rig = Rig::start(&[("attributes", &format!("{{actions: [{action}]}}"))]);
        let mut seen = 0;
        for (value, _) in HASHES {
            let mut decoded = some(Signal::Logs);
            items(&mut decoded, |_, attributes| {
                *attributes = vec![pair("user.id", Some(value.clone())), pair("env", text("abc"))];
                true
            });
            seen += check_exactly(&rig, decoded, *model);
        }
        for (value, _) in TEXT_HASHES {
            let mut decoded = some(Signal::Logs);
            items(&mut decoded, |_, attributes| {
                *attributes = vec![pair("user.id", text(value)), pair("user.id", text("abc"))];
                true
            });
            seen += check_exactly(&rig, decoded, *model);
        }
        assert!(seen > 0);
        rig.stop();
    }
}

/// Puts one batch through. How many items it had.
fn check_exactly(rig: &Rig, mut decoded: Decoded, model: Model) -> u64 {
    let batch = Batch::from_decoded(&decoded).expect("it is valid");
    let came = batch.items();
    let edited = rig.through(batch);
    items(&mut decoded, |_, attributes| {
        model(attributes);
        true
    });
    assert_eq!(encoded(&edited.decode()), encoded(&decoded));
    came
}

#[test]
fn a_value_comes_from_the_context_of_the_request() {
    let actions = "[{key: tenant, action: upsert, from_context: metadata.x-tenant}, \
                   {key: env, action: upsert, from_context: metadata.x-env, default_value: none}]";
    let rig = Rig::start(&[("attributes", &format!("{{actions: {actions}}}"))]);
    let decoded = some(Signal::Traces);
    let batch = Batch::from_decoded(&decoded).expect("it is valid");
    let metadata =
        Metadata::new([("x-tenant", "blue"), ("x-other", "red"), ("x-tenant", "green")]).expect("it is short");
    let edited = rig.through(batch.with_metadata(metadata)).decode();
    let mut expected = decoded;
    items(&mut expected, |_, attributes| {
        upsert(attributes, "tenant", text("blue;green"));
        upsert(attributes, "env", text("none"));
        true
    });
    assert!(encoded(&edited) == encoded(&expected), "{edited:#?}\n{expected:#?}");
    rig.stop();
}

#[test]
fn actions_are_done_one_after_the_other() {
    let all = ACTIONS.iter().filter(|(action, _)| !hashes(action));
    let written: Vec<&str> = all.clone().map(|(action, _)| *action).collect();
    let rig = Rig::start(&[("attributes", &format!("{{actions: [{}]}}", written.join(", ")))]);
    rig.check(|decoded| {
        items(decoded, |_, attributes| {
            all.clone().for_each(|(_, model)| model(attributes));
            true
        });
    });
    rig.stop();
}

#[test]
fn include_and_exclude_say_which_items_are_changed() {
    let only = "{actions: [{key: touched, action: insert, value: true}], \
                include: {match_type: strict, attributes: [{key: env}]}, \
                exclude: {match_type: regexp, attributes: [{key: tenant, value: '^blue'}]}}";
    let rig = Rig::start(&[("attributes", only)]);
    rig.check(|decoded| {
        items(decoded, |_, attributes| {
            let is_blue =
                matches!(get(attributes, "tenant"), Some(Some(Value::StringValue(text))) if text.starts_with("blue"));
            if get(attributes, "env").is_some() && !is_blue {
                insert(attributes, "touched", Some(Value::BoolValue(true)));
            }
            true
        });
    });
    rig.stop();
}
