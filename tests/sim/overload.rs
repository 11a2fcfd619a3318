//! Five times the load that an exporter can take: what is too much is refused early, and the rest is as well served as
//! before.
//!
//! Time is virtual, so that capacity, rates and percentiles are exact. How long an accepted batch waits is decided by the
//! place that it is given: a queue of three batches a consumer is three exports long, whatever the load.

use std::collections::HashMap;
use std::time::Duration;

use tracecore::emit::Verdict;
use tracecore::events::{BatchEvent, Event, ExportEvent};
use tracecore::seam::Simulation;
use tracecore::testing::Start;

use crate::faults::{Exporting, Fault};
use crate::ledger::BatchId;
use crate::oracle;
use crate::plan::{ExporterPlan, PipelinePlan, Plan, ReceiverPlan};
use crate::world::{Outcome, Record, run};

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(300);
/// How long an export takes.
const EXPORT: Duration = Duration::from_millis(2500);
/// How many exports there are at once.
const CONSUMERS: u64 = 2;
/// Room for three batches a consumer, those under way included.
const QUEUE: u64 = 3 * CONSUMERS;
/// Items of a batch.
const ITEMS: u64 = 3;
/// How many batches can be exported while the load lasts.
const CAPACITY: u64 = CONSUMERS * (LOAD.as_millis() / EXPORT.as_millis()) as u64;
/// The least share of its capacity that an exporter must deliver.
const GOODPUT: f64 = 0.9;
/// How many times longer than without load an accepted batch may take.
const SLOWEST: u32 = 3;

/// A receiver whose clients do not wait for each other, with `batches` at random moments of the load.
fn plan(batches: u64, on_overflow: &'static str, wait_for_result: bool) -> Plan {
    let dice = Simulation::seeded(batches);
    let moment = || Duration::from_micros(dice.random() % u64::try_from(LOAD.as_micros()).expect("it is short"));
    let mut steps: Vec<(Duration, Fault)> = (0..batches).map(|_| (moment(), Fault::Burst(0, 1, ITEMS))).collect();
    steps.push((Duration::ZERO, Fault::Export(0, Exporting::Slow(EXPORT))));
    steps.sort_by_key(|(at, _)| *at);
    let exporter =
        ExporterPlan { consumers: CONSUMERS, queue_size: QUEUE, on_overflow, wait_for_result, ..ExporterPlan::plain() };
    Plan {
        seed: 1,
        drain_timeout: Duration::from_secs(5),
        restart_budget: 0,
        receivers: vec![ReceiverPlan { beside: true, on_start_error: "fail", start: Start::Ready }],
        processors: Vec::new(),
        exporters: vec![exporter],
        pipelines: vec![PipelinePlan { receivers: vec![0], processors: Vec::new(), exporters: vec![0] }],
        steps,
        signal_yields: 0,
    }
}

/// What became of the load.
struct Served {
    /// How long each delivered batch took from its emission to its delivery, the longest last.
    took: Vec<Duration>,
    refused: u64,
    dropped: u64,
}

impl Served {
    fn of(plan: &Plan) -> Self {
        let record = run(plan);
        assert_eq!(oracle::problems(plan, &record), Vec::<String>::new(), "all is accounted for, refusals too");
        assert_eq!(record.outcome, Outcome::Stopped);
        let delivered = delivered(&record);
        let (mut took, mut refused) = (Vec::new(), 0);
        for (id, entry) in (1..).map(BatchId).zip(&record.ledger) {
            let begun = entry.begun.expect("the receiver takes orders all the time");
            let (ended, verdict) = entry.ended.expect("each has its verdict");
            refused += u64::from(verdict != Verdict::Accepted);
            assert!(verdict.is_accepted() || ended == begun, "who is refused hears it at once");
            took.extend(delivered.get(&id).filter(|at| **at < LOAD).map(|at| *at - begun));
        }
        took.sort_unstable();
        let is_dropped =
            |event: &&Event| matches!(event, Event::Batch(BatchEvent::Dropped { reason: "queue_full", .. }));
        let dropped = record.events.iter().map(|(_, occurrence)| &occurrence.event).filter(is_dropped).count() as u64;
        Served { took, refused, dropped }
    }

    /// Longer than 99 of a hundred delivered batches took.
    fn p99(&self) -> Duration {
        self.took[self.took.len() * 99 / 100]
    }
}

/// When each batch was delivered.
fn delivered(record: &Record) -> HashMap<BatchId, Duration> {
    let succeeded =
        record.events.iter().filter(|(_, told)| matches!(told.event, Event::Export(ExportEvent::Succeeded { .. })));
    let of_the_load = succeeded.filter(|(_, told)| told.component() == "test_sink/e0");
    let number = |id: u128| u64::try_from(id).expect("the ledger's numbers are small");
    of_the_load.filter_map(|(at, told)| Some((BatchId(number(told.meta.correlation?.trace_id())), *at))).collect()
}

#[test]
fn five_times_the_capacity_is_served_at_capacity_and_what_is_accepted_is_not_slow() {
    let unloaded = Served::of(&plan(CAPACITY / 20, "refuse", true));
    assert_eq!((unloaded.p99(), unloaded.refused), (EXPORT, 0), "alone, nobody waits");
    for (on_overflow, wait_for_result) in [("refuse", true), ("refuse", false), ("drop", true)] {
        let served = Served::of(&plan(5 * CAPACITY, on_overflow, wait_for_result));
        let case = format!("{on_overflow}, wait_for_result: {wait_for_result}");
        let goodput = served.took.len() as f64 / CAPACITY as f64;
        assert!(goodput >= GOODPUT, "{case}: {goodput} of the capacity");
        assert!(served.p99() <= unloaded.p99() * SLOWEST, "{case}: {:?}", served.p99());
        let too_much = if on_overflow == "refuse" { served.refused } else { served.dropped };
        assert!(too_much >= 4 * CAPACITY - QUEUE, "{case}: {too_much} batches of {}", 5 * CAPACITY);
    }
}
