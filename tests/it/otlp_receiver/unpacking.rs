//! What takes long to unpack holds up nobody, is counted while it does, and is given up with its client.

use std::sync::mpsc;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracecore::otlp::compression::Encoding;
use tracecore::signal::Signal;
use tracecore::testing::{RecordingExporter as Sink, logs};

use super::client::{Grpc, Http, body_of, call, compressed, flagged, post, received, with};
use super::{Served, Settings, bad};

const HELD: &str = "tracecore_memory_held_bytes";

/// How much is unpacked at a time, unless `service.workers` says otherwise.
const AT_ONCE: usize = 4;

/// Runs a test in a runtime of one thread that receives, and one beside it.
fn on_two_threads(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

/// Keeps the thread beside the one that receives, until it is dropped.
struct Busy(#[expect(dead_code, reason = "its drop is what matters")] mpsc::Sender<()>);

impl Busy {
    #[expect(clippy::disallowed_methods, reason = "it is the pool of these threads that is to be full")]
    async fn begin() -> Self {
        let (sender, until) = mpsc::channel::<()>();
        let (begun, is_busy) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            begun.send(()).unwrap();
            until.recv().unwrap_err();
        });
        is_busy.await.unwrap();
        Busy(sender)
    }
}

/// A request that takes long, for all that is known before it is unpacked.
fn large() -> bytes::Bytes {
    bad::large(1 << 20)
}

#[test]
fn who_sends_what_takes_long_to_unpack_holds_up_nobody_else() {
    on_two_threads(async {
        let mut served = Served::start().await;
        let protobuf = "content-type: application/x-protobuf\r\n";
        let json = tracecore::otlp::json::encode(&logs("long", 1000)).into();
        let bomb = compressed(Encoding::Zstd, &large());
        assert!(bomb.len() < 8 * 1024, "it looks as if it took no time: {} bytes", bomb.len());
        let gzip = compressed(Encoding::Gzip, &body_of(&logs("long", 20_000)));
        let cases = [
            (protobuf.to_owned() + "content-encoding: zstd\r\n", bomb.clone(), "/v1/traces", 1),
            (protobuf.to_owned() + "content-encoding: gzip\r\n", gzip, "/v1/logs", 20_000),
            ("content-type: application/json\r\n".to_owned(), json, "/v1/logs", 1000),
        ];
        for (headers, body, path, items) in cases {
            let busy = Busy::begin().await;
            let mut client = served.http().await;
            client.send(post(path, &headers, &body)).await;
            served.rig.wait_metric(HELD, &[], |held| held == body.len() as f64).await;
            // It holds too: nothing of the other has arrived.
            served.still_serves().await;
            drop(busy);
            assert_eq!(client.answer().await.status, 200, "{headers}");
            served.taken += items;
            served.holds();
            served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
        }
        // The same on one connection.
        let busy = Busy::begin().await;
        let mut client = served.grpc().await;
        let request = with(call(Signal::Traces), "grpc-encoding", "zstd");
        let (answer, _) = client.begin(request, flagged(1, &bomb), true);
        served.rig.wait_metric(HELD, &[], |held| held == bomb.len() as f64).await;
        let other = client.send(call(Signal::Logs), flagged(0, &body_of(&logs("short", 1)))).await;
        assert_eq!(other.grpc_status(), Some(0));
        served.taken += 1;
        served.holds();
        drop(busy);
        assert_eq!(received(answer).await.unwrap().grpc_status(), Some(0));
        served.taken += 1;
        served.still_serves().await;
        served.stop().await;
    });
}

#[test]
fn who_goes_away_while_it_waits_to_be_unpacked_holds_nothing() {
    on_two_threads(async {
        let mut served = Served::start().await;
        let bomb = compressed(Encoding::Gzip, &large());
        let size = bomb.len();
        let request = post("/v1/traces", "content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\n", &bomb);
        let busy = Busy::begin().await;
        let mut clients: Vec<Http> = Vec::new();
        for count in 1..=AT_ONCE + 2 {
            let mut client = served.http().await;
            client.send(&request).await;
            clients.push(client);
            served.rig.wait_metric(HELD, &[], |held| held == (count * size) as f64).await;
        }
        // Those whose turn has not come hold nothing from now on; the others until their work is done.
        clients.clear();
        served.rig.wait_metric(HELD, &[], |held| held == (AT_ONCE * size) as f64).await;
        served.still_serves().await;
        drop(busy);
        served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
        served.still_serves().await;
        served.stop().await;
    });
}

#[test]
fn what_it_is_unpacked_to_shares_the_memory_that_batches_have() {
    on_two_threads(async {
        let settings = Settings { service: "memory_budget: 100KiB", ..Settings::default() };
        let mut served = Served::with(settings, Sink::new()).await;
        let bomb = compressed(Encoding::Gzip, &large());
        let headers = "content-type: application/x-protobuf\r\n";
        // Something else is held, so that the bomb is not alone.
        let mut slow = served.http().await;
        let begun = post("/v1/traces", headers, &large());
        slow.send(&begun[..10_000]).await;
        served.rig.wait_metric(HELD, &[], |held| held > 0.0).await;
        let request = post("/v1/traces", &(headers.to_owned() + "content-encoding: gzip\r\n"), &bomb);
        let mut client = served.http().await;
        let answer = client.ask(&request).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        let mut grpc: Grpc = served.grpc().await;
        let call = with(call(Signal::Traces), "grpc-encoding", "gzip");
        let failure = grpc.send(call, flagged(1, &bomb)).await.failure();
        assert!(failure.is_retryable() && failure.retry_after.is_some(), "{failure:?}");
        drop(slow);
        served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
        // Alone it may come.
        assert_eq!(client.ask(&request).await.status, 200);
        served.taken += 1;
        served.still_serves().await;
        served.stop().await;
    });
}
