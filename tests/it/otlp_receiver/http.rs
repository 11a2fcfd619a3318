//! Bad input over HTTP: the status of each, its body in the format of the request, and that nothing of it stays.

use bytes::Bytes;
use tracecore::otlp::Format;
use tracecore::otlp::compression::Encoding;
use tracecore::otlp::grpc::Code;
use tracecore::otlp::path;
use tracecore::signal::Signal;
use tracecore::testing::{RecordingExporter as Sink, metrics};

use super::client::{body_of, compressed, post};
use super::{Served, Settings, bad};

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const JSON: &str = "content-type: application/json\r\n";

const ENCODINGS: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

fn encoded(headers: &str, encoding: &str) -> String {
    format!("{headers}content-encoding: {encoding}\r\n")
}

/// A limit of one MiB.
async fn small() -> Served {
    Served::with(Settings { http: "max_request_body_size: 1MiB", ..Settings::default() }, Sink::new()).await
}

#[tokio::test]
async fn what_is_no_request_is_400_with_a_status_in_the_same_format() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    let of = |format, cases: Vec<_>| cases.into_iter().map(move |(name, signal, bytes)| (format, name, signal, bytes));
    let cases: Vec<_> = of(Format::Protobuf, bad::messages()).chain(of(Format::Json, bad::texts())).collect();
    for (format, name, signal, bytes) in &cases {
        let headers = format!("content-type: {}\r\n", format.content_type());
        let gzip = encoded(&headers, "gzip");
        for (headers, body) in [(headers, bytes.clone()), (gzip, compressed(Encoding::Gzip, bytes))] {
            let answer = client.ask(post(path(*signal), &headers, &body)).await;
            assert_eq!((answer.status, answer.header("retry-after")), (400, None), "{name}: {answer:?}");
            let status = answer.body_status(*format);
            assert_eq!((status.code, status.retry_after), (Code::InvalidArgument, None), "{name}");
        }
        served.still_serves().await;
    }
    drop(client);
    served.answered("4xx", 2 * cases.len()).await;
    served.stop().await;
}

#[tokio::test]
async fn messages_may_stand_in_each_other_to_a_depth_of_64() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    for (headers, nested) in [(PROTOBUF, bad::nested as fn(usize) -> Bytes), (JSON, bad::nested_text)] {
        for (messages, status) in [(64, 200), (65, 400)] {
            let answer = client.ask(post("/v1/logs", headers, &nested(messages))).await;
            assert_eq!(answer.status, status, "{messages}, {headers}: {answer:?}");
        }
        served.taken += 1;
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_as_soon_as_that_is_known() {
    let mut served = small().await;
    let large = bad::large(1 << 20);
    for headers in [PROTOBUF, JSON] {
        // By what it says: nothing has to come.
        let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n{headers}\r\n", 2 << 20);
        assert_eq!(served.http().await.ask(head).await.status, 413);
        // By what comes, which never ends.
        let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{headers}\r\n");
        let chunks = format!("{:x}\r\n{}\r\n", large.len(), "x".repeat(large.len()));
        let answer = served.http().await.ask(head + &chunks).await;
        assert_eq!((answer.status, answer.header("retry-after")), (413, None));
        let format = if headers == JSON { Format::Json } else { Format::Protobuf };
        let status = answer.body_status(format);
        assert_eq!((status.code, status.is_retryable()), (Code::ResourceExhausted, false));
        assert!(status.message.contains("raise max_request_body_size"), "{}", status.message);
        served.still_serves().await;
    }
    let fits = bad::large((1 << 20) - 64);
    assert_eq!(served.http().await.ask(post("/v1/traces", PROTOBUF, &fits)).await.status, 200);
    served.taken += 1;
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn what_grows_above_the_limit_when_decompressed_is_413() {
    let mut served = small().await;
    for encoding in ENCODINGS {
        for (headers, bytes) in [(PROTOBUF, bad::large(16 << 20)), (JSON, Bytes::from(vec![b' '; 16 << 20]))] {
            let bomb = compressed(encoding, &bytes);
            assert!(bomb.len() < 1 << 20, "{encoding:?}: {} bytes", bomb.len());
            let request = post("/v1/traces", &encoded(headers, encoding.as_str()), &bomb);
            assert_eq!(served.http().await.ask(request).await.status, 413, "{encoding:?}");
        }
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_compressed_otherwise_than_it_says_is_400() {
    let mut served = Served::start().await;
    let good = body_of(&metrics("one", 1));
    for encoding in ENCODINGS {
        let whole = compressed(encoding, &good);
        // One layer is taken off, and what gzip writes is no protobuf.
        let twice = compressed(encoding, &compressed(Encoding::Gzip, &good));
        for body in [&good[..], &whole[..whole.len() - 3], &twice[..], b""] {
            let request = post("/v1/metrics", &encoded(PROTOBUF, encoding.as_str()), body);
            let answer = served.http().await.ask(request).await;
            assert_eq!(answer.status, 400, "{encoding:?} of {} bytes: {answer:?}", body.len());
        }
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn other_types_and_encodings_are_415() {
    let settings = Settings { http: "compression_algorithms: ['', zstd]", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let mut client = served.http().await;
    let good = body_of(&metrics("one", 1));
    let types = ["text/plain", "application/protobuf", "application/grpc", "application/json-patch+json", "*/*"];
    let types = types.map(|named| format!("content-type: {named}\r\n"));
    for headers in types.iter().map(String::as_str).chain([""]) {
        let answer = client.ask(post("/v1/metrics", headers, &good)).await;
        assert_eq!(answer.status, 415, "{headers}");
        assert_eq!(answer.body_status(Format::Json).code, Code::InvalidArgument, "JSON where nothing is known");
    }
    for unknown in ["snappy", "br", "gzip", "gzip, zstd"] {
        let answer = client.ask(post("/v1/metrics", &encoded(PROTOBUF, unknown), &good)).await;
        assert_eq!((answer.status, answer.header("accept-encoding")), (415, Some("identity, zstd")), "{unknown}");
    }
    let zstd = compressed(Encoding::Zstd, &good);
    assert_eq!(client.ask(post("/v1/metrics", &encoded(PROTOBUF, "zstd"), &zstd)).await.status, 200);
    served.taken += 1;
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    let good = body_of(&metrics("one", 1));
    for other in ["/", "/v1/metrics/", "/v1", "/v1/Metrics", "/v1development/profiles", "//v1/metrics", "*"] {
        let answer = client.ask(post(other, PROTOBUF, &good)).await;
        assert_eq!(answer.status, 404, "{other}");
        assert_eq!(answer.body_status(Format::Protobuf).code, Code::NotFound);
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = client.ask(format!("{method} /v1/metrics HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    // What follows a question mark is nobody's.
    assert_eq!(client.ask(post("/v1/metrics?a=b", PROTOBUF, &good)).await.status, 200);
    served.taken += 1;
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_http_is_400() {
    let mut served = Served::start().await;
    let cases = [
        "no such thing\r\n\r\n",
        "POST /v1/metrics HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "POST /v1/metrics HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST /v1/metrics HTTP/1.1\r\nbad header\r\n\r\n",
        "POST /v1/metrics HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nxyz\r\n",
    ];
    for sent in cases {
        let mut client = served.http().await;
        let answer = client.ask(sent).await;
        assert_eq!(answer.status, 400, "{sent}: {answer:?}");
        client.closed().await;
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn empty_requests_succeed() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    for signal in Signal::ALL {
        for empty in [&b""[..], b"\x0a\x00", b"\x0a\x02\x12\x00"] {
            let answer = client.ask(post(path(signal), PROTOBUF, empty)).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-protobuf")));
            assert_eq!(answer.body, "", "an empty response: nothing was rejected");
        }
        let name = ["resourceSpans", "resourceMetrics", "resourceLogs"][signal as usize];
        for empty in ["{}", &format!("{{\"{name}\":[]}}"), &format!("{{\"{name}\":[{{}}]}}"), "{\"new\":[{}]}"] {
            let answer = client.ask(post(path(signal), JSON, empty.as_bytes())).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{empty}");
            assert_eq!(answer.body, "{}");
        }
    }
    served.still_serves().await;
    served.stop().await;
}
