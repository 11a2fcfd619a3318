//! Edits on the wire against the same edits of what prost decodes.

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;

use super::super::edit::{Act, AttributesMut, Edit, ItemMut, NewValue, PlainValue, ScopeMut, Tally, Touches, When};
use super::super::view::MetricRef;
use super::*;

/// One thing done to the attributes of a message.
#[derive(Clone, Debug)]
enum Op {
    Set(String, Plain, When),
    Copy(String, String, When),
    Rename(String, String),
    Delete(String),
    DeleteLonger(usize),
    Print(String),
    DropWith(String),
}

#[derive(Clone, Debug)]
enum Plain {
    Str(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
}

impl Plain {
    fn borrowed(&self) -> PlainValue<'_> {
        match self {
            Plain::Str(text) => PlainValue::Str(text),
            Plain::Bool(value) => PlainValue::Bool(*value),
            Plain::Int(value) => PlainValue::Int(*value),
            Plain::Double(value) => PlainValue::Double(*value),
            Plain::Bytes(bytes) => PlainValue::Bytes(bytes),
        }
    }

    fn decoded(&self) -> AnyValue {
        let value = match self.clone() {
            Plain::Str(text) => any_value::Value::StringValue(text),
            Plain::Bool(value) => any_value::Value::BoolValue(value),
            Plain::Int(value) => any_value::Value::IntValue(value),
            Plain::Double(value) => any_value::Value::DoubleValue(value),
            Plain::Bytes(bytes) => any_value::Value::BytesValue(bytes),
        };
        AnyValue { value: Some(value) }
    }
}

/// What is done to resources, scopes, metrics and items.
#[derive(Clone, Debug, Default)]
struct Script {
    resources: Vec<Op>,
    scopes: Vec<Op>,
    items: Vec<Op>,
    /// Metrics with longer names are dropped.
    longest_name: Option<usize>,
}

impl Script {
    fn random(random: &mut Generator, keys: &[String]) -> Self {
        let mut script = Script::default();
        for ops in [&mut script.resources, &mut script.scopes, &mut script.items] {
            if !random.chance(3) {
                *ops = (0..1 + random.below(4)).map(|_| Op::random(random, keys)).collect();
            }
        }
        script.longest_name = random.chance(4).then(|| random.below(20));
        script
    }
}

impl Op {
    fn random(random: &mut Generator, keys: &[String]) -> Self {
        let mut key = || if keys.is_empty() { "k".to_owned() } else { keys[random.below(keys.len())].clone() };
        let (key, other) = (key(), key());
        let when = [When::Absent, When::Present, When::Always][random.below(3)];
        let plain = match random.below(5) {
            0 => Plain::Str("x".repeat(random.below(150))),
            1 => Plain::Bool(random.chance(2)),
            2 => Plain::Int(random.bits().cast_signed()),
            3 => Plain::Double(random.below(9) as f64),
            _ => Plain::Bytes(vec![7; random.below(20)]),
        };
        match random.below(16) {
            0..5 => Op::Set(key, plain, when),
            5..8 => Op::Copy(key, other, when),
            8..11 => Op::Rename(key, other),
            11 | 12 => Op::Delete(key),
            13 => Op::DeleteLonger(random.below(30)),
            14 => Op::Print(key),
            _ => Op::DropWith(key),
        }
    }

    fn edit(&self, attributes: &mut AttributesMut<'_>) -> Act {
        match self {
            Op::Set(key, value, when) => attributes.set(key, value.borrowed(), *when),
            Op::Copy(from, key, when) => {
                attributes.copy(from, key, *when);
            }
            Op::Rename(from, to) => attributes.rename(from, to),
            Op::Delete(key) => attributes.delete(key),
            Op::DeleteLonger(length) => attributes.delete_where(|key| key.len() > *length),
            Op::Print(key) => attributes.map(key, |value, out| match value {
                ValueRef::Int(value) => {
                    out.push_str(&value.to_string());
                    NewValue::Written
                }
                ValueRef::Bool(value) => NewValue::Plain(PlainValue::Int(value.into())),
                _ => NewValue::Same,
            }),
            Op::DropWith(key) if attributes.contains(key) => return Act::Drop,
            Op::DropWith(_) => {}
        }
        Act::Keep
    }

    /// The same with prost's types. Whether the message stays.
    fn apply(&self, attributes: &mut Vec<KeyValue>) -> bool {
        let write = |attributes: &mut Vec<KeyValue>, key: &str, value: Option<AnyValue>, when| {
            let present = attributes.iter().any(|pair| pair.key == key);
            match (present, when) {
                (true, When::Present | When::Always) => {
                    attributes.iter_mut().filter(|pair| pair.key == key).for_each(|pair| pair.value = value.clone());
                }
                (false, When::Absent | When::Always) => {
                    attributes.push(KeyValue { key: key.to_owned(), value, key_strindex: 0 });
                }
                _ => {}
            }
        };
        match self {
            Op::Set(key, value, when) => write(attributes, key, Some(value.decoded()), *when),
            Op::Copy(from, key, when) => {
                if let Some(value) = attributes.iter().find(|pair| pair.key == *from).map(|pair| pair.value.clone()) {
                    write(attributes, key, value, *when);
                }
            }
            Op::Rename(from, to) if from == to || !attributes.iter().any(|pair| pair.key == *from) => {}
            Op::Rename(from, to) => {
                attributes.retain(|pair| pair.key != *to);
                let renamed = attributes.iter_mut().filter(|pair| pair.key == *from);
                renamed.for_each(|pair| pair.key.clone_from(to));
            }
            Op::Delete(key) => attributes.retain(|pair| pair.key != *key),
            Op::DeleteLonger(length) => attributes.retain(|pair| pair.key.len() <= *length),
            Op::Print(key) => {
                for pair in attributes.iter_mut().filter(|pair| pair.key == *key) {
                    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                        Some(any_value::Value::IntValue(value)) => {
                            pair.value = Some(Plain::Str(value.to_string()).decoded());
                        }
                        Some(any_value::Value::BoolValue(value)) => {
                            pair.value = Some(Plain::Int((*value).into()).decoded());
                        }
                        _ => {}
                    }
                }
            }
            Op::DropWith(key) => return !attributes.iter().any(|pair| pair.key == *key),
        }
        true
    }
}

fn edit(ops: &[Op], attributes: &mut AttributesMut<'_>) -> Act {
    if ops.iter().all(|op| op.edit(attributes) == Act::Keep) { Act::Keep } else { Act::Drop }
}

fn apply(ops: &[Op], attributes: &mut Vec<KeyValue>) -> bool {
    ops.iter().all(|op| op.apply(attributes))
}

impl Edit for Script {
    fn touches(&self) -> Touches {
        Touches {
            resources: !self.resources.is_empty(),
            scopes: !self.scopes.is_empty(),
            metrics: self.longest_name.is_some(),
            items: !self.items.is_empty(),
        }
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        edit(&self.resources, attributes)
    }

    fn scope(&mut self, scope: &mut ScopeMut<'_>) -> Act {
        edit(&self.scopes, &mut scope.attributes)
    }

    fn metric(&mut self, metric: &MetricRef<'_>) -> Act {
        if self.longest_name.is_some_and(|longest| metric.name.len() > longest) { Act::Drop } else { Act::Keep }
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        edit(&self.items, &mut item.attributes)
    }
}

/// Keeps what `keep` says; whether something is left of what there was.
fn retain<T>(all: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = all.len();
    all.retain_mut(keep);
    before == all.len() || !all.is_empty()
}

/// Applies `ops` to a message that may be absent.
fn header<T: Default + PartialEq>(header: &mut Option<T>, apply: impl FnOnce(&mut T) -> bool) -> bool {
    let mut message = header.take();
    let absent = message.is_none();
    let kept = apply(message.get_or_insert_default());
    *header = message.filter(|message| !absent || *message != T::default());
    kept
}

impl Script {
    fn apply(&self, decoded: &mut Decoded) {
        match decoded {
            Decoded::Traces(data) => {
                retain(&mut data.resource_spans, |r| {
                    header(&mut r.resource, |resource| apply(&self.resources, &mut resource.attributes))
                        && retain(&mut r.scope_spans, |s| {
                            header(&mut s.scope, |scope| apply(&self.scopes, &mut scope.attributes))
                                && retain(&mut s.spans, |span| apply(&self.items, &mut span.attributes))
                        })
                });
            }
            Decoded::Logs(data) => {
                retain(&mut data.resource_logs, |r| {
                    header(&mut r.resource, |resource| apply(&self.resources, &mut resource.attributes))
                        && retain(&mut r.scope_logs, |s| {
                            header(&mut s.scope, |scope| apply(&self.scopes, &mut scope.attributes))
                                && retain(&mut s.log_records, |log| apply(&self.items, &mut log.attributes))
                        })
                });
            }
            Decoded::Metrics(data) => {
                retain(&mut data.resource_metrics, |r| {
                    header(&mut r.resource, |resource| apply(&self.resources, &mut resource.attributes))
                        && retain(&mut r.scope_metrics, |s| {
                            header(&mut s.scope, |scope| apply(&self.scopes, &mut scope.attributes))
                                && retain(&mut s.metrics, |metric| self.apply_to_metric(metric))
                        })
                });
            }
        }
    }

    fn apply_to_metric(&self, metric: &mut Metric) -> bool {
        if self.longest_name.is_some_and(|longest| metric.name.len() > longest) {
            return false;
        }
        match &mut metric.data {
            Some(metric::Data::Gauge(data)) => retain(&mut data.data_points, |p| apply(&self.items, &mut p.attributes)),
            Some(metric::Data::Sum(data)) => retain(&mut data.data_points, |p| apply(&self.items, &mut p.attributes)),
            Some(metric::Data::Histogram(data)) => {
                retain(&mut data.data_points, |p| apply(&self.items, &mut p.attributes))
            }
            Some(metric::Data::ExponentialHistogram(data)) => {
                retain(&mut data.data_points, |p| apply(&self.items, &mut p.attributes))
            }
            Some(metric::Data::Summary(data)) => {
                retain(&mut data.data_points, |p| apply(&self.items, &mut p.attributes))
            }
            None => true,
        }
    }
}

/// Every key of the request, so that edits find some.
fn keys(request: &mut Node) -> Vec<String> {
    let mut keys = vec![String::new(), "k".repeat(130)];
    request.visit(&mut |node| {
        if node.name == "key_value" {
            for field in node.fields.iter().filter(|field| field.number == 1) {
                if let Value::Bytes(key) = &field.value
                    && let Ok(key) = str::from_utf8(key)
                {
                    keys.push(key.to_owned());
                }
            }
        }
    });
    keys
}

/// Lets keys occur twice in a message, and in several.
fn share_keys(request: &mut Node, random: &mut Generator) {
    let pool = keys(request);
    request.visit(&mut |node| {
        if node.name == "key_value" && random.chance(2) {
            for field in node.fields.iter_mut().filter(|field| field.number == 1) {
                field.value = Value::Bytes(pool[random.below(pool.len().min(5))].clone().into_bytes());
            }
        }
    });
}

/// The batch with the edit, which must be a valid batch with what prost makes of it.
fn check(batch: &Batch, script: &Script) -> Batch {
    let edited = batch.edit(&mut script.clone());
    let again = valid(batch.signal(), edited.parts().concat());
    assert_eq!((edited.items(), edited.size()), (again.items(), again.size()), "{script:?}");
    // An edit that wants nothing of the signal leaves the batch as it came.
    assert!(edited.is_canonical() && again.is_canonical() || edited.parts() == batch.parts(), "{script:?}");
    let mut decoded = batch.decode();
    script.apply(&mut decoded);
    assert_eq!(edited.items(), count(&decoded), "{script:?}");
    assert_eq!(encode(&edited.decode()), encode(&decoded), "{script:?}");
    edited
}

#[test]
fn edits_do_what_they_do_to_decoded_data() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            share_keys(&mut tree, &mut random);
            if random.chance(2) {
                shuffle(&mut tree, &mut || random.bits());
                tree.visit(&mut |node| {
                    if node.name == "key_value" {
                        node.fields.sort_by_key(|field| field.number);
                    }
                });
            }
            let batch = valid(signal, tree.write());
            prop_assert!(batch.is_canonical());
            let keys = keys(&mut tree);
            for _ in 0..4 {
                check(&batch, &Script::random(&mut random, &keys));
            }
        }
    });
}

#[test]
fn edits_of_damaged_fields_do_what_they_do_to_decoded_data() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let keys = keys(&mut tree);
            for _ in 0..8 {
                damage_fields(&mut tree, &mut random);
                if let Ok(batch) = validate(signal, tree.write()) {
                    check(&batch, &Script::random(&mut random, &keys));
                }
            }
        }
    });
}

#[test]
fn edits_in_one_pass_do_what_they_do_one_after_the_other() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            share_keys(&mut tree, &mut random);
            let keys = keys(&mut tree);
            let batch = valid(signal, tree.write());
            let mut scripts = [(); 3].map(|()| Script::random(&mut random, &keys));
            let mut dropped = Vec::new();
            let in_turn = scripts.iter_mut().fold(batch.clone(), |batch, script| {
                let edited = batch.edit(script);
                dropped.push(batch.items() - edited.items());
                edited
            });
            let mut tally = Tally::default();
            let [first, second, third] = &mut scripts;
            let together = batch.edit_in_turn(&mut [first, second, third], &mut tally);
            // A resource that one edit makes and the next one empties is there in one of them, and reads like none.
            prop_assert_eq!(readable_bytes(together.decode()), readable_bytes(in_turn.decode()));
            prop_assert_eq!(together.items(), in_turn.items());
            prop_assert_eq!(tally.dropped, dropped);
        }
    });
}

#[test]
fn edits_keep_unknown_fields_of_what_stays() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let keys = keys(&mut tree);
            let mut marks = Vec::new();
            tree.visit(&mut |node| {
                let mark = random.bits().to_le_bytes().to_vec();
                let at = random.below(node.fields.len() + 1);
                node.fields.insert(at, Field { number: 77, value: Value::Raw(1, mark.clone()) });
                marks.push(mark);
            });
            let batch = valid(signal, tree.write());
            let mut script = Script::random(&mut random, &keys);
            script.longest_name = None;
            for ops in [&mut script.resources, &mut script.scopes, &mut script.items] {
                ops.retain(|op| matches!(op, Op::Set(..) | Op::Copy(..) | Op::Print(_)));
            }
            let edited = check(&batch, &script);
            prop_assert!(edited.has_unknown_fields() == batch.has_unknown_fields());
            let bytes = edited.parts().concat();
            for mark in &marks {
                // What is in a value goes with the value.
                let is_kept = bytes.windows(8).any(|bytes| bytes == mark);
                prop_assert!(is_kept || is_in_value(&mut tree, mark), "{script:?} loses an unknown field");
            }
        }
    });
}

fn is_in_value(tree: &mut Node, mark: &[u8]) -> bool {
    let mut nested = false;
    tree.visit(&mut |node| {
        if node.name == "any_value" {
            nested |= node.write().windows(mark.len()).any(|bytes| bytes == mark);
        }
    });
    nested
}

/// Deletes `password` and does nothing else.
struct Redact;

impl Edit for Redact {
    fn touches(&self) -> Touches {
        Touches { items: true, ..Touches::NOTHING }
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        item.attributes.delete("password");
        Act::Keep
    }
}

#[test]
fn what_occurs_twice_is_deleted_twice() {
    let attribute = |key: &str, value: &str| {
        wrapped(&[9], [&[0x0A, key.len() as u8], key.as_bytes(), &[0x12, 3, 0x0A, 1], value.as_bytes()].concat())
    };
    // The same attribute twice, and one whose key is written twice: it counts with the last.
    let twice = [attribute("password", "a"), attribute("k", "b"), attribute("password", "c")].concat();
    let hidden = wrapped(&[9], [b"\x0A\x01k".as_slice(), b"\x0A\x08password", b"\x12\x03\x0A\x01d"].concat());
    for (span_fields, left) in [(twice, 1), (hidden, 0)] {
        let batch = valid(Signal::Traces, span(&span_fields));
        let edited = batch.edit(&mut Redact);
        assert!(!edited.parts().concat().windows(8).any(|bytes| bytes == b"password"));
        let View::Traces(mut resources) = edited.view() else { panic!("traces") };
        let (_, _, span) = resources.next().and_then(|r| r.spans().next()).expect("a span");
        assert_eq!(span.attributes().count(), left);
    }
}

#[test]
fn what_does_not_change_is_not_copied() {
    let batch = Batch::from_decoded(&Decoded::Traces(Payload::new(super::Script::Ascii).traces(3))).expect("valid");
    let edited = batch.edit(&mut Redact);
    assert_eq!(edited.parts()[0].as_ptr(), batch.parts()[0].as_ptr());
}

/// Drops everything of a kind.
struct DropAll(Touches);

impl Edit for DropAll {
    fn touches(&self) -> Touches {
        self.0
    }

    fn resource(&mut self, _: &mut AttributesMut<'_>) -> Act {
        Act::Drop
    }

    fn scope(&mut self, _: &mut ScopeMut<'_>) -> Act {
        Act::Drop
    }

    fn metric(&mut self, _: &MetricRef<'_>) -> Act {
        Act::Drop
    }

    fn item(&mut self, _: &mut ItemMut<'_>) -> Act {
        Act::Drop
    }
}

#[test]
fn what_was_emptied_is_left_out() {
    let nothing = Touches::NOTHING;
    for touches in [
        Touches { resources: true, ..nothing },
        Touches { scopes: true, ..nothing },
        Touches { metrics: true, ..nothing },
        Touches { items: true, ..nothing },
    ] {
        let mut batch =
            Batch::from_decoded(&Decoded::Metrics(Payload::new(super::Script::Ascii).metrics(20))).expect("valid");
        batch.merge(batch.clone()).expect("the same signal");
        let edited = batch.edit(&mut DropAll(touches));
        assert_eq!((edited.items(), edited.size(), edited.parts().len()), (0, 0, 1), "{touches:?}");
        // A resource that had no items has not been emptied of any.
        let bare = valid(Signal::Metrics, wrapped(&[1], Vec::new()));
        assert_eq!(bare.edit(&mut DropAll(touches)).size(), if touches.resources { 0 } else { 2 });
    }
}

/// Changes every attribute, some of them many times.
struct Churn;

impl Edit for Churn {
    fn touches(&self) -> Touches {
        Touches { items: true, ..Touches::NOTHING }
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        for value in [7, 8, 9, 10] {
            item.attributes.set("", PlainValue::Int(value), When::Always);
        }
        item.attributes.rename("", "x");
        item.attributes.map_where(|_| true, |_, _| NewValue::Plain(PlainValue::Bool(true)));
        item.attributes.delete_where(|key| key == "y");
        Act::Keep
    }
}

#[test]
fn an_item_of_countless_attributes_is_edited_in_place_of_each() {
    // By turns one without a key and one called `y`, none longer than it must be.
    let pair = [wrapped(&[9], Vec::new()), wrapped(&[9], b"\x0A\x01y".to_vec())].concat();
    let turns = 20_000;
    let batch = valid(Signal::Traces, span(&pair.repeat(turns)));
    let edited = batch.edit(&mut Churn);
    let View::Traces(mut resources) = edited.view() else { panic!("traces") };
    let (_, _, span) = resources.next().and_then(|r| r.spans().next()).expect("a span");
    assert_eq!(span.attributes().count(), turns);
    for attribute in span.attributes() {
        assert!(attribute.key == "x" && matches!(attribute.value, ValueRef::Bool(true)), "{attribute:?}");
    }
}
