//! The Collector's `batch` processor: it becomes the `sending_queue.batch` of the exporters behind it.
//!
//! There is no such processor here, because a batch waits in a queue anyway: merging it there costs no second place to
//! wait, hides no outcome from the sender, and loses nothing at a stop. An exporter that has a `sending_queue.batch` of its
//! own keeps it. An exporter merges for all its pipelines or for none, so of two pipelines that ask for different things
//! the first has its way, and a warning says so.

use std::num::NonZeroUsize;

use schemars::JsonSchema;

use super::ConfigError;
use super::fault::{meant, nearest, unknown_key};
use super::id::{ComponentId, PipelineId};
use super::model::{Component, Service};
use super::node::{Key, Node, Scalar, Value};
use super::origin::Origin;
use super::value::Delay;

/// The Collector's `send_batch_size`, and the `min_size` of a queue, where none is given.
const MIN_SIZE: u64 = 8192;

/// The type of the processor.
pub(crate) const TYPE: &str = "batch";

/// Its keys, and what each is in `sending_queue.batch`.
const KEYS: [(&str, &str); 3] =
    [("timeout", "flush_timeout"), ("send_batch_size", "min_size"), ("send_batch_max_size", "max_size")];

/// Its keys that are the same in `sending_queue.batch.partition`.
const PARTITION_KEYS: [&str; 2] = ["metadata_keys", "metadata_cardinality_limit"];

/// Its settings, for the schema.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "settings that are read one by one")]
pub(crate) struct BatchProcessor {
    /// How long a batch waits for others at most; 0 sends each at once.
    timeout: Option<Delay>,
    /// From which size on what waits is sent, in items.
    send_batch_size: Option<u64>,
    /// The largest size that is sent, in items; 0 is no limit.
    send_batch_max_size: Option<u64>,
    /// Names of headers or gRPC metadata: batches of clients that sent other values are not merged.
    metadata_keys: Option<Vec<String>>,
    /// How many combinations of these values may wait at once.
    metadata_cardinality_limit: Option<NonZeroUsize>,
}

/// Takes the processor out of every pipeline and gives the exporters behind it what it asks for. Reports what cannot be
/// had, and warns of what is other than it is written.
pub(super) fn map(
    service: &mut Service,
    processors: &[Component],
    exporters: &mut [Component],
    warnings: &mut Vec<ConfigError>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut asked: Vec<Asked> = Vec::new();
    let of_type = |processor: &&Component| processor.id.component_type() == TYPE && !processor.settings.broken;
    for processor in processors.iter().filter(of_type) {
        match Asked::read(processor) {
            Ok(read) => asked.push(read),
            Err(problems) => errors.extend(problems),
        }
    }
    // Who merges for whom, by the exporter.
    let mut given: Vec<(ComponentId, &Asked, PipelineId)> = Vec::new();
    let mut without = Vec::new();
    for pipeline in &mut service.pipelines {
        let (batch, others) =
            std::mem::take(&mut pipeline.processors).into_iter().partition(|named| named.id.component_type() == TYPE);
        pipeline.processors = others;
        let batch: Vec<_> = batch;
        for named in &batch {
            let Some(asked) = asked.iter().find(|asked| asked.id == named.id) else { continue };
            for exporter in &pipeline.exporters {
                let Some(exporter) = exporters.iter_mut().find(|defined| defined.id == exporter.id) else { continue };
                let id = exporter.id.clone();
                let earlier = given.iter().find(|(given, ..)| *given == id);
                let message = match earlier {
                    Some((_, first, _)) if first.batch == asked.batch => continue,
                    Some((_, first, at)) => format!(
                        "`{}` asks for another size or time than `{}` of the pipeline `{at}`, and the exporter `{id}` has one queue \
                         for both: what stands in `{at}` holds; to have both, give each pipeline an exporter of its own",
                        named.id, first.id
                    ),
                    None if asked.give(&mut exporter.settings) => {
                        given.push((id.clone(), asked, pipeline.id.clone()));
                        format!(
                            "`{}` is done by the queue of the exporter, as if exporters.{id} had `sending_queue: {{batch: {asked}}}`; \
                             write that in its place",
                            named.id
                        )
                    }
                    None => {
                        format!("`{}` changes nothing: exporters.{id} has a `sending_queue.batch` of its own", named.id)
                    }
                };
                let path = format!("service.pipelines.{}.processors", pipeline.id);
                warnings.push(ConfigError::warning(path, &named.origin, message));
            }
        }
        if batch.is_empty() {
            without.push(&*pipeline);
        }
    }
    for pipeline in without {
        for exporter in &pipeline.exporters {
            if let Some((id, asked, at)) = given.iter().find(|(given, ..)| *given == exporter.id) {
                let message = format!(
                    "what this pipeline sends is merged too: the exporter `{id}` has one queue for it and for the pipeline `{at}`, \
                     which has `{}`",
                    asked.id
                );
                let path = format!("service.pipelines.{}.exporters", pipeline.id);
                warnings.push(ConfigError::warning(path, &exporter.origin, message));
            }
        }
    }
    errors
}

/// What one processor asks for, in the words of `sending_queue.batch`.
struct Asked {
    id: ComponentId,
    batch: Node,
}

impl Asked {
    fn read(processor: &Component) -> Result<Self, Vec<ConfigError>> {
        let Component { id, origin, settings } = processor;
        let path = |key: &str| format!("processors.{id}.{key}");
        let mut errors = Vec::new();
        for (key, _) in settings.entries() {
            let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).chain(PARTITION_KEYS).collect();
            if !known.contains(&key.as_str()) {
                let message = unknown_key(key.as_str(), &known);
                let hint = nearest(key.as_str(), known).map(meant);
                errors.push(ConfigError::new(path(key.as_str()), key.origin(), message).with_hint(hint));
            }
        }
        let given = |key: &str| settings.get(key).filter(|node| !node.is_null());
        let timeout: Option<Delay> = given("timeout").and_then(|node| node.read(&path("timeout"), &mut errors));
        let at_once = timeout.is_some_and(|timeout| timeout.get().is_zero());
        let mut size = |key: &str, default: u64| {
            given(key).map_or(Some(default), |node| node.read::<u64>(&path(key), &mut errors))
        };
        let sizes = (size("send_batch_size", MIN_SIZE), size("send_batch_max_size", 0));
        if let (Some(min), Some(max)) = sizes
            && let Some(node) = given("send_batch_max_size").or(given("send_batch_size"))
            && max > 0
            && max < min
        {
            let message = format!("must be at least send_batch_size, which is {min}, or 0 for no limit; not {max}");
            errors.push(ConfigError::new(path("send_batch_max_size"), node.origin(), message));
        }
        if let Some(node) = given("metadata_keys") {
            node.read::<Vec<String>>(&path("metadata_keys"), &mut errors);
        }
        if let Some(node) = given("metadata_cardinality_limit") {
            node.read::<NonZeroUsize>(&path("metadata_cardinality_limit"), &mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut batch = Node::empty(settings.origin().clone());
        let mut set = |key: &str, node: Node| batch.insert(key, origin, node);
        for (key, mapped) in KEYS {
            match (given(key), mapped) {
                // Without a time to wait there is nothing to be merged with.
                (Some(timeout), "flush_timeout") if at_once => set("min_size", Node::plain("0", timeout.origin())),
                (Some(_), "min_size") if at_once => {}
                (Some(node), mapped) => set(mapped, node.clone()),
                (None, _) => {}
            }
        }
        let mut partition = Node::empty(settings.origin().clone());
        for key in PARTITION_KEYS {
            if let Some(node) = given(key) {
                partition.insert(key, origin, node.clone());
            }
        }
        if !partition.entries().is_empty() {
            set("partition", partition);
        }
        // The processor counts items, whatever the queue counts.
        set("sizer", Node::plain("items", origin));
        Ok(Asked { id: id.clone(), batch })
    }

    /// Puts it into the settings of an exporter; false if that has something of its own there.
    fn give(&self, exporter: &mut Node) -> bool {
        if exporter.is_null() {
            exporter.value = Value::Mapping(Vec::new());
        }
        let origin = self.batch.origin();
        let queue = exporter.take("sending_queue").filter(|queue| !queue.is_null());
        let mut queue = queue.unwrap_or_else(|| Node::empty(origin.clone()));
        let has_its_own = queue.get("batch").is_some();
        if !has_its_own {
            queue.insert("batch", origin, self.batch.clone());
        }
        let place = queue.origin().clone();
        exporter.insert("sending_queue", &place, queue);
        !has_its_own
    }
}

/// As it is written: `{flush_timeout: 200ms, min_size: 8192, sizer: items}`.
impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.batch.entries().iter().map(|(key, node)| format!("{}: {node:?}", key.as_str()));
        write!(f, "{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}

impl Node {
    /// A scalar that is written nowhere; `origin` is the reason for it.
    fn plain(text: &str, origin: &Origin) -> Node {
        Node::new(Value::Scalar(Scalar { text: text.into(), quoted: false }), origin.clone())
    }

    /// Adds an entry to a mapping that does not have it.
    fn insert(&mut self, key: &str, origin: &Origin, node: Node) {
        if let Value::Mapping(entries) = &mut self.value {
            entries.push((Key { text: key.into(), origin: origin.clone() }, node));
        }
    }
}
