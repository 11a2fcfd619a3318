//! The endpoints as a client sees them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use std::collections::HashSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::Period;
use crate::error::Report;
use crate::exposition::{Encoder, Family, Number, Sample, Series};
use crate::net::Method;
use crate::net::testing::{Answer, Client, Event, Logs, Recorder, Scripted};
use crate::telemetry::StatusClass;
use crate::telemetry::{BuildInfo, Resource, SelfTelemetry};

/// One gauge, unless told to panic.
#[derive(Default)]
struct OneGauge {
    panics: AtomicBool,
}

impl Gather for OneGauge {
    fn gather(&self, format: Format, out: &mut String) {
        assert!(!self.panics.load(Ordering::Relaxed), "boom in the scrape");
        let mut encoder = Encoder::new(format, out);
        let series = Series::Gauge(vec![Sample::new(&(), Number::Integer(1))]);
        encoder.family(&Family { name: "up", help: "", unit: None, series });
        assert_eq!(encoder.finish(), 0);
    }
}

/// A service that is ready unless told otherwise, and remembers what it was asked.
#[derive(Default)]
struct Inspected {
    is_unwell: AtomicBool,
    probes: Mutex<Vec<(&'static str, bool)>>,
}

impl Inspect for Inspected {
    fn status(&self, window: Option<Period>) -> Result<String, WindowError> {
        let longest = Period::minutes(15);
        match window {
            Some(window) if window > longest => Err(WindowError::TooLong(longest)),
            Some(window) => Ok(format!("{{\"window\":\"{window}\"}}")),
            None => Ok("{}".to_owned()),
        }
    }

    fn is_ready(&self) -> bool {
        !self.is_unwell.load(Ordering::Relaxed)
    }

    fn probed(&self, check: &'static str, passed: bool) {
        self.probes.lock().unwrap().push((check, passed));
    }
}

struct Fixture {
    serving: Serving,
    gather: Arc<OneGauge>,
    inspected: Arc<Inspected>,
    seen: Arc<Recorder>,
}

impl Fixture {
    async fn new() -> Self {
        Fixture::with(Paths::default()).await
    }

    async fn with(paths: Paths) -> Self {
        let (gather, seen) = (Arc::new(OneGauge::default()), Arc::new(Recorder::new()));
        let surface = Surface::bind("127.0.0.1:0").await.unwrap();
        let inspected = Arc::new(Inspected::default());
        let serving = surface.serve(paths, Health::new(), gather.clone(), inspected.clone(), seen.clone());
        Fixture { serving, gather, inspected, seen }
    }

    async fn client(&self) -> Client {
        Client::connect(self.serving.local_addr()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.client().await.get(path).await
    }

    async fn get_accepting(&self, path: &str, accept: &str) -> Answer {
        self.client().await.request("GET", path, &format!("accept: {accept}\r\n")).await
    }
}

fn in_budget() -> Instant {
    Instant::now() + SHUTDOWN_BUDGET
}

const TEXT: &str = "# TYPE up gauge\nup 1\n";

#[tokio::test(start_paused = true)]
async fn metrics_are_text_by_default() {
    let answer = Fixture::new().await.get("/metrics").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, TEXT));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("server"), None);
}

#[tokio::test(start_paused = true)]
async fn metrics_are_open_metrics_where_a_scraper_prefers_it() {
    let fixture = Fixture::new().await;
    let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
        q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for accept in ["application/openmetrics-text", prometheus_2_42] {
        let answer = fixture.get_accepting("/metrics", accept).await;
        assert_eq!(answer.body, format!("{TEXT}# EOF\n"));
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(content_type));
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    for path in ["/metrics", "/healthz", "/readyz", "/status", "/status?window=0"] {
        let get = client.get(path).await;
        let head = client.request("HEAD", path, "").await;
        assert_eq!(head.status, get.status);
        for header in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(header), get.header(header));
        }
    }
    assert_eq!(client.get("/metrics").await.body, TEXT, "no body was left on the connection");
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_405_and_other_paths_404() {
    let fixture = Fixture::new().await;
    for path in ["/metrics", "/healthz", "/readyz", "/status"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
            let answer = fixture.client().await.request(method, path, "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/metrics/"),
        ("GET", "/metrics/x"),
        ("GET", "/METRICS"),
        ("GET", "/%6detrics"),
        ("GET", "//metrics"),
        ("POST", "/x"),
        ("OPTIONS", "*"),
    ] {
        let answer = fixture.client().await.request(method, path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "not found\n"), "{method} {path}");
    }
    assert_eq!(fixture.get("/healthz?verbose=1").await.status, 200, "a query changes nothing");
    assert_eq!(fixture.seen.count(Event::HandlerPanicked), 0);
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_where_the_paths_say() {
    let paths = Paths {
        metrics: "/internal/metrics".into(),
        healthz: "/live".into(),
        readyz: "/internal/ready".into(),
        status: "/internal".into(),
    };
    let fixture = Fixture::with(paths).await;
    assert_eq!(fixture.get("/internal/metrics").await.body, TEXT);
    assert_eq!(fixture.get("/live").await.body, "ok\n");
    assert_eq!(fixture.get("/internal/ready").await.body, "not ready\n");
    assert_eq!(fixture.get("/internal").await.body, "{}");
    assert_eq!(fixture.get("/metrics").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn probes_follow_the_life_of_the_process() {
    let fixture = Fixture::new().await;
    let health = fixture.serving.health();
    let probes = async || {
        let (healthz, readyz) = (fixture.get("/healthz").await, fixture.get("/readyz").await);
        ((healthz.status, healthz.body), (readyz.status, readyz.body))
    };
    let answers = |healthz: (u16, &str), readyz: (u16, &str)| {
        ((healthz.0, healthz.1.to_owned()), (readyz.0, readyz.1.to_owned()))
    };

    assert_eq!(probes().await, answers((200, "ok\n"), (503, "not ready\n")));
    health.ready();
    assert_eq!(probes().await, answers((200, "ok\n"), (200, "ready\n")));
    health.draining();
    assert_eq!(probes().await, answers((200, "ok\n"), (503, "not ready\n")));
    health.ready();
    assert_eq!(health.state(), State::Draining, "a late start is no readiness");
    health.stopped();
    assert_eq!(probes().await, answers((503, "shutting down\n"), (503, "shutting down\n")));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_unwell_is_not_ready_and_lives() {
    let fixture = Fixture::new().await;
    fixture.inspected.is_unwell.store(true, Ordering::Relaxed);
    fixture.serving.health().ready();
    assert_eq!((fixture.get("/readyz").await.status, fixture.get("/healthz").await.status), (503, 200));
    fixture.inspected.is_unwell.store(false, Ordering::Relaxed);
    assert_eq!(fixture.get("/readyz").await.status, 200);
    let probes = fixture.inspected.probes.lock().unwrap().clone();
    assert_eq!(probes, [("readyz", false), ("healthz", true), ("readyz", true)], "each probe is told of");
}

#[tokio::test(start_paused = true)]
async fn status_is_json_over_the_window_that_is_asked_for() {
    let fixture = Fixture::new().await;
    for (path, body) in [
        ("/status", "{}"),
        ("/status?", "{}"),
        ("/status?windows=x&verbose", "{}"),
        ("/status?window=5m", "{\"window\":\"5m\"}"),
        ("/status?verbose=1&window=1m30s", "{\"window\":\"1m30s\"}"),
        ("/status?window=15m", "{\"window\":\"15m\"}"),
    ] {
        // Whatever type is asked for: there is one.
        let answer = fixture.get_accepting(path, "text/plain").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    fixture.serving.health().draining();
    assert_eq!(fixture.get("/status").await.status, 200, "it is when things go wrong that it is asked");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_none_is_400_and_says_why() {
    let fixture = Fixture::new().await;
    let malformed = "the window is not a duration; write it like \"500ms\", \"2m\", \"1h30m\" or \"1.5s\"";
    for (query, sentence) in [
        ("window", malformed),
        ("window=", malformed),
        ("window=soon", malformed),
        ("window=5%6D", malformed),
        ("window=5", "the window needs a unit: \"30s\", \"500ms\", \"2m\""),
        ("window=0s", "the window must be greater than zero"),
        ("window=-5m", "the window must not be negative"),
        ("window=5m&window=5m", "the window is given twice"),
        ("window=901s", "the window is longer than the 15m that are kept (telemetry.status.retention)"),
    ] {
        let answer = fixture.get(&format!("/status?{query}")).await;
        assert_eq!((answer.status, answer.body.trim_end()), (400, sentence), "{query}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test(start_paused = true)]
async fn probes_answer_in_json_where_it_is_preferred() {
    let fixture = Fixture::new().await;
    let text = ["*/*", "text/plain", "text/plain, application/json", "application/json;q=0.5, */*", "json;;q=x"];
    for accept in text.into_iter().chain(["", "image/png", "application/json;q=0", "application/json;q=1.5"]) {
        let answer = fixture.get_accepting("/healthz", accept).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{accept}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let json =
        ["application/json", "application/json, text/plain;q=0.9", "application/*", "text/plain;q=0.1, */*;q=0.2"];
    for accept in json {
        let answer = fixture.get_accepting("/readyz", accept).await;
        assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"not ready"}"#), "{accept}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_on_several_lines_is_one_header_and_one_that_is_no_text_is_ignored() {
    let fixture = Fixture::new().await;
    let two_lines = "accept: text/plain;q=0.5\r\naccept: application/json\r\n";
    assert_eq!(fixture.client().await.request("GET", "/healthz", two_lines).await.body, r#"{"status":"ok"}"#);
    let mut client = fixture.client().await;
    client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\naccept: application/json, \xff/x\r\n\r\n").await;
    assert_eq!(client.answer(true).await.body, "ok\n");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_that_panics_is_500_and_counted() {
    let fixture = Fixture::new().await;
    fixture.gather.panics.store(true, Ordering::Relaxed);
    assert_eq!(fixture.get("/metrics").await.status, 500);
    assert_eq!(fixture.seen.count(Event::ScrapePanicked), 1);
    assert_eq!(fixture.seen.count(Event::HandlerPanicked), 1);
    fixture.gather.panics.store(false, Ordering::Relaxed);
    assert_eq!(fixture.get("/metrics").await.status, 200);
    assert_eq!(fixture.seen.count(Event::ScrapePanicked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_scrapes_is_answered_429_and_probes_are_not() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/metrics").await.status, 200);
    }
    let limited = client.get("/metrics").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")));
    assert_eq!(limited.header("cache-control"), Some("no-store"));
    assert_eq!(fixture.seen.count(Event::ScrapeLimited), 1);
    assert_eq!(client.get("/healthz").await.status, 200);

    client.hears_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(client.get("/metrics").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn ten_scrapers_at_an_interval_of_a_second_are_never_limited() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    for _ in 0..10 {
        for _ in 0..10 {
            assert_eq!(client.get("/metrics").await.status, 200);
        }
        client.hears_nothing_for(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lifecycle_a_second_shutdown_is_a_no_op() {
    let mut fixture = Fixture::new().await;
    assert_eq!(fixture.serving.shutdown(in_budget()).await, Exit::Shutdown);
    assert_eq!(fixture.serving.shutdown(in_budget()).await, Exit::Shutdown);
    assert_eq!(fixture.serving.health().state(), State::Stopped);
    assert_eq!(fixture.seen.count(Event::Exited(Exit::Shutdown)), 1);
}

#[tokio::test(start_paused = true)]
async fn lifecycle_shutdown_takes_no_longer_than_its_budget() {
    let mut fixture = Fixture::new().await;
    let mut half = fixture.client().await;
    half.send("GET /healthz HTTP/1.1\r\n").await;
    half.hears_nothing_for(Duration::from_secs(1)).await;
    let start = Instant::now();
    assert_eq!(fixture.serving.shutdown(in_budget()).await, Exit::Aborted);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn lifecycle_a_taken_port_is_an_error_of_the_start() {
    let first = Surface::bind("localhost:0").await.unwrap();
    let listen = format!("localhost:{}", first.local_addr().port());
    let error = Surface::bind(&listen).await.unwrap_err();
    let expected = format!("cannot listen on {listen} (telemetry.listen): address already in use");
    assert_eq!(Report(&error).to_string(), expected);
    drop(first);
    Surface::bind(&listen).await.expect("a surface that is bound and not served frees its port when dropped");
}

#[tokio::test(start_paused = true)]
async fn logs_say_which_server_they_are_about() {
    let (logs, _guard) = Logs::capture();
    let fixture = Fixture::new().await;
    fixture.gather.panics.store(true, Ordering::Relaxed);
    fixture.get("/metrics").await;
    let span = format!("surface{{listen={}}}", fixture.serving.local_addr());
    let panic = logs.text().lines().find(|line| line.contains("request handler panicked")).map(str::to_owned);
    assert!(panic.is_some_and(|line| line.contains(&span)), "{}", logs.text());
}

#[tokio::test]
async fn metrics_can_stand_alone_and_stay_text() {
    struct TextOnly(OneGauge);
    impl Gather for TextOnly {
        fn gather(&self, format: Format, out: &mut String) {
            self.0.gather(format, out);
        }

        fn open_metrics(&self) -> bool {
            false
        }
    }
    let listener = Bound::bind("127.0.0.1:0").await.unwrap();
    let service = metrics_service("/metrics", Arc::new(TextOnly(OneGauge::default())), Arc::new(()));
    let server = Server::start(listener, service, Limits::default(), Arc::new(()));
    let mut client = Client::connect(server.local_addr()).await;
    let scrape = client.request("GET", "/metrics", "accept: application/openmetrics-text\r\n").await;
    assert_eq!((scrape.status, scrape.header("content-type")), (200, Some(Format::Text.content_type())));
    assert_eq!(client.get("/healthz").await.status, 404);
    assert_eq!(client.request("POST", "/metrics", "").await.status, 405);
}

/// The routes of the surface, and the one for everything else.
const ROUTES: [&str; 4] = ["/metrics", "/healthz", "/readyz", "unknown"];

/// Requests whose methods, paths and headers are all different, and different for each `flood`; some of them are real.
fn requests(flood: &str) -> impl Iterator<Item = String> {
    (0..10_000).map(move |n| {
        let method = match n % 10 {
            8 => format!("BREW{flood}{n}"),
            9 => "_OTHER".into(),
            known => ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"][known].into(),
        };
        let path = match n % 100 {
            20 => "/metrics".into(),
            40 => format!("/healthz?{flood}={n}"),
            60 => "/readyz".into(),
            80 => format!("/metrics/{flood}/{n}"),
            _ => format!("/{flood}{n}"),
        };
        format!("{method} {path} HTTP/1.1\r\nhost: {flood}{n}\r\nx-{flood}{n}: {n}\r\nuser-agent: {flood}/{n}\r\n\r\n")
    })
}

/// Sends a flood over one connection, and what no handler is asked over others. All of it is answered.
async fn flood(name: &str, observer: Arc<dyn Observer>) {
    let (listener, connect) = Scripted::new([]);
    let gather = Arc::new(OneGauge::default());
    let mut serving =
        Surface::on(listener).serve(Paths::default(), Health::new(), gather, Arc::new(Inspected::default()), observer);
    let long = format!("GET / HTTP/1.1\r\nx-{name}: {}\r\n\r\n", "x".repeat(9_000));
    let last = format!("GET /{name} HTTP/1.1\r\nconnection: close\r\n\r\n");
    let alone = [long, format!("CONNECT {name}:80 HTTP/1.1\r\n\r\n"), format!("{name}\r\n\r\n")];
    let together = requests(name).chain([last]).collect::<String>();
    for (sent, answers) in alone.map(|request| (request, 1)).into_iter().chain([(together, 10_001)]) {
        let (client, io) = tokio::io::duplex(64 * 1024);
        connect.send(io).unwrap();
        let (mut reader, mut writer) = tokio::io::split(client);
        let mut received = String::new();
        let (_, read) = tokio::join!(writer.write_all(sent.as_bytes()), reader.read_to_string(&mut received));
        read.unwrap();
        assert_eq!(received.matches("HTTP/1.1 ").count(), answers);
    }
    assert_eq!(serving.shutdown(in_budget()).await, Exit::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_different_requests_are_told_of_in_a_closed_set_of_words() {
    let seen = Arc::new(Recorder::new());
    flood("a", seen.clone()).await;
    let told = seen.requests();
    assert_eq!(told.len(), 10_004, "each is told of once");
    let mut routes = HashSet::new();
    for event in told {
        let Event::Request(_, route, status) = event else { unreachable!("only requests are asked for") };
        assert!(status.is_some_and(|status| [200, 400, 404, 405, 429, 431, 501, 503].contains(&status)), "{event:?}");
        routes.insert(route);
    }
    assert_eq!(routes, HashSet::from(ROUTES));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_different_requests_make_no_series_beyond_the_closed_set() {
    let build = BuildInfo::new("tracecore-tests", "1.2.3", "");
    let telemetry = SelfTelemetry::new(build, Resource::detect(&build)).unwrap();
    let series = || telemetry.gather().iter().map(|family| family.get_metric().len()).sum::<usize>();
    let before = series();
    flood("a", Arc::new(telemetry.surface())).await;
    let after = series();
    let closed_set = Method::ALL.len() * ROUTES.len() * StatusClass::ALL.len();
    assert!(after - before <= closed_set, "{} new series", after - before);
    flood("b", Arc::new(telemetry.surface())).await;
    assert_eq!(series(), after, "other words make no other series");
}
