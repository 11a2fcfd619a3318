//! Several processors that edit, one after the other: one pass over the bytes, and for each the account it would have alone.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tracecore::emit::{Refusal, Verdict};
use tracecore::prelude::*;
use tracecore::signal::edit::{Act, Edit, ItemMut, PlainValue, Touches, When};
use tracecore::signal::{Decoded, Metadata};
use tracecore::testing::spans;

use super::data::{get, items, pair, resources, some, text};
use super::rig::Rig;

/// Marks every item, and panics on every item with the name it is told.
#[processor("test_marker", config = Marking)]
struct Marker {
    panics_on: String,
}

/// Settings of the `test_marker` processor.
#[config]
struct Marking {
    /// The name of a span on which it panics.
    panics_on: String,
}

static MADE: AtomicU64 = AtomicU64::new(0);

impl Processor for Marker {
    const EDITS: bool = true;

    fn new(Marking { panics_on }: Marking) -> Result<Self, Never> {
        MADE.fetch_add(1, Ordering::Relaxed);
        Ok(Marker { panics_on })
    }

    fn edit<'a>(&'a self, _: Signal, _: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        Box::new(Marks(&self.panics_on))
    }
}

struct Marks<'a>(&'a str);

impl Edit for Marks<'_> {
    fn touches(&self) -> Touches {
        Touches { items: true, ..Touches::NOTHING }
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        if let tracecore::signal::edit::ItemRef::Span(span) = item.view() {
            assert!(span.name != self.0, "told to panic");
        }
        item.attributes.set("marked", PlainValue::Bool(true), When::Always);
        Act::Keep
    }
}

/// What a processor says of itself: items in, out, filtered and lost to a panic, and batches that were timed.
fn account(rig: &Rig, id: &str) -> [u64; 5] {
    let id = ("component_id", id);
    let count = |family, labels: &[_]| rig.sample(family, labels) as u64;
    [
        count("tracecore_processor_items_in_total", &[id]),
        count("tracecore_processor_items_out_total", &[id]),
        count("tracecore_processor_dropped_total", &[id, ("reason", "filtered")]),
        count("tracecore_processor_dropped_total", &[id, ("reason", "panic")]),
        count("tracecore_processor_latency_seconds", &[id]),
    ]
}

#[test]
fn each_of_a_run_has_the_account_that_it_would_have_alone() {
    let by_attribute = "{spans: {exclude: {match_type: strict, attributes: [{key: env}]}}, \
                        metrics: {exclude: {match_type: strict, attributes: [{key: env}]}}, \
                        logs: {exclude: {match_type: strict, record_attributes: [{key: env}]}}}";
    // This one drops whole resources, which the filter before it has left something of or not.
    let by_resource = "{spans: {exclude: {match_type: strict, resources: [{key: tenant}]}}, \
                       metrics: {exclude: {match_type: strict, resource_attributes: [{key: tenant}]}}, \
                       logs: {exclude: {match_type: strict, resource_attributes: [{key: tenant}]}}}";
    let rig = Rig::start(&[
        ("filter/attribute", by_attribute),
        ("resource", "{attributes: [{key: url, action: rename, new_key: tenant}]}"),
        ("attributes", "{actions: [{key: env, action: insert, value: abc}]}"),
        ("filter/resource", by_resource),
        ("attributes/after", "{actions: [{key: env, action: rename, new_key: stage}]}"),
    ]);
    let accounts = std::cell::RefCell::new([[0; 4]; 5]);
    let went = |at: usize, came: u64, goes: u64| {
        let account = &mut accounts.borrow_mut()[at];
        let called = u64::from(came > 0);
        *account = [account[0] + came, account[1] + goes, account[2] + came - goes, account[3] + called];
        goes
    };
    let (came, left) = rig.check(|decoded| {
        let all = count(decoded);
        items(decoded, |_, attributes| get(attributes, "env").is_none());
        let after_first = went(0, all, count(decoded));
        resources(decoded, |resource| {
            if let Some(resource) = resource
                && get(&resource.attributes, "url").is_some()
            {
                resource.attributes.retain(|pair| pair.key != "tenant");
                let renamed = resource.attributes.iter_mut().filter(|pair| pair.key == "url");
                renamed.for_each(|pair| pair.key = "tenant".to_owned());
            }
            true
        });
        went(1, after_first, after_first);
        items(decoded, |_, attributes| {
            attributes.push(pair("env", text("abc")));
            true
        });
        went(2, after_first, after_first);
        resources(decoded, |resource| {
            resource.as_ref().is_none_or(|resource| get(&resource.attributes, "tenant").is_none())
        });
        let after_last = went(3, after_first, count(decoded));
        items(decoded, |_, attributes| {
            attributes.retain(|pair| pair.key != "stage");
            attributes.iter_mut().filter(|pair| pair.key == "env").for_each(|pair| pair.key = "stage".to_owned());
            true
        });
        went(4, after_last, after_last);
    });
    let accounts = accounts.into_inner();
    assert_eq!((accounts[0][0], accounts[4][1]), (came, left));
    assert!(accounts[0][2] > 0 && accounts[3][2] > 0, "both filters drop something: {accounts:?}");
    let ids = ["filter/attribute", "resource", "attributes", "filter/resource", "attributes/after"];
    for (id, [items_in, items_out, filtered, batches]) in ids.into_iter().zip(accounts) {
        assert_eq!(account(&rig, id), [items_in, items_out, filtered, 0, batches], "{id}");
    }
    rig.stop();
}

/// The items, by another way than the collector's.
fn count(decoded: &mut Decoded) -> u64 {
    let mut count = 0;
    items(decoded, |_, _| {
        count += 1;
        true
    });
    count
}

#[test]
fn a_panic_in_a_run_is_its_processors_own() {
    let rig = Rig::start(&[
        ("attributes", "{actions: [{key: a, action: insert, value: 1}]}"),
        ("test_marker", "{panics_on: poison}"),
        ("attributes/after", "{actions: [{key: b, action: insert, value: 1}]}"),
    ]);
    let made = MADE.load(Ordering::Relaxed);
    let poison = rig.emit(spans("poison", 3));
    assert_eq!(poison, Verdict::Refused(Refusal::Permanent));
    assert_eq!(MADE.load(Ordering::Relaxed), made + 1, "the instance that panicked is replaced");
    let edited = rig.through(spans("sound", 2));
    let mut decoded = edited.decode();
    items(&mut decoded, |_, attributes| {
        let one = Some(Some(&Value::IntValue(1)));
        assert_eq!((get(attributes, "a"), get(attributes, "b")), (one, one));
        assert_eq!(get(attributes, "marked"), Some(Some(&Value::BoolValue(true))));
        true
    });
    assert_eq!(account(&rig, "attributes"), [5, 5, 0, 0, 2]);
    assert_eq!(account(&rig, "test_marker"), [5, 2, 0, 3, 2]);
    assert_eq!(account(&rig, "attributes/after"), [2, 2, 0, 0, 1]);
    rig.stop();
}

#[test]
fn a_run_keeps_the_unknown_fields_of_what_stays() {
    // Field 77, which no message of OTLP has: eight bytes that tell where it stands.
    let mark = |level: u8| [0xE9, 0x04, level, 0xA5, 0x5A, 0xA5, 0x5A, 0xA5, 0x5A, level];
    let Decoded::Traces(data) = some(Signal::Traces) else { panic!("these are traces") };
    let spans = data.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    let span = spans.max_by_key(|span| span.attributes.len()).expect("there is a span");
    let field = |number: u8, body: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encode_length_delimiter(body.len(), &mut out).expect("a vector grows");
        [out, body.to_vec()].concat()
    };
    let span = [mark(3).as_slice(), &span.encode_to_vec(), &mark(4)].concat();
    let scope = [mark(2).as_slice(), &field(2, &span)].concat();
    let resource = [field(1, &mark(5)), field(2, &scope), mark(1).to_vec()].concat();
    let request = [field(1, &resource), mark(0).to_vec()].concat();
    // Once as it is, and once so that it must be brought into canonical form: the same field a second time.
    for times in [1, 2] {
        let rig = Rig::start(&[
            ("resource", "{attributes: [{key: env, action: upsert, value: abc}]}"),
            ("attributes", "{actions: [{pattern: '.*', action: delete}, {key: env, action: insert, value: abc}]}"),
            ("filter", "{spans: {exclude: {match_type: strict, attributes: [{key: nobody}]}}}"),
        ]);
        let twice: Vec<u8> =
            [field(1, &resource), field(1, &[field(1, &mark(6)), field(1, &mark(7)), field(2, &scope)].concat())]
                .concat();
        let request = if times == 1 { request.clone() } else { [request.clone(), twice].concat() };
        let batch = Batch::validate(Signal::Traces, request.into()).expect("it is valid");
        assert_eq!(batch.is_canonical(), times == 1);
        let edited = rig.through(batch);
        assert!(edited.has_unknown_fields());
        let bytes = edited.parts().concat();
        let levels = if times == 1 { 0..6 } else { 0..8 };
        for level in levels {
            assert!(bytes.windows(10).any(|window| window == mark(level)), "the mark {level} is lost");
        }
        rig.stop();
    }
}
