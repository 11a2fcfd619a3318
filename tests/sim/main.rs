//! The runtime under simulation: many runs with faults, each a function of its seed.
//!
//! `SEED=7` runs that one, `SEEDS=5000` the first so many, both so many from that one on. A run that breaks a rule prints
//! its seed, its plan and its last events. Each seed is run twice, and both runs must be the same in every event and
//! every time.

mod faults;
mod isolation;
mod ledger;
mod oracle;
mod overload;
mod plan;
mod source;
mod wall_clock;
mod world;

use std::collections::BTreeSet;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, Once};
use std::thread::{self, available_parallelism, scope};
use std::time::Duration;

use faults::lock;
use plan::Plan;
use tracecore::events::{BatchEvent, Event, Occurrence};
use tracecore::testing::ceiling;
use world::{Outcome, Record, run};

/// How many runs there are by default: enough for every kind of fault in every kind of plan, and some seconds.
const SEEDS: u64 = 300;
/// How many of the last events a failure shows.
const LAST_EVENTS: usize = 60;
/// A run takes some milliseconds: one that takes so long spins.
const SPIN: Duration = Duration::from_secs(30);
/// How many failures are shown.
const SHOWN: usize = 3;

#[test]
fn whatever_goes_wrong_every_accepted_item_is_delivered_or_counted_and_nothing_waits_for_ever() {
    keep_quiet();
    let seeds = match (number("SEED"), number("SEEDS")) {
        (Some(seed), count) => seed..seed + count.unwrap_or(1),
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed)) {
                    let (failure, goes_on) = watched(seed);
                    lock(&failures).extend(failure.map(|failure| (seed, failure)));
                    if !goes_on {
                        // What spins keeps a core, and the memory that it fills, until the process ends.
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no thread panicked");
    failures.sort_unstable();
    let failed: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    let shown: Vec<&str> = failures.iter().take(SHOWN).map(|(_, failure)| failure.as_str()).collect();
    assert!(failures.is_empty(), "{} seeds failed: {failed:?}\n{}", failed.len(), shown.join("\n"));
    let missed = MUST_REACH.iter().filter(|word| !lock(&REACHED).contains(**word)).collect::<Vec<_>>();
    assert!(seeds.end - seeds.start < SEEDS || missed.is_empty(), "the plans have become tame: no run has {missed:?}");
}

/// What a run with this seed did wrong, and whether others can be run after it: one that spins lets no virtual time
/// pass, so only another thread can tell, and it goes on spinning.
fn watched(seed: u64) -> (Option<String>, bool) {
    let (said, heard) = mpsc::channel();
    let run = thread::spawn(move || said.send(failure_of(seed)));
    match heard.recv_timeout(ceiling(SPIN)) {
        Ok(failure) => (failure, true),
        Err(RecvTimeoutError::Timeout) => (Some(format!("SEED={seed} spins\n{:#?}", Plan::from_seed(seed))), false),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = run.join().expect_err("only a panic ends it without a word");
            let (message, plan) = (panic.downcast_ref::<String>(), Plan::from_seed(seed));
            (Some(format!("SEED={seed} panicked: {message:?}\n{plan:#?}")), true)
        }
    }
}

/// What a run with this seed did wrong, with all that helps to find out why.
fn failure_of(seed: u64) -> Option<String> {
    let plan = Plan::from_seed(seed);
    let record = run(&plan);
    lock(&REACHED).extend(reached(&record));
    let mut problems = oracle::problems(&plan, &record);
    problems.extend(difference(&record.trace(), &run(&plan).trace()));
    if problems.is_empty() {
        return None;
    }
    let events = record.events.iter().map(|(at, occurrence)| format!("  {at:?} {occurrence}"));
    let skipped = record.events.len().saturating_sub(LAST_EVENTS);
    let events: Vec<String> = events.skip(skipped).collect();
    Some(format!(
        "SEED={seed} cargo test -p tracecore-tests --test sim\n{plan:#?}\n{:?}; the last events:\n{}\nwrong:\n  {}",
        record.outcome,
        events.join("\n"),
        problems.join("\n  ")
    ))
}

/// What must happen in some of the runs, or they test nothing: outcomes, events, reasons of losses.
const MUST_REACH: [&str; 26] = [
    "Stopped",
    "NotStarted",
    "CutOff",
    "rest",
    "batch.accepted",
    "batch.refused",
    "breaker.state_changed",
    "breaker.rejected",
    "breaker.health_check",
    "retry.backoff",
    "retry.exhausted",
    "resource.exhausted",
    "service.health_check",
    "service.restarted",
    "service.start_failed",
    "task.failed",
    "queue_full",
    "too_large",
    "permanent",
    "retry_exhausted",
    "panic",
    "stopped",
    "ignored",
    "shutdown",
    "error",
    "left",
];

/// Those of these words that have been reached.
static REACHED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

fn reached(record: &Record) -> Vec<&'static str> {
    let of_event = |event: &Occurrence| match event.event {
        Event::Batch(BatchEvent::Dropped { reason, .. }) => reason,
        _ => event.name(),
    };
    let mut reached: Vec<&'static str> = record.events.iter().map(|(_, event)| of_event(event)).collect();
    reached.push(match record.outcome {
        Outcome::Stopped => "Stopped",
        Outcome::NotStarted(_) => "NotStarted",
        Outcome::CutOff => "CutOff",
        Outcome::Hung => "Hung",
    });
    reached.extend((!record.farewell.is_empty()).then_some("rest"));
    reached.extend(record.ledger.iter().any(|entry| entry.left).then_some("left"));
    reached
}

/// Where two runs of one seed part.
fn difference(one: &[String], other: &[String]) -> Option<String> {
    let at = (0..one.len().max(other.len())).find(|line| one.get(*line) != other.get(*line))?;
    Some(format!("two runs of the seed part at line {at}:\n    {:?}\n    {:?}", one.get(at), other.get(at)))
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is `{value}`: it must be a whole number")))
}

/// Leaves out the panics that were asked for: there are thousands.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
            if !panic.payload_as_str().is_some_and(|message| message.starts_with("told to panic")) {
                loud(panic);
            }
        }));
    });
}
