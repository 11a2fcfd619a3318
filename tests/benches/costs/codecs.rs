//! What stands between the wire and others: compression and JSON, and how large they make a request.

use std::hint::black_box;

use bytes::Bytes;
use tracecore::otlp::compression::{Compressor, Encoding, decompress};
use tracecore::otlp::json;
use tracecore::signal::{Batch, Signal};

use crate::harness::{Benchmark, Calls, Reference, print};
use crate::wire::request_of;

/// The sizes of requests: of a busy client, and of a busier one. Compression is better for larger ones.
const ITEMS: [u64; 2] = [100, 1000];

/// What compresses.
const ENCODINGS: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

/// More than any request here.
const LIMIT: usize = 64 << 20;

/// Every benchmark here.
pub(crate) fn benchmarks() -> Vec<Benchmark> {
    let mut benchmarks = Vec::new();
    for signal in Signal::ALL {
        for items in ITEMS {
            let request = request_of(signal, items);
            let mut add = |operation: String, start: Box<dyn Fn(Bytes) -> Calls>| {
                let name = format!("codec/{signal}/{items}/{operation}");
                benchmarks.push(of_request(name, signal, items, &request, start));
            };
            for encoding in ENCODINGS {
                add(format!("{encoding}_in"), Box::new(move |request| decompression(encoding, &request)));
                add(format!("{encoding}_out"), Box::new(move |request| compression(encoding, request)));
            }
            add("json_in".to_owned(), Box::new(move |request| from_json(signal, request)));
            add("json_out".to_owned(), Box::new(move |request| to_json(signal, request)));
        }
    }
    benchmarks
}

fn of_request(
    name: String,
    signal: Signal,
    items: u64,
    request: &Bytes,
    start: impl Fn(Bytes) -> Calls + 'static,
) -> Benchmark {
    let item = match signal {
        Signal::Traces => "span",
        Signal::Metrics => "point",
        Signal::Logs => "record",
    };
    let (bytes, request) = (request.len() as u64, request.clone());
    Benchmark {
        item,
        items,
        bytes,
        reference: Reference::Memcpy,
        counted_calls: 2,
        ..Benchmark::new(name, move || start(request.clone()))
    }
}

/// Prints how large each request is as it is, and how many times that of `gzip -6` it is in each form.
pub(crate) fn print_sizes() {
    print("# request bytes gzip-6 gzip zstd json");
    for signal in Signal::ALL {
        for items in ITEMS {
            let request = request_of(signal, items);
            let six = compressed(Encoding::Gzip, Some(6), &request).len() as f64;
            let times = ENCODINGS.map(|encoding| compressed(encoding, None, &request).len() as f64 / six);
            let json = json::encode(&batch(signal, request.clone())).len() as f64 / six;
            let [gzip, zstd] = times;
            print(&format!("{signal}/{items} {} {six} {gzip:.3} {zstd:.3} {json:.2}", request.len()));
        }
    }
}

fn compressed(encoding: Encoding, level: Option<i32>, request: &Bytes) -> Bytes {
    let compressor = Compressor::new(encoding, level).expect("there is such a level");
    compressor.compress(std::slice::from_ref(request)).expect("there is memory")
}

fn batch(signal: Signal, request: Bytes) -> Batch {
    Batch::validate(signal, request).expect("the request is valid")
}

/// What an exporter does with each batch.
fn compression(encoding: Encoding, request: Bytes) -> Calls {
    let compressor = Compressor::new(encoding, None).expect("the default level exists");
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(compressor.compress(black_box(std::slice::from_ref(&request))).expect("there is memory"));
        }
    })
}

/// What a receiver does with each request.
fn decompression(encoding: Encoding, request: &Bytes) -> Calls {
    let compressed = compressed(encoding, None, request);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(decompress(encoding, black_box(&compressed), LIMIT).expect("it was just compressed"));
        }
    })
}

fn to_json(signal: Signal, request: Bytes) -> Calls {
    let batch = batch(signal, request);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(json::encode(black_box(&batch)));
        }
    })
}

fn from_json(signal: Signal, request: Bytes) -> Calls {
    let text = json::encode(&batch(signal, request));
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(json::decode(signal, black_box(&text)).expect("it was just written"));
        }
    })
}
