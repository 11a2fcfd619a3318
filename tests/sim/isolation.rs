//! A panic in each role in turn, under load: what it costs the pipelines beside it.
//!
//! Nothing: they deliver all that they are given, and as fast as without the panic. Time is virtual, so a rate is exact,
//! and 5 % is a bound for what is delayed, not for what is measured. What a panic costs in processor time is not seen
//! here; a panic is rare enough for that.

use std::time::Duration;

use tracecore::events::{Event, ExportEvent, ServiceEvent, TaskEvent};
use tracecore::testing::{Background, Start};

use crate::faults::{Fault, Processing};
use crate::keep_quiet;
use crate::oracle;
use crate::plan::{ExporterPlan, PipelinePlan, Plan, ProcessorPlan, ReceiverPlan};
use crate::world::{Outcome, Record, run};

/// The time between two batches of a receiver.
const PERIOD: Duration = Duration::from_millis(10);
/// How many batches a receiver has.
const BATCHES: u32 = 500;
/// When something panics: in the middle of the load.
const PANIC: Duration = Duration::from_secs(1);
/// When what panics in its start does so no more: after some attempts.
const MENDED: Duration = Duration::from_secs(3);
/// Over which a rate is taken: some batches, and short enough to see a pause.
const WINDOW: Duration = Duration::from_millis(100);
/// How far a rate may drop.
const MOST_DROP: f64 = 0.05;
/// The exporter of the pipeline in which nothing panics.
const OTHER: &str = "test_sink/e1";

/// Two pipelines of a receiver, a processor and an exporter each; with one receiver for both, if they share it.
fn plan(shares_receiver: bool, faults: &[(Duration, Fault)]) -> Plan {
    let receiver = ReceiverPlan { beside: true, on_start_error: "retry", start: Start::Ready };
    let processor = ProcessorPlan { on_start_error: "retry", start: Start::Ready };
    let receivers = if shares_receiver { 1 } else { 2 };
    let load = (0..BATCHES).flat_map(|batch| (0..receivers).map(move |r| (PERIOD * batch, Fault::Burst(r, 1, 3))));
    let mut steps: Vec<(Duration, Fault)> = load.chain(faults.iter().copied()).collect();
    steps.sort_by_key(|(at, _)| *at);
    let pipeline = |place: usize| PipelinePlan {
        receivers: vec![place % receivers],
        processors: vec![place],
        exporters: vec![place],
    };
    Plan {
        seed: 1,
        drain_timeout: Duration::from_secs(5),
        restart_budget: 0,
        receivers: vec![receiver; receivers],
        processors: vec![processor; 2],
        exporters: vec![ExporterPlan::plain(); 2],
        pipelines: vec![pipeline(0), pipeline(1)],
        steps,
        signal_yields: 0,
    }
}

/// How many items the other pipeline delivered in each window, from the begin of the load to its end.
fn rates(record: &Record) -> Vec<u64> {
    let windows = (PERIOD * BATCHES).as_millis() / WINDOW.as_millis();
    let mut rates = vec![0; usize::try_from(windows).expect("they are few")];
    for (at, event) in &record.events {
        if let (OTHER, Event::Export(ExportEvent::Succeeded { items, .. })) = (event.component(), &event.event) {
            let window = usize::try_from(at.as_millis() / WINDOW.as_millis()).expect("they are few");
            // The last batches, after the rest, are no load.
            if let Some(rate) = rates.get_mut(window) {
                *rate += items;
            }
        }
    }
    rates
}

/// Whether something panicked, by the word of the collector.
fn has_panicked(record: &Record) -> bool {
    let tells = |event: &Event| {
        matches!(event, Event::Service(ServiceEvent::Restarted { .. }) | Event::Task(TaskEvent::Failed { .. }))
    };
    record.events.iter().any(|(_, event)| tells(&event.event))
}

/// Runs both plans, with and without these faults, and compares what became of the other pipeline.
fn costs_the_other_pipeline_nothing(shares_receiver: bool, faults: &[(Duration, Fault)]) {
    keep_quiet();
    let undisturbed = run(&plan(shares_receiver, &[]));
    let plan = plan(shares_receiver, faults);
    let record = run(&plan);
    assert_eq!(oracle::problems(&plan, &record), Vec::<String>::new());
    assert_eq!(record.outcome, Outcome::Stopped);
    assert!(!has_panicked(&undisturbed) && has_panicked(&record), "the fault came, and only where it was asked for");
    let given = undisturbed.ledger.iter().map(|entry| entry.items).sum::<u64>();
    let other = |record: &Record| record.taken[1].iter().flatten().map(|(_, items)| items).sum::<u64>();
    assert_eq!(other(&undisturbed), if shares_receiver { given } else { given / 2 }, "what it was given");
    assert_eq!(other(&record), other(&undisturbed), "it loses nothing");
    for (window, (rate, before)) in rates(&record).into_iter().zip(rates(&undisturbed)).enumerate() {
        assert!(before > 0, "there is load in window {window}");
        let dropped = 1.0 - rate as f64 / before as f64;
        assert!(dropped <= MOST_DROP, "window {window} of {WINDOW:?}: {rate} items in place of {before}");
    }
}

#[test]
fn a_panic_of_a_receiver_costs_the_other_pipelines_nothing() {
    costs_the_other_pipeline_nothing(false, &[(PANIC, Fault::PanicRun(0))]);
}

#[test]
fn a_panic_of_a_receivers_task_costs_the_other_pipelines_nothing() {
    costs_the_other_pipeline_nothing(false, &[(PANIC, Fault::PanicTask(0))]);
}

#[test]
fn panics_in_a_receivers_start_cost_the_other_pipelines_nothing() {
    let start = |start| Fault::StartReceiver(0, start);
    costs_the_other_pipeline_nothing(
        false,
        &[(PANIC, start(Start::Panic)), (PANIC, Fault::PanicRun(0)), (MENDED, start(Start::Ready))],
    );
}

#[test]
fn a_panic_of_a_processor_costs_the_other_pipelines_nothing() {
    for shares_receiver in [false, true] {
        costs_the_other_pipeline_nothing(shares_receiver, &[(PANIC, Fault::Process(0, Processing::Panic))]);
    }
}

#[test]
fn a_panic_of_a_processors_background_costs_the_other_pipelines_nothing() {
    for shares_receiver in [false, true] {
        costs_the_other_pipeline_nothing(shares_receiver, &[(PANIC, Fault::Background(0, Background::Panic))]);
    }
}

#[test]
fn panics_in_a_processors_start_cost_the_other_pipelines_nothing() {
    let start = |start| Fault::StartProcessor(0, start);
    let panic = Fault::Process(0, Processing::Panic);
    // With one receiver for both, a processor that cannot take a batch now holds it back from all: it comes again.
    costs_the_other_pipeline_nothing(
        false,
        &[(PANIC, start(Start::Panic)), (PANIC, panic), (MENDED, start(Start::Ready))],
    );
}

#[test]
fn a_panic_of_an_exporter_costs_the_other_pipelines_nothing() {
    for shares_receiver in [false, true] {
        costs_the_other_pipeline_nothing(shares_receiver, &[(PANIC, Fault::PanicExport(0, 1))]);
    }
}

#[test]
fn panics_in_an_exporters_start_cost_the_other_pipelines_nothing() {
    let start = |start| Fault::StartExporter(0, start);
    for shares_receiver in [false, true] {
        costs_the_other_pipeline_nothing(
            shares_receiver,
            &[(PANIC, start(Start::Panic)), (PANIC, Fault::PanicExport(0, 1)), (MENDED, start(Start::Ready))],
        );
    }
}
