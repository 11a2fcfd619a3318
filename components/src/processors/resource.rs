//! The `resource` processor: actions on the attributes of resources.

use tracecore::prelude::*;
use tracecore::signal::Metadata;
use tracecore::signal::edit::{Act, AttributesMut, Edit, Touches};

use crate::shaping::actions::{Acting, Action, ActionError, Actions};

/// Changes the attributes of what telemetry is about: its resource.
#[processor(
    "resource",
    aliases = ["resourceprocessor"],
    config = Config,
    error = ActionError,
    example = "attributes: [{key: k8s.cluster.name, value: training-1, action: upsert}]",
)]
struct Resource {
    actions: Actions,
}

/// Settings of the `resource` processor.
#[config]
struct Config {
    /// What is done to the attributes of each resource, in order.
    attributes: Vec<Action>,
}

impl Processor for Resource {
    const EDITS: bool = true;

    fn new(config: Config) -> Result<Self, ActionError> {
        Ok(Resource { actions: Actions::new("attributes", config.attributes)? })
    }

    fn edit<'a>(&'a self, _: Signal, metadata: Option<&'a Metadata>) -> Box<dyn Edit + 'a> {
        Box::new(OnResources(self.actions.of_batch(metadata)))
    }
}

struct OnResources<'a>(Acting<'a>);

impl Edit for OnResources<'_> {
    fn touches(&self) -> Touches {
        Touches { resources: true, ..Touches::NOTHING }
    }

    fn resource(&mut self, attributes: &mut AttributesMut<'_>) -> Act {
        self.0.act(attributes);
        Act::Keep
    }
}
