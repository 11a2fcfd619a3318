//! Views read what prost decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracecore_fuzz::signal::{readable, rebuild};
use tracecore_fuzz::{batch, encode, signal_and_rest};

fuzz_target!(|input: &[u8]| {
    let Some((signal, bytes)) = signal_and_rest(input) else { return };
    let Some(batch) = batch(signal, bytes) else { return };
    // Of what is not canonical views may read another one of two values, and do so without a panic.
    rebuild(&batch);
    let mut decoded = batch.decode();
    readable(&mut decoded);
    assert_eq!(encode(&rebuild(&batch.normalised())), encode(&decoded));
});
