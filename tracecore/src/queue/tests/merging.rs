//! Merging and cutting against a model that knows nothing but items: which go together, when, in which order, and what
//! their senders hear.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Task, settings};
use crate::config::Period;
use crate::queue::{Batching, Full, Load, Outcome, Partition, Queue, SendingQueue, Sizer, Taken};
use crate::signal::{Batch, Decoded, Metadata, Signal};
use crate::telemetry::DropReason;

/// How many clients have lanes of their own at once, where they are kept apart.
const CLIENTS: usize = 2;

/// How long what waits to be merged waits, in milliseconds.
const WAIT: u64 = 10;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many items with names of so many bytes, from this client.
    Send(Signal, usize, usize, Client),
    Consume,
    LeaveTheConsumers(usize),
    Settle(usize, Outcome),
    LetGo(usize),
    /// Lets so many milliseconds pass.
    Pass(u64),
    /// Lets all run who were woken.
    Run,
}

/// By its metadata; the first sends none.
type Client = u8;

/// What is merged with each other; none: what is not merged, for there are too many clients.
type Way = Option<(Signal, Client)>;

/// An item, by the order of its making.
type Item = u64;

/// A batch, by the order of its making.
type Number = usize;

fn batch(signal: Signal, items: &[Item], name: usize) -> Batch {
    let name = "n".repeat(name);
    let decoded = match signal {
        Signal::Traces => {
            let span = |item: &Item| Span { start_time_unix_nano: *item, name: name.clone(), ..Span::default() };
            let spans = items.iter().map(span).collect();
            let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
            Decoded::Traces(TracesData { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] })
        }
        Signal::Logs | Signal::Metrics => {
            let record =
                |item: &Item| LogRecord { time_unix_nano: *item, severity_text: name.clone(), ..LogRecord::default() };
            let log_records = items.iter().map(record).collect();
            let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
            Decoded::Logs(LogsData { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] })
        }
    };
    Batch::from_decoded(&decoded).expect("it has no ids")
}

fn items_of(batch: &Batch) -> Vec<Item> {
    match batch.decode() {
        Decoded::Traces(data) => {
            let scopes = data.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            scopes.flat_map(|scope| scope.spans).map(|span| span.start_time_unix_nano).collect()
        }
        Decoded::Logs(data) => {
            let scopes = data.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            scopes.flat_map(|scope| scope.log_records).map(|record| record.time_unix_nano).collect()
        }
        Decoded::Metrics(_) => unreachable!("none is sent"),
    }
}

/// What `client` sends beside its data: names in two spellings, and one value that is of no matter.
fn metadata(client: Client) -> Metadata {
    let (name, value) = if client.is_multiple_of(2) { ("tenant", "even") } else { ("Tenant", "odd") };
    let values = (0..client).map(|index| (name, if index == 0 { value } else { "more" }));
    Metadata::new(values.chain([("other", "whatever")])).expect("it is small")
}

/// What waits in one lane.
#[derive(Default)]
struct Lane {
    /// Each batch, or what is left of it.
    batches: VecDeque<Vec<Item>>,
    due: u64,
}

impl Lane {
    fn size(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }
}

/// A batch whose sender waits.
struct Sent {
    /// Items whose fate is open.
    open: usize,
    worst: Outcome,
    result: oneshot::Receiver<Outcome>,
}

struct Run {
    runtime: Runtime,
    /// In milliseconds.
    now: u64,
    queue: Arc<Queue>,
    unit: Sizer,
    min: u64,
    max: u64,
    apart: bool,
    lanes: BTreeMap<Way, Lane>,
    pressed: bool,
    closed: bool,
    /// Items that nobody delivers.
    cut_off: u64,
    /// The batch of each item.
    items: Vec<Number>,
    /// Of each batch.
    ways: Vec<Way>,
    sent: BTreeMap<Number, Sent>,
    consumers: Vec<Task<Option<Taken>>>,
    taken: Vec<Taken>,
}

impl Run {
    fn new(unit: Sizer, min: u64, max: u64, apart: bool, room: u64) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts");
        let flush_timeout = Period::millis(WAIT);
        let metadata_keys = if apart { vec!["TENANT".to_owned()] } else { Vec::new() };
        let metadata_cardinality_limit = CLIENTS.try_into().expect("it is not zero");
        let partition = Partition { metadata_keys, metadata_cardinality_limit };
        let batching = Batching { flush_timeout, min_size: min, max_size: max, sizer: Some(unit), partition };
        let queue = Queue::new(&SendingQueue { batch: Some(batching), ..settings(room, Sizer::Items) });
        Run {
            runtime,
            now: 0,
            queue,
            unit,
            min,
            max,
            apart,
            lanes: BTreeMap::new(),
            pressed: false,
            closed: false,
            cut_off: 0,
            items: Vec::new(),
            ways: Vec::new(),
            sent: BTreeMap::new(),
            consumers: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// From which size on what waits there is ready.
    fn min_of(&self, way: Way) -> u64 {
        if way.is_none() { 0 } else { self.min }
    }

    fn is_ready(&self, way: Way) -> bool {
        let lane = &self.lanes[&way];
        let large = way.is_none() || self.unit == Sizer::Items && lane.size() >= self.min;
        !lane.batches.is_empty() && (self.closed || self.pressed || large || lane.due <= self.now)
    }

    /// Where a batch waits.
    fn way(&self, signal: Signal, client: Client) -> Way {
        if !self.apart {
            return Some((signal, 0));
        }
        let way = Some((signal, client));
        let taken = || self.lanes.iter().filter(|(way, lane)| way.is_some() && !lane.batches.is_empty());
        let has_one = taken().any(|(other, _)| *other == way);
        if has_one || taken().count() < CLIENTS { way } else { None }
    }

    fn open_items(&self) -> u64 {
        self.sent.values().map(|sent| sent.open as u64).sum()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(signal, items, name, client) => self.send(signal, items, name, client),
            Step::Consume => {
                let queue = Arc::clone(&self.queue);
                self.consumers.push(Task::new(async move { queue.next().await }));
            }
            Step::LeaveTheConsumers(pick) => drop(picked(&mut self.consumers, pick)),
            Step::Settle(pick, outcome) => {
                let Some(mut taken) = picked(&mut self.taken, pick) else { return };
                // In two steps, as a merged batch of which a part is refused.
                for count in [taken.len() / 2, taken.len() - taken.len() / 2] {
                    let items = if count == 0 { Vec::new() } else { items_of(&taken.merged(count)) };
                    let claim = taken.claim(count).expect("nothing was counted");
                    taken.settle(claim, outcome);
                    self.hear(&items, outcome);
                }
            }
            Step::LetGo(pick) => {
                let Some(taken) = picked(&mut self.taken, pick) else { return };
                let items = items_of(&taken.merged(taken.len()));
                drop(taken);
                self.hear(&items, Outcome::Lost { retryable: true });
                self.cut_off += items.len() as u64;
            }
            Step::Pass(millis) => {
                self.runtime.block_on(tokio::time::advance(Duration::from_millis(millis)));
                self.now += millis;
            }
            Step::Run => self.run(),
        }
    }

    fn send(&mut self, signal: Signal, count: usize, name: usize, client: Client) {
        let items: Vec<Item> = (self.items.len()..self.items.len() + count).map(|item| item as Item).collect();
        let batch = batch(signal, &items, name);
        let batch = if client == 0 { batch } else { batch.with_metadata(metadata(client)) };
        let entered = self.runtime.enter();
        match self.queue.reserve(&batch) {
            Ok(place) => {
                let (sender, result) = oneshot::channel();
                assert!(place.commit(batch, crate::memory::Charge::none(), crate::emit::PASSAGE, Some(sender)));
                let number = self.items.last().map_or(0, |last| last + 1);
                self.items.extend(items.iter().map(|_| number));
                let way = self.way(signal, client);
                self.ways.push(way);
                self.sent.insert(number, Sent { open: count, worst: Outcome::Delivered, result });
                let due = self.now + WAIT;
                let lane = self.lanes.entry(way).or_default();
                if lane.batches.is_empty() {
                    lane.due = due;
                }
                lane.batches.push_back(items);
            }
            Err(full) => {
                assert_eq!(full, if self.closed { Full::Closed(DropReason::Shutdown) } else { Full::Now });
                drop(entered);
                // What is large enough goes out anyway, and makes room.
                let waiting = || self.lanes.iter().filter(|(_, lane)| !lane.batches.is_empty());
                let small = |(way, lane): (&Way, &Lane)| lane.size() < self.min_of(*way);
                let waits = waiting().next().is_some() && waiting().all(small);
                self.pressed |= waits && full == Full::Now;
            }
        }
    }

    /// These items have met their fate: whose batch has no others has heard of the worst.
    fn hear(&mut self, items: &[Item], outcome: Outcome) {
        let rank = |outcome| match outcome {
            Outcome::Delivered => 0,
            Outcome::Lost { retryable: false } => 1,
            Outcome::Lost { retryable: true } => 2,
        };
        for item in items {
            let number = self.items[usize::try_from(*item).expect("it counts items")];
            let sent = self.sent.get_mut(&number).expect("an item met two fates");
            sent.open -= 1;
            if rank(outcome) > rank(sent.worst) {
                sent.worst = outcome;
            }
            if sent.open == 0 {
                let mut sent = self.sent.remove(&number).expect("it was there");
                assert_eq!(sent.result.try_recv(), Ok(sent.worst));
            }
        }
    }

    /// Polls whoever was woken until nobody is.
    fn run(&mut self) {
        while let Some(at) = self.consumers.iter().position(Task::is_woken) {
            let task = self.consumers.remove(at);
            let polled = {
                let _entered = self.runtime.enter();
                task.run()
            };
            match polled {
                Poll::Pending => self.consumers.push(task),
                Poll::Ready(None) => assert!(self.closed && self.lanes.values().all(|lane| lane.batches.is_empty())),
                Poll::Ready(Some(taken)) => self.take(taken),
            }
        }
        if !self.consumers.is_empty() && self.unit == Sizer::Items {
            assert!(!self.lanes.keys().any(|way| self.is_ready(*way)), "a consumer sleeps beside what is ready");
        }
    }

    /// What was taken is what had to be.
    fn take(&mut self, taken: Taken) {
        let merged = taken.merged(taken.len()).into_owned();
        let items = items_of(&merged);
        assert_eq!(taken.items(), items.len() as u64);
        assert_eq!(Batch::validate(merged.signal(), bytes_of(&merged)).expect("it is valid").items(), merged.items());
        let way = self.ways[self.items[usize::try_from(items[0]).expect("it counts items")]];
        let lane = &self.lanes[&way];
        let flat: Vec<Item> = lane.batches.iter().flatten().copied().take(items.len()).collect();
        assert_eq!(items, flat, "out of order");
        if self.unit == Sizer::Items {
            assert!(self.is_ready(way), "taken too early");
            let ready = self.lanes.iter().filter(|(way, _)| self.is_ready(**way));
            let first = ready.map(|(_, lane)| lane.due).min();
            assert_eq!(Some(lane.due), first, "another has waited longer");
            let mut size = 0;
            for batch in &lane.batches {
                if size > 0 && size >= self.min_of(way) {
                    break;
                }
                size += batch.len() as u64;
            }
            let expected = if self.max == 0 { size } else { size.min(self.max) };
            assert_eq!(items.len() as u64, expected);
        } else if self.max > 0 {
            assert!(merged.size() as u64 <= self.max || items.len() == 1, "{} bytes", merged.size());
        }
        if let (true, Some((_, client))) = (self.apart, way) {
            let expected = (client > 0).then(|| client_of(&merged.clone().with_metadata(metadata(client)))).flatten();
            assert_eq!(client_of(&merged), expected, "what those have in common that are merged");
        }
        let due = self.now + WAIT;
        let lane = self.lanes.get_mut(&way).expect("it is there");
        let mut left = items.len();
        let mut cut = false;
        while left > 0 {
            let first = lane.batches.front_mut().expect("it had as many");
            left -= first.drain(..left.min(first.len())).count();
            cut = !first.is_empty();
            if !cut {
                lane.batches.pop_front();
            }
        }
        // What was cut off is put back in pieces that are as large as may be.
        if cut
            && self.unit == Sizer::Items
            && let Some(first) = lane.batches.pop_front()
        {
            let max = usize::try_from(self.max).expect("it is small");
            first.chunks(max).rev().for_each(|piece| lane.batches.push_front(piece.to_vec()));
        }
        lane.due = due;
        self.pressed = false;
        self.taken.push(taken);
    }

    /// What holds after every step.
    fn check(&mut self) {
        assert_eq!(self.queue.used().items, self.open_items());
        for sent in self.sent.values_mut() {
            assert_eq!(sent.result.try_recv(), Err(TryRecvError::Empty), "a sender heard of a fate that is open");
        }
    }

    /// Ends everything, as a stop does: nothing must be left, and nothing waits for time to pass.
    fn end(mut self) {
        self.queue.close(DropReason::Shutdown);
        self.closed = true;
        loop {
            self.step(Step::Consume);
            self.run();
            self.check();
            if self.taken.is_empty() {
                break;
            }
            self.step(Step::Settle(0, Outcome::Delivered));
        }
        assert_eq!((self.queue.abandon(), self.queue.used()), (self.cut_off, Load::default()));
        assert!(self.consumers.is_empty(), "a consumer has not ended");
        assert!(self.sent.is_empty(), "a batch met no fate");
    }
}

/// What a batch has of the metadata that keeps clients apart, if it has metadata.
fn client_of(batch: &Batch) -> Option<Vec<String>> {
    batch.metadata().map(|metadata| metadata.get_all("tenant").map(str::to_owned).collect())
}

fn bytes_of(batch: &Batch) -> bytes::Bytes {
    batch.parts().concat().into()
}

fn picked<T>(all: &mut Vec<T>, pick: usize) -> Option<T> {
    (!all.is_empty()).then(|| all.remove(pick % all.len()))
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Delivered),
        1 => Just(Outcome::Lost { retryable: false }),
        1 => Just(Outcome::Lost { retryable: true }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let pick = || any::<usize>();
    let signals = prop_oneof![3 => Just(Signal::Logs), 1 => Just(Signal::Traces)];
    prop_oneof![
        10 => (signals, 1_usize..25, 0_usize..30, 0_u8..4)
            .prop_map(|(signal, items, name, client)| Step::Send(signal, items, name, client)),
        4 => Just(Step::Consume),
        1 => pick().prop_map(Step::LeaveTheConsumers),
        4 => (pick(), outcomes()).prop_map(|(pick, outcome)| Step::Settle(pick, outcome)),
        1 => pick().prop_map(Step::LetGo),
        3 => (1_u64..15).prop_map(Step::Pass),
        8 => Just(Step::Run),
    ]
}

fn sizes() -> impl Strategy<Value = (Sizer, u64, u64)> {
    prop_oneof![
        (Just(Sizer::Items), 0_u64..12, Just(0)),
        (Just(Sizer::Items), 0_u64..12, 0_u64..12).prop_map(|(unit, min, more)| (unit, min, (min + more).max(1))),
        (Just(Sizer::Bytes), 1_u64..300, 0_u64..300).prop_map(|(unit, min, more)| (unit, min, min + more)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn merges_and_cuts_to_the_item_in_order_and_tells_each_sender_once(
        (unit, min, max) in sizes(),
        apart in any::<bool>(),
        room in 30_u64..120,
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut run = Run::new(unit, min, max, apart, room);
        for step in steps {
            run.step(step);
            run.check();
        }
        run.end();
    }
}
