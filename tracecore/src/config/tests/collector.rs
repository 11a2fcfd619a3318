//! What stands in files of the Collector beside components: extensions, connectors, `service.telemetry`.

use super::*;
use crate::telemetry::{Level, LogLevel};

/// A configuration with these sections before and these keys in `service`; what it is, and what is told of it.
fn config(sections: &str, service: &str) -> (Config, Vec<String>) {
    let text = format!(
        "receivers: {{clock: }}\nexporters: {{stdout: }}\n{sections}\nservice: {{pipelines: {{metrics: {{receivers: [clock], exporters: \
         [stdout]}}}}, {service}}}"
    );
    let loaded = try_load(&[&text], &[("HOST", "10.0.0.7"), ("LEVEL", "Debug")], &[]).expect("it is YAML");
    let (config, errors, lines) = loaded.read();
    let told = lines.shown(errors.into_iter().chain(config.warnings.clone()).collect());
    let told = told.iter().map(|problem| {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        problem.to_string().replace("env:S0:", "") + &hint
    });
    (config, told.collect())
}

/// What is told of a `service.telemetry`.
fn telemetry(section: &str) -> (Config, Vec<String>) {
    let (config, told) = config("", &format!("telemetry: {{{section}}}"));
    let told = told.iter().map(|told| told.splitn(2, ": service.telemetry.").last().unwrap_or_default().to_owned());
    (config, told.collect())
}

#[test]
fn health_check_is_served_where_the_service_names_it() {
    let sections = "extensions: {health_check: , health_check/two: {endpoint: '0.0.0.0:1', path: /live, response_body: {healthy: up}}}";
    let (read, told) = config(sections, "extensions: [health_check/two, health_check]");
    assert_eq!(told, Vec::<String>::new());
    let [one, two] = &read.health_checks[..] else { panic!("two: {:?}", read.health_checks) };
    assert_eq!((one.id.as_str(), &one.settings), ("health_check", &HealthCheckSettings::default()));
    assert_eq!((one.settings.endpoint.to_string(), one.settings.path.as_str()), ("localhost:13133".into(), "/"));
    let bodies = ResponseBody { healthy: "up".into(), unhealthy: String::new() };
    assert_eq!((two.settings.path.as_str(), &two.settings.response_body), ("/live", &Some(bodies)));

    let (read, told) = config(sections, "extensions: [health_check/two]");
    assert_eq!(
        told,
        ["3:14: extensions.health_check: is defined but not named by service.extensions, so it is unused"]
    );
    assert_eq!(read.health_checks.len(), 1);
    assert_eq!(config("extensions:", "extensions: ").1, Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_extensions_is_told_in_its_place() {
    let cases = [
        (
            "extensions: {file_storage: {directory: /x}}",
            "extensions: [file_storage]",
            "3:14: extensions.file_storage: this program has no extension `file_storage`; it has `health_check`, and passes over \
             `zpages` and `pprof`",
        ),
        (
            "extensions: {healthcheck: }",
            "extensions: [healthcheck]",
            "3:14: extensions.healthcheck: this program has no extension `healthcheck`; it has `health_check`, and passes over \
             `zpages` and `pprof` (did you mean `health_check`?)",
        ),
        (
            "extensions: {health_check: }",
            "extensions: [health_chek]",
            "4:89: service.extensions: `health_chek` is not defined under extensions (did you mean `health_check`?)",
        ),
        (
            "",
            "extensions: health_check",
            "4:88: service.extensions: must be a list of component ids, such as [otlp, otlp/second]",
        ),
        (
            "extensions: {health_check: {endpoint: nowhere}}",
            "extensions: [health_check]",
            "3:39: extensions.health_check.endpoint: must be host:port, such as localhost:8888; an IPv6 address stands in \
             brackets, as in [::1]:8888",
        ),
        (
            "extensions: {health_check: {path: health}}",
            "",
            "3:35: extensions.health_check.path: must be an absolute path starting with '/'",
        ),
        (
            "extensions: {health_check: {pth: /}}",
            "extensions: [health_check]",
            "3:29: extensions.health_check.pth: unknown key \"pth\"; the known ones are `endpoint`, `path`, `response_body`, \
             `check_collector_pipeline`, `tls` and `auth` (did you mean `path`?)",
        ),
        (
            "extensions: {health_check: {tls: {cert_file: /x}}}",
            "extensions: [health_check]",
            "3:34: extensions.health_check.tls: is not there yet: servers speak plain text; put a proxy that ends TLS before \
             it, or listen on localhost",
        ),
        (
            "extensions: {health_check: {check_collector_pipeline: {enabled: true}}}",
            "extensions: [health_check]",
            "3:29: extensions.health_check.check_collector_pipeline: has no effect: with `telemetry: {enabled: true, readiness: \
             healthy}` the answer follows how the components are",
        ),
        (
            "extensions: {zpages: {endpoint: 'localhost:55679'}}",
            "extensions: [zpages]",
            "3:14: extensions.zpages: `zpages` does nothing here: with `telemetry: {enabled: true}`, `/status` tells how each \
             component is",
        ),
        (
            "extensions: {pprof/x: {anything: [5]}}",
            "",
            "3:14: extensions.pprof/x: `pprof` does nothing here: with `telemetry: {enabled: true}`, `/metrics` tells of \
             processor time and memory, and perf sees the rest",
        ),
        ("extensions: []", "", "3:13: extensions: must be a mapping"),
    ];
    for (sections, service, message) in cases {
        assert_eq!(config(sections, service).1, [message], "{sections} {service}");
    }
}

#[test]
fn a_connector_is_an_error_that_says_what_to_do_and_is_told_once() {
    let sections = "connectors: {forward/a: , nosuch: {}}\nprocessors: {}";
    let text = format!(
        "receivers: {{clock: }}\nexporters: {{stdout: }}\n{sections}\nservice: {{pipelines: {{metrics: {{receivers: [clock], exporters: [forward/a]}}, metrics/two: {{receivers: [forward/a], exporters: [stdout]}}}}}}"
    );
    let (_, errors, _) = load_with(&text, &[]).read();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "env:S0:3:14: connectors.forward/a: this program has no connectors, and so no `forward`: a receiver may feed several \
             pipelines, and an exporter may end several: name it in each of them",
            "env:S0:3:27: connectors.nosuch: this program has no connectors, and so no `nosuch`: give each pipeline receivers and \
             exporters of its own",
        ]
    );
    assert_eq!(config("connectors: {}", "").1, Vec::<String>::new(), "none is none");
    assert_eq!(config("connectors: []", "").1, ["3:13: connectors: must be a mapping"]);
}

/// A reader of metrics, and what is told where it is served.
fn prometheus(settings: &str) -> String {
    format!("{{pull: {{exporter: {{prometheus: {{{settings}}}}}}}}}")
}

fn taken(listen: &str) -> String {
    format!("is taken as `telemetry: {{enabled: true, listen: \"{listen}\"}}`; write that in its place")
}

#[test]
fn the_collectors_own_metrics_are_served_where_a_reader_asks_for_them() {
    for (settings, listen, shown) in [
        ("host: 0.0.0.0, port: 9999", "0.0.0.0:9999", "0.0.0.0:9999"),
        ("port: 1", "localhost:1", "localhost:1"),
        ("host: '${env:HOST}'", "10.0.0.7:8888", "${env:HOST}:8888"),
        ("host: '::1', port: 1", "[::1]:1", "::1:1"),
    ] {
        let (config, told) = telemetry(&format!("metrics: {{readers: [{}]}}", prometheus(settings)));
        let Telemetry { enabled, listen: at, level, .. } = config.telemetry;
        assert_eq!((enabled, at.to_string().as_str(), level), (true, listen, Level::Normal), "{settings}");
        assert_eq!(told, [format!("metrics.readers[0].pull.exporter.prometheus: {}", taken(shown))]);
    }
    let newer = prometheus("port: 1").replace("prometheus", "prometheus/development");
    let (config, told) = telemetry(&format!("metrics: {{readers: [{newer}]}}"));
    assert_eq!(config.telemetry.listen.to_string(), "localhost:1");
    assert_eq!(told, [format!("metrics.readers[0].pull.exporter.prometheus/development: {}", taken("localhost:1"))]);
    let (config, told) = telemetry("metrics: {address: ':8888', level: Detailed}");
    assert_eq!((config.telemetry.level, config.telemetry.listen.host()), (Level::Detailed, "0.0.0.0"));
    let level = "metrics.level: is taken as `telemetry: {level: detailed}`; write that in its place";
    assert_eq!(told, [format!("metrics.address: {}", taken(":8888")), level.to_owned()]);
}

#[test]
fn a_level_alone_is_served_where_the_collector_serves_it_and_none_is_not_served() {
    let (config, told) = telemetry("metrics: {level: '${env:LEVEL}'}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("metrics.level: expected one of `none`, `basic`, `normal` and `detailed`"), "{told:?}");
    assert!(!config.telemetry.enabled && !told[0].contains("Debug"), "{told:?}");
    let (config, told) = telemetry("metrics: {level: BASIC}");
    let Telemetry { enabled, listen, level, .. } = config.telemetry;
    assert_eq!((enabled, listen.to_string().as_str(), level), (true, "localhost:8888", Level::Basic));
    assert_eq!(
        told,
        ["metrics.level: is taken as `telemetry: {enabled: true, level: basic}`; write that in its place"]
    );

    let (config, told) = telemetry(&format!("metrics: {{level: none, readers: [{}]}}", prometheus("port: 1")));
    assert_eq!((config.telemetry.enabled, config.telemetry.level), (false, Level::None));
    assert_eq!(
        told,
        [
            "metrics.level: is taken as `telemetry: {level: none}`: nothing is served",
            "metrics.readers[0].pull.exporter.prometheus: has no effect: service.telemetry.metrics.level is none",
        ]
    );
    for nothing in ["", "metrics: ", "metrics: {}, logs: ", "metrics: {readers: [], level: }"] {
        let (config, told) = telemetry(nothing);
        assert_eq!((config.telemetry, told), (Telemetry::default(), Vec::new()), "{nothing}");
    }
}

#[test]
fn the_level_of_the_log_is_taken_in_the_words_of_the_collector() {
    for (written, level) in [("debug", LogLevel::Debug), ("INFO", LogLevel::Info), ("Warn", LogLevel::Warn)] {
        let (config, told) = telemetry(&format!("logs: {{level: {written}}}"));
        assert_eq!(config.log_level, Some(level));
        let word = level.as_str();
        assert_eq!(
            told,
            [format!("logs.level: is taken as the variable RUST_LOG={word}; where that is set, it holds")]
        );
    }
    for above in ["error", "dpanic", "panic", "FATAL"] {
        assert_eq!(telemetry(&format!("logs: {{level: {above}}}")).0.log_level, Some(LogLevel::Error), "{above}");
    }
    let (config, told) = telemetry("logs: {level: '${env:LEVEL}'}");
    assert_eq!(config.log_level, Some(LogLevel::Debug));
    assert!(told[0].contains("RUST_LOG=${env:LEVEL}"), "{told:?}");
}

#[test]
fn what_has_no_effect_is_told_key_by_key() {
    let section = format!(
        "traces: {{processors: []}}, resource: {{a: b}}, logs: {{encoding: json, sampling: {{enabled: false}}, output_paths: }}, \
         metrics: {{views: [], readers: [{{periodic: {{}}}}, {}, {}, {{pull: {{}}}}]}}",
        prometheus("port: 1, without_units: true"),
        prometheus("port: 2"),
    );
    let (config, told) = telemetry(&section);
    assert_eq!(config.telemetry.listen.to_string(), "localhost:1");
    let fixed = "`telemetry.level` chooses which metrics there are, and what each is called is fixed";
    let log = "the log is text on standard error, and RUST_LOG chooses what it tells";
    let reader = "pull.exporter.prometheus";
    assert_eq!(
        told,
        [
            "traces: has no effect: `telemetry: {enabled: true, traces: {endpoint: …}}` sends the collector's own traces".to_owned(),
            "resource: has no effect: the collector finds out by itself what stands on its own telemetry".to_owned(),
            format!("logs.encoding: has no effect: {log}"),
            format!("logs.sampling: has no effect: {log}"),
            format!("metrics.views: has no effect: {fixed}"),
            "metrics.readers[0].periodic: has no effect: `telemetry: {enabled: true, push: {endpoint: …}}` sends the collector's \
             own metrics over OTLP"
                .to_owned(),
            format!("metrics.readers[1].{reader}: {}", taken("localhost:1")),
            format!("metrics.readers[1].{reader}.without_units: has no effect: {fixed}"),
            format!(
                "metrics.readers[2].{reader}: has no effect: the collector's own metrics are served once, as the one before it says"
            ),
            "metrics.readers[3].pull: has no effect: only Prometheus fetches what the collector's own surface shows".to_owned(),
        ]
    );
}

#[test]
fn the_section_telemetry_holds_where_both_are_written() {
    let service = "telemetry: {metrics: {level: detailed, address: 'localhost:1'}, logs: {level: warn}}";
    for ours in ["{enabled: true, listen: 'localhost:2'}", "{enabled: false}"] {
        let (read, told) = config(&format!("telemetry: {ours}"), service);
        assert_eq!(read.telemetry.enabled, ours.contains("true"));
        assert_ne!(read.telemetry.listen.to_string(), "localhost:1");
        assert_eq!((read.telemetry.level, read.log_level), (Level::Normal, Some(LogLevel::Warn)));
        let says = "service.telemetry.metrics: has no effect: the section `telemetry` is written too, and holds";
        assert!(told.iter().any(|told| told.ends_with(says)), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }
    let (read, told) = config("telemetry:", service);
    assert!(read.telemetry.enabled, "a section with nothing in it is not written: {told:?}");
}

#[test]
fn what_is_wrong_with_service_telemetry_is_told_in_its_place() {
    let cases = [
        (
            "metrics: {level: much}",
            "metrics.level: expected one of `none`, `basic`, `normal` and `detailed`, found the text \"much\"",
        ),
        (
            "metrics: {readers: [{pull: {exporter: {prometheus: {host: 'a b'}}}}]}",
            "metrics.readers[0].pull.exporter.prometheus.host: the host must be a name or an address; an IPv6 address stands in \
             brackets, as in [::1]:8888",
        ),
        (
            "metrics: {readers: [{pull: {exporter: {prometheus: {port: 65536}}}}]}",
            "metrics.readers[0].pull.exporter.prometheus.port: expected a whole number from 0 to 65535, found the number 65536",
        ),
        ("metrics: {readers: {}}", "metrics.readers: expected a list, found a mapping"),
        (
            "metrics: {reader: []}",
            "metrics.reader: unknown key \"reader\"; the known ones are `level`, `readers`, `address` and `views` (did you mean \
             `readers`?)",
        ),
        (
            "log: {}",
            "log: unknown key \"log\"; the known ones are `metrics`, `logs`, `traces` and `resource` (did you mean `logs`?)",
        ),
    ];
    for (section, message) in cases {
        assert_eq!(telemetry(section).1, [message], "{section}");
    }
    assert_eq!(
        config("", "telemetry: {logs: {level: loud}}").1,
        [
            "4:102: service.telemetry.logs.level: expected one of `debug`, `info`, `warn`, `dpanic`, `error`, `fatal` and `panic`, found the text \"loud\""
        ]
    );
}
