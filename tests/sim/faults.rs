//! What goes wrong in a simulated run, and the components that do it when they are told.
//!
//! A fault names a component by its place in the plan. What a component does wrong lasts until the plan tells it
//! otherwise, or for one batch where a fault says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracecore::signal::Batch;
use tracecore::testing::{
    Answer, Background, ExportFailure, ProcessFailure, RecordingExporter, ScriptedProcessor, Start, name_of,
};

use crate::ledger::BatchId;

/// One thing that happens to a run. Numbers are places in the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A receiver has this many batches of so many items at once.
    Burst(usize, u32, u64),
    /// A caller of a receiver goes away in the middle of an emission.
    CallerLeaves(usize),
    /// A receiver panics in `run`.
    PanicRun(usize),
    /// A task of a receiver panics, whatever its `run` does meanwhile.
    PanicTask(usize),
    /// A receiver's `run` returns an error.
    FailRun(usize),
    /// A receiver's `run` returns without having been asked to.
    EndRun(usize),
    /// What a receiver's next starts do.
    StartReceiver(usize, Start),
    /// What a processor does with its next batch.
    Process(usize, Processing),
    /// A processor's background panics or fails.
    Background(usize, Background),
    /// What a processor's next starts do.
    StartProcessor(usize, Start),
    /// What an exporter does with its attempts from now on.
    Export(usize, Exporting),
    /// An exporter panics in its next attempts, so many.
    PanicExport(usize, u32),
    /// What an exporter's next starts do.
    StartExporter(usize, Start),
    /// A signal that asks for a stop.
    Stop,
    /// A second signal: the run is cut off where it stands.
    SecondSignal,
}

/// What a processor does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    /// Passes it on.
    Pass,
    /// Drops it on purpose.
    Filter,
    /// Refuses it for now.
    FailForNow,
    /// Refuses it for good.
    FailForGood,
    /// Panics.
    Panic,
}

/// What an exporter does with an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Exporting {
    /// Takes the batch.
    Accept,
    /// Takes it after so long.
    Slow(Duration),
    /// Its other side is away.
    Away,
    /// Its other side wants to be left alone for so long.
    Busy(Duration),
    /// Its other side refuses the batch for good.
    Refuse,
    /// Waits until it is healed, or until its time is over.
    Stall,
}

/// What a plan lets a processor do, and what it did.
pub(crate) struct Filter {
    /// Its far end.
    pub(crate) script: ScriptedProcessor,
    orders: Arc<Mutex<VecDeque<Processing>>>,
    done: Arc<Mutex<Vec<(BatchId, u64, Processing)>>>,
}

/// What each of the calls of an exporter was for: the batches that were sent as one, and the items of each.
pub(crate) type Calls = Vec<Vec<(BatchId, u64)>>;

/// What a plan lets an exporter do.
pub(crate) struct Sink {
    /// Its far end.
    pub(crate) script: RecordingExporter,
    orders: Arc<Mutex<(Exporting, u32)>>,
    attempts: Arc<Mutex<Calls>>,
}

/// Enough for every attempt that may have stalled.
const ALL_ATTEMPTS: usize = 1 << 20;

impl Filter {
    pub(crate) fn new(start: Start) -> Self {
        let orders = Arc::<Mutex<VecDeque<Processing>>>::default();
        let done = Arc::<Mutex<Vec<_>>>::default();
        let (told, doing) = (Arc::clone(&orders), Arc::clone(&done));
        let script = ScriptedProcessor::new(move |batch| {
            let order = lock(&told).pop_front().unwrap_or(Processing::Pass);
            lock(&doing).push((BatchId::of(&batch), batch.items(), order));
            match order {
                Processing::Pass => Ok(Some(batch)),
                Processing::Filter => Ok(None),
                Processing::FailForNow => Err(ProcessFailure::ForNow),
                Processing::FailForGood => Err(ProcessFailure::ForGood),
                Processing::Panic => panic!("told to panic on {}", name_of(&batch)),
            }
        });
        script.on_start(start);
        Filter { script, orders, done }
    }

    pub(crate) fn order(&self, processing: Processing) {
        lock(&self.orders).push_back(processing);
    }

    /// What follows is passed on, and starts succeed.
    pub(crate) fn heal(&self) {
        lock(&self.orders).clear();
        self.script.on_start(Start::Ready);
    }

    /// Each batch that it saw, with its items and what it did with it.
    pub(crate) fn done(&self) -> Vec<(BatchId, u64, Processing)> {
        lock(&self.done).clone()
    }
}

impl Sink {
    pub(crate) fn new(start: Start) -> Self {
        let orders = Arc::new(Mutex::new((Exporting::Accept, 0)));
        let attempts = Arc::<Mutex<Vec<_>>>::default();
        let (told, called) = (Arc::clone(&orders), Arc::clone(&attempts));
        let script = RecordingExporter::scripted(move |batch: &Batch| {
            lock(&called).push(BatchId::all_of(batch));
            let (exporting, panics) = &mut *lock(&told);
            if *panics > 0 {
                *panics -= 1;
                return Answer::Panic;
            }
            match *exporting {
                Exporting::Accept => Answer::Accept,
                Exporting::Slow(delay) => Answer::AcceptAfter(delay),
                Exporting::Away => Answer::Fail(ExportFailure::Away),
                Exporting::Busy(after) => Answer::Fail(ExportFailure::Busy { after }),
                Exporting::Refuse => Answer::Fail(ExportFailure::Refused),
                Exporting::Stall => Answer::Stall,
            }
        });
        script.on_start(start);
        Sink { script, orders, attempts }
    }

    /// What each call was to deliver, in their order.
    pub(crate) fn attempts(&self) -> Calls {
        lock(&self.attempts).clone()
    }

    pub(crate) fn order(&self, exporting: Exporting) {
        lock(&self.orders).0 = exporting;
    }

    pub(crate) fn panic(&self, times: u32) {
        lock(&self.orders).1 += times;
    }

    /// What follows is taken, what stalls goes on, and starts succeed.
    pub(crate) fn heal(&self) {
        *lock(&self.orders) = (Exporting::Accept, 0);
        self.script.release(ALL_ATTEMPTS);
        self.script.on_start(Start::Ready);
    }
}

/// Components panic on purpose: what a panic poisoned is used all the same.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
