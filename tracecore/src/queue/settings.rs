//! What the runtime adds to every exporter's settings: its queue, its retries, its circuit breaker, its time limit.
//!
//! Keys and defaults are the Collector's; `on_overflow`, `max_bytes` and `circuit_breaker` are ours.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{ByteSize, Delay, Period};

/// How many requests wait by default, as in the Collector.
const QUEUE_SIZE: NonZeroU64 = NonZeroU64::new(1000).expect("1000 is not zero");
/// How many deliveries are under way at once by default, as in the Collector.
const NUM_CONSUMERS: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not zero");
/// The bound in bytes that holds whatever the sizer says: a queue counted in requests must not eat the node.
const MAX_BYTES: ByteSize = ByteSize::mib(64);
/// How long a batch waits to be merged by default, as in the Collector.
const FLUSH_TIMEOUT: Period = Period::millis(200);
/// How large a merged batch is at least by default, in items, as in the Collector.
const MIN_SIZE: u64 = 8192;
/// How many clients are kept apart by default, as in the Collector's `batch` processor.
const METADATA_CARDINALITY_LIMIT: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not zero");
/// The time limit of one attempt, as in the Collector.
const TIMEOUT: Period = Period::secs(5);
/// How many calls in a row fail before a backend is taken for dead. Consumers that fail together are one failure, so five
/// take a while to come together; to open late costs no more than the calls that retries make anyway.
const FAILURE_THRESHOLD: NonZeroU32 = NonZeroU32::new(5).expect("5 is not zero");
/// How long a dead backend is left alone: as long as the first wait of a retry, so that a backend which comes back is found
/// no later than a first retry would have found it. One trial in this time is fewer calls than the retries of ten consumers.
const OPEN_DURATION: Period = INITIAL_INTERVAL;
/// One call is enough to find out, and a backend that has just come back is not met by every consumer at once.
const HALF_OPEN_CALLS: NonZeroU32 = NonZeroU32::MIN;
/// One answer shows that the backend is there; it being slow or flaky opens the breaker again soon enough.
const SUCCESS_THRESHOLD: NonZeroU32 = NonZeroU32::MIN;
/// The wait after the first failure, as in the Collector.
const INITIAL_INTERVAL: Period = Period::secs(5);
/// The longest wait between two attempts, as in the Collector.
const MAX_INTERVAL: Period = Period::secs(30);
/// The longest wait that a backend can ask for where batches are tried for ever: what is longer is a mistake or worse, and
/// each such wait holds a consumer.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// The keys of an exporter that the runtime reads itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// The queue before the exporter.
    pub sending_queue: SendingQueue,
    /// What happens when a delivery fails.
    pub retry_on_failure: RetryOnFailure,
    /// What happens when the backend seems to be dead.
    pub circuit_breaker: CircuitBreaker,
    /// The time limit of one attempt.
    pub timeout: Period,
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            sending_queue: SendingQueue::default(),
            retry_on_failure: RetryOnFailure::default(),
            circuit_breaker: CircuitBreaker::default(),
            timeout: TIMEOUT,
        }
    }
}

impl Delivery {
    /// The JSON Schema (2020-12) of these keys, which stand among the exporter's own.
    pub fn schema() -> Schema {
        let mut schema = schema_for!(Delivery);
        schema.insert("title".to_owned(), "exporter".into());
        schema.remove("additionalProperties");
        schema
    }
}

/// The queue before an exporter.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SendingQueue {
    /// `false`: a receiver waits for the delivery itself.
    pub enabled: bool,
    /// How many deliveries are under way at once.
    pub num_consumers: NonZeroUsize,
    /// How much fits, in the unit of `sizer`. What is being delivered counts.
    pub queue_size: NonZeroU64,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// How many bytes fit, whatever the sizer; and where that counts items or bytes, no more batches than one for each KiB of
    /// it, but at least 1,000: what they take beside their bytes must not eat the node either.
    pub max_bytes: ByteSize,
    /// What happens to a batch that finds the queue full.
    pub on_overflow: Overflow,
    /// The Collector's spelling of `on_overflow: block`.
    pub block_on_overflow: bool,
    /// `true`: a receiver hears how the delivery ended, not only that the batch was queued.
    pub wait_for_result: bool,
    /// How batches that wait are merged. Without it, each is sent as it came.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<Batching>")]
    pub batch: Option<Batching>,
}

/// A block that is there and empty has the defaults.
fn given<'de, D: Deserializer<'de>>(block: D) -> Result<Option<Batching>, D::Error> {
    Option::deserialize(block).map(|batching| Some(batching.unwrap_or_default()))
}

impl Default for SendingQueue {
    fn default() -> Self {
        SendingQueue {
            enabled: true,
            num_consumers: NUM_CONSUMERS,
            queue_size: QUEUE_SIZE,
            sizer: Sizer::Requests,
            max_bytes: MAX_BYTES,
            on_overflow: Overflow::Refuse,
            block_on_overflow: false,
            wait_for_result: false,
            batch: None,
        }
    }
}

impl SendingQueue {
    /// What happens to a batch that finds the queue full. Without a queue, the sender waits for its turn.
    pub(crate) fn overflow(&self) -> Overflow {
        if self.block_on_overflow || !self.enabled { Overflow::Block } else { self.on_overflow }
    }

    /// Whether the sender hears how the delivery ended.
    pub(crate) fn waits_for_result(&self) -> bool {
        self.wait_for_result || !self.enabled
    }

    /// Why these values do not go together, if so, and at which key.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        self.batch.as_ref().and_then(|batch| batch.problem(self))
    }
}

/// How batches that wait in a queue are merged: those of one signal, in their order, by writing one behind the other.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// How long a batch waits for others at most. When the queue is full or the collector stops, it waits no longer.
    pub flush_timeout: Period,
    /// From which size on what waits is sent, in the unit of `sizer`; 0 sends each batch at once.
    pub min_size: u64,
    /// The largest size that is sent: what is larger is cut. 0 is no limit.
    pub max_size: u64,
    /// What the two sizes count: `items` or `bytes`. If it is not given: what the queue's `sizer` counts, and for a queue
    /// that counts requests, items.
    pub sizer: Option<Sizer>,
    /// What is kept apart.
    pub partition: Partition,
}

/// Which batches are not merged with each other.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// Names of headers or gRPC metadata, in any case: batches of clients that sent other values are not merged. The
    /// receiver must keep what it was sent: `include_metadata`. What a merged batch keeps of it is these.
    pub metadata_keys: Vec<String>,
    /// How many combinations of these values may wait at once. The batches of any beyond that are sent as they came.
    pub metadata_cardinality_limit: NonZeroUsize,
}

impl Default for Partition {
    fn default() -> Self {
        Partition { metadata_keys: Vec::new(), metadata_cardinality_limit: METADATA_CARDINALITY_LIMIT }
    }
}

impl Partition {
    /// A name that stands there twice.
    fn repeated(&self) -> Option<&String> {
        let same = |(at, key): &(usize, &String)| {
            self.metadata_keys[..*at].iter().any(|other| other.eq_ignore_ascii_case(key))
        };
        self.metadata_keys.iter().enumerate().find(same).map(|(_, key)| key)
    }
}

impl Default for Batching {
    fn default() -> Self {
        Batching {
            flush_timeout: FLUSH_TIMEOUT,
            min_size: MIN_SIZE,
            max_size: 0,
            sizer: None,
            partition: Partition::default(),
        }
    }
}

impl Batching {
    /// What its sizes count before a queue that counts this.
    pub(super) fn unit(&self, queue: Sizer) -> Sizer {
        match self.sizer.unwrap_or(queue) {
            Sizer::Requests => Sizer::Items,
            unit => unit,
        }
    }

    fn problem(&self, queue: &SendingQueue) -> Option<(&'static str, String)> {
        let Batching { min_size: min, max_size: max, .. } = *self;
        let unit = self.unit(queue.sizer);
        if self.sizer == Some(Sizer::Requests) {
            return Some(("sizer", "must be items or bytes: a merged batch is one request, however large".to_owned()));
        }
        if max > 0 && max < min {
            return Some((
                "max_size",
                format!("must be at least min_size, which is {min}, or 0 for no limit; not {max}"),
            ));
        }
        if unit == queue.sizer && min > queue.queue_size.get() {
            let size = queue.queue_size;
            return Some((
                "min_size",
                format!("must be at most queue_size, which is {size}: no more than that waits; not {min}"),
            ));
        }
        if unit == Sizer::Bytes && min > queue.max_bytes.get() {
            let most = queue.max_bytes;
            return Some((
                "min_size",
                format!("must be at most max_bytes, which is {most}: no more than that waits; not {min}"),
            ));
        }
        let repeated = self.partition.repeated()?;
        Some(("partition.metadata_keys", format!("names {repeated} twice: the case of a name does not matter")))
    }
}

/// What a queue's size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sizer {
    /// Batches.
    Requests,
    /// Spans, data points, log records.
    Items,
    /// Encoded bytes.
    Bytes,
}

/// What happens to a batch that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The receiver is told to try again later; no exporter gets the batch.
    Refuse,
    /// This exporter goes without it, and counts it; the others get it.
    Drop,
    /// The receiver waits until there is room.
    Block,
}

/// What happens when a delivery fails.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOnFailure {
    /// `false`: a batch has one attempt.
    pub enabled: bool,
    /// The wait after the first failure.
    pub initial_interval: Period,
    /// The longest wait.
    pub max_interval: Period,
    /// How long a batch is tried before it is dropped; 0 tries for ever. A wait at an open breaker does not count.
    pub max_elapsed_time: Delay,
    /// What each wait is multiplied with for the next.
    #[schemars(range(min = 1.0))]
    pub multiplier: f64,
    /// How far a wait may differ from its nominal length, as a share of it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub randomization_factor: f64,
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        RetryOnFailure {
            enabled: true,
            initial_interval: INITIAL_INTERVAL,
            max_interval: MAX_INTERVAL,
            max_elapsed_time: Delay::secs(300),
            multiplier: 1.5,
            randomization_factor: 0.5,
        }
    }
}

impl RetryOnFailure {
    /// Why these values do not go together, if so.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        if !(self.multiplier >= 1.0 && self.multiplier.is_finite()) {
            return Some(("multiplier", format!("must be at least 1, not {}", self.multiplier)));
        }
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            return Some(("randomization_factor", format!("must be from 0 to 1, not {}", self.randomization_factor)));
        }
        if self.initial_interval.get() > self.max_interval.get() {
            let (initial, max) = (self.initial_interval, self.max_interval);
            return Some(("initial_interval", format!("{initial} is longer than max_interval, {max}")));
        }
        None
    }

    /// The waits between attempts.
    pub(crate) fn backoff(&self) -> crate::runtime::Backoff {
        crate::runtime::Backoff::new(
            self.initial_interval.get(),
            self.max_interval.get(),
            self.multiplier,
            self.randomization_factor,
        )
    }

    /// Whether a batch that has been tried for `elapsed` is given up.
    pub(crate) fn gives_up_after(&self, elapsed: Duration) -> bool {
        !self.enabled || (!self.max_elapsed_time.get().is_zero() && elapsed >= self.max_elapsed_time.get())
    }

    /// How much of the wait that a backend asked for it is given: all of it, unless no batch is meant to live so long.
    pub(crate) fn granted(&self, asked: Duration) -> Duration {
        let longest = self.max_elapsed_time.get();
        asked.min(if longest.is_zero() { LONGEST_ASKED } else { longest })
    }
}

/// When a backend is taken for dead and left alone, and how it is tried again.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// `false`: the exporter is called however often it fails.
    pub enabled: bool,
    /// How many failures in a row open the breaker. Calls that fail together count once, a refusal for good does not.
    pub failure_threshold: NonZeroU32,
    /// How long an open breaker keeps calls back before it tries the backend again.
    pub open_duration: Period,
    /// How many trial calls may be under way at once.
    pub half_open_calls: NonZeroU32,
    /// How many trial calls must succeed to close the breaker. One that fails opens it again.
    pub success_threshold: NonZeroU32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        CircuitBreaker {
            enabled: true,
            failure_threshold: FAILURE_THRESHOLD,
            open_duration: OPEN_DURATION,
            half_open_calls: HALF_OPEN_CALLS,
            success_threshold: SUCCESS_THRESHOLD,
        }
    }
}
