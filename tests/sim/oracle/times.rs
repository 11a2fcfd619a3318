//! Nothing waits past its deadline. Time is virtual: what is over at once takes no time at all.

use std::collections::HashMap;
use std::time::Duration;

use tracecore::events::{BatchEvent, CorrelationId, Event, ExportEvent, RetryEvent, ServiceEvent};
use tracecore::telemetry::StopReason;

use super::{Oracle, exporter_id, receiver_id};
use crate::faults::Fault;
use crate::plan::ExporterPlan;
use crate::world::Outcome;

/// How exact tokio's timers are.
const TIMER: Duration = Duration::from_millis(2);
/// What a component's `start` may take.
const START: Duration = Duration::from_secs(10);
/// What a stop may take beyond `drain_timeout` while every component stops at once: what was aborted has some tenths of a
/// second to go, and the traces half a second to be flushed.
const STOP_REST: Duration = Duration::from_secs(1);

impl Oracle<'_> {
    pub(super) fn times(&mut self) {
        self.verdicts_at_once();
        self.verdicts_at_the_stop();
        self.starts_and_stop();
        for exporter in 0..self.plan.exporters.len() {
            // A batch that comes by two pipelines, or in pieces, is under way twice under one id.
            let pipelines = self.plan.pipelines.iter().filter(|pipeline| pipeline.exporters.contains(&exporter));
            if pipelines.count() == 1 && !self.plan.exporters[exporter].cuts() {
                self.attempts(exporter);
            }
        }
    }

    /// Who neither waits for room nor for the result hears the verdict in the moment in which it asked.
    fn verdicts_at_once(&mut self) {
        for (index, entry) in self.record.ledger.iter().enumerate() {
            let (Some(begun), Some((ended, verdict))) = (entry.begun, entry.ended) else { continue };
            let pipelines = self.plan.pipelines.iter().filter(|pipeline| pipeline.receivers.contains(&entry.receiver));
            let mut exporters = pipelines.flat_map(|pipeline| &pipeline.exporters).map(|e| &self.plan.exporters[*e]);
            let may_wait = exporters.any(|exporter| exporter.blocks() || exporter.waits());
            self.must(may_wait || begun == ended, || {
                format!("batch {}: {verdict:?} only after {:?}", index + 1, ended.saturating_sub(begun))
            });
        }
    }

    /// A stop ends every emission: what waits for room at once, what waits for a result with its delivery. So no receiver
    /// is aborted.
    fn verdicts_at_the_stop(&mut self) {
        let Some(asked) = self.record.asked.filter(|_| self.record.outcome != Outcome::CutOff) else { return };
        for (index, entry) in self.record.ledger.iter().enumerate() {
            let Some(begun) = entry.begun.filter(|_| !entry.left) else { continue };
            // A receiver that panicked took its callers with it.
            let hears = !self.ended_since(entry.receiver, begun);
            self.must(entry.ended.is_some() || !hears, || format!("batch {} never had a verdict", index + 1));
            let pipelines = self.plan.pipelines.iter().filter(|pipeline| pipeline.receivers.contains(&entry.receiver));
            let mut exporters = pipelines.flat_map(|pipeline| &pipeline.exporters).map(|e| &self.plan.exporters[*e]);
            let waits = exporters.any(ExporterPlan::waits);
            if let Some((ended, verdict)) = entry.ended {
                self.must(waits || ended <= asked.max(begun), || {
                    format!("batch {}: {verdict:?} only {:?} after the stop", index + 1, ended.saturating_sub(asked))
                });
            }
        }
        for receiver in 0..self.plan.receivers.len() {
            let id = receiver_id(receiver);
            let crashed = self.events_of(&id).any(|(_, event)| {
                matches!(event.event, Event::Service(ServiceEvent::Stopped { reason }) if reason != StopReason::Graceful)
            });
            self.must(!crashed, || format!("{id} was aborted by the stop"));
        }
    }

    fn starts_and_stop(&mut self) {
        for (at, event) in &self.record.events {
            let took = event.meta.duration.unwrap_or_default();
            let (what, limit) = match event.event {
                Event::Service(ServiceEvent::Started { .. }) => ("start", START),
                Event::Service(ServiceEvent::Stopped { .. }) if event.component().is_empty() => {
                    ("stop", self.plan.drain_timeout + STOP_REST)
                }
                _ => continue,
            };
            if took > limit + TIMER {
                self.problems.push(format!("{at:?}: the {what} of `{}` took {took:?}", event.component()));
            }
        }
        let stopped = self.record.events.iter().filter(|(_, event)| {
            event.component().is_empty() && matches!(event.event, Event::Service(ServiceEvent::Stopped { .. }))
        });
        let (stopped, cut_off) = (stopped.count(), self.record.outcome == Outcome::CutOff);
        self.must(stopped == 1 || cut_off, || format!("the collector has stopped {stopped} times"));
    }

    /// An attempt is over within its time, and the next one comes when the back-off is over.
    fn attempts(&mut self, exporter: usize) {
        let id = exporter_id(exporter);
        let plan = &self.plan.exporters[exporter];
        // While an instance is replaced, or a breaker is open, batches wait for that.
        let panics = |(_, fault): &(Duration, Fault)| matches!(fault, Fault::PanicExport(e, _) if *e == exporter);
        let exact = !plan.breaker && !self.plan.steps.iter().any(panics);
        let mut due = HashMap::<CorrelationId, (Duration, &'static str)>::new();
        let mut late = Vec::new();
        for (at, event) in self.events_of(&id) {
            let Some(batch) = event.meta.correlation else { continue };
            let next = match event.event {
                Event::Export(ExportEvent::Started { .. }) => Some((at + plan.timeout, "outcome")),
                Event::Retry(RetryEvent::Backoff { delay_us, .. }) if exact => {
                    Some((at + Duration::from_micros(delay_us), "attempt"))
                }
                Event::Export(_) | Event::Retry(_) | Event::Batch(BatchEvent::Dropped { .. }) => None,
                _ => continue,
            };
            let before = match next {
                Some(next) => due.insert(batch, next),
                None => due.remove(&batch),
            };
            if let Some((deadline, what)) = before
                && at > deadline + TIMER
            {
                late.push(format!("{at:?}: {id} had the {what} of {batch} due at {deadline:?}"));
            }
        }
        self.problems.extend(late);
        // What the stop has cut off is in the accounts.
        let stopping = |event: &Event| matches!(event, Event::Service(ServiceEvent::Stopping { .. }));
        let end =
            self.record.events.iter().find(|(_, event)| stopping(&event.event)).map_or(Duration::MAX, |(at, _)| *at);
        let forgotten = due.into_iter().filter(|(_, (deadline, _))| *deadline + TIMER < end);
        let mut forgotten: Vec<String> = forgotten
            .map(|(batch, (at, what))| format!("{id} never had the {what} of {batch}, due at {at:?}"))
            .collect();
        forgotten.sort_unstable();
        self.problems.extend(forgotten);
    }
}
