//! The typed configuration.

use std::num::NonZeroUsize;

use super::*;
use crate::events::Pattern;
use crate::signal::Signal;
use crate::telemetry::Level;

const WHOLE: &str = "
receivers:
  clock:
  clock/fast: {interval: 10ms}
processors:
  filter: {keep: a}
exporters:
  stdout:
service:
  drain_timeout: 2s
  workers: 3
  pipelines:
    metrics/primary:
      receivers: [clock/fast, clock]
      processors: [filter]
      exporters: [stdout]
    logs:
      receivers: [clock]
      exporters: [stdout]
";

fn config(text: &str) -> Result<Config, String> {
    from_tree(tree(text)).map_err(|errors| errors.to_string())
}

/// The whole example with one part replaced.
fn changed(from: &str, to: &str) -> Result<Config, String> {
    assert!(WHOLE.contains(from), "{from}");
    config(&WHOLE.replacen(from, to, 1))
}

#[test]
fn a_configuration_is_components_pipelines_and_telemetry() {
    let config = config(WHOLE).unwrap();
    let ids =
        |components: &[Component]| components.iter().map(|component| component.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&config.receivers), ["clock", "clock/fast"]);
    assert_eq!((ids(&config.processors), ids(&config.exporters)), (vec!["filter".into()], vec!["stdout".into()]));
    assert_eq!(config.receivers[1].origin.to_string(), "env:S0:4:3");
    assert!(config.receivers[0].settings.is_null());
    assert_eq!(config.service.drain_timeout, Period::secs(2));
    assert_eq!(config.service.workers, NonZeroUsize::new(3));
    let [metrics, logs] = &config.service.pipelines[..] else { panic!("two pipelines") };
    assert_eq!((metrics.id.to_string(), metrics.id.signal()), ("metrics/primary".into(), Signal::Metrics));
    let references = |list: &[Reference]| list.iter().map(|r| format!("{} {}", r.id, r.origin)).collect::<Vec<_>>();
    assert_eq!(references(&metrics.receivers), ["clock/fast env:S0:14:19", "clock env:S0:14:31"]);
    assert_eq!(references(&metrics.processors), ["filter env:S0:15:20"]);
    assert_eq!((logs.processors.len(), logs.origin.to_string()), (0, "env:S0:17:5".into()));
    assert_eq!(config.telemetry, Telemetry::default());
    assert_eq!(config.warnings, []);
    let config = changed("  drain_timeout: 2s\n  workers: 3\n", "  drain_timeout:\n").unwrap();
    assert_eq!((config.service.drain_timeout, config.service.workers), (Period::secs(5), None));
}

#[test]
fn a_component_that_no_pipeline_uses_is_a_warning() {
    let config = changed("    logs:\n      receivers: [clock]\n      exporters: [stdout]\n", "").unwrap();
    assert_eq!(config.warnings, []);
    let config = changed("[clock/fast, clock]", "[clock]").unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["env:S0:4:3: receivers.clock/fast: is defined but used by no pipeline, so it will not run"]);
}

#[test]
fn what_is_incoherent_is_reported_in_its_place() {
    let cases = [
        (
            "receivers: [clock/fast, clock]",
            "receivers: [clok]",
            "14:19: service.pipelines.metrics/primary.receivers: `clok` is not defined under receivers",
        ),
        (
            "processors: [filter]",
            "processors: [stdout]",
            "15:20: service.pipelines.metrics/primary.processors: `stdout` is not defined under processors",
        ),
        (
            "processors: [filter]",
            "processors: [filter, filter]",
            "15:28: service.pipelines.metrics/primary.processors[1]: `filter` stands twice in this list",
        ),
        (
            "processors: [filter]",
            "processors: filter",
            "15:19: service.pipelines.metrics/primary.processors: must be a list of component ids, such as [otlp, otlp/second]",
        ),
        (
            "processors: [filter]",
            "processors: [filter, {a: 1}]",
            "15:28: service.pipelines.metrics/primary.processors[1]: expected a string, found a mapping",
        ),
        (
            "processors: [filter]",
            "processor: []",
            "15:7: service.pipelines.metrics/primary.processor: unknown key \"processor\"; the known ones are `receivers`, `processors` and `exporters`",
        ),
        (
            "      exporters: [stdout]\n    logs",
            "    logs",
            "13:5: service.pipelines.metrics/primary.exporters: at least one is needed",
        ),
        (
            "receivers: [clock/fast, clock]",
            "receivers: []",
            "14:18: service.pipelines.metrics/primary.receivers: at least one is needed",
        ),
        (
            "metrics/primary",
            "profiles",
            "13:5: service.pipelines.profiles: the signal `profiles` is not supported; there are traces, metrics and logs",
        ),
        (
            "metrics/primary",
            "metric",
            "13:5: service.pipelines.metric: a pipeline is named `traces`, `metrics` or `logs`, or one of these with a name behind a `/`",
        ),
        (
            "  filter: {keep: a}",
            "  filter: {keep: a}\n  1filter:",
            "7:3: processors.1filter: a component type is a letter, then letters, digits and `_`, at most 63 characters in all",
        ),
        (
            "  clock:\n",
            "  clock: 5\n",
            "3:10: receivers.clock: must be a mapping of settings, or empty for the defaults",
        ),
        ("drain_timeout: 2s", "drain_timeout: 0s", "10:18: service.drain_timeout: must be greater than zero"),
        ("workers: 3", "workers: 0", "11:12: service.workers: expected a nonzero usize, found the number 0"),
        (
            "workers: 3",
            "worker: 3",
            "11:3: service.worker: unknown key \"worker\"; the known ones are `pipelines`, `extensions`, `telemetry`, `drain_timeout`, `workers`, `restart_budget`, `memory_limit` and `memory_budget`",
        ),
        (
            "\nreceivers:",
            "\nrecievers: {}\nreceivers:",
            "2:1: recievers: unknown key \"recievers\"; the known ones are `receivers`, `processors`, `exporters`, `extensions`, `service` and `telemetry`",
        ),
    ];
    for (from, to, message) in cases {
        assert_eq!(changed(from, to).unwrap_err(), format!("env:S0:{message}"), "{from} -> {to}");
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = "receivers: [1]\nexporters: {a b: }\nextensions: {c d: }\nservice: {telemetry: 5, pipelines: {spans: }}\n\
                telemetry: {enabled: 5}";
    let places: Vec<String> =
        config(text).unwrap_err().lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "env:S0:1:12 receivers",
            "env:S0:2:13 exporters.a b",
            "env:S0:3:14 extensions.c d",
            "env:S0:4:37 service.pipelines.spans",
            "env:S0:4:37 service.pipelines.spans.receivers",
            "env:S0:4:37 service.pipelines.spans.exporters",
            "env:S0:5:22 telemetry.enabled",
            "env:S0:4:22 service.telemetry",
        ]
    );
}

#[test]
fn a_service_with_pipelines_is_required() {
    assert_eq!(config("{}").unwrap_err(), "env:S0:1:1: service: is required and not set: it holds the pipelines");
    for text in ["service:", "service: {}", "service: {pipelines: }", "service: {pipelines: {}}"] {
        let error = config(text).unwrap_err();
        assert!(error.ends_with("service.pipelines: at least one pipeline is needed, such as `metrics`"), "{error}");
    }
    for text in ["service: 5", "service: {pipelines: []}"] {
        let error = config(text).unwrap_err();
        assert!(error.ends_with(": must be a mapping") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn telemetry_has_defaults() {
    let telemetry = config(&format!("{WHOLE}telemetry: {{enabled: true}}")).unwrap().telemetry;
    assert!(telemetry.enabled);
    assert_eq!(telemetry.listen.to_string(), "localhost:8888");
    let Paths { metrics, healthz, readyz, status } = telemetry.paths;
    assert_eq!([metrics.as_str(), healthz.as_str()], ["/metrics", "/healthz"]);
    assert_eq!([readyz.as_str(), status.as_str()], ["/readyz", "/status"]);
    assert_eq!((telemetry.readiness, telemetry.status.retention), (Readiness::Started, Period::minutes(15)));
    let telemetry = config(&format!("{WHOLE}telemetry: {{enabled: true, listen: ':1', paths: {{metrics: /m}}}}"))
        .unwrap()
        .telemetry;
    assert_eq!((telemetry.listen.to_string(), telemetry.paths.metrics.as_str()), (":1".into(), "/m"));
}

#[test]
fn telemetry_has_a_level() {
    let level = |level: &str| {
        config(&format!("{WHOLE}telemetry: {{enabled: true{level}}}")).map(|config| config.telemetry.level)
    };
    assert_eq!(level(""), Ok(Level::Normal));
    for known in Level::ALL {
        assert_eq!(level(&format!(", level: {}", known.as_str())), Ok(known));
    }
    for unknown in ["Basic", "debug", "''", "1"] {
        let error = level(&format!(", level: {unknown}")).unwrap_err();
        assert!(error.contains("telemetry.level"), "{error}");
    }
}

#[test]
fn telemetry_that_is_not_enabled_is_not_looked_at() {
    for block in ["", "{}", "{enabled: false, listen: '', paths: [x], nope: 1}", "{listen: ''}", "{enabled: , nope: 1}"]
    {
        let config = config(&format!("{WHOLE}telemetry: {block}")).unwrap();
        assert_eq!(config.telemetry, Telemetry::default(), "{block}");
    }
}

#[test]
fn telemetry_that_is_wrong_names_the_setting() {
    let paths = |paths: &str| format!("{{enabled: true, paths: {{{paths}}}}}");
    let cases = [
        ("5".to_owned(), "21:12: telemetry: expected a mapping, found the number 5"),
        ("{enabled: yes}".to_owned(), "21:22: telemetry.enabled: expected true or false, found the text \"yes\""),
        (
            "{enabled: true, listen: ''}".to_owned(),
            "21:36: telemetry.listen: must not be empty; write host:port, such as localhost:8888",
        ),
        (
            "{enabled: true, tls: {}}".to_owned(),
            "21:28: telemetry.tls: unknown key \"tls\"; the known ones are `enabled`, `listen`, `level`, `paths`, `readiness`, `status`, `traces`, `push` and `events`",
        ),
        (paths("metrics: metrics"), "21:45: telemetry.paths.metrics: must be an absolute path starting with '/'"),
        (paths("metrics: ''"), "21:45: telemetry.paths.metrics: must be an absolute path starting with '/'"),
        (paths("healthz: /a b"), "21:45: telemetry.paths.healthz: must not contain whitespace"),
        (paths("readyz: '/a?b'"), "21:44: telemetry.paths.readyz: must not contain a query ('?')"),
        (paths("readyz: '/a#b'"), "21:44: telemetry.paths.readyz: must not contain a fragment ('#')"),
        (paths("readyz: \"/a\\x01\""), "21:44: telemetry.paths.readyz: must not contain control characters"),
        (
            paths("healthz: /a, readyz: /a"),
            "21:57: telemetry.paths.readyz: is the same path as telemetry.paths.healthz",
        ),
        (paths("status: /healthz"), "21:44: telemetry.paths.status: is the same path as telemetry.paths.healthz"),
        (
            "{enabled: true, readiness: maybe}".to_owned(),
            "21:39: telemetry.readiness: expected one of `started` and `healthy`, found the text \"maybe\"",
        ),
        (
            "{enabled: true, status: {retention: 61m}}".to_owned(),
            "21:48: telemetry.status.retention: must be at most 1h",
        ),
        (paths("metrics: /readyz"), "21:45: telemetry.paths.readyz: is the same path as telemetry.paths.metrics"),
    ];
    for (block, message) in cases {
        let error = config(&format!("{WHOLE}telemetry: {block}")).unwrap_err();
        assert_eq!(error, format!("env:S0:{}", message.replacen("21:", "20:", 1)), "{block}");
    }
}

#[test]
fn value_types_have_schemas_that_fit_them() {
    let schema = |schema: schemars::Schema| serde_json::to_value(schema).unwrap();
    assert_eq!(schema(schemars::schema_for!(Period))["type"], "string");
    assert_eq!(schema(schemars::schema_for!(ByteSize))["examples"][0], "64MiB");
    let telemetry = schema(schemars::schema_for!(Telemetry));
    assert_eq!(telemetry["properties"]["listen"]["default"], "localhost:8888");
    assert_eq!(telemetry["additionalProperties"], false);
}

#[test]
fn the_collectors_own_traces_and_push_are_off_unless_they_have_an_endpoint() {
    let telemetry = |block: &str| config(&format!("{WHOLE}telemetry: {{enabled: true, {block}}}")).unwrap().telemetry;
    for block in ["", "traces: {endpoint: ''}, push: {endpoint: ''}", "traces: , push: ", "traces: {endpoint: }"] {
        let Telemetry { traces, push, .. } = telemetry(block);
        assert_eq!((traces, push), (Traces::default(), Push::default()), "{block}");
    }
    let Telemetry { traces, push, .. } = telemetry(
        "traces: {endpoint: 'http://a:4318', sampling_ratio: 0.5}, push: {endpoint: 'https://b:1/x', interval: 5s}",
    );
    assert_eq!(traces.endpoint.map(|url| url.to_string()).as_deref(), Some("http://a:4318"));
    assert_eq!(traces.sampling_ratio.get(), 0.5);
    assert_eq!(push.endpoint.map(|url| url.to_string()).as_deref(), Some("https://b:1/x"));
    assert_eq!(push.interval, Period::secs(5));
    assert_eq!((Traces::default().sampling_ratio, Push::default().interval), (Ratio::ONE, Period::secs(60)));
}

#[test]
fn traces_and_push_that_are_wrong_name_the_setting() {
    let cases = [
        (
            "traces: {endpoint: 'grpc://a:4318'}",
            "20:47: telemetry.traces.endpoint: must be a URL that begins with http:// or https://, such as \
             http://localhost:4318",
        ),
        (
            "push: {endpoint: a:4318}",
            "20:45: telemetry.push.endpoint: must be a URL that begins with http:// or https://, such as \
             http://localhost:4318",
        ),
        ("traces: {sampling_ratio: 1.5}", "20:53: telemetry.traces.sampling_ratio: must be a number from 0 to 1"),
        ("push: {interval: 0}", "20:45: telemetry.push.interval: must be greater than zero"),
        (
            "traces: {headers: {}}",
            "20:37: telemetry.traces.headers: unknown key \"headers\"; the known ones are `endpoint` and `sampling_ratio`",
        ),
        (
            "push: {url: ''}",
            "20:35: telemetry.push.url: unknown key \"url\"; the known ones are `endpoint` and `interval`",
        ),
    ];
    for (block, message) in cases {
        let error = config(&format!("{WHOLE}telemetry: {{enabled: true, {block}}}")).unwrap_err();
        assert_eq!(error, format!("env:S0:{message}"), "{block}");
    }
}

/// The whole example with a pipeline for events and this `telemetry.events`.
fn with_events(pipeline: &str, events: &str) -> Result<Config, String> {
    config(&format!("{WHOLE}    logs/events: {{{pipeline}}}\ntelemetry: {{enabled: true, events: {{{events}}}}}"))
}

#[test]
fn events_go_to_the_log_and_into_a_pipeline_that_needs_no_receiver() {
    let names = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let config = with_events(
        "receivers: [], exporters: [stdout]",
        "log: [service.*, breaker.state_changed], pipeline: {id: logs/events}",
    )
    .unwrap();
    let EventMirrors { log, pipeline } = config.telemetry.events;
    assert_eq!(names(&log), "service.* breaker.state_changed");
    let EventPipeline { id, include } = pipeline.unwrap();
    assert_eq!((id.to_string(), names(&include)), ("logs/events".into(), "*".into()));
    assert!(config.service.pipelines[2].receivers.is_empty());

    let config = with_events("exporters: [stdout]", "pipeline: {id: logs/events, include: [export.*]}").unwrap();
    assert_eq!(names(&config.telemetry.events.pipeline.unwrap().include), "export.*");
    let config = with_events("receivers: [clock], exporters: [stdout]", "").unwrap();
    assert_eq!(config.telemetry.events, EventMirrors::default(), "nothing is told unasked");
}

#[test]
fn what_is_wrong_with_events_names_the_setting() {
    let ok = "exporters: [stdout]";
    let error = |pipeline: &str, events: &str| with_events(pipeline, events).unwrap_err();
    let unknown = error("receivers: [clock], exporters: [stdout]", "log: [service.*, service.restart]");
    assert!(unknown.starts_with("env:S0:21:54: telemetry.events.log[1]: "), "{unknown}");
    assert!(unknown.contains("there is no such event: of this group there are service.started"), "{unknown}");
    assert_eq!(
        error(ok, "pipeline: {id: logs/event}").lines().last().unwrap(),
        "env:S0:21:52: telemetry.events.pipeline.id: `logs/event` is not defined under service.pipelines"
    );
    assert_eq!(
        error("receivers: [clock], exporters: [stdout]", "pipeline: {id: metrics/primary}"),
        "env:S0:21:52: telemetry.events.pipeline.id: events are sent as logs, and `metrics/primary` carries metrics: name a \
         pipeline such as logs/events"
    );
    let error = error(ok, "log: ['*']");
    assert!(error.ends_with("service.pipelines.logs/events.receivers: at least one is needed"), "{error}");
}

/// What is found in a text, errors and warnings.
fn found(text: &str) -> Vec<String> {
    let loaded = load(&[Source::Yaml(text.to_owned())], &[], &|_| None).unwrap();
    let (config, errors, _) = loaded.read();
    errors.iter().chain(&config.warnings).map(ToString::to_string).collect()
}

#[test]
fn what_follows_from_a_mistake_is_not_told() {
    let end = "service: {pipelines: {metrics: {receivers: [clock], exporters: [stdout]}}}";
    // The component that a slip leaves unused; what is named by a pipeline whose own name is wrong.
    let slip = "receivers: {clock: }\nexporters: {stdout: }\n".to_owned() + &end.replace("[clock]", "[clok]");
    assert_eq!(found(&slip), ["yaml:3:45: service.pipelines.metrics.receivers: `clok` is not defined under receivers"]);
    let pipeline = "receivers: {clock: }\nexporters: {stdout: }\n".to_owned() + &end.replace("metrics", "metricz");
    assert_eq!(found(&pipeline).len(), 1, "{:?}", found(&pipeline));
    // The components in a section, and the lists of a pipeline, that could not be resolved.
    for broken in [
        end.replace("[clock]", "'${http://a}'"),
        end.replace("{metrics: {receivers: [clock], exporters: [stdout]}}", "'${http://a}'"),
    ] {
        let text = format!("receivers: {{}}\nexporters: {{stdout: }}\n{broken}");
        let errors: Vec<_> = found(&text).into_iter().filter(|told| !told.contains("used by no pipeline")).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("no configuration is read over the network"), "{errors:?}");
    }
    // An id that is none is not missed by those who name it.
    let id = format!("receivers: {{'clock/': }}\nexporters: {{stdout: }}\n{}", end.replace("[clock]", "['clock/']"));
    assert!(found(&id).iter().all(|told| !told.contains("is not defined")), "{:?}", found(&id));
}
