//! What a client can make the surface keep: nothing, whatever it asks for and however often.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};
use tracecore::exposition::Format;
use tracecore::net::Accept;
use tracecore::surface::{Health, Paths, Serving, Surface};
use tracecore::telemetry::{BuildInfo, Resource, SelfTelemetry};
use tracecore::time::Instant;

/// Requests of one flood.
const REQUESTS: usize = 10_000;

/// Bytes that may stay allocated after a flood: measured 0. A byte for each request would be more than this.
const MOST_KEPT: i64 = 1024;

/// Bytes that one connection may hold at once, the client's side of the test included (its pipe and what it has read of
/// the answers). Measured 105 KiB; a connection that kept its requests would hold some megabytes.
const MOST_HELD: u64 = 512 * 1024;

/// Connections made of memory.
struct Pipes(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Accept for Pipes {
    type Io = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.lock().await.recv().await {
            Some(io) => Ok((io, self.local_addr())),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }
}

fn serve(telemetry: &SelfTelemetry) -> (Serving, mpsc::UnboundedSender<DuplexStream>) {
    let (connect, accepted) = mpsc::unbounded_channel();
    let gather = Arc::new(|_: Format, out: &mut String| out.push_str("up 1\n"));
    let surface = Surface::on(Pipes(Mutex::new(accepted)));
    (surface.serve(Paths::default(), Health::new(), gather, Arc::new(()), Arc::new(telemetry.surface())), connect)
}

/// Sends requests that differ in method, path and headers over one connection, and reads the answers.
async fn flood(name: &str, connect: &mpsc::UnboundedSender<DuplexStream>) {
    let (client, io) = tokio::io::duplex(16 * 1024);
    connect.send(io).expect("the surface listens");
    let (mut answers, mut requests) = tokio::io::split(client);
    let send = async {
        for n in 0..REQUESTS {
            let method = ["GET", "POST", "BREW"][n % 3];
            let end = if n + 1 == REQUESTS { "connection: close\r\n" } else { "" };
            let request = format!("{method}{name}{n} /{name}{n} HTTP/1.1\r\nx-{name}{n}: {n}\r\n{end}\r\n");
            requests.write_all(request.as_bytes()).await.expect("the surface reads");
        }
    };
    let read = async {
        let (mut buffer, mut total) = (vec![0; 16 * 1024], 0);
        loop {
            match answers.read(&mut buffer).await.expect("the surface answers") {
                0 => break total,
                more => total += more,
            }
        }
    };
    let ((), total) = tokio::join!(send, read);
    assert!(total > REQUESTS * "HTTP/1.1 404 Not Found".len(), "each was answered");
}

#[test]
fn ten_thousand_different_requests_leave_no_memory_behind() {
    let build = BuildInfo::new("tracecore-tests", "1.2.3", "");
    let telemetry = SelfTelemetry::new(build, Resource::detect(&build)).unwrap();
    // All of it runs on this thread, whose allocations are counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (mut serving, connect) = runtime.block_on(async { serve(&telemetry) });
    runtime.block_on(flood("a", &connect));
    // Lets the end of the connection be seen before anything is counted.
    let settle = async { tokio::time::advance(Duration::from_millis(1)).await };
    runtime.block_on(settle);

    let memory = measure(|| {
        runtime.block_on(async {
            flood("b", &connect).await;
            tokio::time::advance(Duration::from_millis(1)).await;
        });
    });
    assert!(memory.bytes_current <= MOST_KEPT, "{} bytes are kept", memory.bytes_current);
    assert!(memory.bytes_max <= MOST_HELD, "{} bytes were held", memory.bytes_max);
    runtime.block_on(serving.shutdown(Instant::now()));
}
