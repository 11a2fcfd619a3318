//! The `service` section as a schema: its settings are read one by one, so no type of the runtime's has all of them.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::service_telemetry::ServiceTelemetry;
use super::value::{ByteSize, Period};

/// The `service` section, for the schema.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "settings that are read one by one")]
pub(crate) struct ServiceSchema {
    /// The pipelines, by id: `traces`, `metrics` or `logs`, and `/` and a name where there are several of a signal.
    pipelines: Pipelines,
    /// The extensions that are served, by id.
    extensions: Option<Ids>,
    /// What the collector tells of itself, in the Collector's words: each is taken as the setting that a warning names. The
    /// section `telemetry` holds where it is written too.
    telemetry: Option<ServiceTelemetry>,
    /// How long queues may drain at shutdown. What is left then is dropped and counted. Default: 5s.
    #[schemars(extend("default" = "5s"))]
    drain_timeout: Option<Period>,
    /// The number of worker threads. Default: as many as there are processors, at most 4.
    workers: Option<NonZeroUsize>,
    /// How often a component that panics or fails is restarted in a row, without a minute of health between two, before
    /// it is given up; 0 is for ever.
    #[schemars(extend("default" = 20))]
    restart_budget: Option<u32>,
    /// How much memory the process may use: from 95 % of it on batches are refused, for now. Default: what its cgroups
    /// allow and the machine has.
    memory_limit: Option<ByteSize>,
    /// How much memory batches may hold together. Default: half of what the process may use.
    memory_budget: Option<ByteSize>,
}

/// A list of ids, for the schema.
struct Ids;

impl JsonSchema for Ids {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ids".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let id = json!({ "type": "string", "pattern": "^[a-zA-Z][0-9a-zA-Z_]{0,62}(/.+)?$" });
        json_schema!({ "type": "array", "items": id })
    }
}

/// The pipelines, for the schema.
struct Pipelines;

impl JsonSchema for Pipelines {
    fn schema_name() -> Cow<'static, str> {
        "Pipelines".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut list = |what: &str| {
            let mut list = json!(Ids::json_schema(generator));
            list["description"] = json!(what);
            list
        };
        let mut exporters = list("Where its batches go, at least one.");
        exporters["minItems"] = json!(1);
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "required": [],
            "patternProperties": {
                "^(traces|metrics|logs)(/.+)?$": {
                    "type": "object",
                    "properties": {
                        "receivers": list("Where its batches come from, at least one; none for the pipeline of `telemetry.events`."),
                        "processors": list("What each batch passes, in this order."),
                        "exporters": exporters,
                    },
                    "required": ["exporters"],
                    "additionalProperties": false,
                },
            },
            "additionalProperties": false,
        })
    }
}
