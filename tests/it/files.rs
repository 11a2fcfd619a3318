//! The `file` exporter, the `file` receiver and the `generator` in running services.

#![expect(clippy::unwrap_used, reason = "the helpers of a test panic where the test cannot go on")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tracecore::error::Report;
use tracecore::signal::{Batch, Signal};
use tracecore::testing::{
    ExportFailure, RecordingExporter, ScriptedReceiver, TestService, build_error, ceiling, logs, metrics, spans,
};
use tracecore::time::Instant;

/// A receiver and an exporter in a pipeline for each signal, each with its settings as one flow mapping.
fn yaml(receiver: (&str, &str), exporter: (&str, &str)) -> String {
    let ((receiver, from), (exporter, to)) = (receiver, exporter);
    let pipelines: String = Signal::ALL
        .iter()
        .map(|signal| format!("    {signal}:\n      receivers: [{receiver}]\n      exporters: [{exporter}]\n"))
        .collect();
    format!("receivers:\n  {receiver}: {from}\nexporters:\n  {exporter}: {to}\nservice:\n  pipelines:\n{pipelines}")
}

/// Writes batches to `folder/kept.json`, with these settings beside the path, and stops.
async fn record(folder: &Path, settings: &str, batches: &[Batch]) {
    let source = ScriptedReceiver::new();
    let path = folder.join("kept.json");
    let to = format!("{{ path: {}, sending_queue: {{ wait_for_result: true }}, {settings} }}", path.display());
    let service = TestService::start(&yaml(("test_source", &format!("{{ key: {source} }}")), ("file", &to))).await;
    for batch in batches {
        assert!(source.emit(batch.clone()).await.is_accepted());
    }
    service.stop().await;
}

/// A service that replays `folder/kept*` with these settings into `sink`.
async fn replaying(folder: &Path, settings: &str, sink: &RecordingExporter) -> TestService {
    let from = format!("{{ include: ['{}/kept*'], {settings} }}", folder.display());
    // So that one comes after the other.
    let to = format!("{{ key: {sink}, sending_queue: {{ wait_for_result: true }} }}");
    TestService::start(&yaml(("file", &from), ("test_sink", &to))).await
}

/// What these settings replay, which is so many batches.
async fn replayed(folder: &Path, settings: &str, batches: usize) -> Vec<Batch> {
    let mut sink = RecordingExporter::new();
    let service = replaying(folder, settings, &sink).await;
    for _ in 0..batches {
        sink.called().await;
    }
    service.stop().await;
    let taken = sink.taken();
    assert_eq!(taken.len(), batches, "and no more");
    taken
}

fn decoded(batches: &[Batch]) -> Vec<String> {
    batches.iter().map(|batch| format!("{:?}", batch.decode())).collect()
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}

#[tokio::test]
async fn what_is_kept_is_replayed_in_every_format() {
    let mut merged = logs("of several parts", 2);
    merged.merge(logs("another", 3)).unwrap();
    let batches = [logs("first", 3), merged];
    for (format, compression) in [("json", "none"), ("json", "zstd"), ("proto", "none"), ("proto", "zstd")] {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("format: {format}, compression: {compression}");
        record(folder.path(), &settings, &batches).await;
        let replayed = replayed(folder.path(), &format!("{settings}, signal: logs"), 2).await;
        assert_eq!(decoded(&replayed), decoded(&batches), "{settings}");
    }
}

#[tokio::test]
async fn a_file_of_json_holds_every_signal_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let batches = [logs("a", 1), spans("b", 2), metrics("c", 3)];
    record(folder.path(), "format: json", &batches).await;
    let text = fs::read_to_string(folder.path().join("kept.json")).unwrap();
    let keys = ["resourceLogs", "resourceSpans", "resourceMetrics"];
    assert!(text.lines().zip(keys).all(|(line, key)| line.starts_with(&format!("{{\"{key}\":["))), "{text}");
    assert_eq!(text.lines().count(), 3);
    // Each goes into the pipelines of its signal, whose order among each other is open.
    let mut replayed = replayed(folder.path(), "format: json", 3).await;
    replayed.sort_by_key(Batch::items);
    assert_eq!(decoded(&replayed), decoded(&batches));
}

#[tokio::test]
async fn a_malformed_line_costs_itself_and_is_told_of_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "append: true", &[logs("first", 1)]).await;
    let kept = folder.path().join("kept.json");
    let good = fs::read_to_string(&kept).unwrap();
    let wrong = ["nonsense", "{\"resourceLogs\": 7}", "{\"other\": 1}", "{\"resourceLogs\":[{\"scopeLogs\":["];
    let too_large = format!("{{\"resourceLogs\":[{{\"schemaUrl\":\"{}\"}}]}}", "x".repeat(2000));
    fs::write(&kept, format!("{good}{}\n\n{too_large}\n{good}{}", wrong.join("\n"), good.trim_end())).unwrap();

    let mut sink = RecordingExporter::new();
    let service = replaying(folder.path(), "max_record_size: 1KiB", &sink).await;
    for _ in 0..3 {
        sink.called().await;
    }
    let label = [("kind", "parse")];
    service.wait_metric("tracecore_receiver_errors_total", &label, |errors| errors >= 5.0).await;
    let status = service.wait_status("file", tracecore::status::State::Ok).await;
    assert!(format!("{status:?}").contains("kept.json:7: larger than max_record_size"), "{status:?}");
    service.stop().await;
    assert_eq!(sink.taken().len(), 3);
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_costs_itself() {
    for compression in ["none", "zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let format = format!("format: proto, compression: {compression}");
        // The second is small only as long as it is compressed.
        record(folder.path(), &format, &[logs("a", 1), logs(&"x".repeat(1 << 20), 1), logs("b", 2)]).await;
        let kept = folder.path().join("kept.json");
        let mut bytes = b"\0\0\0\x04junk".to_vec();
        bytes.extend(fs::read(&kept).unwrap());
        bytes.extend(b"\0\0\0\x09cut");
        fs::write(&kept, bytes).unwrap();

        let mut sink = RecordingExporter::new();
        let settings = format!("{format}, signal: logs, max_record_size: 64KiB");
        let service = replaying(folder.path(), &settings, &sink).await;
        assert_eq!([sink.called().await.items(), sink.called().await.items()], [1, 2], "{compression}");
        service.wait_metric("tracecore_receiver_errors_total", &[("kind", "parse")], |errors| errors >= 3.0).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "", &[logs("a", 1), logs("b", 2), logs("c", 3)]).await;
    // The first attempt fails, and nobody but the receiver tries again.
    let mut sink = RecordingExporter::failing_times(1, ExportFailure::Away);
    let from = format!("{{ include: ['{}/kept*'] }}", folder.path().display());
    let to = format!(
        "{{ key: {sink}, sending_queue: {{ wait_for_result: true }}, retry_on_failure: {{ enabled: false }} }}"
    );
    let service = TestService::start(&yaml(("file", &from), ("test_sink", &to))).await;
    for _ in 0..4 {
        sink.called().await;
    }
    service.stop().await;
    assert_eq!(sink.taken().iter().map(Batch::items).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_file_is_put_aside_before_it_is_too_large_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // Two of them fill a mebibyte; incompressible enough that a line is a line.
    let name = "x".repeat(600_000);
    let batches: Vec<Batch> = (1..=4).map(|items| logs(if items == 1 { "a" } else { &name }, 1)).collect();
    record(folder.path(), "rotation: { max_megabytes: 1, max_backups: 10 }", &batches).await;
    let kept = files(folder.path());
    assert_eq!(kept.len(), 3, "{:?}", kept.keys());
    for (file, text) in &kept {
        assert!(text.len() <= 1 << 20 && text.ends_with('\n'), "{file} has {} bytes", text.len());
        assert!(file == "kept.json" || file.starts_with("kept-2001-09-09T01-46-4"), "{file}");
    }
    let replayed = replayed(folder.path(), "", 4).await;
    assert_eq!(decoded(&replayed), decoded(&batches), "the oldest first");

    // What is there stays, and only so many stay.
    record(folder.path(), "rotation: { max_megabytes: 1, max_backups: 1 }", &batches[1..3]).await;
    let left = files(folder.path());
    assert_eq!(left.len(), 2, "{:?}", left.keys());
}

#[tokio::test]
async fn a_file_is_emptied_at_the_start_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    record(folder.path(), "", &[logs("a", 1)]).await;
    record(folder.path(), "append: true", &[logs("b", 1)]).await;
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.lines().count() == 2 && text.contains("\"a\"") && text.contains("\"b\""), "{text}");
    record(folder.path(), "", &[logs("c", 1)]).await;
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.lines().count() == 1 && text.contains("\"c\""), "{text}");

    // Half a line, as a machine that lost its power leaves it, takes no other line with it.
    fs::write(&kept, "{\"resourceLogs\":[").unwrap();
    record(folder.path(), "append: true", &[logs("d", 1)]).await;
    let text = fs::read_to_string(&kept).unwrap();
    assert_eq!((text.lines().count(), text.lines().nth(1).unwrap().contains("\"d\"")), (2, true), "{text}");
}

#[tokio::test]
async fn a_file_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let source = ScriptedReceiver::new();
    let path = folder.path().join("a/b/kept.json");
    let to = |folder| format!("{{ path: {}, create_directory: {folder} }}", path.display());
    let from = format!("{{ key: {source} }}");
    let missing = TestService::try_start(&yaml(("test_source", &from), ("file", &to(false)))).await;
    let error = Report(&missing.err().expect("there is no folder")).to_string();
    assert!(error.contains("kept.json: No such file or directory"), "{error}");

    let service = TestService::start(&yaml(("test_source", &from), ("file", &to(true)))).await;
    assert!(source.emit(logs("a", 1)).await.is_accepted());
    let second = TestService::try_start(&yaml(("test_source", &from), ("file", &to(true)))).await;
    let error = Report(&second.err().expect("it is taken")).to_string();
    assert!(error.contains("is being written by another exporter or another collector"), "{error}");
    service.stop().await;
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1, "the second has left it alone");
}

#[test]
fn wrong_settings_are_refused_with_what_to_do() {
    let source = ScriptedReceiver::new();
    let from = format!("{{ key: {source} }}");
    for (yaml, expected) in [
        (yaml(("test_source", &from), ("file", "{}")), "path"),
        (yaml(("test_source", &from), ("file", "{ path: /x, rotation: { max_megabytes: 0 } }")), "expected at least 1"),
        (yaml(("file", "{ include: [] }"), ("stdout", "{}")), "expected at least one path"),
        (yaml(("file", "{ include: ['a***'] }"), ("stdout", "{}")), "`a***` is not a path with wildcards"),
        (yaml(("file", "{ include: [a], format: proto }"), ("stdout", "{}")), "protobuf does not say what it holds"),
        (yaml(("test_source", &from), ("debug", "{ verbosity: loud }")), "verbosity"),
    ] {
        let error = Report(&build_error(&yaml)).to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error_and_the_others_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "", &[logs("a", 1)]).await;
    let sink = RecordingExporter::new();
    let from = format!("{{ include: ['{0}/none*', '{0}/kept.json', '{0}/*.json'] }}", folder.path().display());
    let service = TestService::start(&yaml(("file", &from), ("test_sink", &format!("{{ key: {sink} }}")))).await;
    service.wait_metric("tracecore_receiver_errors_total", &[("kind", "enumerate")], |errors| errors >= 1.0).await;
    service.wait_metric("tracecore_exporter_calls_total", &[("result", "success")], |calls| calls >= 1.0).await;
    service.stop().await;
    assert_eq!(sink.taken().len(), 1, "what two patterns name is replayed once");
}

#[tokio::test]
async fn what_is_excluded_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "", &[logs("excluded", 1)]).await;
    fs::rename(folder.path().join("kept.json"), folder.path().join("kept-aside.json")).unwrap();
    record(folder.path(), "", &[logs("included", 1)]).await;
    let exclude = format!("exclude: ['{}/*-aside.json']", folder.path().display());
    let taken = replayed(folder.path(), &exclude, 1).await;
    assert_eq!(decoded(&taken), decoded(&[logs("included", 1)]));
}

/// What a generator with these settings sends, which is so many requests.
async fn generated(settings: &str, requests: usize) -> Vec<Batch> {
    let mut sink = RecordingExporter::new();
    let to = format!("{{ key: {sink}, sending_queue: {{ wait_for_result: true }} }}");
    let service = TestService::start(&yaml(("generator", settings), ("test_sink", &to))).await;
    for _ in 0..requests {
        sink.called().await;
    }
    service.stop().await;
    sink.taken()
}

#[tokio::test(start_paused = true)]
async fn a_generator_sends_what_follows_from_its_seed() {
    let settings = "rate: 0, requests: 6, items_per_request: 10, mix: { traces: 2, metrics: 1, logs: 0 }";
    let from = async |seed| generated(&format!("{{ seed: {seed}, {settings} }}"), 6).await;
    let sent = from(7).await;
    let signals: Vec<&str> = sent.iter().map(|batch| batch.signal().as_str()).collect();
    assert_eq!(signals, ["traces", "metrics", "traces", "traces", "metrics", "traces"]);
    assert!(sent.iter().all(|batch| batch.items() == 10));
    assert_eq!(decoded(&from(7).await), decoded(&sent), "and time stands still");
    assert_ne!(decoded(&from(8).await), decoded(&sent));
}

#[tokio::test(start_paused = true)]
async fn a_generator_keeps_to_its_rate() {
    let started = Instant::now();
    let sent = generated("{ rate: 1000, requests: 21, mix: { metrics: 0, logs: 0 } }", 21).await;
    assert_eq!(sent.len(), 21);
    let took = started.elapsed().as_secs_f64();
    // 2,100 items at 1,000 a second, the first hundred after a tenth of it.
    assert!((2.0..2.3).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_generator_without_a_limit_hears_a_shutdown() {
    let mut sink = RecordingExporter::new();
    let to = format!("{{ key: {sink} }}");
    let service = TestService::start(&yaml(("generator", "{ rate: 0 }"), ("test_sink", &to))).await;
    for _ in 0..100 {
        sink.called().await;
    }
    let asked = Instant::now();
    service.stop().await;
    assert!(asked.elapsed() < ceiling(Duration::from_secs(4)), "it was aborted after the drain's five seconds");
}
