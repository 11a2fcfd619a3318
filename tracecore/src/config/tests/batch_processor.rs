//! The Collector's `batch` processor.

use super::*;

/// Two pipelines with a `batch` processor, its settings and those of the exporter to be filled in.
fn config(batch: &str, exporter: &str) -> Result<Config, String> {
    let text = format!(
        "
receivers: {{otlp: }}
processors:
  batch: {batch}
  batch/other: {{timeout: 1s}}
  filter: {{keep: a}}
exporters:
  otlp: {exporter}
  debug:
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [batch, filter], exporters: [otlp]}}
    logs: {{receivers: [otlp], processors: [batch/other], exporters: [debug]}}
"
    );
    from_tree(tree(&text)).map_err(|errors| errors.to_string())
}

fn queue(config: &Config, exporter: &str) -> String {
    let exporter = config.exporters.iter().find(|defined| defined.id.to_string() == exporter).expect("it is defined");
    exporter.settings.get("sending_queue").map_or_else(String::new, show)
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn becomes_the_batch_of_the_queues_behind_it_and_a_warning_says_which() {
    let config = config("{timeout: 5s, send_batch_size: 100, send_batch_max_size: 200}", "{endpoint: a}").unwrap();
    let traces = &config.service.pipelines[0];
    assert_eq!(traces.processors.iter().map(|named| named.id.to_string()).collect::<Vec<_>>(), ["filter"]);
    let batch = r#"{"batch": {"flush_timeout": 5s, "min_size": 100, "max_size": 200, "sizer": items}}"#;
    assert_eq!(queue(&config, "otlp"), batch);
    assert_eq!(queue(&config, "debug"), r#"{"batch": {"flush_timeout": 1s, "sizer": items}}"#);
    let [traces, logs] = &warnings(&config)[..] else { panic!("{:?}", config.warnings) };
    assert_eq!(
        traces,
        "env:S0:12:46: service.pipelines.traces.processors: `batch` is done by the queue of the exporter, as if exporters.otlp had \
         `sending_queue: {batch: {flush_timeout: 5s, min_size: 100, max_size: 200, sizer: items}}`; write that in its place"
    );
    assert!(logs.contains("exporters.debug had `sending_queue: {batch: {flush_timeout: 1s, sizer: items}}`"), "{logs}");
}

#[test]
fn without_a_timeout_or_a_size_nothing_waits() {
    for settings in ["{timeout: 0s, send_batch_size: 7}", "{timeout: 0, send_batch_size: 7}"] {
        let config = config(settings, "").unwrap();
        assert_eq!(queue(&config, "otlp"), r#"{"batch": {"min_size": 0, "sizer": items}}"#, "{settings}");
    }
    let config = config("{send_batch_size: 0}", "").unwrap();
    assert_eq!(queue(&config, "otlp"), r#"{"batch": {"min_size": 0, "sizer": items}}"#);
}

#[test]
fn an_exporter_that_says_itself_how_it_merges_is_left_as_it_is() {
    let config = config("{timeout: 5s}", "{sending_queue: {queue_size: 5, batch: {min_size: 3}}}").unwrap();
    assert_eq!(queue(&config, "otlp"), r#"{"queue_size": 5, "batch": {"min_size": 3}}"#);
    assert!(warnings(&config)[0].contains("exporters.otlp has a `sending_queue.batch` of its own"));
    let config = self::config("{timeout: 5s}", "{sending_queue: {queue_size: 5}}").unwrap();
    assert_eq!(queue(&config, "otlp"), r#"{"queue_size": 5, "batch": {"flush_timeout": 5s, "sizer": items}}"#);
}

#[test]
fn of_two_pipelines_that_share_an_exporter_the_first_has_its_way_and_both_hear_of_it() {
    let text = "
receivers: {otlp: }
processors: {batch: , batch/slow: {timeout: 9s}}
exporters: {otlp: }
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [otlp]}
    logs: {receivers: [otlp], processors: [batch/slow], exporters: [otlp]}
    logs/plain: {receivers: [otlp], exporters: [otlp]}
";
    let config = from_tree(tree(text)).unwrap();
    assert_eq!(queue(&config, "otlp"), r#"{"batch": {"sizer": items}}"#);
    let [mapped, other, plain] = &warnings(&config)[..] else { panic!("{:?}", config.warnings) };
    assert!(mapped.contains("service.pipelines.traces.processors: `batch` is done by the queue"), "{mapped}");
    assert!(
        other.contains("`batch/slow` asks for another size or time than `batch` of the pipeline `traces`"),
        "{other}"
    );
    assert!(
        plain.contains("service.pipelines.logs/plain.exporters: what this pipeline sends is merged too"),
        "{plain}"
    );
}

#[test]
fn what_it_cannot_have_is_an_error_with_its_place() {
    for (settings, message) in [
        ("{timeout: soon}", "env:S0:4:20: processors.batch.timeout: "),
        ("{send_batch_size: -1}", "env:S0:4:28: processors.batch.send_batch_size: "),
        (
            "{send_batch_size: 9, send_batch_max_size: 3}",
            "processors.batch.send_batch_max_size: must be at least send_batch_size",
        ),
        ("{send_batch_max_size: 3}", "must be at least send_batch_size, which is 8192, or 0 for no limit; not 3"),
        ("{metadata_keys: tenant}", "env:S0:4:26: processors.batch.metadata_keys: "),
        ("{metadata_cardinality_limit: 0}", "env:S0:4:39: processors.batch.metadata_cardinality_limit: "),
        ("{size: 3}", "env:S0:4:11: processors.batch.size: unknown key"),
    ] {
        let error = config(settings, "").unwrap_err();
        assert!(error.contains(message), "{settings}: {error}");
    }
}

#[test]
fn what_keeps_clients_apart_is_the_partition_of_the_queue() {
    let config = config("{metadata_keys: [tenant], metadata_cardinality_limit: 5}", "").unwrap();
    let partition = r#"{"metadata_keys": [tenant], "metadata_cardinality_limit": 5}"#;
    assert_eq!(queue(&config, "otlp"), format!(r#"{{"batch": {{"partition": {partition}, "sizer": items}}}}"#));
    let mapped = &warnings(&config)[0];
    assert!(mapped.contains(&format!("{{batch: {{partition: {partition}, sizer: items}}}}")), "{mapped}");
}
