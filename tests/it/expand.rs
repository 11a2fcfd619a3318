//! What a declaration becomes: a row of the registry, a schema, settings with defaults, descriptions of metrics.

use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::{Value, from_value, json, to_value};
use tracecore::component::{Role, Stability};
use tracecore::error::{ErrorKind, Retry};
use tracecore::metrics::{ClosedLabel, Kind, Metric, MetricName, NamedLabel};
use tracecore::prelude::*;
use tracecore::registry::{COMPONENTS, Entry};

/// Declared for its declaration, and never run.
///
/// This paragraph is not part of the summary.
#[receiver(
    "expansion",
    aliases = ["expanded"],
    signals = [Metrics, Logs],
    config = Config,
    data = Data,
    error = Failure,
    stability = Beta,
    since = "1.2.3",
)]
struct Expansion {
    config: Config,
}

impl Receiver for Expansion {
    fn new(config: Config) -> Result<Self, Failure> {
        Ok(Expansion { config })
    }

    async fn run(self, _: Cx<Self>) -> Result<(), Failure> {
        match self.config.limit {
            Some(_) => Ok(()),
            None => Err(Failure::Unread),
        }
    }
}

/// Settings of the test.
#[config]
#[derive(PartialEq)]
struct Config {
    /// Stop after so many.
    limit: Option<NonZeroU64>,
    /// Which endpoint comes next.
    #[default]
    balance: Balance,
    /// Where a certificate comes from.
    #[default(Certificate::Off)]
    certificate: Certificate,
    /// How batches are made.
    #[default]
    batching: Batching,
}

/// How batches are made.
#[config]
#[derive(PartialEq)]
struct Batching {
    /// The most items of one.
    #[default(8)]
    r#yield: u16,
    /// Wait for more.
    #[default(false)]
    wait: bool,
}

/// Which endpoint comes next.
#[config]
#[derive(Copy, PartialEq)]
enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one of its label.
    #[value("by-label")]
    ByLabel,
}

/// Where a certificate comes from.
#[config]
#[derive(PartialEq)]
enum Certificate {
    /// None is needed.
    Off,
    /// From this file.
    File(String),
    /// From a directory.
    Watched {
        /// The directory.
        path: String,
        /// Looks per minute.
        #[default(6)]
        looks: u8,
    },
}

/// What the test measures.
#[derive(MetricSet)]
struct Data {
    /// Bytes
    /// moved.
    #[unit("By")]
    #[name("system.disk.io")]
    bytes: Counter<(Device, Direction)>,
    /// What waits.
    #[metrics]
    waiting: Waiting,
}

/// What waits.
#[derive(MetricSet)]
struct Waiting {
    /// Time until the answer.
    #[unit("s")]
    #[buckets(0.5, 1.0)]
    r#await: Histogram<Mount>,
}

/// Which way the bytes went.
#[derive(Clone, Copy, Debug, Label)]
#[key("disk.io.direction")]
enum Direction {
    ReadAhead,
    #[value("written")]
    Write,
}

/// A block device.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(64)]
struct Device(Name);

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Mount {
    #[key("system.filesystem.mountpoint")]
    path: Name,
    r#type: Name,
}

#[derive(Debug, thiserror::Error, Classify)]
enum Failure {
    #[error("cannot read")]
    #[kind(Read)]
    Unread,
    #[error("asked to wait")]
    #[kind(Io, retry)]
    Throttled {
        #[retry_after]
        r#for: Option<Duration>,
    },
    #[error("asked to come later")]
    #[kind(Io)]
    Closed(u8, #[retry_after] Duration),
    #[error("cannot encode")]
    #[kind(Marshal, permanent)]
    Encode(#[source] std::fmt::Error),
}

#[derive(Debug, thiserror::Error, Classify)]
#[error("line {line} is not a statistic")]
#[kind(Parse, permanent)]
struct Malformed {
    line: usize,
}

fn entry() -> &'static Entry {
    COMPONENTS.iter().find(|entry| entry.name == "expansion").expect("linking this file registers it")
}

#[test]
fn the_row_says_what_the_declaration_says() {
    let row = entry();
    assert_eq!((row.role, row.aliases), (Role::Receiver, ["expanded"].as_slice()));
    assert_eq!(row.signals, [Signal::Metrics, Signal::Logs]);
    assert_eq!(row.summary, "Declared for its declaration, and never run.");
    assert_eq!((row.stability, row.since), (Stability::Beta, "1.2.3"));
    assert_eq!(row.kinds, [ErrorKind::Read, ErrorKind::Io, ErrorKind::Marshal]);
    let (file, line) = row.location.rsplit_once(':').expect("a location is `file:line`");
    assert!(file.ends_with("it/expand.rs"), "{file}");
    let source = include_str!("expand.rs").lines().nth(line.parse::<usize>().expect("a line is a number") - 1);
    assert_eq!(source, Some("#[receiver("));
}

#[test]
fn settings_left_out_have_their_defaults() {
    let config: Config = from_value(json!({})).expect("no setting is required");
    assert_eq!(config, Config::default());
    assert_eq!(config.limit, None);
    assert_eq!(config.balance, Balance::RoundRobin);
    assert_eq!(config.certificate, Certificate::Off);
    assert_eq!(config.batching, Batching { r#yield: 8, wait: false });
}

#[test]
fn each_form_of_a_choice_is_read() {
    let read = |certificate: Value| from_value::<Certificate>(certificate).expect("a form of the choice");
    assert_eq!(read(json!("off")), Certificate::Off);
    assert_eq!(read(json!({"file": "a.pem"})), Certificate::File("a.pem".to_owned()));
    assert_eq!(read(json!({"watched": {"path": "/a"}})), Certificate::Watched { path: "/a".to_owned(), looks: 6 });
    assert_eq!(from_value::<Balance>(json!("by-label")).expect("its value"), Balance::ByLabel);
    from_value::<Certificate>(json!({"watched": {}})).expect_err("`path` is required");
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    for settings in [
        json!({"limits": 1}),
        json!({"batching": {"yeild": 1}}),
        json!({"certificate": {"watched": {"path": "", "x": 1}}}),
    ] {
        from_value::<Config>(settings.clone()).expect_err(&settings.to_string());
    }
}

#[test]
fn the_schema_has_descriptions_defaults_and_no_other_keys() {
    let config = to_value(entry().settings_schema()).expect("a schema is JSON");
    let schemas = &config["$defs"];
    assert_eq!(config["title"], "receiver/expansion");
    assert_eq!(config["description"], "Settings of the test.");
    assert_eq!(config["additionalProperties"], false);
    assert_eq!(config["required"], Value::Null);
    assert_eq!(config["properties"]["balance"]["default"], "round_robin");
    assert_eq!(config["properties"]["certificate"]["default"], "off");
    assert_eq!(config["properties"]["limit"].get("default"), None);
    assert_eq!(schemas["Batching"]["properties"]["yield"]["default"], 8);
    assert_eq!(schemas["Batching"]["properties"]["yield"]["description"], "The most items of one.");
    assert_eq!(
        schemas["Balance"]["oneOf"][1],
        json!({"type": "string", "const": "by-label", "description": "The one of its label."})
    );
}

#[test]
fn each_metric_is_described_in_order() {
    let mut metrics: Vec<&Metric> = Vec::new();
    (entry().data)(&mut |metric| metrics.push(metric));
    let [bytes, wait] = metrics[..] else { panic!("two metrics: {metrics:?}") };
    assert_eq!((bytes.name, bytes.unit, bytes.help), (MetricName::Full("system.disk.io"), "By", "Bytes moved."));
    assert_eq!((bytes.kind, bytes.buckets), (Kind::Counter, [].as_slice()));
    assert_eq!(bytes.keys, [["device"], ["disk.io.direction"]]);
    assert_eq!((wait.name, wait.kind), (MetricName::Field("await"), Kind::Histogram));
    assert_eq!(wait.buckets, [0.5, 1.0]);
    assert_eq!(wait.keys, [["system.filesystem.mountpoint", "type"]]);
}

#[test]
fn labels_have_their_keys_and_values() {
    assert_eq!(Direction::VALUES, ["read_ahead", "written"]);
    assert_eq!((Direction::ReadAhead.index(), Direction::Write.index()), (0, 1));
    assert_eq!((Direction::CAPACITY, Device::CAPACITY), (2, 64));
    let mut attributes = Vec::new();
    let mount = Mount { path: "/".into(), r#type: "ext4".into() };
    mount.attributes(&mut |key, value| attributes.push((key, value.to_owned())));
    assert_eq!(attributes, [("system.filesystem.mountpoint", "/".to_owned()), ("type", "ext4".to_owned())]);
}

#[test]
fn errors_have_their_kind_their_retry_and_their_delay() {
    let second = Duration::from_secs(1);
    let throttled = Failure::Throttled { r#for: Some(second) };
    assert_eq!(
        (throttled.kind(), throttled.retry(), throttled.retry_after()),
        (ErrorKind::Io, Retry::Yes, Some(second))
    );
    assert_eq!(Failure::Throttled { r#for: None }.retry_after(), None);
    assert_eq!(Failure::Closed(1, second).retry_after(), Some(second));
    let encode = Failure::Encode(std::fmt::Error);
    assert_eq!((encode.kind(), encode.retry(), encode.retry_after()), (ErrorKind::Marshal, Retry::Permanent, None));
    let malformed = Malformed { line: 1 };
    assert_eq!((malformed.kind(), malformed.retry()), (ErrorKind::Parse, Retry::Permanent));
    assert_eq!(Malformed::KINDS, [ErrorKind::Parse]);
}

/// The macro knows the kinds by name: this holds its list to that of the runtime.
#[test]
fn every_kind_but_panic_can_be_given() {
    #[derive(Debug, thiserror::Error, Classify)]
    #[error("of every kind")]
    #[expect(dead_code, reason = "only its kinds are looked at")]
    enum Every {
        #[kind(Connect)]
        Connect,
        #[kind(Parse)]
        Parse,
        #[kind(Downstream)]
        Downstream,
        #[kind(Enumerate)]
        Enumerate,
        #[kind(Read)]
        Read,
        #[kind(Cardinality)]
        Cardinality,
        #[kind(Init)]
        Init,
        #[kind(Marshal)]
        Marshal,
        #[kind(Io)]
        Io,
    }
    let all: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| *kind != ErrorKind::Panic).collect();
    assert_eq!(Every::KINDS, all);
}
