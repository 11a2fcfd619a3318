//! What goes in by one protocol comes out of another as it was: golden data over each pair of gRPC, HTTP with protobuf and
//! HTTP with JSON, with each compression on each side; and what was merged on its way out comes whole.
//!
//! Three collectors in one process, with real sockets between them: the first sends by the protocol that goes in, the
//! second receives it and sends by the one that goes out, the third receives that and hands it over.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;
use tracecore::signal::{Batch, Decoded, Signal};
use tracecore::testing::{RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, metrics};
use tracecore_tests::{differences, golden};

use crate::hop::{Hop, Protocol, collector};

const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];

/// The golden request of each signal, and how prost writes it. Made once for all tests.
static GOLDEN: LazyLock<[(Decoded, Bytes); 3]> = LazyLock::new(|| {
    Signal::ALL.map(|signal| {
        let golden = golden(signal);
        let bytes = bytes(&golden);
        (golden, bytes)
    })
});

fn bytes(decoded: &Decoded) -> Bytes {
    match decoded {
        Decoded::Traces(data) => data.encode_to_vec().into(),
        Decoded::Metrics(data) => data.encode_to_vec().into(),
        Decoded::Logs(data) => data.encode_to_vec().into(),
    }
}

async fn comes_out_of_each(goes_in: Protocol) {
    for comes_out in Protocol::ALL {
        // Each of the three compressions stands once on each side of each protocol.
        let (first, second) = (goes_in as usize + comes_out as usize, goes_in as usize + 2 * comes_out as usize);
        let compression = |number: usize| format!("compression: {}", COMPRESSIONS[number % 3]);
        let (to_second, to_third) = (Hop::new(), Hop::new());
        let (source, mut sink) = (Source::new(), Sink::new());
        let third = collector(&to_third.receiver(), "", &format!("test_sink: {{key: {sink}}}"));
        let third = Rig::start(&third).await;
        let out = to_third.exporter(comes_out, &compression(second));
        let middle = Rig::start(&collector(&to_second.receiver(), "", &out)).await;
        let out = to_second.exporter(goes_in, &compression(first));
        let sends = Rig::start(&collector(&format!("test_source: {{key: {source}}}"), "", &out)).await;
        for signal in Signal::ALL {
            let (golden, sent) = &GOLDEN[signal as usize];
            let batch = Batch::validate(signal, sent.clone()).expect("it is OTLP");
            let items = batch.items();
            assert!(source.emit(batch).await.is_accepted());
            let arrived = sink.called().await;
            let told = format!("{signal} in by {goes_in:?}, out by {comes_out:?}");
            assert_eq!((arrived.signal(), arrived.items()), (signal, items), "{told}");
            let differences = differences(golden, &arrived.decode());
            assert!(differences.is_empty(), "{told}:\n{}", differences.join("\n"));
            if ![goes_in, comes_out].contains(&Protocol::Json) {
                assert_eq!(arrived.parts().concat(), *sent, "{told}: what is not decoded is byte for byte the same");
            }
        }
        for service in [sends, middle, third] {
            service.stop().await;
        }
    }
}

#[tokio::test]
async fn what_goes_in_by_grpc_comes_out_of_each_protocol_as_it_was() {
    comes_out_of_each(Protocol::Grpc).await;
}

#[tokio::test]
async fn what_goes_in_by_http_with_protobuf_comes_out_of_each_protocol_as_it_was() {
    comes_out_of_each(Protocol::Protobuf).await;
}

#[tokio::test]
async fn what_goes_in_by_http_with_json_comes_out_of_each_protocol_as_it_was() {
    comes_out_of_each(Protocol::Json).await;
}

#[tokio::test]
async fn what_was_merged_comes_out_of_each_protocol_whole() {
    for comes_out in Protocol::ALL {
        for compression in COMPRESSIONS {
            let (hop, source, mut sink) = (Hop::new(), Source::new(), Sink::new());
            let receives = collector(&hop.receiver(), "", &format!("test_sink: {{key: {sink}}}"));
            let receives = Rig::start(&receives).await;
            let queue = "sending_queue: {batch: {flush_timeout: 1h, min_size: 6}}";
            let out = hop.exporter(comes_out, &format!("compression: {compression}, {queue}"));
            let sends = Rig::start(&collector(&format!("test_source: {{key: {source}}}"), "", &out)).await;
            let batches = [metrics("first", 1), metrics("second", 2), metrics("third", 3)];
            for batch in &batches {
                assert!(source.emit(batch.clone()).await.is_accepted());
            }
            let parts: Vec<u8> = batches.iter().flat_map(|batch| batch.parts().concat()).collect();
            let arrived = sink.called().await;
            assert_eq!(arrived.parts().concat(), parts, "out by {comes_out:?}, {compression}");
            for service in [sends, receives] {
                service.stop().await;
            }
        }
    }
}
