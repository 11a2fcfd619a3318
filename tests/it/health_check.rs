//! The Collector's `health_check`, served by a running service.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tracecore::error::Report;
use tracecore::testing::{
    Command, RecordingExporter as Sink, ScriptedReceiver as Source, Start, TestService as Rig, build, event,
    needs_events, pipeline, within_ceiling,
};

use crate::status::{get, surface};

/// A pipeline with these keys in the receiver, and a `health_check` with these settings.
fn yaml(source: &Source, sink: &Sink, receiver: &str, settings: &str) -> String {
    let yaml = pipeline(format_args!("{source}\n    {receiver}"), sink, "");
    let yaml = yaml.replace("service:\n", "service:\n  extensions: [health_check]\n");
    format!("{yaml}extensions: {{health_check: {{{settings}}}}}\n")
}

const ANY_PORT: &str = "endpoint: 'localhost:0'";

fn address(rig: &Rig) -> SocketAddr {
    let addresses = rig.running.health_check_addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0]
}

#[tokio::test(start_paused = true)]
async fn it_answers_as_the_collector_does_from_the_start_to_the_stop() {
    let (source, sink) = (Source::new(), Sink::new());
    source.on_start(Start::Fail);
    let yaml = yaml(&source, &sink, "on_start_error: retry", ANY_PORT);
    let mut rig = within_ceiling(Rig::try_start(&yaml)).await.expect("the start goes on without it");
    assert_eq!(rig.running.surface_address(), None, "it needs no surface");
    let address = address(&rig);
    let away = r#"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#;
    assert_eq!(get(address, "/").await, (503, away.to_owned()));
    source.on_start(Start::Ready);
    rig.wait_ready().await;
    tokio::time::advance(Duration::from_secs(3723)).await;
    let (status, body) = get(address, "/any/path?verbose").await;
    let body: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!((status, &body["status"]), (200, &"Server available".into()));
    let uptime = body["uptime"].as_str().expect("a text");
    assert!(uptime.starts_with("1h2m3."), "{body}");
    let since = body["upSince"].as_str().expect("a text");
    assert!(since.starts_with("2001-09-09T01:46:4") && since.ends_with('Z'), "{body}");
    rig.stop().await;
    TcpListener::bind(address).expect("the port is free again");
}

#[tokio::test(start_paused = true)]
async fn its_answers_and_its_path_are_as_configured_and_it_follows_readiness_healthy() {
    let (source, sink) = (Source::new(), Sink::new());
    let settings = format!("{ANY_PORT}, path: /live, response_body: {{healthy: up, unhealthy: down}}");
    let rig = Rig::start(&(yaml(&source, &sink, "", &settings) + &surface(", readiness: healthy"))).await;
    let address = address(&rig);
    assert_eq!(get(address, "/live").await, (200, "up".to_owned()));
    assert_eq!(get(address, "/").await.0, 404);
    assert_eq!(get(address, "/metrics").await.0, 404, "it is not the surface");
    source.tell(Command::PermanentError);
    rig.wait_status("test_source", tracecore::status::State::PermanentError).await;
    assert_eq!(get(address, "/live").await, (503, "down".to_owned()));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_question_is_told_of() {
    needs_events!();
    let (source, sink) = (Source::new(), Sink::new());
    let mut rig = Rig::start(&yaml(&source, &sink, "", ANY_PORT)).await;
    assert_eq!(get(address(&rig), "/").await.0, 200);
    rig.wait_for(event!("service.health_check", component = "", check = "health_check", passed = true)).await;
    let answered = [("route", "/readyz"), ("status_class", "2xx")];
    rig.wait_metric("tracecore_surface_requests_total", &answered, |requests| requests == 1.0).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_the_start_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let settings = format!("endpoint: '{}'", taken.local_addr().expect("an address"));
    let (service, _events) = build(&yaml(&Source::new(), &Sink::new(), "", &settings));
    let error = within_ceiling(service.start()).await.err().expect("it does not start");
    let text = Report(&error).to_string();
    assert!(text.contains("(extensions.health_check.endpoint): address already in use"), "{text}");
}
