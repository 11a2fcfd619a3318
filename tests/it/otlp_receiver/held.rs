//! What clients that send nothing whole hold of the memory: it is counted, or bounded by their number.

use allocation_counter::measure;
use tokio::runtime::Builder;
use tracecore::signal::Signal;
use tracecore::testing::RecordingExporter as Sink;

use super::abuse::{DATA, END_HEADERS, HEADERS, call_block, frame, raw};
use super::client::{Http, post};
use super::{Served, Settings};

const HELD: &str = "tracecore_memory_held_bytes";
const CONNECTIONS: &str = "tracecore_receiver_connections_active";

const MIB: usize = 1 << 20;

/// How many clients there are, so that what the first of them costs does not count.
const CLIENTS: usize = 50;

/// Bytes that an idle connection takes at most, with its client in this process and what is told of it.
const IDLE_BYTES: usize = 64 * 1024;

/// A header of this name and value that is in no table.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let (length, mut rest) = (value.len(), value.len() - 127);
    assert!(length >= 127 + 128, "its length is one of several bytes");
    let mut header = [&[0, name.len() as u8], name.as_bytes(), &[127]].concat();
    while rest >= 128 {
        header.push(rest as u8 | 128);
        rest >>= 7;
    }
    header.push(rest as u8);
    header.extend_from_slice(value.as_bytes());
    header
}

/// How many bytes are left allocated after this, in which nobody but the service and its clients run.
fn left_by<T>(runtime: &tokio::runtime::Runtime, part: impl Future<Output = T>) -> (usize, T) {
    let mut kept = None;
    let info = measure(|| kept = Some(runtime.block_on(part)));
    (usize::try_from(info.bytes_current).unwrap(), kept.unwrap())
}

#[test]
fn what_clients_hold_that_send_no_body_is_counted_but_for_their_connections() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let served = runtime.block_on(Served::start());
    // What is made once for all.
    runtime.block_on(async { raw(&served).await.read_more().await });
    runtime.block_on(served.rig.wait_metric(CONNECTIONS, &[], |open| open == 0.0));

    let (idle, mut clients) = left_by(&runtime, async {
        let mut clients: Vec<Http> = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = raw(&served).await;
            client.read_more().await;
            clients.push(client);
        }
        clients
    });
    assert!(idle / CLIENTS <= IDLE_BYTES, "{} bytes a connection of gRPC", idle / CLIENTS);

    // Streams that wait for their bodies, with headers of some kilobytes.
    const STREAMS: usize = 10;
    let block = [call_block(Signal::Logs), literal("x-long", &"x".repeat(4_000))].concat();
    let open = (0..STREAMS as u32).map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &block)).collect::<Vec<_>>().concat();
    let (waiting, held) = left_by(&runtime, async {
        for client in &mut clients {
            client.send(&open).await;
        }
        let all = (CLIENTS * STREAMS * (20 * 1024 + 4_000)) as f64;
        served.rig.wait_metric(HELD, &[], |held| held >= all).await
    });
    let [waiting, held] = [waiting, held as usize].map(|bytes| bytes / (CLIENTS * STREAMS));
    assert!(waiting <= held, "{waiting} bytes a request, and {held} counted");
    assert!(held <= 3 * waiting, "{waiting} bytes a request, and {held} counted: too much");
    drop(clients);
    runtime.block_on(served.rig.wait_metric(HELD, &[], |held| held == 0.0));

    let (idle, clients) = left_by(&runtime, async {
        let mut clients: Vec<Http> = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = served.http().await;
            assert_eq!(client.ask(post("/v1/logs", "content-type: application/json\r\n", b"{}")).await.status, 200);
            clients.push(client);
        }
        clients
    });
    assert!(idle / CLIENTS <= IDLE_BYTES, "{} bytes a connection of HTTP", idle / CLIENTS);
    drop(clients);
    runtime.block_on(served.stop());
}

#[tokio::test]
async fn large_frames_that_do_not_come_whole_are_counted_and_end_connections_above_a_bound() {
    let settings = Settings { service: "memory_budget: 1MiB", ..Settings::default() };
    let mut served = Served::with(settings, Sink::new()).await;
    let begun = [
        frame(HEADERS, END_HEADERS, 1, &call_block(Signal::Logs)),
        // The head of a frame of a megabyte, and the first byte of it.
        [&(MIB as u32).to_be_bytes()[1..], &[DATA, 0, 0, 0, 0, 1, 0]].concat(),
    ]
    .concat();
    let mut clients = Vec::new();
    for count in 1..=33 {
        let mut client = raw(&served).await;
        client.send(&begun).await;
        clients.push(client);
        served.rig.wait_metric(HELD, &[], |held| held >= (count * MIB) as f64).await;
    }
    // As much as the budget and 32 MiB, and then no more.
    let mut one_more = raw(&served).await;
    one_more.send(&begun).await;
    one_more.closed().await;
    assert!(served.rig.sample(HELD, &[]) < (35 * MIB) as f64);
    drop(clients);
    served.rig.wait_metric(HELD, &[], |held| held == 0.0).await;
    served.still_serves().await;
    served.stop().await;
}
