//! How often a client may ask whether the server is there.

use std::time::Duration;

use h2::{Ping, PingPong, Reason};
use tokio::time::advance;
use tracecore::signal::Signal;
use tracecore::testing::{RecordingExporter as Sink, within_ceiling};

use super::client::{Grpc, call, message};
use super::{Served, Settings};

/// A client that can ask.
struct Pinging {
    client: Grpc,
    pings: PingPong,
}

impl Pinging {
    async fn connect(served: &Served) -> Self {
        let (client, pings) = Grpc::pinging(served.grpc).await;
        Pinging { client, pings }
    }

    /// Asks, and waits for the answer.
    async fn ping(&mut self) -> Result<(), h2::Error> {
        within_ceiling(self.pings.ping(Ping::opaque())).await.map(drop)
    }

    async fn call(&mut self) {
        let answer = self.client.send(call(Signal::Logs), message(b"")).await;
        assert_eq!(answer.grpc_status(), Some(0));
    }
}

/// A server with this policy.
async fn enforcing(policy: &str) -> Served {
    let grpc = format!("keepalive: {{enforcement_policy: {policy}}}");
    Served::with(Settings { grpc: &grpc, ..Settings::default() }, Sink::new()).await
}

/// Asks every `interval`, so many times; `false` once the server has closed, having said why.
async fn asks(client: &mut Pinging, interval: Duration, times: usize) -> bool {
    for _ in 0..times {
        if client.ping().await.is_err() {
            let error = client.client.closed().await.unwrap_err();
            assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error}");
            assert!(error.is_go_away() && error.to_string().contains("too_many_pings"), "{error}");
            return false;
        }
        advance(interval).await;
    }
    true
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_too_often_is_told_to_calm_down() {
    let mut served = Served::start().await;
    let mut client = Pinging::connect(&served).await;
    client.call().await;
    // The first one after an answer is free, and two are forgiven.
    assert!(asks(&mut client, Duration::from_secs(1), 3).await);
    assert!(!asks(&mut client, Duration::from_secs(1), 2).await);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_may_ask_as_often_as_the_policy_says() {
    let mut served = enforcing("{min_time: 10s, permit_without_stream: true}").await;
    let mut client = Pinging::connect(&served).await;
    assert!(asks(&mut client, Duration::from_secs(10), 20).await);
    assert!(!asks(&mut client, Duration::from_secs(9), 20).await);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_request_a_client_may_ask_only_if_the_policy_says_so() {
    let mut served = enforcing("{min_time: 5s}").await;
    let mut client = Pinging::connect(&served).await;
    assert!(!asks(&mut client, Duration::from_secs(6), 5).await);
    // One that has a request under way may.
    let mut client = Pinging::connect(&served).await;
    let (answer, _stream) = client.client.begin(call(Signal::Logs), message(b"").slice(..3), false);
    assert!(asks(&mut client, Duration::from_secs(6), 5).await);
    drop(answer);
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_makes_good_for_what_was_asked_before() {
    let mut served = Served::start().await;
    let mut client = Pinging::connect(&served).await;
    for _ in 0..50 {
        assert!(asks(&mut client, Duration::from_millis(1), 2).await);
        client.call().await;
    }
    served.still_serves().await;
    served.stop().await;
}
