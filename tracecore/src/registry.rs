//! Which components this program has.
//!
//! Linking a crate with a component registers it: the attribute puts an [`Entry`] into a slice that the linker gathers.
//! A crate that no source line mentions is not linked, so an empty registry is an error of the build, not of the
//! configuration. The slice's order is the linker's; [`Registry`] sorts it and refuses a name that stands twice.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{Schema, SchemaGenerator};

use crate::component::{Component, Exporter, Processor, Receiver, Role, Stability};
use crate::config::{ConfigError, Node, Period};
use crate::error::{Classify, ErrorKind};
use crate::metrics::{Metric, MetricSet};
use crate::runtime::{
    ExporterSpec, ProcessorSpec, ReceiverSpec, specify_exporter, specify_processor, specify_receiver,
};
use crate::signal::Signal;

/// Every component that is linked into this program, in no order.
#[linkme::distributed_slice]
pub static COMPONENTS: [Entry];

/// One component: what its declaration says, and how to make it.
pub struct Entry {
    /// What it does.
    pub role: Role,
    /// Its type in a configuration.
    pub name: &'static str,
    /// Other names that a configuration may use, with a warning.
    pub aliases: &'static [&'static str],
    /// What it can carry.
    pub signals: &'static [Signal],
    /// The first paragraph of its documentation.
    pub summary: &'static str,
    /// How much it may still change.
    pub stability: Stability,
    /// The release that brought it.
    pub since: &'static str,
    /// The least settings that it works with, as YAML; empty if it needs none.
    pub example: &'static str,
    /// Where it is declared: `file:line`.
    pub location: &'static str,
    /// The kinds of its own errors.
    pub kinds: &'static [ErrorKind],
    pub(crate) schema: fn() -> Schema,
    /// Calls back with each metric that it measures.
    pub data: fn(&mut dyn FnMut(&'static Metric)),
    /// Calls back with each metric of its own health.
    pub telemetry: fn(&mut dyn FnMut(&'static Metric)),
    /// The time limit of one attempt where an exporter's settings have none.
    pub timeout: Option<Period>,
    pub(crate) specify: Specify,
}

/// Reads the settings at a path, or adds what is wrong with them.
type Reader<S> = fn(&Node, &str, &mut Vec<ConfigError>) -> Option<Box<S>>;

/// How settings become a component, by role. Reads nothing but the settings.
#[derive(Clone, Copy)]
pub(crate) enum Specify {
    Receiver(Reader<dyn ReceiverSpec>),
    Processor(Reader<dyn ProcessorSpec>),
    Exporter(Reader<dyn ExporterSpec>),
}

impl Entry {
    /// The row of a receiver.
    pub const fn receiver<C: Receiver>(location: &'static str) -> Self {
        Entry::new::<C>(location, Specify::Receiver(specify_receiver::<C>))
    }

    /// The row of a processor.
    pub const fn processor<C: Processor>(location: &'static str) -> Self {
        Entry::new::<C>(location, Specify::Processor(specify_processor::<C>))
    }

    /// The row of an exporter.
    pub const fn exporter<C: Exporter>(location: &'static str) -> Self {
        let entry = Entry::new::<C>(location, Specify::Exporter(specify_exporter::<C>));
        Entry { timeout: Some(C::TIMEOUT), ..entry }
    }

    const fn new<C: Component>(location: &'static str, specify: Specify) -> Self {
        Entry {
            role: C::ROLE,
            name: C::NAME,
            aliases: C::ALIASES,
            signals: C::SIGNALS,
            summary: C::SUMMARY,
            stability: C::STABILITY,
            since: C::SINCE,
            example: C::EXAMPLE,
            location,
            kinds: <C::Error as Classify>::KINDS,
            schema: || SchemaGenerator::default().into_root_schema_for::<C::Config>(),
            data: <C::Data as MetricSet>::describe,
            telemetry: <C::Telemetry as MetricSet>::describe,
            timeout: None,
            specify,
        }
    }
}

impl Entry {
    /// The JSON Schema (2020-12) of its own settings, without the keys that the runtime adds.
    pub fn settings_schema(&self) -> Schema {
        let mut schema = (self.schema)();
        schema.insert("title".to_owned(), format!("{}/{}", self.role, self.name).into());
        schema
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.role, self.name, self.location)
    }
}

/// Why a program has no usable registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No component is linked.
    #[error(
        "no component is linked into this program: its source must mention the crate of its components, as in `use components as _;`"
    )]
    Empty,
    /// Two components have the same name or alias.
    #[error("the {role} `{name}` is declared twice: at {first} and at {second}")]
    Twice {
        /// Their role.
        role: Role,
        /// Their name.
        name: &'static str,
        /// Where one is declared.
        first: &'static str,
        /// Where the other is declared.
        second: &'static str,
    },
}

/// The components of this program, by role and name.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<&'static Entry>,
    by_name: BTreeMap<(Role, &'static str), &'static Entry>,
}

impl Registry {
    /// The components that are linked into this program.
    ///
    /// # Errors
    /// When there are none, or when a name stands twice.
    pub fn linked() -> Result<Self, RegistryError> {
        Registry::linked_with([])
    }

    /// The components that are linked into this program, and these: what a test runs beside them.
    ///
    /// # Errors
    /// As [`Registry::linked`].
    pub fn linked_with(rows: impl IntoIterator<Item = &'static Entry>) -> Result<Self, RegistryError> {
        Registry::of(COMPONENTS.iter().chain(rows))
    }

    fn of(rows: impl Iterator<Item = &'static Entry>) -> Result<Self, RegistryError> {
        let mut entries: Vec<_> = rows.collect();
        entries.sort_by_key(|entry| (entry.role, entry.name, entry.location));
        if entries.is_empty() {
            return Err(RegistryError::Empty);
        }
        let mut by_name = BTreeMap::new();
        for &entry in &entries {
            for &name in std::iter::once(&entry.name).chain(entry.aliases) {
                if let Some(first) = by_name.insert((entry.role, name), entry) {
                    let (first, second) = (first.location, entry.location);
                    return Err(RegistryError::Twice { role: entry.role, name, first, second });
                }
            }
        }
        Ok(Registry { entries, by_name })
    }

    /// The part of it that is wanted.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&Entry) -> bool) -> Self {
        self.entries.retain(|entry| wanted(entry));
        self.by_name.retain(|_, entry| wanted(entry));
        self
    }

    /// The component of this role and name or alias.
    pub fn find(&self, role: Role, name: &str) -> Option<&'static Entry> {
        // The key's lifetime is that of the argument here: a range over the role would do the same at more length.
        self.by_name.iter().find_map(|((r, n), entry)| (*r == role && *n == name).then_some(*entry))
    }

    /// All components, sorted by role and name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Entry> {
        self.entries.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_components_says_how_to_link_them() {
        let error = Registry::of(std::iter::empty()).expect_err("nothing is linked here");
        assert!(error.to_string().contains("use components as _;"), "{error}");
    }
}
