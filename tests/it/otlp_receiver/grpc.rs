//! Bad input over gRPC: the status of each, that it is not sent again, and that nothing of it stays.

use bytes::Bytes;
use http::Method;
use tracecore::otlp::compression::Encoding;
use tracecore::otlp::grpc::Code;
use tracecore::signal::Signal;
use tracecore::testing::{RecordingExporter as Sink, logs, metrics};

use super::client::{body_of, call, compressed, flagged, message, with};
use super::{Served, Settings, bad};

const ENCODINGS: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

/// A limit of one MiB.
async fn small() -> Served {
    Served::with(Settings { grpc: "max_recv_msg_size_mib: 1", ..Settings::default() }, Sink::new()).await
}

#[tokio::test]
async fn what_is_no_request_is_an_invalid_argument() {
    let mut served = Served::start().await;
    let mut client = served.grpc().await;
    let mut requests = 0;
    for (name, signal, bytes) in bad::messages() {
        for encoding in [None, Some(Encoding::Gzip)] {
            let (request, body) = match encoding {
                None => (call(signal), message(&bytes)),
                Some(encoding) => {
                    let request = with(call(signal), "grpc-encoding", encoding.as_str());
                    (request, flagged(1, &compressed(encoding, &bytes)))
                }
            };
            let answer = client.send(request, body).await;
            assert_eq!((answer.status, answer.permanent()), (200, Code::InvalidArgument), "{name}");
            assert_eq!(answer.header("content-type"), Some("application/grpc"));
            requests += 1;
        }
        served.still_serves().await;
    }
    drop(client);
    served.answered("4xx", requests).await;
    served.stop().await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_for_good_and_never_out_of_range() {
    let mut served = small().await;
    let large = bad::large(1 << 20);
    let answer = served.grpc().await.send(call(Signal::Traces), message(&large)).await;
    assert_eq!(answer.permanent(), Code::ResourceExhausted);
    assert!(answer.failure().message.contains("raise max_recv_msg_size_mib"), "{answer:?}");
    // By what it says: nothing more has to come.
    let mut client = served.grpc().await;
    let announced = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1]);
    let (answer, _body) = client.begin(call(Signal::Traces), announced, false);
    assert_eq!(super::client::received(answer).await.unwrap().permanent(), Code::ResourceExhausted);
    served.still_serves().await;
    // What is just small enough is taken.
    let fits = bad::large((1 << 20) - 64);
    assert!(fits.len() < 1 << 20);
    let answer = served.grpc().await.send(call(Signal::Traces), message(&fits)).await;
    assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
    served.taken += 1;
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn what_grows_above_the_limit_when_decompressed_is_refused_for_good() {
    let mut served = small().await;
    let mut client = served.grpc().await;
    for encoding in ENCODINGS {
        let bomb = compressed(encoding, &bad::large(16 << 20));
        assert!(bomb.len() < 1 << 20, "{encoding:?}: {} bytes", bomb.len());
        let request = with(call(Signal::Traces), "grpc-encoding", encoding.as_str());
        let answer = client.send(request, flagged(1, &bomb)).await;
        assert_eq!(answer.permanent(), Code::ResourceExhausted, "{encoding:?}");
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn one_layer_of_compression_is_taken_off() {
    let mut served = Served::start().await;
    let twice = compressed(Encoding::Gzip, &compressed(Encoding::Gzip, &body_of(&logs("a", 1))));
    let request = with(call(Signal::Logs), "grpc-encoding", "gzip");
    let answer = served.grpc().await.send(request, flagged(1, &twice)).await;
    assert_eq!(answer.permanent(), Code::InvalidArgument);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn a_call_that_is_not_one_says_what_is_wrong_with_it() {
    let mut served = Served::start().await;
    let mut client = served.grpc().await;
    let good = body_of(&metrics("one", 1));
    let gzip = |body: Bytes| (with(call(Signal::Metrics), "grpc-encoding", "gzip"), body);
    let plain = |body: Bytes| (call(Signal::Metrics), body);
    let headed = |name, value| (with(call(Signal::Metrics), name, value), message(&good));
    let mut without_te = headed("te", "x");
    without_te.0.headers_mut().remove("te");
    let mut elsewhere = plain(message(&good));
    *elsewhere.0.uri_mut() =
        "http://localhost/opentelemetry.proto.collector.metrics.v1.MetricsService/Import".parse().unwrap();
    let mut of_http = plain(message(&good));
    *of_http.0.uri_mut() = "http://localhost/v1/metrics".parse().unwrap();
    let cases = [
        ("compressed, and nobody says how", plain(flagged(1, &compressed(Encoding::Gzip, &good))), Code::Internal),
        ("compressed with identity", headed("grpc-encoding", "identity"), Code::Ok),
        ("an encoding that nobody has", headed("grpc-encoding", "snappy"), Code::Unimplemented),
        ("an encoding that is no text", headed("grpc-encoding", "gzip,gzip"), Code::Unimplemented),
        ("a flag that there is not", plain(flagged(2, &good)), Code::Internal),
        ("not compressed as it says", gzip(flagged(1, &good)), Code::Internal),
        ("cut in its compression", gzip(flagged(1, &compressed(Encoding::Gzip, &good)[..20])), Code::Internal),
        ("said to be compressed and not", gzip(message(&good)), Code::Ok),
        ("no message", plain(Bytes::new()), Code::Unimplemented),
        ("a part of a prefix", plain(Bytes::from_static(&[0, 0, 0])), Code::Internal),
        ("a part of a message", plain(message(&good).slice(..good.len())), Code::Internal),
        ("two messages", plain([message(&good), message(&good)].concat().into()), Code::Unimplemented),
        ("no te", without_te, Code::InvalidArgument),
        ("a timeout that is none", headed("grpc-timeout", "soon"), Code::InvalidArgument),
        ("a timeout that is over", headed("grpc-timeout", "0n"), Code::DeadlineExceeded),
        ("a method that there is not", elsewhere, Code::Unimplemented),
        ("a path of HTTP", of_http, Code::Unimplemented),
    ];
    for (name, (request, body), expected) in cases {
        let is_known =
            !["snappy", "gzip,gzip"].iter().any(|one| request.headers().get("grpc-encoding").is_some_and(|v| v == one));
        let answer = client.send(request, body).await;
        assert_eq!((answer.status, answer.grpc_status()), (200, Some(expected.number())), "{name}: {answer:?}");
        let accepts = (!is_known).then_some("identity,gzip,zstd,deflate");
        assert_eq!(answer.header("grpc-accept-encoding"), accepts, "{name}");
        served.taken += u64::from(expected == Code::Ok);
        served.still_serves().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_grpc_is_answered_as_http_is() {
    let mut served = Served::start().await;
    let mut client = served.grpc().await;
    let good = message(&body_of(&metrics("one", 1)));
    for other in ["application/json", "application/x-protobuf", "application/grpc-web", "text/plain", ""] {
        let answer = client.send(with(call(Signal::Metrics), "content-type", other), good.clone()).await;
        assert_eq!((answer.status, answer.grpc_status()), (415, None), "{other}");
    }
    for same in ["application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        let answer = client.send(with(call(Signal::Metrics), "content-type", same), good.clone()).await;
        assert_eq!(answer.grpc_status(), Some(0), "{same}");
        served.taken += 1;
    }
    let mut request = call(Signal::Metrics);
    request.headers_mut().remove("content-type");
    assert_eq!(client.send(request, good.clone()).await.status, 415);
    for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::from_bytes(b"EXPORT").unwrap()] {
        let mut request = call(Signal::Metrics);
        *request.method_mut() = method;
        assert_eq!(client.send(request, good.clone()).await.status, 405);
    }
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn empty_requests_succeed() {
    let mut served = Served::start().await;
    let mut client = served.grpc().await;
    for signal in Signal::ALL {
        // Nothing; a resource with nothing in it; a scope with nothing in it.
        for empty in [&b""[..], b"\x0a\x00", b"\x0a\x02\x12\x00"] {
            let answer = client.send(call(signal), message(empty)).await;
            assert_eq!((answer.status, answer.grpc_status()), (200, Some(0)), "{signal} {empty:?}");
            assert_eq!(answer.body, message(b""), "an empty response: nothing was rejected");
        }
    }
    served.still_serves().await;
    served.stop().await;
}
