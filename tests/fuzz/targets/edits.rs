//! An edit on the wire is the edit of what prost decodes.
//!
//! An input is a signal, an operation for each of resources, scopes and items (its kind, a length and a key), and a
//! request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, PlainValue, ScopeMut, Touches, When};
use tracecore::signal::{Batch, Decoded};
use tracecore_fuzz::{batch, count, encode, signal_and_rest};

/// What a new value and a new key are.
const NEW: &str = "new";

/// The most bytes of a key.
const KEY: usize = 16;

#[derive(Clone, Debug)]
struct Op {
    kind: u8,
    key: String,
}

impl Op {
    /// An operation, and what is behind it.
    fn read(input: &[u8]) -> Option<(Op, &[u8])> {
        let ([kind, length], rest) = input.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(*length) % KEY)?;
        Some((Op { kind: *kind % 8, key: String::from_utf8(key.to_vec()).ok()? }, rest))
    }

    fn edit(&self, attributes: &mut AttributesMut<'_>) -> Act {
        let key = self.key.as_str();
        match self.kind {
            0 => attributes.delete(key),
            1 => attributes.set(key, PlainValue::Str(NEW), When::Absent),
            2 => attributes.set(key, PlainValue::Int(-1), When::Present),
            3 => attributes.set(key, PlainValue::Bytes(&[]), When::Always),
            4 => attributes.rename(key, NEW),
            5 => {
                attributes.copy(key, NEW, When::Always);
            }
            6 if attributes.contains(key) => return Act::Drop,
            _ => {}
        }
        Act::Keep
    }

    /// The same with prost's types. Whether the message stays.
    fn apply(&self, attributes: &mut Vec<KeyValue>) -> bool {
        let any = |value| Some(AnyValue { value: Some(value) });
        let pair = |key: &str, value| KeyValue { key: key.to_owned(), value, key_strindex: 0 };
        let is_there = attributes.iter().any(|pair| pair.key == self.key);
        match self.kind {
            0 => attributes.retain(|pair| pair.key != self.key),
            1 if !is_there => attributes.push(pair(&self.key, any(Value::StringValue(NEW.to_owned())))),
            2 => write(attributes, &self.key, &any(Value::IntValue(-1))),
            3 if is_there => write(attributes, &self.key, &any(Value::BytesValue(Vec::new()))),
            3 => attributes.push(pair(&self.key, any(Value::BytesValue(Vec::new())))),
            4 if self.key != NEW && is_there => {
                attributes.retain(|pair| pair.key != NEW);
                let renamed = attributes.iter_mut().filter(|pair| pair.key == self.key);
                renamed.for_each(|pair| NEW.clone_into(&mut pair.key));
            }
            5 => {
                if let Some(value) = attributes.iter().find(|pair| pair.key == self.key).map(|pair| pair.value.clone())
                {
                    match attributes.iter().any(|pair| pair.key == NEW) {
                        true => write(attributes, NEW, &value),
                        false => attributes.push(pair(NEW, value)),
                    }
                }
            }
            6 => return !is_there,
            _ => {}
        }
        true
    }
}

/// Gives all pairs of this key the value.
fn write(attributes: &mut [KeyValue], key: &str, value: &Option<AnyValue>) {
    attributes.iter_mut().filter(|pair| pair.key == key).for_each(|pair| pair.value.clone_from(value));
}

#[derive(Clone, Debug)]
struct Script {
    resource: Op,
    scope: Op,
    item: Op,
}

impl Edit for Script {
    fn touches(&self) -> Touches {
        let does = |op: &Op| op.kind != 7;
        Touches { resources: does(&self.resource), scopes: does(&self.scope), metrics: false, items: does(&self.item) }
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        self.resource.edit(attributes)
    }

    fn scope(&mut self, scope: &mut ScopeMut<'_>) -> Act {
        self.scope.edit(&mut scope.attributes)
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        self.item.edit(&mut item.attributes)
    }
}

/// Keeps what `keep` says; whether something is left of what there was.
fn retain<T>(all: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = all.len();
    all.retain_mut(keep);
    before == all.len() || !all.is_empty()
}

/// Applies an operation to a message that may be absent, and stays so if it gets nothing.
fn header<T: Default + PartialEq>(header: &mut Option<T>, apply: impl FnOnce(&mut T) -> bool) -> bool {
    let absent = header.is_none();
    let mut message = header.take().unwrap_or_default();
    let kept = apply(&mut message);
    *header = (!absent || message != T::default()).then_some(message);
    kept
}

impl Script {
    fn apply(&self, decoded: &mut Decoded) {
        let Script { resource, scope, item } = self;
        match decoded {
            Decoded::Traces(data) => retain(&mut data.resource_spans, |r| {
                header(&mut r.resource, |message| resource.apply(&mut message.attributes))
                    && retain(&mut r.scope_spans, |s| {
                        header(&mut s.scope, |message| scope.apply(&mut message.attributes))
                            && retain(&mut s.spans, |span| item.apply(&mut span.attributes))
                    })
            }),
            Decoded::Logs(data) => retain(&mut data.resource_logs, |r| {
                header(&mut r.resource, |message| resource.apply(&mut message.attributes))
                    && retain(&mut r.scope_logs, |s| {
                        header(&mut s.scope, |message| scope.apply(&mut message.attributes))
                            && retain(&mut s.log_records, |record| item.apply(&mut record.attributes))
                    })
            }),
            Decoded::Metrics(data) => retain(&mut data.resource_metrics, |r| {
                header(&mut r.resource, |message| resource.apply(&mut message.attributes))
                    && retain(&mut r.scope_metrics, |s| {
                        header(&mut s.scope, |message| scope.apply(&mut message.attributes))
                            && retain(&mut s.metrics, |metric| apply_to_points(item, metric))
                    })
            }),
        };
    }
}

fn apply_to_points(op: &Op, metric: &mut Metric) -> bool {
    match &mut metric.data {
        None => true,
        Some(metric::Data::Gauge(data)) => retain(&mut data.data_points, |point| op.apply(&mut point.attributes)),
        Some(metric::Data::Sum(data)) => retain(&mut data.data_points, |point| op.apply(&mut point.attributes)),
        Some(metric::Data::Histogram(data)) => retain(&mut data.data_points, |point| op.apply(&mut point.attributes)),
        Some(metric::Data::ExponentialHistogram(data)) => {
            retain(&mut data.data_points, |point| op.apply(&mut point.attributes))
        }
        Some(metric::Data::Summary(data)) => retain(&mut data.data_points, |point| op.apply(&mut point.attributes)),
    }
}

/// The batch, and what is done to it.
fn read(input: &[u8]) -> Option<(Batch, Script)> {
    let (signal, rest) = signal_and_rest(input)?;
    let (resource, rest) = Op::read(rest)?;
    let (scope, rest) = Op::read(rest)?;
    let (item, request) = Op::read(rest)?;
    Some((batch(signal, request)?, Script { resource, scope, item }))
}

fuzz_target!(|input: &[u8]| {
    let Some((batch, mut script)) = read(input) else { return };
    let mut decoded = batch.decode();
    script.apply(&mut decoded);
    let edited = batch.edit(&mut script);
    let again = Batch::validate(batch.signal(), edited.parts().concat().into()).expect("what is edited is a batch");
    assert_eq!((edited.items(), edited.size()), (again.items(), again.size()));
    // What wants to be shown nothing has the batch as it came.
    assert!(again.is_canonical() || script.touches() == Touches::NOTHING);
    assert_eq!((edited.items(), encode(&edited.decode())), (count(&decoded), encode(&decoded)));
});
