//! The schema says what the loader says, by a validator that is not ours.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;
use tracecore::config::{Loaded, Source, load};
use tracecore::runtime::Service;
use tracecore::schema::configuration;

use crate::generated::ours;

fn validator() -> Validator {
    jsonschema::options().build(&configuration(&ours())).expect("it is a schema")
}

/// A text as both take it: what the loader makes of it, with this variable, and the same as JSON.
fn loaded(text: &str) -> (Loaded, Value) {
    let loaded = load(&[Source::Yaml(text.to_owned())], &[], &|_: &str| Some("5s".to_owned())).expect("it is YAML");
    let json = loaded.root().deserialize("").expect("all YAML that we take is JSON");
    (loaded, json)
}

/// Why the loader refuses it, if it does.
fn refused(loaded: Loaded) -> Option<String> {
    Service::builder().build_loaded(loaded, &ours()).err().map(|error| error.to_string())
}

#[test]
fn it_is_a_schema_of_the_dialect_that_it_names() {
    let schema = configuration(&ours());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error} at {}", error.instance_path()));
}

#[test]
fn what_the_examples_say_is_right_for_both() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<_> = fs::read_dir(root.join("docs/examples"))
        .expect("the examples")
        .map(|file| file.expect("a file").path())
        .collect();
    files.push(root.join("tracecore/cli/src/default.yaml"));
    files.retain(|file| !file.to_string_lossy().contains("prometheus-alerts"));
    assert!(files.len() > 5, "{files:?}");
    let validator = validator();
    for file in files {
        let (loaded, json) = loaded(&fs::read_to_string(&file).expect("a text"));
        assert_eq!(refused(loaded), None, "{}", file.display());
        let errors: Vec<_> =
            validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
    }
}

/// A configuration with these parts in it.
fn with(receiver: &str, exporter: &str, service: &str, telemetry: &str) -> String {
    format!(
        "receivers: {{clock: {receiver}}}\nexporters: {{stdout: {exporter}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [clock], exporters: [stdout]}}}}, {service}}}\ntelemetry: {telemetry}\n"
    )
}

#[test]
fn both_take_the_same() {
    let taken = [
        with("", "", "", ""),
        with("{}", "{}", "drain_timeout: 2s, workers: 3, restart_budget: 0, memory_limit: 1GiB", "{enabled: true}"),
        with(
            "{interval: 1h30m}",
            "{sending_queue: , retry_on_failure: {multiplier: 2}}",
            "",
            "{enabled: false, listen: [nonsense]}",
        ),
        with("", "", "", "").replace("stdout", "stdout/a/b.c"),
        with("{interval: '${env:INTERVAL}'}", "{sending_queue: {batch: }}", "workers: ", "{listen: 5}"),
        with(
            "",
            "{sending_queue: {batch: {min_size: 5, partition: {metadata_keys: [1, true, x]}}}, timeout: 1s}",
            "",
            "{enabled: true, level: detailed, paths: {metrics: /m}}",
        ),
        with(
            "{on_start_error: probe}",
            "{circuit_breaker: {enabled: false}}",
            "",
            "{enabled: true, traces: {endpoint: ''}, push: {endpoint: 'http://a:1'}}",
        ),
        with("", "", "extensions: , telemetry: ", "") + "extensions:\nconnectors:\n",
        with("", "", "extensions: [health_check/a, pprof], telemetry: {metrics: , logs: }", "")
            + "extensions: {health_check/a: , pprof: {x: [1]}, zpages/b: }\nconnectors: {}\n",
        with(
            "",
            "",
            "telemetry: {logs: {level: INFO, encoding: 5}, metrics: {level: Normal, readers: }, traces: x}",
            "",
        ) + "extensions: {health_check: {endpoint: ':1', path: /a, check_collector_pipeline: , response_body: {healthy: 5}}}\n",
        with("", "", "telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 5, port: 1}}}}, {}]}}", ""),
    ];
    let validator = validator();
    for text in taken {
        let (loaded, json) = loaded(&text);
        assert_eq!(refused(loaded), None, "{text}");
        let errors: Vec<_> =
            validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{text}\n{errors:#?}");
    }
}

#[test]
fn both_refuse_the_same() {
    let none = "receivers: {clock: }\nexporters: {stdout: }\n";
    let shapes = [
        with("{intervall: 1s}", "", "", ""),
        with("{interval: 5}", "", "", ""),
        with("{interval: [1s]}", "", "", ""),
        with("{interval: 1 parsec}", "", "", ""),
        with("[]", "", "", ""),
        with("5", "", "", ""),
        with("{on_start_error: perhaps}", "", "", ""),
        with("", "{format: xml}", "", ""),
        with("", "{sending_queue: {num_consumers: 0}}", "", ""),
        with("", "{sending_queue: {sizer: pounds}}", "", ""),
        with("", "{sending_queue: yes}", "", ""),
        with("", "{retry_on_failure: {enabled: 1}}", "", ""),
        with("", "{retry_on_failure: {multiplier: 0.5}}", "", ""),
        with("", "{max_bytes: 5}", "", ""),
        with("", "", "drain_timeout: 0s", ""),
        with("", "", "workers: many", ""),
        with("", "", "threads: 5", ""),
        with("", "", "", "{enabled: true, listen: nowhere}"),
        with("", "", "", "{enabled: true, level: much}"),
        with("", "", "", "{enabled: true, paths: {metrics: metrics}}"),
        with("", "", "", "{enabled: 5}"),
        with("", "", "", "[]"),
        format!("{none}service: {{pipelines: {{spans: {{receivers: [clock], exporters: [stdout]}}}}}}"),
        format!("{none}service: {{pipelines: {{metrics: {{receivers: [clock]}}}}}}"),
        format!("{none}service: {{pipelines: {{metrics: {{receivers: [clock], exporters: []}}}}}}"),
        format!("{none}service: {{pipelines: {{metrics: {{receivers: clock, exporters: [stdout]}}}}}}"),
        format!(
            "{none}service: {{pipelines: {{metrics: {{receivers: [clock], exporters: [stdout], connectors: []}}}}}}"
        ),
        format!("{none}service: {{pipelines: {{}}}}"),
        format!("{none}service: {{}}"),
        none.to_owned(),
        with("", "", "", "") + "nonsense: {}\n",
        with("", "", "", "") + "connectors: {forward: }\n",
        with("", "", "", "") + "connectors: []\n",
        with("", "", "", "") + "extensions: {file_storage: }\n",
        with("", "", "", "") + "extensions: {zpages: 5}\n",
        with("", "", "", "") + "extensions: {health_check: {endpoint: nowhere}}\n",
        with("", "", "", "") + "extensions: {health_check: {tls: {}}}\n",
        with("", "", "", "") + "extensions: {health_check: {response_body: up}}\n",
        with("", "", "extensions: health_check", ""),
        with("", "", "extensions: [5]", ""),
        with("", "", "telemetry: []", ""),
        with("", "", "telemetry: {log: {}}", ""),
        with("", "", "telemetry: {logs: {level: loud}}", ""),
        with("", "", "telemetry: {metrics: {level: much}}", ""),
        with("", "", "telemetry: {metrics: {address: nowhere}}", ""),
        with("", "", "telemetry: {metrics: {readers: [{push: {}}]}}", ""),
        with("", "", "telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 65536}}}}]}}", ""),
        with("", "", "", "").replace("stdout", "nosuch"),
        with("", "", "", "").replace("clock:", "'clock/':"),
    ];
    let validator = validator();
    for text in shapes {
        let (loaded, json) = loaded(&text);
        assert!(refused(loaded).is_some(), "the loader takes {text}");
        assert!(!validator.is_valid(&json), "the schema takes {text}");
    }
}

#[test]
fn every_setting_is_described_and_may_be_a_reference() {
    let schema = configuration(&ours());
    let defs = schema["$defs"].as_object().expect("definitions");
    for (name, def) in defs {
        for (key, property) in def["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}.{key}: {property}");
        }
    }
    let interval = &defs["receiver.clock"]["properties"]["interval"];
    assert_eq!(interval["default"], "100ms", "{interval}");
    let validator = jsonschema::options().build(&schema).expect("a schema");
    let text = with("{interval: 1s}", "", "", "");
    let (_, mut json) = loaded(&text);
    json["receivers"]["clock"]["interval"] = Value::from("${env:INTERVAL:-5s}");
    json["service"]["workers"] = Value::from("${WORKERS}");
    assert!(validator.is_valid(&json));
}
