//! An agent and its gateway, over OTLP: a backend that fails now and then, a gateway that goes away and comes back, one
//! whose queue or whose memory is full.
//!
//! What these scenarios are is the testbed of the Collector's; `reliability.rs` has them with connections left out and time
//! made up. Here sockets are real and so is time, which is why there are fewer batches. What the agent has accepted arrives,
//! and once: a gateway that refuses has not taken, and what it has not answered when it ends gracefully it has not taken
//! either. Twice may arrive only what was under way when it ended without grace, which is `tests/e2e/gateway.rs`.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use tracecore::emit::{Refusal, Verdict};
use tracecore::memory::Memory;
use tracecore::testing::{
    Answer, ExportFailure, RecordingExporter as Sink, ScriptedReceiver as Source, TestService as Rig, metrics, name_of,
    wait_until,
};

use crate::hop::{Hop, Protocol, collector};

/// Points in a batch.
const ITEMS: usize = 500;

/// Batches that are more than any queue or memory here has room for.
const ENOUGH: usize = 10_000;

/// An exporter that tries again soon.
const SOON: &str = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}, circuit_breaker: {enabled: false}";

/// A sink whose failures the sender of a request hears: there is no queue before it, and it is not tried again.
const HEARD: &str =
    "sending_queue: {enabled: false}, retry_on_failure: {enabled: false}, circuit_breaker: {enabled: false}";

async fn agent(source: &Source, hop: &Hop, protocol: Protocol, settings: &str) -> Rig {
    let receiver = format!("test_source: {{key: {source}}}");
    Rig::start(&collector(&receiver, "", &hop.exporter(protocol, settings))).await
}

fn gateway(hop: &Hop, processors: &str, sink: &Sink, settings: &str) -> String {
    collector(&hop.receiver(), processors, &format!("test_sink: {{key: {sink}, {settings}}}"))
}

async fn accepts(source: &Source, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert!(source.emit(metrics(&number.to_string(), ITEMS)).await.is_accepted());
    }
}

/// The numbers of what the gateway has delivered, each once and whole.
fn delivered(sink: &Sink) -> BTreeSet<usize> {
    let taken = sink.taken();
    let numbers: BTreeSet<usize> = taken.iter().map(|batch| name_of(batch).parse().expect("a number")).collect();
    assert_eq!(taken.len(), numbers.len(), "something arrived twice");
    assert!(taken.iter().all(|batch| batch.items() == ITEMS as u64));
    numbers
}

/// Waits until all of so many have arrived.
async fn all_arrive(sink: &Sink, count: usize) {
    wait_until(|| sink.taken().len() >= count).await;
    assert_eq!(delivered(sink), (0..count).collect());
}

#[tokio::test]
async fn of_a_backend_that_fails_a_tenth_of_its_requests_nothing_is_lost_by_default() {
    for protocol in [Protocol::Grpc, Protocol::Protobuf] {
        let (hop, source) = (Hop::new(), Source::new());
        let mut calls = 0;
        let sink = Sink::scripted(move |_| {
            calls += 1;
            if calls % 10 == 0 { Answer::Fail(ExportFailure::Away) } else { Answer::Accept }
        });
        let gateway = Rig::start(&gateway(&hop, "", &sink, HEARD)).await;
        let agent = agent(&source, &hop, protocol, "").await;
        accepts(&source, 0..60).await;
        all_arrive(&sink, 60).await;
        assert!(agent.sample("tracecore_exporter_retries_total", &[]) >= 6.0, "{protocol:?}");
        assert_eq!(agent.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{protocol:?}");
        agent.stop().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_backend_that_is_unavailable_most_of_the_time_for_a_while_costs_nothing() {
    for protocol in Protocol::ALL {
        let (hop, source) = (Hop::new(), Source::new());
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut left = 150_u32;
        let sink = Sink::scripted(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            left = left.saturating_sub(1);
            if left > 0 && state % 100 < 70 { Answer::Fail(ExportFailure::Away) } else { Answer::Accept }
        });
        let gateway = Rig::start(&gateway(&hop, "", &sink, HEARD)).await;
        let settings = format!("{SOON}, sending_queue: {{num_consumers: 50}}");
        let agent = agent(&source, &hop, protocol, &settings).await;
        accepts(&source, 0..100).await;
        all_arrive(&sink, 100).await;
        assert!(agent.sample("tracecore_exporter_retries_total", &[]) >= 50.0, "{protocol:?}");
        assert_eq!(agent.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{protocol:?}");
        agent.stop().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_that_restarts_gets_each_batch_once() {
    for protocol in [Protocol::Grpc, Protocol::Protobuf] {
        let (hop, source, sink) = (Hop::new(), Source::new(), Sink::new());
        let yaml = gateway(&hop, "", &sink, "");
        let mut gateway = Rig::start(&yaml).await;
        let agent = agent(&source, &hop, protocol, SOON).await;
        for round in 0..3 {
            accepts(&source, round * 40..round * 40 + 20).await;
            // Some are under way, and the rest waits in the agent.
            gateway.stop().await;
            accepts(&source, round * 40 + 20..round * 40 + 40).await;
            gateway = Rig::start(&yaml).await;
        }
        all_arrive(&sink, 120).await;
        assert_eq!(agent.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{protocol:?}");
        agent.stop().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_queue_that_is_full_is_heard_along_the_whole_way_and_all_comes_in_the_end() {
    for protocol in [Protocol::Grpc, Protocol::Protobuf] {
        let (hop, source, sink) = (Hop::new(), Source::new(), Sink::answering(Answer::Stall));
        let gateway = Rig::start(&gateway(&hop, "", &sink, "sending_queue: {queue_size: 5}")).await;
        let settings = format!("{SOON}, sending_queue: {{queue_size: 10, num_consumers: 5}}");
        let agent = agent(&source, &hop, protocol, &settings).await;
        let (mut number, mut refused) = (0, Vec::new());
        // The gateway's queue fills, it refuses the agent, whose queue fills, which refuses its receiver.
        while refused.len() < 10 {
            assert!(number < ENOUGH, "{protocol:?}: neither queue fills");
            match source.emit(metrics(&number.to_string(), ITEMS)).await {
                Verdict::Accepted => {}
                Verdict::Refused(Refusal::Retryable { .. }) => refused.push(number),
                Verdict::Refused(Refusal::Permanent) => panic!("a full queue is no reason to give up"),
            }
            number += 1;
        }
        gateway
            .wait_metric("tracecore_ingest_requests_total", &[("status_class", "5xx")], |refused| refused >= 5.0)
            .await;
        agent.wait_metric("tracecore_exporter_retries_total", &[], |retries| retries > 0.0).await;

        sink.answer(|_| Answer::Accept);
        sink.release(number);
        for again in refused {
            wait_until(|| agent.sample("tracecore_queue_depth_ratio", &[]) < 1.0).await;
            assert!(source.emit(metrics(&again.to_string(), ITEMS)).await.is_accepted());
        }
        all_arrive(&sink, number).await;
        for service in [&agent, &gateway] {
            assert_eq!(service.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{protocol:?}");
        }
        agent.stop().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_at_its_memory_limit_refuses_the_agent_and_loses_nothing() {
    const MIB: u64 = 1 << 20;
    for protocol in [Protocol::Grpc, Protocol::Protobuf] {
        let (hop, source, sink) = (Hop::new(), Source::new(), Sink::answering(Answer::Stall));
        // A process that uses a mebibyte, and what batches hold.
        let memory: &'static OnceLock<Memory> = Box::leak(Box::default());
        let resident = || memory.get().map(|memory| MIB + memory.held());
        let memory = memory.get_or_init(|| Memory::new(Some(1024 * MIB), resident));
        let limiter = "memory_limiter: {limit_mib: 4, spike_limit_mib: 2, check_interval: 10ms}";
        let yaml = gateway(&hop, limiter, &sink, "timeout: 1h, sending_queue: {queue_size: 1000000}");
        let gateway = Rig::start_in(memory.clone(), &yaml).await;
        let settings = format!("{SOON}, compression: none, sending_queue: {{queue_size: 1000000, num_consumers: 4}}");
        let agent = agent(&source, &hop, protocol, &settings).await;
        let mut number = 0;
        while agent.sample("tracecore_exporter_retries_total", &[]) < 8.0 {
            assert!(number < ENOUGH, "{protocol:?}: nothing is refused");
            accepts(&source, number..number + 20).await;
            number += 20;
        }
        let most = memory.resident().expect("it says");
        assert!((2 * MIB..=4 * MIB + 4 * MIB / 10).contains(&most), "{protocol:?}: {most} bytes are used");

        sink.answer(|_| Answer::Accept);
        sink.release(number);
        all_arrive(&sink, number).await;
        for service in [&agent, &gateway] {
            assert_eq!(service.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{protocol:?}");
        }
        agent.stop().await;
        gateway.stop().await;
    }
}
