//! What is read of JSON is written as JSON that reads the same, and what is on the wire is the same after JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracecore::otlp::json;
use tracecore::signal::{Batch, Decoded, Signal};
use tracecore_fuzz::{batch, signal_and_rest};

/// All that is in it, where each NaN is the same: JSON has but one.
fn held(decoded: &Decoded) -> String {
    format!("{decoded:?}")
}

fn survives(batch: &Batch) {
    let text = json::encode(batch);
    let back = json::decode(batch.signal(), &text).expect("what is written can be read");
    assert!(back.is_canonical());
    assert_eq!(held(&back.decode()), held(&batch.decode()));
    assert_eq!(json::encode(&back), text);
}

fn read(signal: Signal, text: &[u8]) {
    match json::decode(signal, text) {
        Ok(batch) => survives(&batch),
        // An error has a bound however long what it is about.
        Err(error) => assert!(error.to_string().len() < 1024),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((signal, rest)) = signal_and_rest(input) else { return };
    match rest.first() {
        // Every text of JSON that is a request begins so, and no message of OTLP that has only known fields.
        Some(b'{' | b' ' | b'\n') => read(signal, rest),
        _ => drop(batch(signal, rest).as_ref().map(survives)),
    }
    json::signal_of(rest);
});
