//! OTLP/JSON against another implementation: what we write it reads as it was, and what it writes we do.

use std::fs;
use std::process::Command;

use prost::Message;
use tempfile::TempDir;
use tracecore::otlp::json;
use tracecore::signal::{Batch, Decoded, Signal};
use tracecore_tests::{differences, golden};

use crate::process::{root, run};
use crate::sdk::python;

#[test]
fn another_implementation_of_json_reads_and_writes_golden_data_alike() {
    let folder = TempDir::new().expect("a folder");
    let file = |signal: Signal, end: &str| folder.path().join(format!("{signal}.{end}"));
    for signal in Signal::ALL {
        let batch = Batch::from_decoded(&golden(signal)).expect("it is OTLP");
        fs::write(file(signal, "pb"), batch.parts().concat()).expect("the folder is ours");
        fs::write(file(signal, "json"), json::encode(&batch)).expect("the folder is ours");
    }
    let ended = run(Command::new(python()).arg(root().join("tests/e2e/python/json_peer.py")).arg(folder.path()));
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for signal in Signal::ALL {
        let read = |end: &str| fs::read(file(signal, end)).expect("the peer wrote it");
        let theirs = json::decode(signal, &read("pb.json")).expect("it is OTLP/JSON");
        let differ = differences(&golden(signal), &theirs.decode());
        assert!(differ.is_empty(), "what the peer writes of {signal}:\n{}", differ.join("\n"));
        let differ = differences(&golden(signal), &decode(signal, &read("json.pb")));
        assert!(differ.is_empty(), "what the peer reads of {signal}:\n{}", differ.join("\n"));
    }
}

fn decode(signal: Signal, bytes: &[u8]) -> Decoded {
    let valid = "the peer writes protobuf";
    match signal {
        Signal::Traces => Decoded::Traces(Message::decode(bytes).expect(valid)),
        Signal::Metrics => Decoded::Metrics(Message::decode(bytes).expect(valid)),
        Signal::Logs => Decoded::Logs(Message::decode(bytes).expect(valid)),
    }
}
