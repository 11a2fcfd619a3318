//! The queue of an exporter behind the `otlp` receiver: what the senders of requests hear that are merged, cut, refused and
//! held up on their way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use tokio::task::JoinSet;
use tracecore::net::{Client, ClientLimits};
use tracecore::signal::Batch;
use tracecore::signal::view::View;
use tracecore::testing::{
    Answer, ExportFailure, RecordingExporter as Sink, TestService as Rig, assert_event, metrics, needs_events,
    within_ceiling,
};
use tracecore_tests as _;

/// A service that takes OTLP over HTTP.
struct Served {
    rig: Rig,
    address: SocketAddr,
    client: Client,
}

impl Served {
    /// With these settings of the queue, and others of the exporter, in YAML.
    async fn start(sink: &Sink, queue: &str, exporter: &str) -> Served {
        let address = own_address();
        let yaml = format!(
            "
receivers:
  otlp: {{protocols: {{http: {{endpoint: '{address}', include_metadata: true}}}}}}
exporters:
  test_sink: {{key: {sink}, sending_queue: {{{queue}}}, {exporter}}}
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [test_sink]}}
"
        );
        let client = Client::new(ClientLimits::default(), Arc::new(()));
        Served { rig: Rig::start(&yaml).await, address, client }
    }

    /// Sends a request of so many items beside others, and gives its name with what it is answered.
    fn send(&self, requests: &mut JoinSet<(&'static str, u16)>, name: &'static str, items: usize) {
        let answer = self.post(name, items, None);
        requests.spawn(async move { (name, answer.await.status().as_u16()) });
    }

    fn post(
        &self,
        name: &str,
        items: usize,
        tenant: Option<&str>,
    ) -> impl Future<Output = Response<Bytes>> + Send + use<> {
        let (client, body) = (self.client.clone(), Bytes::from(metrics(name, items).parts().concat()));
        let mut request = Request::post(format!("http://{}/v1/metrics", self.address))
            .header("content-type", "application/x-protobuf");
        if let Some(tenant) = tenant {
            request = request.header("X-Tenant", tenant);
        }
        let request = request.body(body).expect("a request");
        async move { within_ceiling(client.send(request)).await.expect("an answer") }
    }

    /// The status of a request that is sent alone.
    async fn status(&self, name: &str, items: usize) -> u16 {
        self.post(name, items, None).await.status().as_u16()
    }
}

/// An address that nobody else has: of the loopback network, whose part after 127 tells the process.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(30_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, a.wrapping_add(1), b, c));
    SocketAddr::new(address, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The names of the metrics of a batch, sorted: requests that are under way together come in any order.
fn names(batch: &Batch) -> Vec<String> {
    let View::Metrics(resources) = batch.view() else { panic!("{} where metrics are expected", batch.signal()) };
    let mut names: Vec<String> =
        resources.flat_map(|resource| resource.metrics()).map(|(_, _, metric)| metric.name.to_owned()).collect();
    names.sort_unstable();
    names
}

fn has(batch: &Batch, name: &str) -> bool {
    names(batch).iter().any(|other| other == name)
}

async fn answers(requests: JoinSet<(&'static str, u16)>) -> Vec<(&'static str, u16)> {
    let mut answers = within_ceiling(requests.join_all()).await;
    answers.sort_unstable();
    answers
}

#[tokio::test]
async fn each_of_the_requests_that_are_merged_hears_what_became_of_its_own_items() {
    let mut sink = Sink::scripted(|batch| match () {
        () if has(batch, "poison") => Answer::Fail(ExportFailure::Refused),
        () if has(batch, "late") && batch.items() == 1 => Answer::Fail(ExportFailure::Away),
        () => Answer::Accept,
    });
    let queue = "wait_for_result: true, num_consumers: 1, batch: {flush_timeout: 1h, min_size: 3}";
    let served = Served::start(&sink, queue, "retry_on_failure: {enabled: false}").await;
    let mut requests = JoinSet::new();
    for name in ["good", "late", "poison"] {
        served.send(&mut requests, name, 1);
    }
    let answers = answers(requests).await;
    let merged = sink.called().await;
    assert_eq!(names(&merged), ["good", "late", "poison"]);
    // Which of the other two is with the poison in its half decides whether `late` goes alone.
    let late = answers[1].1;
    assert!(late == 503 || late == 200, "{answers:?}");
    assert_eq!((answers[0], answers[2]), (("good", 200), ("poison", 400)));
    served.rig.stop().await;
    assert_eq!(sink.taken().iter().any(|batch| has(batch, "late")), late == 200);
    assert!(sink.taken().iter().any(|batch| has(batch, "good")));
}

#[tokio::test]
async fn what_a_backend_refuses_for_now_all_its_senders_are_to_send_again_and_are_told_when() {
    let sink = Sink::failing(ExportFailure::Away);
    let queue = "wait_for_result: true, batch: {flush_timeout: 1h, min_size: 4}";
    let served = Served::start(&sink, queue, "retry_on_failure: {enabled: false}").await;
    let mut requests = JoinSet::new();
    ["a", "b"].into_iter().for_each(|name| served.send(&mut requests, name, 1));
    let answer = within_ceiling(served.post("c", 2, None)).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert_eq!(answers(requests).await, [("a", 503), ("b", 503)]);
    served.rig.stop().await;
}

#[tokio::test]
async fn what_a_backend_takes_in_part_counts_as_taken_for_all_who_were_merged() {
    let sink = Sink::answering(Answer::AcceptWithout(1));
    let served = Served::start(&sink, "wait_for_result: true, batch: {flush_timeout: 1h, min_size: 4}", "").await;
    let mut requests = JoinSet::new();
    ["a", "b"].into_iter().for_each(|name| served.send(&mut requests, name, 2));
    assert_eq!(answers(requests).await, [("a", 200), ("b", 200)]);
    assert_eq!(served.rig.sample("tracecore_exporter_dropped_total", &[("reason", "rejected")]), 1.0);
    served.rig.stop().await;
}

#[tokio::test]
async fn a_request_that_is_cut_is_answered_once_and_by_its_worst_piece() {
    for (failure, status) in [(None, 200), (Some(ExportFailure::Refused), 400), (Some(ExportFailure::Away), 503)] {
        let calls = AtomicUsize::new(0);
        let fails = failure.is_some();
        let sink = Sink::scripted(move |_| match (calls.fetch_add(1, Ordering::Relaxed), &failure) {
            (1, Some(failure)) => Answer::Fail(failure.clone()),
            _ => Answer::Accept,
        });
        let queue = "wait_for_result: true, num_consumers: 1, batch: {min_size: 2, max_size: 2}";
        let served = Served::start(&sink, queue, "retry_on_failure: {enabled: false}").await;
        assert_eq!(served.status("six", 6).await, status);
        served.rig.stop().await;
        let sizes: Vec<u64> = sink.taken().iter().map(Batch::items).collect();
        assert_eq!(sizes, if fails { vec![2, 2] } else { vec![2, 2, 2] });
    }
}

#[tokio::test]
async fn a_queue_is_full_by_what_its_sizer_counts_and_takes_nothing_that_would_never_fit() {
    let size = metrics("four", 4).size();
    // How much fits; which requests, in items, are answered how.
    let cases = [
        ("requests", 2, &[(4, 200), (40, 200), (1, 503)][..]),
        ("items", 10, &[(4, 200), (4, 200), (4, 503), (2, 200), (1, 503), (11, 400)]),
        ("bytes", 2 * size, &[(4, 200), (4, 200), (1, 503), (40, 400)]),
    ];
    for (sizer, queue_size, requests) in cases {
        let sink = Sink::answering(Answer::Stall);
        let queue = format!("sizer: {sizer}, queue_size: {queue_size}");
        let served = Served::start(&sink, &queue, "").await;
        for (items, status) in requests {
            assert_eq!(served.status("four", *items).await, *status, "{items} items, {sizer}");
        }
        sink.release(10);
        served.rig.wait_metric("tracecore_memory_held_bytes", &[], |held| held == 0.0).await;
        assert_eq!(served.status("four", 1).await, 200, "there is room again, {sizer}");
        sink.release(10);
        served.rig.stop().await;
    }
}

#[tokio::test]
async fn under_block_on_overflow_a_request_waits_for_room_and_is_then_taken() {
    needs_events!();
    let sink = Sink::answering(Answer::Stall);
    let mut served = Served::start(&sink, "queue_size: 1, block_on_overflow: true", "").await;
    assert_eq!(served.status("first", 1).await, 200);
    let mut requests = JoinSet::new();
    served.send(&mut requests, "second", 1);
    assert_event!(served.rig, "resource.exhausted", component = "test_sink", resource = "queue");
    assert!(requests.try_join_next().is_none(), "there is no room");
    sink.release(2);
    assert_eq!(answers(requests).await, [("second", 200)]);
    served.rig.stop().await;
    assert_eq!(sink.items(), 2);
}

#[tokio::test]
async fn as_many_deliveries_are_under_way_as_there_are_consumers_and_no_more() {
    const CONSUMERS: usize = 3;
    const REQUESTS: usize = 7;
    let (begun, released, most) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut sink = Sink::scripted({
        let (released, most) = (Arc::clone(&released), Arc::clone(&most));
        move |_| {
            let under_way = begun.fetch_add(1, Ordering::SeqCst) + 1 - released.load(Ordering::SeqCst);
            most.fetch_max(under_way, Ordering::SeqCst);
            Answer::Stall
        }
    });
    let queue = format!("wait_for_result: true, num_consumers: {CONSUMERS}");
    let served = Served::start(&sink, &queue, "").await;
    let mut requests = JoinSet::new();
    (0..REQUESTS).for_each(|_| served.send(&mut requests, "one", 1));
    for _ in 0..CONSUMERS {
        sink.called().await;
    }
    for called in CONSUMERS..REQUESTS + CONSUMERS {
        released.fetch_add(1, Ordering::SeqCst);
        sink.release(1);
        if called < REQUESTS {
            sink.called().await;
        }
    }
    assert_eq!(answers(requests).await, vec![("one", 200); REQUESTS]);
    assert_eq!(most.load(Ordering::SeqCst), CONSUMERS);
    served.rig.stop().await;
}

#[tokio::test]
async fn what_clients_sent_beside_their_data_keeps_their_batches_apart_and_stays_with_them() {
    let sink = Sink::new();
    let queue =
        "wait_for_result: true, batch: {flush_timeout: 1h, min_size: 4, partition: {metadata_keys: [x-tenant]}}";
    let served = Served::start(&sink, queue, "").await;
    let sent = [("a", "one"), ("b", "two"), ("c", "one"), ("d", "two"), ("e", "one"), ("f", "two")];
    let mut requests = JoinSet::new();
    for (name, tenant) in sent {
        // The third of a tenant makes it large enough, and the fourth item is its second.
        let answer = served.post(name, if name > "d" { 2 } else { 1 }, Some(tenant));
        requests.spawn(async move { (name, answer.await.status().as_u16()) });
    }
    assert!(answers(requests).await.iter().all(|(_, status)| *status == 200));
    served.rig.stop().await;
    let taken = sink.taken();
    let tenant = |batch: &Batch| {
        let metadata = batch.metadata().expect("it is kept");
        metadata.get_all("X-TENANT").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut seen: Vec<_> = taken.iter().map(|batch| (tenant(batch), names(batch))).collect();
    seen.sort_unstable();
    let all = |tenant: &str, of: [&str; 3]| (vec![tenant.to_owned()], of.map(str::to_owned).to_vec());
    assert_eq!(seen, [all("one", ["a", "c", "e"]), all("two", ["b", "d", "f"])]);
}
