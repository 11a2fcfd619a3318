//! The macros that turn one declaration into a component of tracecore.
//!
//! An attribute gives the item back and adds constants, one row of the registry and one claim on each name; a derive
//! adds the impls of one trait family. What the expansion needs it reaches through `::tracecore::__private`, so an
//! author's crate names neither serde, schemars nor linkme. Every mistake of an item is reported at once, each on its
//! token and with what to write instead, and the expansion still stands, so that one mistake gives one message.
//! Deliberately absent: bodies (no `impl` block passes through a macro) and checks that a type can make.

mod args;
mod classify;
mod component;
mod config;
mod doc;
mod errors;
mod label;
mod metric_set;
mod names;
#[cfg(test)]
mod tests;

use component::Role;
use proc_macro::TokenStream;

/// Declares a receiver: `#[receiver("clock", signals = [Metrics], config = Config)]` on a struct.
///
/// The name comes first. Then, in any order and each at most once: `aliases = ["…"]` (other names that a configuration
/// may use), `signals = [Metrics, Logs, Traces]` (all three if left out), `config`, `data`, `telemetry` and `error` (a
/// type each), `stability = Development | Beta | Stable`, `since = "1.2.3"` (the release that brought it), and `example`
/// (the least settings that it works with, as YAML, where it has no default for all: its documentation shows them). The
/// first paragraph of the struct's doc comment is its summary in the catalog.
#[proc_macro_attribute]
pub fn receiver(args: TokenStream, item: TokenStream) -> TokenStream {
    component::expand(Role::Receiver, args.into(), item.into()).into()
}

/// Declares a processor. The arguments are those of [`macro@receiver`].
#[proc_macro_attribute]
pub fn processor(args: TokenStream, item: TokenStream) -> TokenStream {
    component::expand(Role::Processor, args.into(), item.into()).into()
}

/// Declares an exporter. The arguments are those of [`macro@receiver`].
#[proc_macro_attribute]
pub fn exporter(args: TokenStream, item: TokenStream) -> TokenStream {
    component::expand(Role::Exporter, args.into(), item.into()).into()
}

/// Makes settings of a struct or an enum: read from the configuration, described by a schema, closed to unknown keys.
///
/// A field is required unless it is an `Option` or has a default: `#[default(expression)]` of the field's type, or
/// `#[default]` alone for the type's own (nested settings have one when each of their fields does). A variant is written in
/// `snake_case`, or as its `#[value("…")]`; one with fields is a mapping from that word to them. One unit variant may
/// be the `#[default]`. The item, every field and every variant have a doc comment: it becomes the schema's description.
/// A default stands in the schema if its type can be serialized, as can enums (their unit variants) and all types of
/// `tracecore`; the settings themselves cannot, so that a setting that nothing reads is dead code.
#[proc_macro_attribute]
pub fn config(args: TokenStream, item: TokenStream) -> TokenStream {
    config::expand(args.into(), item.into()).into()
}

/// Makes a set of metrics of a struct of instruments.
///
/// Every field has a doc comment (the help text) and a `#[unit("…")]` in UCUM; a histogram also has
/// `#[buckets(0.1, 1.0)]`, and a summary may have `#[quantiles(0.5, 0.99)]` in place of 0.5, 0.9, 0.95 and 0.99. `#[name("system.disk.io")]` is the full name of a metric; without it, it is the field's after that of
/// the component. `#[metrics]` marks a field that is a set itself.
#[proc_macro_derive(MetricSet, attributes(unit, name, buckets, quantiles, metrics))]
pub fn derive_metric_set(item: TokenStream) -> TokenStream {
    metric_set::expand(item.into()).into()
}

/// Makes a label of an enum of unit variants, or of a struct of `Name`s with `#[max(64)]`.
///
/// `#[key("…")]` is the attribute key, on the enum, the tuple struct or the named field; without it, it is the name of the type
/// or field in `snake_case`. A variant's value is its name in `snake_case`, or `#[value("…")]`.
#[proc_macro_derive(Label, attributes(key, value, max))]
pub fn derive_label(item: TokenStream) -> TokenStream {
    label::expand(item.into()).into()
}

/// Gives each variant of an error its kind: `#[kind(Read)]`, `#[kind(Io, retry)]`, `#[kind(Marshal, permanent)]`.
///
/// A field `#[retry_after]`, a `Duration` or an `Option` of one, is how long the other side asked us to wait.
#[proc_macro_derive(Classify, attributes(kind, retry_after))]
pub fn derive_classify(item: TokenStream) -> TokenStream {
    classify::expand(item.into()).into()
}
