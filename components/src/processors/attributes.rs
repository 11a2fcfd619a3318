//! The `attributes` processor: actions on the attributes of spans, data points and log records.
//!
//! Beside what [`shaping`](crate::shaping) says, it differs from the Collector's in that `include` and `exclude` match
//! data points by their attributes and scopes too. Absent: the settings of the Collector's cache of matches.

use tracecore::prelude::*;
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, ScopeMut, Touches};
use tracecore::signal::view::MetricRef;

use crate::shaping::actions::{Acting, Action, ActionError, Actions};
use crate::shaping::conditions::{
    Asking, AttributeMatch, ConditionError, Conditions, LibraryMatch, MatchType, Properties, SeverityMatch,
};

/// Changes the attributes of spans, data points and log records.
#[processor("attributes", aliases = ["attributesprocessor"], config = Config, error = Error)]
struct Attributes {
    actions: Actions,
    include: Option<Conditions>,
    exclude: Option<Conditions>,
}

/// Settings of the `attributes` processor.
#[config]
struct Config {
    /// What is done to the attributes of each item, in order.
    actions: Vec<Action>,
    /// What items must be like for anything to be done to them.
    include: Option<Match>,
    /// What items must not be like.
    exclude: Option<Match>,
}

/// What an item is like: all that is named must hold. What is about another signal than the item's never holds.
#[config]
struct Match {
    /// How names and values are compared.
    match_type: MatchType,
    /// One of these is the `service.name` of the resource.
    #[default]
    services: Vec<String>,
    /// Attributes that the resource has, all of them.
    #[default]
    resources: Vec<AttributeMatch>,
    /// One of these is the scope.
    #[default]
    libraries: Vec<LibraryMatch>,
    /// One of these is the name of the data point's metric.
    #[default]
    metric_names: Vec<String>,
    /// One of these is the span's name.
    #[default]
    span_names: Vec<String>,
    /// One of these is the span's kind, such as `SPAN_KIND_SERVER`.
    #[default]
    span_kinds: Vec<String>,
    /// One of these is the body of the log record, which is a text.
    #[default]
    log_bodies: Vec<String>,
    /// One of these is the severity of the log record as its source words it.
    #[default]
    log_severity_texts: Vec<String>,
    /// How severe the log record is.
    log_severity_number: Option<SeverityMatch>,
    /// Attributes that the item has, all of them.
    #[default]
    attributes: Vec<AttributeMatch>,
}

/// Why its settings make no sense.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// An action.
    #[error(transparent)]
    #[kind(Init)]
    Action(#[from] ActionError),
    /// A condition.
    #[error(transparent)]
    #[kind(Init)]
    Condition(#[from] ConditionError),
}

impl Processor for Attributes {
    fn new(config: Config) -> Result<Self, Error> {
        let conditions =
            |at, wanted: Option<Match>| wanted.map(|wanted| Conditions::new(at, wanted.into())).transpose();
        Ok(Attributes {
            actions: Actions::new("actions", config.actions)?,
            include: conditions("include", config.include)?,
            exclude: conditions("exclude", config.exclude)?,
        })
    }

    fn process(&self, batch: Batch, _: &Cx<Self>) -> Result<Option<Batch>, Error> {
        let mut edit = OnItems {
            acting: self.actions.of_batch(batch.metadata()),
            include: self.include.as_ref().map(Asking::new),
            exclude: self.exclude.as_ref().map(Asking::new),
        };
        Ok(Some(batch.edit(&mut edit)))
    }
}

impl From<Match> for Properties {
    fn from(wanted: Match) -> Self {
        Properties {
            match_type: wanted.match_type,
            services: wanted.services,
            resources: wanted.resources,
            libraries: wanted.libraries,
            metric_names: wanted.metric_names,
            span_names: wanted.span_names,
            span_kinds: wanted.span_kinds,
            log_bodies: wanted.log_bodies,
            log_severity_texts: wanted.log_severity_texts,
            log_severity_number: wanted.log_severity_number,
            attributes: wanted.attributes,
        }
    }
}

struct OnItems<'a> {
    acting: Acting<'a>,
    include: Option<Asking<'a>>,
    exclude: Option<Asking<'a>>,
}

impl<'a> OnItems<'a> {
    fn asking(&mut self) -> impl Iterator<Item = &mut Asking<'a>> {
        self.include.iter_mut().chain(&mut self.exclude)
    }
}

impl Edit for OnItems<'_> {
    fn touches(&self) -> Touches {
        let asking = self.include.iter().chain(&self.exclude).map(Asking::touches);
        asking.fold(Touches { items: true, ..Touches::NOTHING }, Touches::and)
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        self.asking().for_each(|asking| asking.resource(attributes));
        Act::Keep
    }

    fn scope(&mut self, scope: &mut ScopeMut<'_>) -> Act {
        self.asking().for_each(|asking| asking.scope(scope));
        Act::Keep
    }

    fn metric(&mut self, metric: &MetricRef<'_>) -> Act {
        self.asking().for_each(|asking| asking.metric(metric));
        Act::Keep
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        let included = self.include.as_mut().is_none_or(|include| include.item(item));
        if included && !self.exclude.as_mut().is_some_and(|exclude| exclude.item(item)) {
            self.acting.act(&mut item.attributes);
        }
        Act::Keep
    }
}
