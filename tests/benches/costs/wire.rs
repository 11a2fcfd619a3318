//! What flows: validating a request beside copying it and beside prost.

#[path = "../../../tracecore/src/signal/tests/payload.rs"]
mod payload;
#[expect(dead_code, reason = "the tests of the walk use more of it")]
#[path = "../../../tracecore/src/signal/tests/tree.rs"]
mod tree;

use std::hint::black_box;

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use payload::{Payload, Script};
use prost::Message;
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
