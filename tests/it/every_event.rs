//! Every event that there is, the code that tells it, and a scene in which the runtime does.
//!
//! An event that nobody tells is a promise to whoever subscribes that is never kept, so a name without a scene fails, and
//! so does a row of the table that is not so.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracecore::events::{Event, Events, Filter, Occurrence};
use tracecore::testing::{
    Answer, Command, ExportFailure, RecordingExporter, ScriptedReceiver, Start, TestService, assert_event, metrics,
    needs_events, pipeline, within_ceiling,
};
use tracecore_tests::Backend;

/// The names that are not told yet, with who will. One that is told, or has a scene, must not stand here.
const NOT_YET: [(&str, &str); 0] = [];

/// Each event: its name, the scene that shows it, and a file that tells it.
const TABLE: [(&str, Scene, &str); 35] = [
    ("service.started", Scene::Life, "tracecore/src/runtime/supervise.rs"),
    ("service.start_failed", Scene::Probe, "tracecore/src/runtime/supervise.rs"),
    ("service.ready", Scene::Life, "tracecore/src/runtime/service.rs"),
    ("service.restarted", Scene::Panics, "tracecore/src/cx/life.rs"),
    ("service.status_changed", Scene::Life, "tracecore/src/cx/life.rs"),
    ("service.health_check", Scene::Probe, "tracecore/src/cx/life.rs"),
    ("service.stopping", Scene::Life, "tracecore/src/runtime/stop.rs"),
    ("service.stopped", Scene::Life, "tracecore/src/runtime/stop.rs"),
    ("config.applied", Scene::Life, "tracecore/src/runtime/boot.rs"),
    ("signal.handled", Scene::Signal, "tracecore/cli/src/collect.rs"),
    ("batch.accepted", Scene::Life, "tracecore/src/emit/mod.rs"),
    ("batch.refused", Scene::FullQueue, "tracecore/src/emit/mod.rs"),
    ("batch.dropped", Scene::BrokenExporter, "tracecore/src/queue/deliver.rs"),
    ("export.merged", Scene::Merging, "tracecore/src/queue/taken.rs"),
    ("export.started", Scene::Life, "tracecore/src/queue/deliver.rs"),
    ("export.succeeded", Scene::Life, "tracecore/src/queue/deliver.rs"),
    ("export.failed", Scene::BrokenExporter, "tracecore/src/queue/deliver.rs"),
    ("retry.backoff", Scene::BrokenExporter, "tracecore/src/queue/deliver.rs"),
    ("retry.exhausted", Scene::BrokenExporter, "tracecore/src/queue/deliver.rs"),
    ("breaker.state_changed", Scene::OpenBreaker, "tracecore/src/queue/guard.rs"),
    ("breaker.rejected", Scene::OpenBreaker, "tracecore/src/queue/guard.rs"),
    ("breaker.health_check", Scene::OpenBreaker, "tracecore/src/queue/guard.rs"),
    ("connection.opened", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("connection.failed", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("connection.closed", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("connection.acquired", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("connection.released", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("pool.created", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("pool.health", Scene::Pool, "tracecore/src/cx/client.rs"),
    ("task.started", Scene::Life, "tracecore/src/cx/task.rs"),
    ("task.completed", Scene::Life, "tracecore/src/cx/task.rs"),
    ("task.failed", Scene::Panics, "tracecore/src/cx/task.rs"),
    ("resource.acquired", Scene::Thread, "tracecore/src/cx/resources.rs"),
    ("resource.released", Scene::Thread, "tracecore/src/cx/resources.rs"),
    ("resource.exhausted", Scene::FullQueue, "tracecore/src/emit/route.rs"),
];

/// What the runtime is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// A service starts, delivers a batch from a task, and stops.
    Life,
    /// A receiver panics, and then a task of it.
    Panics,
    /// A receiver waits for what it needs.
    Probe,
    /// A queue has no room.
    FullQueue,
    /// Batches are merged.
    Merging,
    /// The other side is away for longer than retries last.
    BrokenExporter,
    /// The other side is away until the circuit breaker tries it.
    OpenBreaker,
    /// One exporter calls somebody, and another one nobody.
    Pool,
    /// A receiver works on a thread of its own.
    Thread,
    /// The process is told to end.
    Signal,
}

type Told = Vec<Arc<Occurrence>>;

impl Scene {
    /// What was told in it.
    fn play(self) -> BTreeSet<&'static str> {
        let scene: Pin<Box<dyn Future<Output = Told>>> = match self {
            Scene::Life => Box::pin(life()),
            Scene::Panics => Box::pin(panics()),
            Scene::Probe => Box::pin(probe()),
            Scene::FullQueue => Box::pin(full_queue()),
            Scene::Merging => Box::pin(merging()),
            Scene::BrokenExporter => Box::pin(broken_exporter()),
            Scene::OpenBreaker => Box::pin(open_breaker()),
            Scene::Pool => Box::pin(pool()),
            Scene::Thread => Box::pin(thread()),
            Scene::Signal => return signal(),
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // A paused clock does not wait for a thread or a socket.
        runtime.enable_all().start_paused(!matches!(self, Scene::Pool | Scene::Thread));
        let told = runtime.build().expect("a runtime").block_on(scene);
        told.iter().map(|occurrence| occurrence.name()).collect()
    }
}

async fn life() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let (reply, verdict) = oneshot::channel();
    receiver.tell(Command::EmitBeside(metrics("one", 1), reply));
    assert!(within_ceiling(verdict).await.expect("the task lives").is_accepted());
    service.stop().await
}

async fn merging() -> Told {
    let (receiver, mut exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let service = TestService::start(&pipeline(&receiver, &exporter, "sending_queue: {batch: {min_size: 2}}")).await;
    for _ in 0..2 {
        assert!(receiver.emit(metrics("one", 1)).await.is_accepted());
    }
    exporter.called().await;
    service.stop().await
}

async fn panics() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let mut service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    receiver.tell(Command::Panic);
    receiver.tell(Command::PanicBeside);
    service.wait_restart("test_source").await;
    service.wait_restart("test_source").await;
    service.stop().await
}

async fn probe() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    receiver.on_start(Start::Fail);
    let yaml =
        pipeline(&receiver, &exporter, "").replace("    key: source", "    on_start_error: probe\n    key: source");
    let service = TestService::start(&yaml).await;
    receiver.on_start(Start::Ready);
    service.wait_healthy("test_source").await;
    service.stop().await
}

async fn full_queue() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::answering(Answer::Stall));
    let service = TestService::start(&pipeline(&receiver, &exporter, "sending_queue: {queue_size: 1}")).await;
    assert!(receiver.emit(metrics("fills it", 1)).await.is_accepted());
    assert!(!receiver.emit(metrics("too many", 1)).await.is_accepted());
    exporter.release(1);
    service.stop().await
}

async fn broken_exporter() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::failing(ExportFailure::Away));
    let settings = "retry_on_failure: {max_elapsed_time: 20s}\nsending_queue: {wait_for_result: true}";
    let service = TestService::start(&pipeline(&receiver, &exporter, settings)).await;
    assert!(!receiver.emit(metrics("lost", 1)).await.is_accepted());
    service.stop().await
}

async fn open_breaker() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::failing_times(1, ExportFailure::Away));
    let settings =
        "circuit_breaker: {failure_threshold: 1, open_duration: 30s}\nsending_queue: {wait_for_result: true}";
    let service = TestService::start(&pipeline(&receiver, &exporter, settings)).await;
    assert!(receiver.emit(metrics("comes late", 1)).await.is_accepted());
    service.stop().await
}

async fn pool() -> Told {
    let (receiver, somebody) = (ScriptedReceiver::new(), Backend::start().await);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port is free");
    let settings = "retry_on_failure: {enabled: false}\n    sending_queue: {wait_for_result: true}";
    let yaml = format!(
        "
receivers:
  test_source:
    key: {receiver}
exporters:
  test_poster/somebody:
    endpoint: {}
    {settings}
  test_poster/nobody:
    endpoint: {nobody}
    {settings}
service:
  pipelines:
    metrics:
      receivers: [test_source]
      exporters: [test_poster/somebody, test_poster/nobody]
",
        somebody.address()
    );
    let service = TestService::start(&yaml).await;
    let mut heard = service.running.events().subscribe(Filter::all());
    assert!(!receiver.emit(metrics("lost on the way to nobody", 1)).await.is_accepted());
    // It closes what is idle, and with it what the exporter has.
    drop(somebody);
    assert_event!(heard, "connection.closed", component = "test_poster/somebody");
    service.stop().await
}

async fn thread() -> Told {
    let (receiver, exporter) = (ScriptedReceiver::new(), RecordingExporter::new());
    let service = TestService::start(&pipeline(&receiver, &exporter, "")).await;
    let mut heard = service.running.events().subscribe(Filter::all());
    // Nobody holds the sender: the thread ends at once.
    receiver.tell(Command::Block(std::sync::mpsc::channel().1));
    assert_event!(heard, "resource.released", resource = "thread");
    service.stop().await
}

/// Signals belong to the process, so that the scene has one to itself.
fn signal() -> BTreeSet<&'static str> {
    let this = std::env::current_exe().expect("a test has a file");
    let mut alone = std::process::Command::new(this);
    alone.args(["--ignored", "--exact", "every_event::a_signal_alone", "--test-threads=1"]);
    let output = alone.output().expect("it runs once more");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    BTreeSet::from(["signal.handled"])
}

#[tokio::test]
#[ignore = "needs a process of its own: every_event_is_emitted runs it"]
async fn a_signal_alone() {
    let events = Events::default();
    let mut heard = events.subscribe(Filter::all());
    let mut signals = tracecore_cli::Signals::install().expect("the system allows it");
    let this = rustix::process::getpid();
    rustix::process::kill_process(this, rustix::process::Signal::TERM).expect("a process may signal itself");
    assert_eq!(within_ceiling(signals.next(&events)).await, 128 + 15);
    assert_event!(heard, "signal.handled", signal = "SIGTERM");
}

/// The variant of an event as the code writes it: `BatchEvent::Dropped`.
fn variant(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let (group, what) = name.split_once('.').expect("a name has a group");
    format!("{}Event::{}", capital(group), what.split('_').map(capital).collect::<String>())
}

/// The code of the runtime and of the program, without the events themselves and the tests.
fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !["events", "testing", "tests"].contains(&name.as_str()) {
            sources(&path, found);
        } else if name.ends_with(".rs") && !["testing.rs", "tests.rs"].contains(&name.as_str()) {
            let text = std::fs::read_to_string(&path).expect("it is text");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.insert(path, code);
        }
    }
}

/// Which files tell which event.
fn emitters() -> BTreeMap<&'static str, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut files = BTreeMap::new();
    ["tracecore/src", "tracecore/cli/src", "components/src"].iter().for_each(|at| sources(&root.join(at), &mut files));
    let of = |name: &'static str| {
        let variant = variant(name);
        let telling = files.iter().filter(|(_, text)| {
            text.match_indices(&variant).any(|(at, _)| !text[at + variant.len()..].starts_with(char::is_alphanumeric))
        });
        let relative = |path: &Path| path.strip_prefix(root).expect("it is below").display().to_string();
        (name, telling.map(|(path, _)| relative(path)).collect())
    };
    Event::NAMES.iter().copied().map(of).collect()
}

#[test]
fn every_event_is_emitted() {
    let in_table: BTreeSet<_> = TABLE.iter().map(|(name, ..)| *name).collect();
    let not_yet: BTreeSet<_> = NOT_YET.iter().map(|(name, _)| *name).collect();
    assert_eq!(in_table.len(), TABLE.len(), "each has one row");
    assert_eq!(in_table.intersection(&not_yet).count(), 0, "what has a scene is told");
    let listed: BTreeSet<_> = in_table.union(&not_yet).copied().collect();
    let names: BTreeSet<_> = Event::NAMES.iter().copied().collect();
    assert_eq!(listed, names, "an event has a scene, or stands in NOT_YET");

    let emitters = emitters();
    for (name, scene, file) in &TABLE {
        let files = &emitters[name];
        println!("{name}: told by {}, shown by {scene:?}", files.join(", "));
        assert!(files.iter().any(|known| known == file), "{name} is not told by {file}, but by {files:?}");
    }
    for (name, who) in NOT_YET {
        assert!(emitters[name].is_empty(), "{name} is told by {:?}: give it a scene ({who})", emitters[name]);
    }

    needs_events!();
    let scenes: BTreeSet<_> = TABLE.iter().map(|(_, scene, _)| *scene).collect();
    let told: BTreeMap<_, _> = scenes.into_iter().map(|scene| (scene, scene.play())).collect();
    for (name, scene, _) in &TABLE {
        assert!(told[scene].contains(name), "{scene:?} does not show {name}; it tells {:?}", told[scene]);
    }
    for name in not_yet {
        assert!(told.values().all(|told| !told.contains(name)), "{name} is told: give it a scene");
    }
}
