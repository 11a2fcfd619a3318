//! `/status` and `/readyz` of a running service, through its real surface.
//!
//! Both ends are in the test's runtime, so that its clock can be paused: what one end writes, the other has.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracecore::component::Role;
use tracecore::runtime::RunError;
use tracecore::status::State;
use tracecore::testing::{
    Answer, Command, ExportFailure, RecordingExporter as Sink, ScriptedProcessor as Filter, ScriptedReceiver as Source,
    Start, TestService as Rig, build, event, events_enabled, metrics, needs_events, pipeline, within_ceiling,
};

/// A surface, with these keys beside.
pub(crate) fn surface(keys: &str) -> String {
    format!("telemetry: {{enabled: true, listen: 'localhost:0'{keys}}}\n")
}

/// A pipeline with a processor.
fn through(source: &Source, filter: &Filter, sink: &Sink) -> String {
    format!(
        "
receivers:
  test_source: {{key: {source}}}
processors:
  test_processor: {{key: {filter}}}
exporters:
  test_sink: {{key: {sink}}}
service:
  pipelines:
    metrics/way:
      receivers: [test_source]
      processors: [test_processor]
      exporters: [test_sink]
"
    )
}

/// Two pipelines that share nothing but the service.
fn side_by_side(one: (&Source, &Sink), two: (&Source, &Sink), service: &str) -> String {
    let ((source_one, sink_one), (source_two, sink_two)) = (one, two);
    format!(
        "
receivers:
  test_source/one: {{key: {source_one}}}
  test_source/two: {{key: {source_two}}}
exporters:
  test_sink/one: {{key: {sink_one}}}
  test_sink/two: {{key: {sink_two}}}
service:
{service}
  pipelines:
    metrics/one: {{receivers: [test_source/one], exporters: [test_sink/one]}}
    metrics/two: {{receivers: [test_source/two], exporters: [test_sink/two]}}
"
    )
}

/// The status and the body of the answer to `GET path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = within_ceiling(exchange).await.expect("the surface answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status line"), body.to_owned())
}

trait Look {
    fn address(&self) -> SocketAddr;

    async fn probe(&self, path: &str) -> u16 {
        get(self.address(), path).await.0
    }

    async fn page(&self, path: &str) -> Value {
        let (status, body) = get(self.address(), path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("it is JSON")
    }

    /// The part of the page that is about this component.
    async fn component(&self, role: &str, id: &str) -> Value {
        let page = self.page("/status").await;
        let components = page["components"].as_array().expect("a list");
        let found = components.iter().find(|component| component["role"] == role && component["id"] == id);
        found.unwrap_or_else(|| panic!("no {role} {id} in {page:#}")).clone()
    }
}

impl Look for Rig {
    fn address(&self) -> SocketAddr {
        self.running.surface_address().expect("it is enabled")
    }
}

/// What the page says of all at once: the state of each, by id.
fn states(page: &Value) -> Vec<(&str, &str)> {
    let components = page["components"].as_array().expect("a list");
    components
        .iter()
        .map(|one| (one["id"].as_str().expect("an id"), one["status"].as_str().expect("a state")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn tells_all_of_a_healthy_service_as_the_documentation_shows_it() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let filter = Filter::new(|batch| Ok(Some(batch)));
    let rig = Rig::start(&(through(&source, &filter, &sink) + &surface(""))).await;
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(source.emit(metrics("well", 3)).await.is_accepted());
    sink.called().await;
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;

    let (status, body) = get(rig.address(), "/status").await;
    assert_eq!(status, 200);
    let told = format!("{:#}", serde_json::from_str::<Value>(&body).expect("it is JSON"));
    let described = include_str!("../../docs/STATUS.md");
    let (_, example) = described.split_once("```json\n").expect("an example");
    let (example, _) = example.split_once("\n```").expect("its end");
    assert_eq!(told, example, "docs/STATUS.md shows what is told");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_fails_shows_its_last_error_and_works_again() {
    let (source, sink) = (Source::new(), Sink::failing(ExportFailure::Away));
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(""))).await;
    assert!(source.emit(metrics("away", 5)).await.is_accepted());
    rig.wait_status("test_sink", State::RecoverableError).await;
    let shown = rig.component("exporter", "test_sink").await;
    assert_eq!(shown["status"], "recoverable_error");
    assert_eq!(shown["last_error"]["kind"], "connect");
    assert_eq!(shown["last_error"]["message"], "the other side is away");
    assert_eq!((&shown["breaker"]["state"], &shown["breaker"]["consecutive_failures"]), (&json!("closed"), &json!(1)));
    assert!(shown["last_error"]["at"].as_str().expect("a time").starts_with("2001-09-09T01:46:"), "{shown}");
    assert_eq!((&shown["queue"]["used"], &shown["queue"]["unit"]), (&json!(1), &json!("requests")));
    assert_eq!((&shown["totals"]["items_in"], &shown["totals"]["items_out"]), (&json!(5), &json!(0)));
    let page = rig.page("/status").await;
    assert_eq!(page["status"], "recoverable_error");
    assert_eq!(page["pipelines"]["metrics"]["status"], "recoverable_error");
    assert_eq!(rig.component("receiver", "test_source").await["status"], "ok", "it is not its fault");

    sink.answer(|_| Answer::Accept);
    rig.wait_status("test_sink", State::Ok).await;
    let shown = rig.component("exporter", "test_sink").await;
    assert_eq!(shown["status"], "ok");
    assert_eq!(shown["last_error"]["kind"], "connect", "it is the last one all the same");
    assert_eq!((&shown["queue"]["used"], &shown["totals"]["items_out"]), (&json!(0), &json!(5)));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_for_good_is_a_last_error_of_an_exporter_that_is_well() {
    let (source, sink) = (Source::new(), Sink::failing(ExportFailure::Refused));
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(""))).await;
    assert!(source.emit(metrics("bad", 1)).await.is_accepted());
    rig.wait_metric("tracecore_exporter_dropped_total", &[("reason", "permanent")], |items| items == 1.0).await;
    let shown = rig.component("exporter", "test_sink").await;
    assert_eq!((&shown["status"], &shown["last_error"]["kind"]), (&json!("ok"), &json!("marshal")));
    assert_eq!(shown["totals"]["errors"], 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_restarts_shows_how_often_and_since_when() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(""))).await;
    let before = rig.component("receiver", "test_source").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    source.tell(Command::Panic);
    rig.wait_status("test_source", State::RecoverableError).await;
    let between = rig.component("receiver", "test_source").await;
    assert_eq!((&between["status"], &between["restarts"]), (&json!("recoverable_error"), &json!(0)));
    assert_eq!(between["last_error"]["kind"], "panic");

    rig.wait_status("test_source", State::Ok).await;
    let after = rig.component("receiver", "test_source").await;
    assert_eq!(
        (&after["status"], &after["restarts"], &after["totals"]["errors"]),
        (&json!("ok"), &json!(1), &json!(1))
    );
    assert_eq!(after["last_error"], between["last_error"]);
    assert!(before["since"].as_str() < after["since"].as_str(), "{before} {after}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_waits_in_probe_is_starting_and_the_service_ready() {
    let (source, sink) = (Source::new(), Sink::new());
    source.on_start(Start::Fail);
    let probing = format!("on_start_error: probe\n    key: {source}");
    for readiness in ["", ", readiness: healthy"] {
        let yaml = pipeline(&source, &sink, "").replace(&format!("key: {source}"), &probing);
        let rig = Rig::start(&(yaml + &surface(readiness))).await;
        let shown = rig.component("receiver", "test_source").await;
        assert_eq!((&shown["status"], &shown["last_error"]["kind"]), (&json!("starting"), &json!("connect")));
        assert_eq!(shown["activity"], "idle");
        let page = rig.page("/status").await;
        assert_eq!((&page["status"], &page["counts"]["active"]), (&json!("starting"), &json!(1)));
        assert_eq!(rig.probe("/readyz").await, 200, "absent hardware is not an error");
        source.on_start(Start::Ready);
        rig.wait_status("test_source", State::Ok).await;
        let page = rig.page("/status").await;
        assert_eq!((&page["status"], &page["counts"]["active"]), (&json!("ok"), &json!(2)));
        source.on_start(Start::Fail);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_budget_that_is_used_up_is_a_permanent_error_and_the_other_pipelines_flow() {
    let (one, two) = (Source::new(), Source::new());
    let (sink_one, sink_two) = (Sink::new(), Sink::new());
    let yaml = side_by_side((&one, &sink_one), (&two, &sink_two), "  restart_budget: 2");
    let rig = Rig::start(&(yaml + &surface(""))).await;
    for _ in 0..3 {
        one.tell(Command::Panic);
    }
    rig.wait_status("test_source/one", State::PermanentError).await;
    assert!(two.emit(metrics("all the same", 1)).await.is_accepted());
    let page = rig.page("/status").await;
    assert_eq!(
        states(&page),
        [
            ("test_source/one", "permanent_error"),
            ("test_source/two", "ok"),
            ("test_sink/one", "ok"),
            ("test_sink/two", "ok")
        ]
    );
    assert_eq!(page["status"], "permanent_error");
    assert_eq!(page["pipelines"]["metrics/one"]["status"], "permanent_error");
    assert_eq!(page["pipelines"]["metrics/two"]["status"], "ok");
    assert_eq!(rig.component("receiver", "test_source/one").await["restarts"], 2);
    assert_eq!((&page["counts"]["components"], &page["counts"]["active"]), (&json!(4), &json!(3)));
    assert_eq!(rig.probe("/readyz").await, 200, "it does what it can");
    rig.stop().await;
    assert_eq!(sink_two.items(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_healthy_follows_every_component_and_healthz_none() {
    for (readiness, while_degraded) in [("started", 200), ("healthy", 503)] {
        let (source, sink) = (Source::new(), Sink::new());
        let yaml = pipeline(&source, &sink, "") + &surface(&format!(", readiness: {readiness}"));
        let rig = Rig::start(&yaml).await;
        assert_eq!([rig.probe("/readyz").await, rig.probe("/healthz").await], [200, 200]);
        source.tell(Command::Degraded(true));
        rig.wait_status("test_source", State::RecoverableError).await;
        assert_eq!([rig.probe("/readyz").await, rig.probe("/healthz").await], [while_degraded, 200], "{readiness}");
        source.tell(Command::Degraded(false));
        rig.wait_status("test_source", State::Ok).await;
        assert_eq!([rig.probe("/readyz").await, rig.probe("/healthz").await], [200, 200]);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_probe_is_told_of() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::new());
    let yaml = pipeline(&source, &sink, "") + &surface(", readiness: healthy, paths: {healthz: /live}");
    let mut rig = Rig::start(&yaml).await;
    assert_eq!(rig.probe("/live").await, 200);
    rig.wait_for(event!("service.health_check", component = "", check = "healthz", passed = true)).await;
    source.tell(Command::PermanentError);
    rig.wait_status("test_source", State::PermanentError).await;
    assert_eq!(rig.probe("/readyz").await, 503);
    rig.wait_for(event!("service.health_check", component = "", check = "readyz", passed = false)).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_component_reports_is_what_is_shown() {
    let (source, sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(""))).await;
    source.tell(Command::Degraded(true));
    rig.wait_status("test_source", State::RecoverableError).await;
    source.tell(Command::Degraded(false));
    rig.wait_status("test_source", State::Ok).await;
    source.tell(Command::PermanentError);
    rig.wait_status("test_source", State::PermanentError).await;
    let shown = rig.component("receiver", "test_source").await;
    assert_eq!((&shown["status"], &shown["restarts"]), (&json!("permanent_error"), &json!(0)));
    assert_eq!(shown["last_error"]["message"], "told to fail");
    assert_eq!(rig.page("/status").await["counts"]["active"], 2, "it runs on, and a person must mend something");
    assert!(source.emit(metrics("as well as it can", 1)).await.is_accepted());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_fatal_report_stops_the_service_in_order() {
    let (source, sink) = (Source::new(), Sink::new());
    let (service, mut events) = build(&(pipeline(&source, &sink, "") + &surface("")));
    let verdict = source.send(metrics("before", 4));
    source.tell(Command::FatalError);
    let ended = within_ceiling(service.run(pending())).await.expect_err("it cannot go on");
    assert!(verdict.await.expect("it was emitted").is_accepted());
    assert_eq!(sink.items(), 4, "what was accepted is delivered");
    let message = "the receiver `test_source` cannot go on, and the collector with it: told to fail";
    assert_eq!(ended.to_string(), message);
    let RunError::Fatal { role: Role::Receiver, id, .. } = ended else { panic!("{ended:?}") };
    assert_eq!(id.as_str(), "test_source");
    if events_enabled() {
        let told = event!("service.status_changed", to = "fatal_error");
        within_ceiling(events.wait_for(&told)).await.expect("it is told of");
    }
}

#[tokio::test(start_paused = true)]
async fn rates_are_over_the_window_that_is_asked_for() {
    let (source, mut sink) = (Source::new(), Sink::new());
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(", status: {retention: 5m}"))).await;
    let rates = async |rig: &Rig, path: &str| {
        let page = rig.page(path).await;
        let window = page["window"]["seconds"].as_f64().expect("a number");
        let components = page["components"].as_array().expect("a list");
        let read = |index: usize, rate: &str| components[index]["rates"][rate].as_f64().expect("a number");
        assert_eq!(read(0, "items_out_per_second"), read(1, "items_in_per_second"), "all arrives");
        (window, read(1, "items_out_per_second"), read(0, "errors_per_second"))
    };
    assert!(source.emit(metrics("a burst", 600)).await.is_accepted());
    sink.called().await;
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls == 1.0).await;
    // Slot by slot, so that each sample is taken in its own.
    let pass = async |slots: u32| {
        for _ in 0..slots {
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::task::yield_now().await;
        }
    };
    pass(3).await;
    let (window, rate, _) = rates(&rig, "/status").await;
    assert!((30.0..31.0).contains(&window), "the service is {window} s old");
    assert!((rate - 600.0 / window).abs() < 0.001, "{rate} a second over {window} s");

    pass(6).await;
    let (window, rate, errors) = rates(&rig, "/status").await;
    assert!((60.0..70.0).contains(&window), "{window} s");
    assert_eq!((rate, errors), (0.0, 0.0), "the burst is not in the last minute");
    let (window, rate, _) = rates(&rig, "/status?window=5m").await;
    assert!((90.0..91.0).contains(&window), "{window} s");
    assert!((rate - 600.0 / window).abs() < 0.001, "{rate} a second over {window} s");

    pass(60).await;
    let (window, rate, _) = rates(&rig, "/status?window=5m").await;
    assert!((300.0..310.0).contains(&window), "{window} s");
    assert_eq!(rate, 0.0, "nor in the last five");
    let (status, body) = get(rig.address(), "/status?window=6m").await;
    let refused = "the window is longer than the 5m that are kept (telemetry.status.retention)\n";
    assert_eq!((status, body.as_str()), (400, refused));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn states_sum() {
    let (source, mut sink) = (Source::new(), Sink::answering(Answer::Stall));
    let rig = Rig::start(&(pipeline(&source, &sink, "") + &surface(""))).await;
    let counts = async |address: SocketAddr| {
        let page: Value = serde_json::from_str(&get(address, "/status").await.1).expect("it is JSON");
        ["components", "active", "busy", "idle", "draining"].map(|key| page["counts"][key].as_u64().expect("a number"))
    };
    let address = rig.address();
    assert_eq!(counts(address).await, [2, 2, 0, 2, 0]);
    assert!(source.emit(metrics("work", 1)).await.is_accepted());
    sink.called().await;
    assert_eq!(counts(address).await, [2, 2, 2, 0, 0], "one is exporting, one has just emitted");
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(counts(address).await, [2, 2, 1, 1, 0], "one is still exporting");
    let scraped = ["busy", "idle", "draining"].map(|state| rig.sample("tracecore_components", &[("state", state)]));
    assert_eq!((scraped, rig.sample("tracecore_components_active", &[])), ([1.0, 1.0, 0.0], 2.0), "as on the page");

    let id = "test_source".parse().expect("an id");
    let mut status = rig.running.watch(Role::Receiver, &id).expect("it is there");
    let draining = async {
        let stopped = status.wait_for(|status| status.state == State::Stopped);
        within_ceiling(stopped).await.expect("the receiver ends");
        let counts = counts(address).await;
        sink.release(1);
        counts
    };
    let (_, counts) = tokio::join!(rig.stop(), draining);
    assert_eq!(counts, [2, 1, 0, 0, 1], "the receiver has stopped, the queue drains");
}
