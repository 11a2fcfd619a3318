//! The `resource_detection` processor: says on every resource which host it comes from.
//!
//! It looks once, when it starts, and from then on writes what it found: a batch costs one rewrite of its resources.
//! Deliberately absent: looking again while it runs (a changed attribute would be a new series for each of the old ones).

mod detect;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::signal::edit::{Act, AttributesMut, Edit, PlainValue, Touches, When};

use self::detect::{Found, Places, RESOURCE_ATTRIBUTES, Value, detect};

/// What the detector `system` can find, and whether it does unless told otherwise.
const SYSTEM_ATTRIBUTES: [(&str, bool); 7] = [
    ("host.name", true),
    ("os.type", true),
    ("host.id", false),
    ("host.arch", false),
    ("os.name", false),
    ("os.version", false),
    ("os.description", false),
];

/// Writes on every resource what it finds out about this host and process.
#[processor("resource_detection", aliases = ["resourcedetection"], config = Config, error = Error)]
struct ResourceDetection {
    config: Config,
    places: Places,
    /// Nothing before the start.
    found: Vec<Found>,
}

/// Settings of the `resource_detection` processor.
#[config]
struct Config {
    /// What looks, in this order: of an attribute that several find, the first one's value counts.
    #[default(vec![Detector::Env])]
    detectors: Vec<Detector>,
    /// Whether what is found replaces what a resource already says.
    #[default(true)]
    r#override: bool,
    /// The longest that the detectors may take together.
    #[default(Period::secs(5))]
    timeout: Period,
    /// Where the host's root directory is. In a container, where the host's is mounted.
    #[default(PathBuf::from("/"))]
    root_path: PathBuf,
    /// Settings of the detector `system`.
    #[default]
    system: System,
    /// Settings of the detector `k8snode`.
    #[default]
    k8snode: K8sNode,
}

/// What looks for attributes.
#[config]
#[derive(Copy, PartialEq)]
enum Detector {
    /// The variable `OTEL_RESOURCE_ATTRIBUTES`: pairs `key=value` with commas between them, percent-encoded.
    Env,
    /// The host and its operating system.
    System,
    /// This process: `process.pid`, `process.executable.name` and `process.executable.path`.
    Process,
    /// The Kubernetes node, `k8s.node.name`, from a variable that the downward API sets.
    K8snode,
}

/// Settings of the detector `system`.
#[config]
struct System {
    /// Where the name of the host comes from. Nobody else is asked, so there is one choice.
    #[default(vec![HostnameSource::Os])]
    #[expect(dead_code, reason = "there is one choice")]
    hostname_sources: Vec<HostnameSource>,
    /// Switches attributes on and off. On without it: `host.name` and `os.type`; off: `host.id`, `host.arch`, `os.name`,
    /// `os.version` and `os.description`.
    #[default(BTreeMap::new())]
    resource_attributes: BTreeMap<String, Switch>,
}

/// Where the name of the host comes from.
#[config]
#[derive(Copy)]
enum HostnameSource {
    /// The operating system.
    Os,
}

/// Whether an attribute is written.
#[config]
#[derive(Copy)]
struct Switch {
    /// Whether it is.
    enabled: bool,
}

/// Settings of the detector `k8snode`.
#[config]
struct K8sNode {
    /// The environment variable that holds the name of the node.
    #[default("K8S_NODE_NAME".to_owned())]
    node_from_env_var: String,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// `resource_attributes` names what there is not.
    #[error("`system.resource_attributes`: there is no `{0}`, only {known}", known = known())]
    #[kind(Init)]
    NoSuchAttribute(String),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    #[kind(Read)]
    Read { path: PathBuf, source: io::Error },
    /// The variable is no text.
    #[error("the environment variable {0} is not UTF-8")]
    #[kind(Parse)]
    Variable(String),
    /// A pair of `OTEL_RESOURCE_ATTRIBUTES`. What it says may be secret.
    #[error("{RESOURCE_ATTRIBUTES}: pair {position} is not `key=value`, percent-encoded")]
    #[kind(Parse)]
    Pair { position: usize },
    /// The environment does not name the node.
    #[error(
        "the environment variable {0} is not set: set it from `spec.nodeName` by the downward API, or name another one in `k8snode.node_from_env_var`"
    )]
    #[kind(Enumerate)]
    NoNode(String),
    /// A detector did not come back.
    #[error("the detectors did not come back")]
    #[kind(Init)]
    Blocked(#[from] Blocked),
}

fn known() -> String {
    SYSTEM_ATTRIBUTES.map(|(key, _)| key).join(", ")
}

impl Processor for ResourceDetection {
    const EDITS: bool = true;

    fn new(config: Config) -> Result<Self, Error> {
        let asked = &config.system.resource_attributes;
        let known = |key: &&String| SYSTEM_ATTRIBUTES.iter().any(|(attribute, _)| attribute == key);
        if let Some(unknown) = asked.keys().find(|key| !known(key)) {
            return Err(Error::NoSuchAttribute(unknown.clone()));
        }
        let wanted = |(key, default): &(&'static str, bool)| {
            asked.get(*key).map_or(*default, |switch| switch.enabled).then_some(*key)
        };
        let places = Places {
            root: config.root_path.clone(),
            system: SYSTEM_ATTRIBUTES.iter().filter_map(wanted).collect(),
            node: config.k8snode.node_from_env_var.clone(),
        };
        Ok(ResourceDetection { config, places, found: Vec::new() })
    }

    async fn start(&mut self, cx: &Cx<Self>) -> Result<(), Error> {
        let (detectors, places) = (self.config.detectors.clone(), self.places.clone());
        let detecting = cx.blocking("detect", self.config.timeout.get(), move || detect(&detectors, &places));
        self.found = detecting.await??;
        Ok(())
    }

    fn edit<'a>(&'a self, _: Signal, _: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        let when = if self.config.r#override { When::Always } else { When::Absent };
        Box::new(Labelling { found: &self.found, when })
    }
}

/// Writes what was found on each resource.
struct Labelling<'a> {
    found: &'a [Found],
    when: When,
}

impl Edit for Labelling<'_> {
    fn touches(&self) -> Touches {
        Touches { resources: !self.found.is_empty(), ..Touches::NOTHING }
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        for (key, value) in self.found {
            let value = match value {
                Value::Text(text) => PlainValue::Str(text),
                Value::Number(number) => PlainValue::Int(*number),
            };
            attributes.set(key, value, self.when);
        }
        Act::Keep
    }
}
