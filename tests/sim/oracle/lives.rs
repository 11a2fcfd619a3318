//! States move along allowed edges, what fails comes back, and nobody pays for another.

use std::collections::BTreeMap;

use tracecore::error::ErrorKind;
use tracecore::events::{BreakerEvent, Event, ExportEvent, ServiceEvent, TaskEvent};
use tracecore::status::State;
use tracecore::telemetry::BreakerState;
use tracecore::testing::Start;

use super::{Oracle, exporter_id, processor_id, receiver_id};
use crate::faults::Fault;
use crate::world::Outcome;

impl Oracle<'_> {
    pub(super) fn lives(&mut self) {
        self.states();
        self.breakers();
        self.restarts();
        self.tasks();
        let hung = self.record.outcome == Outcome::Hung;
        self.must(!hung, || "the collector hangs".to_owned());
        if let Outcome::NotStarted(error) = &self.record.outcome {
            let fails = self.record.events.iter().any(|(_, event)| {
                matches!(event.event, Event::Service(ServiceEvent::StartFailed { .. }))
                    && self.ids_that_fail().contains(&event.component().to_owned())
            });
            self.must(fails, || format!("no component of the plan stops the start: {error}"));
        }
    }

    /// The ids of the components whose `on_start_error` is `fail`.
    fn ids_that_fail(&self) -> Vec<String> {
        let fails = |policy: &str| policy == "fail";
        let plan = self.plan;
        let receivers = plan.receivers.iter().enumerate().filter(|(_, r)| fails(r.on_start_error));
        let processors = plan.processors.iter().enumerate().filter(|(_, p)| fails(p.on_start_error));
        let exporters = plan.exporters.iter().enumerate().filter(|(_, e)| fails(e.on_start_error));
        let receivers = receivers.map(|(place, _)| receiver_id(place));
        let processors = processors.map(|(place, _)| processor_id(place));
        receivers.chain(processors).chain(exporters.map(|(place, _)| exporter_id(place))).collect()
    }

    /// Each component walks along the edges, from `starting`, and ends stopped.
    fn states(&mut self) {
        let mut states = BTreeMap::<&str, State>::new();
        for (at, event) in &self.record.events {
            let Event::Service(ServiceEvent::StatusChanged { from, to }) = event.event else { continue };
            let state = states.entry(event.component()).or_insert(State::Starting);
            if *state != from || !from.may_become(to) {
                self.problems.push(format!("{at:?}: {} was {state} and went from {from} to {to}", event.component()));
            }
            *state = to;
        }
        if self.record.outcome == Outcome::CutOff {
            return;
        }
        for (id, state) in states {
            let final_state = matches!(state, State::Stopped | State::FatalError);
            self.must(final_state, || format!("{id} is {state} after the stop"));
        }
    }

    fn breakers(&mut self) {
        use BreakerState::{Closed, HalfOpen, Open};
        let mut states = BTreeMap::<&str, BreakerState>::new();
        for (at, event) in &self.record.events {
            let Event::Breaker(BreakerEvent::StateChanged { from, to }) = event.event else { continue };
            let state = states.entry(event.component()).or_insert(Closed);
            let edge = matches!((from, to), (Closed | HalfOpen, Open) | (Open, HalfOpen) | (HalfOpen, Closed));
            if *state != from || !edge {
                let id = event.component();
                self.problems.push(format!("{at:?}: the breaker of {id} was {state:?}, went from {from:?} to {to:?}"));
            }
            *state = to;
        }
    }

    /// Only what was made to fail is restarted: a panic costs what panicked.
    fn restarts(&mut self) {
        let failing = self.ids_with_faults();
        for (at, event) in &self.record.events {
            let restarted = matches!(event.event, Event::Service(ServiceEvent::Restarted { .. }));
            if restarted && !failing.contains(&event.component().to_owned()) {
                self.problems
                    .push(format!("{at:?}: {} was restarted, and nothing was wrong with it", event.component()));
            }
        }
    }

    /// The tasks of a receiver's life end with it: the next one begins without.
    fn tasks(&mut self) {
        let mut under_way = BTreeMap::<&str, i64>::new();
        for (at, event) in &self.record.events {
            let tasks = under_way.entry(event.component()).or_default();
            match event.event {
                Event::Task(TaskEvent::Started { .. }) => *tasks += 1,
                Event::Task(TaskEvent::Completed { .. } | TaskEvent::Failed { .. }) => *tasks -= 1,
                Event::Service(ServiceEvent::Restarted { .. }) if *tasks > 0 => {
                    self.problems.push(format!("{at:?}: {} was restarted beside {tasks} tasks", event.component()));
                }
                _ => {}
            }
        }
    }

    /// An exporter that panicked is used no more: another is made, or it is given up.
    pub(super) fn made_anew(&mut self) {
        for exporter in 0..self.plan.exporters.len() {
            let id = exporter_id(exporter);
            let last = |wanted: fn(&Event) -> bool| {
                self.events_of(&id).enumerate().filter(|(_, (_, event))| wanted(&event.event)).last()
            };
            let panicked =
                last(|event| matches!(event, Event::Export(ExportEvent::Failed { kind: ErrorKind::Panic, .. })));
            let made = last(|event| matches!(event, Event::Service(ServiceEvent::Restarted { .. })));
            let (panicked, made) = (panicked.map(|(index, _)| index), made.map(|(index, _)| index));
            let given_up = self.state_before_stop(&id) == State::PermanentError;
            self.must(panicked <= made || given_up, || format!("{id} panicked, and went on as it was"));
        }
    }

    /// The ids of the components that the plan makes panic, fail or end.
    fn ids_with_faults(&self) -> Vec<String> {
        let plan = self.plan;
        let receivers = (0..plan.receivers.len()).filter(|r| plan.receivers[*r].start != Start::Ready).map(receiver_id);
        let processors = (0..plan.processors.len()).filter(|p| plan.processors[*p].start != Start::Ready);
        let exporters = (0..plan.exporters.len()).filter(|e| plan.exporters[*e].start != Start::Ready).map(exporter_id);
        let faults = plan.steps.iter().filter_map(|(_, fault)| match fault {
            Fault::PanicRun(place) | Fault::PanicTask(place) | Fault::FailRun(place) | Fault::EndRun(place) => {
                Some(receiver_id(*place))
            }
            Fault::Process(place, _) | Fault::Background(place, _) => Some(processor_id(*place)),
            Fault::PanicExport(place, _) => Some(exporter_id(*place)),
            _ => None,
        });
        receivers.chain(processors.map(processor_id)).chain(exporters).chain(faults).collect()
    }

    /// The state of a component before it was asked to stop.
    pub(super) fn state_before_stop(&self, id: &str) -> State {
        let changes = self.events_of(id).filter_map(|(_, event)| match event.event {
            Event::Service(ServiceEvent::StatusChanged { to, .. }) => Some(to),
            _ => None,
        });
        changes.take_while(|to| *to != State::Stopping).last().unwrap_or(State::Starting)
    }
}
