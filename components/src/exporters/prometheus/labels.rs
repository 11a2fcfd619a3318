//! From attributes to the labels of a series.
//!
//! A series bears what its resource and its scope bear ([`Source`]), its own attributes, and the labels of the
//! configuration. Attributes whose names become one label are joined by `;` in the order of their keys.

use std::collections::BTreeMap;
use std::fmt;

use tracecore::exposition::PreparedLabels;
use tracecore::signal::view::{Attributes, KeyValueRef, ResourceRef, ScopeRef};

use super::name;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE_ID: &str = "service.instance.id";

/// The attributes that identify a resource: they become `job` and `instance`.
const IDENTIFYING: [&str; 3] = [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE_ID];

/// What stands before the labels of a scope.
const SCOPE_PREFIX: &str = "otel_scope_";

/// The labels of a scope that no attribute of it may have.
const SCOPE_LABELS: [&str; 3] = ["otel_scope_name", "otel_scope_version", "otel_scope_schema_url"];

/// Which labels series get beside those of their own attributes.
#[derive(Clone, Debug)]
pub(super) struct Labelling {
    /// Added to each series, in the place of a label of that name.
    pub(super) constant: BTreeMap<String, String>,
    /// Whether the scope goes into labels.
    pub(super) scope: bool,
    pub(super) resource: ResourceLabels,
}

/// Which attributes of the resource go into labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResourceLabels {
    None,
    /// Those that `job` and `instance` do not say.
    Descriptive,
    All,
}

/// Where metrics come from, as read from a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) resource: ResourceRef<'a>,
    pub(super) scope: ScopeRef<'a>,
    pub(super) schema_url: &'a str,
}

/// What all series of one resource and one scope have in common.
#[derive(Debug)]
pub(super) struct Source {
    /// Never given twice.
    pub(super) id: u64,
    pub(super) target: Option<Target>,
    labels: LabelSet,
}

/// What `target_info` says of a resource.
#[derive(Debug)]
pub(super) struct Target {
    /// `job` and `instance`: there is one target for each pair.
    pub(super) identity: PreparedLabels,
    pub(super) labels: PreparedLabels,
}

impl Labelling {
    pub(super) fn source(&self, id: u64, origin: &Origin<'_>) -> Source {
        let identity = identity(&origin.resource);
        let target = target(&origin.resource, &identity);
        let mut labels = identity;
        let resource = origin.resource.attributes();
        match self.resource {
            ResourceLabels::None => {}
            ResourceLabels::Descriptive => labels.extend(resource.filter(|a| !IDENTIFYING.contains(&a.key))),
            ResourceLabels::All => labels.extend(resource),
        }
        if self.scope {
            labels.extend_with_scope(origin);
        }
        Source { id, target, labels }
    }

    /// All labels of a series with these attributes.
    pub(super) fn series(&self, source: &Source, attributes: Attributes<'_>) -> PreparedLabels {
        let mut labels = source.labels.clone();
        labels.extend(attributes);
        labels.0.retain(|label| !self.constant.contains_key(&label.name));
        for (name, value) in &self.constant {
            labels.add(name.clone(), name, value);
        }
        labels.prepare()
    }
}

/// The first of the labels that cannot stand on every series.
pub(super) fn unusable(constant: &BTreeMap<String, String>) -> Option<&str> {
    constant.keys().map(String::as_str).find(|name| {
        let fit = PreparedLabels::new(&[(name, "")]).filter(|l| l.suit_histogram() && l.suit_summary());
        fit.is_none() || name.starts_with("__")
    })
}

fn identity(resource: &ResourceRef<'_>) -> LabelSet {
    let mut labels = LabelSet::default();
    if let Some(name) = resource.attr(SERVICE_NAME) {
        match resource.attr(SERVICE_NAMESPACE).map(|namespace| namespace.to_string()) {
            Some(namespace) if !namespace.is_empty() => {
                labels.add("job".to_owned(), SERVICE_NAME, format_args!("{namespace}/{name}"));
            }
            _ => labels.add("job".to_owned(), SERVICE_NAME, name),
        }
    }
    if let Some(instance) = resource.attr(SERVICE_INSTANCE_ID) {
        labels.add("instance".to_owned(), SERVICE_INSTANCE_ID, instance);
    }
    labels
}

/// `None` for a resource that has no identity to join it by, or nothing to say beyond it.
fn target(resource: &ResourceRef<'_>, identity: &LabelSet) -> Option<Target> {
    let mut labels = identity.clone();
    labels.extend(resource.attributes().filter(|a| !IDENTIFYING.contains(&a.key)));
    let says_more = labels.0.len() > identity.0.len();
    (says_more && !identity.0.is_empty())
        .then(|| Target { identity: identity.clone().prepare(), labels: labels.prepare() })
}

/// Labels in the making.
#[derive(Clone, Debug, Default)]
struct LabelSet(Vec<Label>);

#[derive(Clone, Debug)]
struct Label {
    name: String,
    /// The attribute that it was.
    key: String,
    value: String,
}

impl LabelSet {
    /// Adds a label. One without a value is none to Prometheus.
    fn add(&mut self, name: String, key: &str, value: impl fmt::Display) {
        let value = value.to_string();
        if !value.is_empty() {
            self.0.push(Label { name, key: key.to_owned(), value });
        }
    }

    fn extend<'a>(&mut self, attributes: impl Iterator<Item = KeyValueRef<'a>>) {
        for KeyValueRef { key, value } in attributes {
            self.add(name::label(key), key, value);
        }
    }

    fn extend_with_scope(&mut self, origin: &Origin<'_>) {
        let scope = &origin.scope;
        for (name, value) in SCOPE_LABELS.into_iter().zip([scope.name, scope.version, origin.schema_url]) {
            self.add(name.to_owned(), name, value);
        }
        for KeyValueRef { key, value } in scope.attributes() {
            let name = name::label(&format!("{SCOPE_PREFIX}{key}"));
            if !SCOPE_LABELS.contains(&name.as_str()) {
                self.add(name, key, value);
            }
        }
    }

    /// Sorts by name and joins what has one name. An attribute that is given twice counts once, the first time.
    fn prepare(mut self) -> PreparedLabels {
        self.0.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
        self.0.dedup_by(|later, first| later.name == first.name && later.key == first.key);
        let mut joined: Vec<(String, String)> = Vec::with_capacity(self.0.len());
        for Label { name, value, .. } in self.0 {
            match joined.last_mut() {
                Some((last, values)) if *last == name => {
                    values.push(';');
                    values.push_str(&value);
                }
                _ => joined.push((name, value)),
            }
        }
        PreparedLabels::new(&joined).expect("names are made valid, and those of the configuration were checked")
    }
}
