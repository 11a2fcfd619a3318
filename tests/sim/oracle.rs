//! What must hold of every run, whatever went wrong in it.
//!
//! The test's own book (who emitted what, who took what) is held against the collector's metrics and against its events,
//! so that a loss is found even if nobody tells of it. Deliberately absent: what a particular fault leads to. That is for
//! the tests of that fault.

mod accounts;
mod lives;
mod times;

use std::sync::Arc;
use std::time::Duration;

use tracecore::events::{Event, Occurrence, ServiceEvent, TaskEvent};

use crate::plan::Plan;
use crate::world::{Outcome, Record};

/// A run and what is wrong with it.
struct Oracle<'a> {
    plan: &'a Plan,
    record: &'a Record,
    problems: Vec<String>,
}

/// What is wrong with a run, in words; nothing, if all is well.
pub(crate) fn problems(plan: &Plan, record: &Record) -> Vec<String> {
    let mut oracle = Oracle { plan, record, problems: Vec::new() };
    oracle.lives();
    oracle.times();
    // What is cut off by a second signal is lost uncounted, as with every process that is killed.
    if record.outcome != Outcome::CutOff {
        oracle.accounts();
        oracle.leftovers();
    }
    let (given, came) = record.witnessed;
    oracle.must(came <= given, || format!("the undisturbed pipeline made {came} items of {given}"));
    if !record.farewell.is_empty() && record.outcome == Outcome::Stopped {
        oracle.rest();
    }
    oracle.problems
}

impl Oracle<'_> {
    fn must(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(problem());
        }
    }

    /// The events of one component, in order.
    fn events_of<'b>(&'b self, id: &'b str) -> impl Iterator<Item = (Duration, &'b Arc<Occurrence>)> {
        self.record.events.iter().filter(move |(_, event)| event.component() == id).map(|(at, event)| (*at, event))
    }

    /// Whether a life of this receiver ended after this moment. During a stop that changes no state: its task tells of it.
    fn ended_since(&self, receiver: usize, since: Duration) -> bool {
        self.events_of(&receiver_id(receiver)).any(|(at, event)| {
            let ended = match event.event {
                Event::Service(ServiceEvent::StatusChanged { to, .. }) => to.is_error(),
                Event::Task(TaskEvent::Failed { .. }) => true,
                _ => false,
            };
            ended && at >= since
        })
    }

    fn leftovers(&mut self) {
        let Record { tasks, held, .. } = self.record;
        self.must(*tasks == 0, || format!("{tasks} tasks are left after the stop"));
        self.must(*held == 0, || format!("{held} emissions, tasks or lives of receivers are left after the stop"));
    }
}

fn receiver_id(place: usize) -> String {
    format!("sim_source/r{place}")
}

fn processor_id(place: usize) -> String {
    format!("test_processor/p{place}")
}

fn exporter_id(place: usize) -> String {
    format!("test_sink/e{place}")
}
