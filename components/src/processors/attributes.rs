//! The `attributes` processor: actions on the attributes of spans, data points and log records.
//!
//! Beside what [`shaping`](crate::shaping) says, it differs from the Collector's in that `include` and `exclude` match
//! data points by their attributes and scopes too. Absent: the settings of the Collector's cache of matches.

use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, ScopeMut, Touches};
use tracecore::signal::view::MetricRef;

use crate::shaping::actions::{Acting, Action, ActionError, Actions};
use crate::shaping::conditions::{Asking, ConditionError, Conditions};
use crate::shaping::matching::Properties;

/// Changes the attributes of spans, data points and log records.
#[processor(
    "attributes",
    aliases = ["attributesprocessor"],
    config = Config,
    error = Error,
    example = "actions: [{key: db.password, action: delete}]",
)]
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
    include: Option<Properties>,
    /// What items must not be like.
    exclude: Option<Properties>,
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
    const EDITS: bool = true;

    fn new(config: Config) -> Result<Self, Error> {
        let conditions = |at, wanted: Option<Properties>| wanted.map(|wanted| Conditions::new(at, wanted)).transpose();
        Ok(Attributes {
            actions: Actions::new("actions", config.actions)?,
            include: conditions("include", config.include)?,
            exclude: conditions("exclude", config.exclude)?,
        })
    }

    fn edit<'a>(&'a self, _: Signal, metadata: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        Box::new(OnItems {
            acting: self.actions.of_batch(metadata),
            include: self.include.as_ref().map(Asking::new),
            exclude: self.exclude.as_ref().map(Asking::new),
        })
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
