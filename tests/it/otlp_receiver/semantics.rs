//! What OTLP says of a request and its answer: taken as it came, come again, or not at all.

use std::time::Duration;

use bytes::Bytes;
use tracecore::otlp::compression::Encoding;
use tracecore::otlp::grpc::Code;
use tracecore::otlp::{Format, json, path};
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{Answer, RecordingExporter as Sink, logs, metrics, spans};

use super::client::{body_of, call, compressed, flagged, message, post, with};
use super::{Served, Settings};

const ENCODINGS: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

fn batches() -> [Batch; 3] {
    [spans("a", 3), metrics("b", 2000), logs("c", 1)]
}

fn last(served: &Served) -> (Signal, Bytes) {
    let taken = served.sink.taken();
    let batch = taken.last().expect("one was taken");
    (batch.signal(), body_of(batch))
}

#[tokio::test]
async fn each_signal_arrives_by_grpc_as_it_was_sent() {
    let mut served = Served::start().await;
    let mut client = served.grpc().await;
    for encoding in ENCODINGS {
        for batch in batches() {
            let body = body_of(&batch);
            let (request, body) = match encoding {
                Encoding::Identity => (call(batch.signal()), message(&body)),
                _ => {
                    let request = with(call(batch.signal()), "grpc-encoding", encoding.as_str());
                    (request, flagged(1, &compressed(encoding, &body)))
                }
            };
            let answer = client.send(request, body).await;
            assert_eq!((answer.status, answer.grpc_status()), (200, Some(0)), "{answer:?}");
            assert_eq!((answer.body.clone(), answer.header("grpc-message")), (message(b""), None));
            assert_eq!(last(&served), (batch.signal(), body_of(&batch)), "{encoding:?}");
            served.taken += batch.items();
        }
    }
    served.holds();
    drop(client);
    served.answered("2xx", 3 * ENCODINGS.len()).await;
    served.stop().await;
}

#[tokio::test]
async fn each_signal_arrives_by_http_as_it_was_sent() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    for encoding in ENCODINGS {
        for (format, batch) in [Format::Protobuf, Format::Json].into_iter().flat_map(|f| batches().map(|b| (f, b))) {
            let body = match format {
                Format::Protobuf => body_of(&batch),
                Format::Json => json::encode(&batch).into(),
            };
            let content_type = format.content_type();
            let headers = match encoding {
                Encoding::Identity => format!("content-type: {content_type}; charset=utf-8\r\n"),
                _ => format!("content-type: {content_type}\r\ncontent-encoding: {}\r\n", encoding.as_str()),
            };
            let body = if encoding == Encoding::Identity { body } else { compressed(encoding, &body) };
            let answer = client.ask(post(path(batch.signal()), &headers, &body)).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{answer:?}");
            assert_eq!(answer.body, if format == Format::Json { "{}" } else { "" });
            assert_eq!(last(&served), (batch.signal(), body_of(&batch)), "{encoding:?}");
            served.taken += batch.items();
        }
    }
    served.holds();
    drop(client);
    served.answered("2xx", 6 * ENCODINGS.len()).await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_in_pieces_is_one_request() {
    let mut served = Served::start().await;
    let batch = metrics("b", 5000);
    let body = body_of(&batch);
    let head = "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: application/x-protobuf\r\n\r\n";
    let chunks = body.chunks(997).map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let chunked = [head.as_bytes(), &chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n"].concat();
    assert_eq!(served.http().await.ask(chunked).await.status, 200);
    assert_eq!(last(&served), (Signal::Metrics, body.clone()));

    let mut client = served.grpc().await;
    let (answer, mut stream) = client.begin(call(Signal::Metrics), Bytes::new(), false);
    let message = message(&body);
    for piece in message.chunks(1009) {
        stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
    }
    stream.send_trailers(http::HeaderMap::new()).unwrap();
    assert_eq!(super::client::received(answer).await.unwrap().grpc_status(), Some(0));
    assert_eq!(last(&served), (Signal::Metrics, body));
    served.taken += 2 * batch.items();
    served.holds();
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again_and_what_comes_again_is_taken() {
    let settings = Settings { exporter: Some("sending_queue: {queue_size: 10, sizer: items}"), ..Settings::default() };
    let mut served = Served::with(settings, Sink::answering(Answer::Stall)).await;
    let (body, second) = (body_of(&metrics("fills", 10)), Some(Duration::from_secs(1)));
    let mut grpc = served.grpc().await;
    let mut http = served.http().await;
    assert_eq!(grpc.send(call(Signal::Metrics), message(&body)).await.grpc_status(), Some(0));
    served.sink.called().await;

    let failure = grpc.send(call(Signal::Metrics), message(&body)).await.failure();
    assert_eq!((failure.code, failure.retry_after), (Code::Unavailable, second));
    let json_body = json::encode(&metrics("fills", 10));
    for (format, body) in [(Format::Protobuf, &body[..]), (Format::Json, &json_body)] {
        let headers = format!("content-type: {}\r\n", format.content_type());
        let answer = http.ask(post("/v1/metrics", &headers, body)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        let failure = answer.body_status(format);
        assert_eq!((failure.code, failure.retry_after), (Code::Unavailable, second));
    }
    served.sink.release(2);
    served.rig.wait_metric("tracecore_queue_depth_ratio", &[], |ratio| ratio == 0.0).await;
    assert_eq!(grpc.send(call(Signal::Metrics), message(&body)).await.grpc_status(), Some(0));
    served.rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 2.0).await;
    served.taken = 20;
    served.holds();
    drop((grpc, http));
    served.answered("5xx", 3).await;
    served.stop().await;
}

#[tokio::test]
async fn what_will_never_be_taken_is_refused_for_good() {
    let settings = Settings { exporter: Some("sending_queue: {queue_size: 10, sizer: items}"), ..Settings::default() };
    let served = Served::with(settings, Sink::new()).await;
    let body = body_of(&metrics("larger than the queue", 11));
    let answer = served.grpc().await.send(call(Signal::Metrics), message(&body)).await;
    assert_eq!(answer.permanent(), Code::InvalidArgument);
    let answer = served.http().await.ask(post("/v1/metrics", "content-type: application/x-protobuf\r\n", &body)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (400, None));
    assert_eq!(answer.body_status(Format::Protobuf).code, Code::InvalidArgument);
    served.answered("4xx", 2).await;
    assert_eq!(served.sink.items(), 0);
    served.rig.stop().await;
}

#[tokio::test]
async fn who_does_not_wait_any_longer_is_told_that_its_time_is_over() {
    let mut served = Served::with(Settings::default(), Sink::answering(Answer::Stall)).await;
    let body = message(&body_of(&metrics("one", 1)));
    let request = with(call(Signal::Metrics), "grpc-timeout", "30m");
    let failure = served.grpc().await.send(request, body).await.failure();
    assert_eq!((failure.code, failure.is_retryable()), (Code::DeadlineExceeded, true));
    served.sink.release(1);
    served.rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    served.taken = 1;
    served.holds();
    served.stop().await;
}

#[tokio::test]
async fn metadata_goes_with_a_batch_where_it_is_asked_for() {
    for asked in [false, true] {
        let include = format!("include_metadata: {asked}");
        let settings = Settings { grpc: &include, http: &include, ..Settings::default() };
        let mut served = Served::with(settings, Sink::new()).await;
        let body = body_of(&metrics("one", 1));
        let request = with(call(Signal::Metrics), "x-tenant", "a");
        assert_eq!(served.grpc().await.send(request, message(&body)).await.grpc_status(), Some(0));
        let headers = "content-type: application/x-protobuf\r\nX-Tenant: b\r\n";
        assert_eq!(served.http().await.ask(post("/v1/metrics", headers, &body)).await.status, 200);
        let tenants: Vec<_> = served.sink.taken().iter().map(tenant).collect();
        let expected = if asked { [Some("a".to_owned()), Some("b".to_owned())] } else { [None, None] };
        assert_eq!(tenants, expected);
        served.taken += 2;
        served.stop().await;
    }
}

fn tenant(batch: &Batch) -> Option<String> {
    Some(batch.metadata()?.get("x-tenant")?.to_owned())
}

#[tokio::test]
async fn paths_and_headers_of_answers_are_as_configured() {
    let http = "traces_url_path: /in, response_headers: {X-Gateway: one, cache-control: no-store}";
    let mut served = Served::with(Settings { http, ..Settings::default() }, Sink::new()).await;
    let mut client = served.http().await;
    let headers = "content-type: application/x-protobuf\r\n";
    let cases = [("/in", "", 200), ("/in", "not OTLP", 400), ("/v1/traces", "", 404), ("/v1/logs", "", 200)];
    for (path, body, status) in cases {
        let answer = client.ask(post(path, headers, body.as_bytes())).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!((answer.header("x-gateway"), answer.header("cache-control")), (Some("one"), Some("no-store")));
    }
    let answer = client.ask("GET /in HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("x-gateway")), (405, Some("one")));
    served.still_serves().await;
    served.stop().await;
}
