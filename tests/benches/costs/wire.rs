//! What flows: validating a request beside copying it and beside prost.

#[path = "../../../tracecore/src/signal/tests/payload.rs"]
mod payload;
#[expect(dead_code, reason = "the tests of the walk use more of it")]
#[path = "../../../tracecore/src/signal/tests/tree.rs"]
mod tree;

use std::hint::black_box;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use payload::{Payload, Script};
use prost::Message;
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, PlainValue, Tally, Touches, When};
use tracecore::signal::{Batch, Signal};

use crate::harness::{Benchmark, Calls, Reference};

/// Spans, data points or log records of a request.
const ITEMS: u64 = 100;

/// What the requests of a signal differ in.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Ascii,
    Cyrillic,
    Cjk,
    /// ASCII, with the fields of every message in random order.
    Shuffled,
}

impl Shape {
    const ALL: [Shape; 4] = [Shape::Ascii, Shape::Cyrillic, Shape::Cjk, Shape::Shuffled];

    const fn name(self) -> &'static str {
        match self {
            Shape::Ascii => "ascii",
            Shape::Cyrillic => "cyrillic",
            Shape::Cjk => "cjk",
            Shape::Shuffled => "shuffled",
        }
    }
}

/// Every benchmark here.
pub(crate) fn benchmarks() -> Vec<Benchmark> {
    let copied = request(Signal::Traces, Shape::Ascii);
    let mut benchmarks = vec![of_request("reference/memcpy".to_owned(), &copied, "span", memcpy)];
    for signal in Signal::ALL {
        let (item, decode, round_trip): (_, Start, Start) = match signal {
            Signal::Traces => ("span", prost_decode::<TracesData>, prost_round_trip::<TracesData>),
            Signal::Metrics => ("point", prost_decode::<MetricsData>, prost_round_trip::<MetricsData>),
            Signal::Logs => ("record", prost_decode::<LogsData>, prost_round_trip::<LogsData>),
        };
        for shape in Shape::ALL {
            let request = request(signal, shape);
            let name = |operation: &str| format!("wire/{signal}/{}/{operation}", shape.name());
            let walk = move |request| walk(signal, request);
            benchmarks.push(of_request(name("walk"), &request, item, walk));
            benchmarks.push(of_request(name("prost_decode"), &request, item, decode));
            benchmarks.push(of_request(name("prost_decode_encode"), &request, item, round_trip));
        }
        let request = request(signal, Shape::Ascii);
        for (operation, change) in CHANGES {
            let name = |by: &str| format!("wire/{signal}/edit/{operation}{by}");
            let edit = move |request| edit(signal, request, change);
            benchmarks.push(of_request(name(""), &request, item, edit));
            let by_prost = move |request| prost_edit(signal, request, change);
            benchmarks.push(of_request(name("_by_prost"), &request, item, by_prost));
        }
        let one_by_one = format!("wire/{signal}/edit/insert_rename_drop_one_by_one");
        benchmarks.push(of_request(one_by_one, &request, item, move |request| edit_one_by_one(signal, request)));
    }
    benchmarks
}

type Start = fn(Bytes) -> Calls;

fn of_request(
    name: String,
    request: &Bytes,
    item: &'static str,
    start: impl Fn(Bytes) -> Calls + 'static,
) -> Benchmark {
    let (bytes, request) = (request.len() as u64, request.clone());
    Benchmark {
        item,
        items: ITEMS,
        bytes,
        reference: Reference::Memcpy,
        counted_calls: 10,
        ..Benchmark::new(name, move || start(request.clone()))
    }
}

/// A request in ASCII of this many items that looks like real telemetry.
pub(crate) fn request_of(signal: Signal, items: u64) -> Bytes {
    encoded(signal, Script::Ascii, items).into()
}

fn encoded(signal: Signal, script: Script, items: u64) -> Vec<u8> {
    let mut payload = Payload::new(script);
    let items = usize::try_from(items).expect("it is small");
    match signal {
        Signal::Traces => payload.traces(items).encode_to_vec(),
        Signal::Metrics => payload.metrics(items).encode_to_vec(),
        Signal::Logs => payload.logs(items).encode_to_vec(),
    }
}

/// A request that looks like real telemetry.
fn request(signal: Signal, shape: Shape) -> Bytes {
    let script = match shape {
        Shape::Ascii | Shape::Shuffled => Script::Ascii,
        Shape::Cyrillic => Script::Cyrillic,
        Shape::Cjk => Script::Cjk,
    };
    let request = encoded(signal, script, ITEMS);
    match shape {
        Shape::Ascii | Shape::Cyrillic | Shape::Cjk => request.into(),
        Shape::Shuffled => {
            let mut node = tree::Node::read(signal.as_str(), &request);
            tree::shuffle(&mut node, &mut random());
            node.write().into()
        }
    }
}

/// The same numbers each time. A linear congruential generator (Knuth's), of which the high bits are good.
fn random() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

/// What is changed, on the wire and with prost's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// An attribute of the resource.
    UpsertResource,
    /// An attribute of every item, which has none of the name.
    Insert,
    /// One that every item has.
    Rename,
    /// One item in a hundred is dropped, after a look at an attribute.
    Drop,
    /// The last three.
    All,
}

const CHANGES: [(&str, Change); 5] = [
    ("upsert_resource", Change::UpsertResource),
    ("insert", Change::Insert),
    ("rename", Change::Rename),
    ("drop", Change::Drop),
    ("insert_rename_drop", Change::All),
];

/// What several processors in a row do.
const THREE: [Change; 3] = [Change::Insert, Change::Rename, Change::Drop];

/// The key and the value of what is inserted.
const INSERTED: (&str, &str) = ("deployment.environment.name", "production");

/// For each signal the attribute that is renamed and the one that a filter reads.
fn keys(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::Traces => ("server.address", "url.scheme"),
        Signal::Metrics => ("k8s.pod.name", "hw.index"),
        Signal::Logs => ("log.logger", "app.tenant"),
    }
}

/// A change of a batch. Of the items that have the attribute `read`, each hundredth is dropped.
struct Changes {
    change: Change,
    renamed: &'static str,
    read: &'static str,
    seen: u32,
}

impl Changes {
    fn new(signal: Signal, change: Change) -> Self {
        let (renamed, read) = keys(signal);
        Changes { change, renamed, read, seen: 0 }
    }

    fn is(&self, change: Change) -> bool {
        self.change == change || self.change == Change::All && change != Change::UpsertResource
    }

    fn hundredth(&mut self) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(100)
    }

    fn apply(&mut self, attributes: &mut Vec<KeyValue>) -> bool {
        if self.is(Change::Insert) && attributes.iter().all(|pair| pair.key != INSERTED.0) {
            attributes.push(inserted());
        }
        if self.is(Change::Rename)
            && let Some(pair) = attributes.iter_mut().find(|pair| pair.key == self.renamed)
        {
            pair.key = "renamed".to_owned();
        }
        !self.is(Change::Drop) || attributes.iter().all(|pair| pair.key != self.read) || !self.hundredth()
    }
}

fn inserted() -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(INSERTED.1.to_owned())) };
    KeyValue { key: INSERTED.0.to_owned(), value: Some(value), key_strindex: 0 }
}

impl Edit for Changes {
    fn touches(&self) -> Touches {
        let resources = self.change == Change::UpsertResource;
        Touches { resources, items: !resources, ..Touches::NOTHING }
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        attributes.set(INSERTED.0, PlainValue::Str(INSERTED.1), When::Always);
        Act::Keep
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        if self.is(Change::Insert) {
            item.attributes.set(INSERTED.0, PlainValue::Str(INSERTED.1), When::Absent);
        }
        if self.is(Change::Rename) {
            item.attributes.rename(self.renamed, "renamed");
        }
        if self.is(Change::Drop) && item.attributes.contains(self.read) && self.hundredth() {
            return Act::Drop;
        }
        Act::Keep
    }
}

/// A change in one pass over the wire; several by an edit each, as several processors make them.
fn edit(signal: Signal, request: Bytes, change: Change) -> Calls {
    let batch = Batch::validate(signal, request).expect("the request is valid");
    Box::new(move |calls| {
        for _ in 0..calls {
            let batch = black_box(&batch);
            black_box(if change == Change::All {
                let [first, second, third] = &mut THREE.map(|change| Changes::new(signal, change));
                batch.edit_in_turn(&mut [first, second, third], &mut Tally::default())
            } else {
                batch.edit(&mut Changes::new(signal, change))
            });
        }
    })
}

/// What three processors in a row cost, each with a pass of its own.
fn edit_one_by_one(signal: Signal, request: Bytes) -> Calls {
    let batch = Batch::validate(signal, request).expect("the request is valid");
    Box::new(move |calls| {
        for _ in 0..calls {
            let edited = THREE
                .into_iter()
                .fold(black_box(&batch).clone(), |batch, change| batch.edit(&mut Changes::new(signal, change)));
            black_box(edited);
        }
    })
}

/// The same change by decoding and encoding.
fn prost_edit(signal: Signal, request: Bytes, change: Change) -> Calls {
    Box::new(move |calls| {
        for _ in 0..calls {
            let mut changes = Changes::new(signal, change);
            let upserted = |resource: &mut Option<Resource>| {
                if change == Change::UpsertResource {
                    resource.get_or_insert_default().attributes.push(inserted());
                }
            };
            let bytes = black_box(&request[..]);
            black_box(match signal {
                Signal::Traces => {
                    let mut data = TracesData::decode(bytes).expect("the request is valid");
                    for resource in &mut data.resource_spans {
                        upserted(&mut resource.resource);
                        for scope in &mut resource.scope_spans {
                            scope.spans.retain_mut(|span| changes.apply(&mut span.attributes));
                        }
                    }
                    data.encode_to_vec()
                }
                Signal::Logs => {
                    let mut data = LogsData::decode(bytes).expect("the request is valid");
                    for resource in &mut data.resource_logs {
                        upserted(&mut resource.resource);
                        for scope in &mut resource.scope_logs {
                            scope.log_records.retain_mut(|log| changes.apply(&mut log.attributes));
                        }
                    }
                    data.encode_to_vec()
                }
                Signal::Metrics => {
                    let mut data = MetricsData::decode(bytes).expect("the request is valid");
                    for resource in &mut data.resource_metrics {
                        upserted(&mut resource.resource);
                        for metric in resource.scope_metrics.iter_mut().flat_map(|scope| &mut scope.metrics) {
                            use opentelemetry_proto::tonic::metrics::v1::metric::Data;
                            match metric.data.as_mut().expect("every metric has points") {
                                Data::Gauge(data) => data.data_points.retain_mut(|p| changes.apply(&mut p.attributes)),
                                Data::Sum(data) => data.data_points.retain_mut(|p| changes.apply(&mut p.attributes)),
                                Data::Histogram(data) => {
                                    data.data_points.retain_mut(|p| changes.apply(&mut p.attributes));
                                }
                                Data::ExponentialHistogram(data) => {
                                    data.data_points.retain_mut(|p| changes.apply(&mut p.attributes));
                                }
                                Data::Summary(data) => {
                                    data.data_points.retain_mut(|p| changes.apply(&mut p.attributes));
                                }
                            }
                        }
                    }
                    data.encode_to_vec()
                }
            });
        }
    })
}

/// The least that anything which reads the bytes can cost.
fn memcpy(request: Bytes) -> Calls {
    let mut copy = vec![0; request.len()];
    Box::new(move |calls| {
        for _ in 0..calls {
            copy.copy_from_slice(black_box(&request));
            black_box(&mut copy);
        }
    })
}

/// What a receiver does with each request.
fn walk(signal: Signal, request: Bytes) -> Calls {
    Box::new(move |calls| {
        for _ in 0..calls {
            let batch = Batch::validate(signal, black_box(request.clone())).expect("the request is valid");
            assert_eq!(batch.items(), ITEMS);
        }
    })
}

/// What a collector does that works on decoded data, up to its first processor.
fn prost_decode<M: Message + Default + 'static>(request: Bytes) -> Calls {
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(M::decode(black_box(&request[..])).expect("the request is valid"));
        }
    })
}

/// What a collector does that works on decoded data, to pass a request on.
fn prost_round_trip<M: Message + Default + 'static>(request: Bytes) -> Calls {
    Box::new(move |calls| {
        for _ in 0..calls {
            let decoded = M::decode(black_box(&request[..])).expect("the request is valid");
            black_box(decoded.encode_to_vec());
        }
    })
}
