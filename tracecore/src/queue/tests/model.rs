//! The queue against a model of it, over random sequences of everything that can be done to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Task, batch};
use crate::config::ByteSize;
use crate::queue::{Full, Load, Outcome, Place, Queue, SendingQueue, Sizer, Taken};
use crate::signal::Batch;
use crate::telemetry::DropReason;

/// One thing that is done. A number picks one of what there is to do it to.
#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve(Size),
    LineUp(Size),
    Commit(usize),
    GiveBack(usize),
    LeaveTheLine(usize),
    Consume,
    LeaveTheConsumers(usize),
    Settle(usize),
    LetGo(usize),
    /// Lets all run who were woken.
    Run,
    Close,
    Abandon,
}

/// Items, and bytes of each.
type Size = (usize, usize);

/// A batch by the order of its making.
type Number = usize;

/// What became of a sender in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Waits,
    Admitted,
    SentAway,
}

/// The promises of the queue, word for word.
struct Model {
    limit: Load,
    used: Load,
    waiting: VecDeque<Number>,
    line: VecDeque<Number>,
    turns: BTreeMap<Number, Turn>,
    promised: usize,
    closed: bool,
    /// Items that came in and of which nobody has told.
    untold: u64,
    counted: bool,
}

/// The queue and its users.
struct Run {
    queue: Arc<Queue>,
    model: Model,
    batches: Vec<Batch>,
    places: Vec<(Number, Place)>,
    line: Vec<(Number, Task<Result<Place, Full>>)>,
    consumers: Vec<Task<Option<Taken>>>,
    taken: Vec<(Number, Taken)>,
    /// Whose fate is open.
    results: BTreeMap<Number, oneshot::Receiver<Outcome>>,
}

impl Run {
    fn new(sizer: Sizer, queue_size: u64, max_bytes: u64) -> Self {
        let queue_size = queue_size.try_into().expect("it is at least 1");
        let max_bytes = ByteSize::bytes(max_bytes);
        let queue = Queue::new(&SendingQueue { sizer, queue_size, max_bytes, ..SendingQueue::default() });
        let mut limit = Load { requests: u64::MAX, items: u64::MAX, bytes: max_bytes.get() };
        match sizer {
            Sizer::Requests => limit.requests = queue_size.get(),
            Sizer::Items => limit.items = queue_size.get(),
            Sizer::Bytes => limit.bytes = limit.bytes.min(queue_size.get()),
        }
        let model = Model {
            limit,
            used: Load::default(),
            waiting: VecDeque::new(),
            line: VecDeque::new(),
            turns: BTreeMap::new(),
            promised: 0,
            closed: false,
            untold: 0,
            counted: false,
        };
        Run {
            queue,
            model,
            batches: Vec::new(),
            places: Vec::new(),
            line: Vec::new(),
            consumers: Vec::new(),
            taken: Vec::new(),
            results: BTreeMap::new(),
        }
    }

    fn load(&self, number: Number) -> Load {
        let batch = &self.batches[number];
        Load { requests: 1, items: batch.items(), bytes: batch.size() as u64 }
    }

    fn make(&mut self, (items, body): Size) -> Number {
        self.batches.push(batch(items, body));
        self.batches.len() - 1
    }

    /// What reserving a place for this batch must come to.
    fn expected(&self, load: Load) -> Result<(), Full> {
        let fits = |load: Load| {
            let limit = self.model.limit;
            load.requests <= limit.requests && load.items <= limit.items && load.bytes <= limit.bytes
        };
        match () {
            () if !fits(load) => Err(Full::ForEver),
            () if self.model.closed => Err(Full::Closed(DropReason::Shutdown)),
            () if !self.model.line.is_empty() || !fits(sum(self.model.used, load)) => Err(Full::Now),
            () => Ok(()),
        }
    }

    /// Room came free: the line moves up as far as it fits, in its order.
    fn move_up(&mut self) {
        while let Some(&first) = self.model.line.front() {
            let used = sum(self.model.used, self.load(first));
            let limit = self.model.limit;
            if used.requests > limit.requests || used.items > limit.items || used.bytes > limit.bytes {
                break;
            }
            self.model.line.pop_front();
            self.model.used = used;
            self.model.promised += 1;
            self.model.turns.insert(first, Turn::Admitted);
        }
    }

    fn free(&mut self, number: Number) {
        self.model.used = difference(self.model.used, self.load(number));
        self.move_up();
    }

    fn unpromise(&mut self, number: Number) {
        self.model.promised -= 1;
        self.free(number);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Reserve(size) => self.reserve(size),
            Step::LineUp(size) => self.line_up(size),
            Step::Commit(pick) => {
                let Some((number, place)) = picked(&mut self.places, pick) else { return };
                let (sender, receiver) = oneshot::channel();
                self.results.insert(number, receiver);
                let in_time = place.commit(
                    self.batches[number].clone(),
                    crate::memory::Charge::none(),
                    crate::emit::PASSAGE,
                    Some(sender),
                );
                assert_eq!(in_time, !self.model.counted);
                if in_time {
                    self.model.promised -= 1;
                    self.model.waiting.push_back(number);
                    self.model.untold += self.batches[number].items();
                } else {
                    self.hears(number, &Ok(Outcome::Lost { retryable: true }));
                    self.unpromise(number);
                }
            }
            Step::GiveBack(pick) => {
                let Some((number, place)) = picked(&mut self.places, pick) else { return };
                drop(place);
                self.unpromise(number);
            }
            Step::LeaveTheLine(pick) => {
                let Some((number, task)) = picked(&mut self.line, pick) else { return };
                drop(task);
                self.model.line.retain(|standing| *standing != number);
                match self.model.turns.remove(&number) {
                    Some(Turn::Admitted) => self.unpromise(number),
                    _ => self.move_up(),
                }
            }
            Step::Consume => {
                let queue = Arc::clone(&self.queue);
                self.consumers.push(Task::new(async move { queue.next().await }));
            }
            Step::LeaveTheConsumers(pick) => drop(picked(&mut self.consumers, pick)),
            Step::Settle(pick) => {
                let Some((number, mut taken)) = picked(&mut self.taken, pick) else { return };
                let claim = taken.claim(1);
                assert_eq!(claim.is_none(), self.model.counted);
                let outcome = match claim {
                    Some(claim) => {
                        taken.settle(claim, Outcome::Delivered);
                        self.model.untold -= self.batches[number].items();
                        Outcome::Delivered
                    }
                    None => Outcome::Lost { retryable: true },
                };
                drop(taken);
                self.hears(number, &Ok(outcome));
                self.free(number);
            }
            Step::LetGo(pick) => {
                let Some((number, taken)) = picked(&mut self.taken, pick) else { return };
                drop(taken);
                self.hears(number, &Ok(Outcome::Lost { retryable: true }));
                self.free(number);
            }
            Step::Run => self.run(),
            Step::Close => self.close(),
            Step::Abandon => self.abandon(),
        }
    }

    fn reserve(&mut self, size: Size) {
        let number = self.make(size);
        let expected = self.expected(self.load(number));
        let got = self.queue.reserve(&self.batches[number]);
        assert_eq!(got.as_ref().map(|_| ()).map_err(|full| *full), expected);
        if let Ok(place) = got {
            self.model.used = sum(self.model.used, self.load(number));
            self.model.promised += 1;
            self.places.push((number, place));
        }
    }

    fn line_up(&mut self, size: Size) {
        let number = self.make(size);
        let load = self.load(number);
        let queue = Arc::clone(&self.queue);
        let task = Task::new(async move { queue.room_for(load).await });
        match (self.expected(load), task.run()) {
            (Ok(()), Poll::Ready(Ok(place))) => {
                self.model.used = sum(self.model.used, load);
                self.model.promised += 1;
                self.places.push((number, place));
            }
            (Err(Full::Now), Poll::Pending) => {
                self.model.line.push_back(number);
                self.model.turns.insert(number, Turn::Waits);
                self.line.push((number, task));
            }
            (Err(expected), Poll::Ready(Err(got))) => assert_eq!(got, expected),
            (expected, got) => panic!("expected {expected:?}, got {got:?}"),
        }
    }

    fn close(&mut self) {
        self.queue.close(DropReason::Shutdown);
        self.model.closed = true;
        for number in self.model.line.drain(..) {
            self.model.turns.insert(number, Turn::SentAway);
        }
    }

    fn abandon(&mut self) {
        self.close();
        assert_eq!(self.queue.abandon(), std::mem::take(&mut self.model.untold));
        self.model.counted = true;
        for number in std::mem::take(&mut self.model.waiting) {
            self.model.used = difference(self.model.used, self.load(number));
            self.hears(number, &Ok(Outcome::Lost { retryable: true }));
        }
    }

    /// A batch meets its fate, and its sender has heard of it.
    fn hears(&mut self, number: Number, fate: &Result<Outcome, TryRecvError>) {
        let mut result = self.results.remove(&number).expect("a batch met two fates");
        assert_eq!(&result.try_recv(), fate);
    }

    /// Polls whoever was woken until nobody is.
    fn run(&mut self) {
        while let Some(at) = self.line.iter().position(|(_, task)| task.is_woken()) {
            let (number, task) = self.line.remove(at);
            let turn = self.model.turns[&number];
            match (turn, task.run()) {
                (Turn::Admitted, Poll::Ready(Ok(place))) => self.places.push((number, place)),
                (Turn::SentAway, Poll::Ready(Err(Full::Closed(DropReason::Shutdown)))) => {}
                (Turn::Waits, Poll::Pending) => {
                    self.line.push((number, task));
                    continue;
                }
                (expected, got) => panic!("a sender that is {expected:?} got {got:?}"),
            }
            self.model.turns.remove(&number);
        }
        while let Some(at) = self.consumers.iter().position(Task::is_woken) {
            let task = self.consumers.remove(at);
            match task.run() {
                Poll::Pending => self.consumers.push(task),
                Poll::Ready(None) => {
                    assert!(self.model.closed && self.model.promised == 0 && self.model.waiting.is_empty());
                }
                Poll::Ready(Some(taken)) => {
                    let number = self.model.waiting.pop_front().expect("a batch out of nowhere");
                    let bytes = |batch: &Batch| batch.parts()[0].as_ptr();
                    assert_eq!(bytes(&taken.merged(1)), bytes(&self.batches[number]), "out of order");
                    self.taken.push((number, taken));
                }
            }
        }
        if !self.consumers.is_empty() {
            assert!(self.model.waiting.is_empty(), "a consumer sleeps beside a batch");
            assert!(!self.model.closed || self.model.promised > 0, "a consumer waits for what cannot come");
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        let (used, limit) = (self.queue.used(), self.model.limit);
        assert_eq!(used, self.model.used);
        assert!(used.requests <= limit.requests && used.items <= limit.items && used.bytes <= limit.bytes);
        for (number, task) in &self.line {
            let waits = self.model.turns[number] == Turn::Waits;
            assert!(waits || task.is_woken(), "sender {number} was not told");
        }
        for result in self.results.values_mut() {
            assert_eq!(result.try_recv(), Err(TryRecvError::Empty), "a sender heard of a fate that is open");
        }
    }

    /// Ends everything, as a stop does: nothing must be left.
    fn end(mut self) {
        self.close();
        while !self.places.is_empty() {
            self.step(Step::Commit(0));
        }
        self.run();
        while !self.places.is_empty() {
            self.step(Step::GiveBack(0));
        }
        assert!(self.line.is_empty(), "somebody stands in line before a closed queue");
        loop {
            self.step(Step::Consume);
            self.run();
            if self.taken.is_empty() {
                break;
            }
            self.step(Step::Settle(0));
        }
        self.check();
        assert_eq!(self.queue.used(), Load::default());
        assert!(self.consumers.is_empty(), "a consumer has not ended");
        assert!(self.results.is_empty(), "a batch met no fate");
    }
}

fn sum(one: Load, other: Load) -> Load {
    let (requests, items) = (one.requests + other.requests, one.items + other.items);
    Load { requests, items, bytes: one.bytes + other.bytes }
}

fn difference(one: Load, other: Load) -> Load {
    let (requests, items) = (one.requests - other.requests, one.items - other.items);
    Load { requests, items, bytes: one.bytes - other.bytes }
}

fn picked<T>(all: &mut Vec<T>, pick: usize) -> Option<T> {
    (!all.is_empty()).then(|| all.remove(pick % all.len()))
}

fn sizes() -> impl Strategy<Value = Size> {
    (1_usize..6, 0_usize..40)
}

fn steps() -> impl Strategy<Value = Step> {
    let pick = || any::<usize>();
    prop_oneof![
        6 => sizes().prop_map(Step::Reserve),
        6 => sizes().prop_map(Step::LineUp),
        8 => pick().prop_map(Step::Commit),
        2 => pick().prop_map(Step::GiveBack),
        2 => pick().prop_map(Step::LeaveTheLine),
        4 => Just(Step::Consume),
        1 => pick().prop_map(Step::LeaveTheConsumers),
        6 => pick().prop_map(Step::Settle),
        1 => pick().prop_map(Step::LetGo),
        8 => Just(Step::Run),
    ]
}

fn limits() -> impl Strategy<Value = (Sizer, u64, u64)> {
    prop_oneof![
        (Just(Sizer::Requests), 1_u64..6, 100_u64..800),
        (Just(Sizer::Items), 1_u64..20, 100_u64..800),
        (Just(Sizer::Bytes), 20_u64..500, 100_u64..800),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn keeps_its_bounds_its_order_and_its_word(
        (sizer, queue_size, max_bytes) in limits(),
        before in prop::collection::vec(steps(), 1..120),
        after in prop::collection::vec(steps(), 0..30),
        too_late in prop::collection::vec(steps(), 0..20),
    ) {
        let mut run = Run::new(sizer, queue_size, max_bytes);
        let stopping = [Step::Close].into_iter().chain(after).chain([Step::Abandon]).chain(too_late);
        for step in before.into_iter().chain(stopping) {
            run.step(step);
            run.check();
        }
        run.end();
    }
}
