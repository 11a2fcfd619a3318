//! Every accepted item is delivered, or counted as dropped with a reason.

use std::collections::{BTreeMap, HashMap, HashSet};

use tracecore::emit::{Refusal, Verdict};
use tracecore::events::{BatchEvent, CorrelationId, Event, ExportEvent, ServiceEvent};
use tracecore::status::State;

use super::{Oracle, exporter_id, processor_id, receiver_id};
use crate::faults::Processing;
use crate::ledger::{BatchId, Entry};
use crate::plan::PipelinePlan;

/// What is left in queues when a stop's time is over.
const SHUTDOWN: &str = "shutdown";
/// What would have gone to an exporter that could not start.
const IGNORED: &str = "ignored";

/// What an exporter must answer for, in items.
#[derive(Default)]
struct Account {
    /// Accepted, and neither taken nor dropped under their ids: the stop must have counted them.
    owed: u64,
    /// Nobody heard whether they were accepted: the stop may have counted them.
    unheard: u64,
}

/// What an exporter says that it dropped, in items.
#[derive(Default)]
struct Dropped {
    batches: HashMap<BatchId, u64>,
    /// Of batches that were merged and never tried: it says of how many items, and not of which.
    untried: u64,
}

impl Oracle<'_> {
    pub(super) fn accounts(&mut self) {
        let mut accounts: Vec<Account> = self.plan.exporters.iter().map(|_| Account::default()).collect();
        let dropped = self.dropped_batches();
        for (index, entry) in self.record.ledger.iter().enumerate() {
            self.batch(BatchId(index as u64 + 1), entry, &dropped, &mut accounts);
        }
        for (exporter, account) in accounts.iter().enumerate() {
            let Account { owed, unheard } = account;
            let id = exporter_id(exporter);
            let by_the_stop = self.dropped_by(&id).get(SHUTDOWN).copied().unwrap_or_default();
            let counted = by_the_stop + dropped[exporter].untried;
            self.must((*owed..=owed + unheard).contains(&counted), || {
                format!("{id} lost {owed} items that it accepted (and {unheard} more may be its): the stop counted {counted}")
            });
            self.exporter_totals(exporter);
            self.sizes(exporter);
        }
        (0..self.plan.processors.len()).for_each(|processor| self.processor_totals(processor));
        (0..self.plan.receivers.len()).for_each(|receiver| self.receiver_totals(receiver));
    }

    /// How many items of each batch each exporter says that it dropped.
    fn dropped_batches(&self) -> Vec<Dropped> {
        (0..self.plan.exporters.len()).map(|exporter| self.dropped_batches_of(exporter)).collect()
    }

    fn dropped_batches_of(&self, exporter: usize) -> Dropped {
        let id = exporter_id(exporter);
        // Merged batches have an id of their own. What was in them, the exporter has seen when it was called.
        let merged: HashSet<CorrelationId> = self
            .events_of(&id)
            .filter(|(_, event)| matches!(event.event, Event::Export(ExportEvent::Merged { .. })))
            .filter_map(|(_, event)| event.meta.correlation)
            .collect();
        let started = self
            .events_of(&id)
            .filter(|(_, event)| matches!(event.event, Event::Export(ExportEvent::Started { .. })))
            .filter_map(|(_, event)| event.meta.correlation);
        let tried: HashMap<CorrelationId, &Vec<(BatchId, u64)>> =
            started.zip(&self.record.attempts[exporter]).collect();
        let mut dropped = Dropped::default();
        for (_, event) in self.events_of(&id) {
            let (Event::Batch(BatchEvent::Dropped { items, .. }), Some(batch)) = (&event.event, event.meta.correlation)
            else {
                continue;
            };
            match (merged.contains(&batch), tried.get(&batch)) {
                (false, _) => {
                    let number = u64::try_from(batch.trace_id()).expect("the ledger's numbers are small");
                    *dropped.batches.entry(BatchId(number)).or_default() += items;
                }
                (true, Some(tried)) => {
                    for (batch, items) in *tried {
                        *dropped.batches.entry(*batch).or_default() += items;
                    }
                }
                (true, None) => dropped.untried += items,
            }
        }
        dropped
    }

    /// How often a batch must come to each exporter if it is accepted. A pipeline of which all exporters are ignored
    /// shows it to no processor.
    fn ways(&self, id: BatchId, receiver: usize) -> Vec<u64> {
        let mut ways = vec![0; self.plan.exporters.len()];
        for pipeline in self.plan.pipelines.iter().filter(|pipeline| pipeline.receivers.contains(&receiver)) {
            let passes = |p: &usize| {
                let mut done = self.record.processed[*p].iter();
                done.any(|(batch, _, done)| *batch == id && *done == Processing::Pass)
            };
            if self.is_dead(pipeline) || pipeline.processors.iter().all(passes) {
                pipeline.exporters.iter().for_each(|exporter| ways[*exporter] += 1);
            }
        }
        ways
    }

    /// It has no exporter left.
    fn is_dead(&self, pipeline: &PipelinePlan) -> bool {
        pipeline.exporters.iter().all(|exporter| self.is_ignored(*exporter))
    }

    /// It could not start, and the collector goes on without it.
    fn is_ignored(&self, exporter: usize) -> bool {
        let id = exporter_id(exporter);
        let mut first = self.events_of(&id).filter_map(|(_, event)| match event.event {
            Event::Service(ServiceEvent::Started { .. }) => Some(false),
            Event::Service(ServiceEvent::StartFailed { .. }) => Some(true),
            _ => None,
        });
        self.plan.exporters[exporter].on_start_error == "ignore" && first.next() == Some(true)
    }

    fn batch(&mut self, id: BatchId, entry: &Entry, dropped: &[Dropped], accounts: &mut [Account]) {
        // All in items: a batch can come in pieces.
        let ways: Vec<u64> = self.ways(id, entry.receiver).into_iter().map(|ways| ways * entry.items).collect();
        let taken = |exporter: usize| -> u64 {
            let batches = self.record.taken[exporter].iter().flatten();
            batches.filter(|(batch, _)| *batch == id).map(|(_, items)| items).sum()
        };
        let taken: Vec<u64> = (0..ways.len()).map(taken).collect();
        let settled: Vec<u64> =
            (0..ways.len()).map(|e| taken[e] + dropped[e].batches.get(&id).copied().unwrap_or_default()).collect();
        let waits = |e: usize| ways[e] > 0 && self.plan.exporters[e].waits() && !self.is_ignored(e);
        let waits: Vec<bool> = (0..ways.len()).map(waits).collect();
        let waited_for = waits.contains(&true);
        let verdict = entry.ended.map(|(_, verdict)| verdict);
        for exporter in 0..ways.len() {
            let (ways, settled, taken, waits) = (ways[exporter], settled[exporter], taken[exporter], waits[exporter]);
            let (name, number) = (exporter_id(exporter), id.0);
            self.must(settled <= ways, || {
                format!("{settled} items of batch {number} came to {name}, which should have had {ways}")
            });
            let delivered = verdict != Some(Verdict::Accepted) || !waits || taken == ways;
            let overflows = dropped[exporter].batches.contains_key(&id);
            self.must(delivered || overflows, || format!("batch {number} was accepted and {name} did not take it"));
            let refused = matches!(verdict, Some(Verdict::Refused(Refusal::Retryable { .. })));
            self.must(!refused || waited_for || settled == 0, || {
                format!("batch {number} was refused for now, and {name} had it: its sender will bring it again")
            });
        }
        // All places are filled together: what one exporter had, all had.
        let accepted = verdict == Some(Verdict::Accepted) || settled.iter().any(|settled| *settled > 0);
        for (account, (ways, settled)) in accounts.iter_mut().zip(ways.iter().zip(&settled)) {
            let items = ways.saturating_sub(*settled);
            if accepted {
                account.owed += items;
            } else if entry.begun.is_some() {
                account.unheard += items;
            }
        }
    }

    /// What a component says in events that it dropped, in items by reason.
    fn dropped_by(&self, id: &str) -> BTreeMap<&'static str, u64> {
        let mut dropped = BTreeMap::new();
        for (_, event) in self.events_of(id) {
            if let Event::Batch(BatchEvent::Dropped { items, reason }) = event.event {
                *dropped.entry(reason).or_default() += items;
            }
        }
        dropped
    }

    fn counted(&self, family: &str, labels: &[(&str, &str)]) -> u64 {
        let sum: f64 = self.record.telemetry.scrape(family, labels).iter().sum();
        sum as u64
    }

    /// What came out of the pipelines is what the exporter took and what it counted as dropped; so do its events.
    fn exporter_totals(&mut self, exporter: usize) {
        let id = exporter_id(exporter);
        let pipelines = self.plan.pipelines.iter().enumerate();
        let ends =
            pipelines.filter(|(_, pipeline)| pipeline.exporters.contains(&exporter) && !self.is_ignored(exporter));
        let out = |pipeline: usize| {
            let labels = [("pipeline_id", &*format!("metrics/{pipeline}")), ("direction", "out")];
            self.counted("tracecore_pipeline_items_total", &labels)
        };
        let came: u64 = ends.map(|(pipeline, _)| out(pipeline)).sum();
        let taken: u64 = self.record.taken[exporter].iter().flatten().map(|(_, items)| items).sum();
        let dropped = self.counted("tracecore_exporter_dropped_total", &[("component_id", &id)]);
        // Nothing comes out of a pipeline for one that is ignored: what would have is checked batch by batch.
        let (came, dropped) = if self.is_ignored(exporter) {
            (0, dropped - self.dropped_by(&id).get(IGNORED).copied().unwrap_or_default())
        } else {
            (came, dropped)
        };
        self.must(came == taken + dropped, || {
            format!("{came} items came to {id}; it took {taken} and counted {dropped} as dropped")
        });
        self.same_drops(&id, "tracecore_exporter_dropped_total", &self.dropped_by(&id));
        let calls = self.counted("tracecore_exporter_calls_total", &[("component_id", &id), ("result", "success")]);
        let taken = self.record.taken[exporter].len() as u64;
        self.must(calls == taken, || format!("{id} took {taken} batches and counted {calls} successes"));
    }

    /// Batches go together as the plan says: without `batch` not at all; with it no more of them than it takes to reach the
    /// least size, and no more items than the largest. How many bytes they had, the book does not say.
    fn sizes(&mut self, exporter: usize) {
        let plan = &self.plan.exporters[exporter];
        let (min, max) = match &plan.batch {
            None => (0, 0),
            Some(batch) if batch.sizer == "items" => (batch.min_size, batch.max_size),
            Some(_) => return,
        };
        for call in &self.record.attempts[exporter] {
            let items: u64 = call.iter().map(|(_, items)| items).sum();
            let last = call.last().map_or(0, |(_, items)| *items);
            self.must(call.len() <= 1 || items - last < min, || {
                format!("{} batches went to {} together: {call:?}", call.len(), exporter_id(exporter))
            });
            self.must(max == 0 || items <= max, || format!("{items} items went to {} together", exporter_id(exporter)));
        }
    }

    fn same_drops(&mut self, id: &str, family: &str, told: &BTreeMap<&'static str, u64>) {
        for (reason, told) in told {
            let counted = self.counted(family, &[("component_id", id), ("reason", reason)]);
            self.must(counted == *told, || format!("{id} told of {told} items dropped ({reason}), counted {counted}"));
        }
        let (counted, told) = (self.counted(family, &[("component_id", id)]), told.values().sum::<u64>());
        self.must(counted == told, || format!("{id} told of {told} dropped items in all, counted {counted}"));
    }

    fn processor_totals(&mut self, processor: usize) {
        let id = processor_id(processor);
        let mut done = BTreeMap::<&'static str, u64>::new();
        for (_, items, processing) in &self.record.processed[processor] {
            let reason = match processing {
                Processing::Pass | Processing::FailForNow => continue,
                Processing::Filter => "filtered",
                Processing::FailForGood => "error",
                Processing::Panic => "panic",
            };
            *done.entry(reason).or_default() += items;
        }
        self.same_drops(&id, "tracecore_processor_dropped_total", &done);
        // Nobody is told of what a processor was made to filter.
        done.remove("filtered");
        let told = self.dropped_by(&id);
        self.must(told == done, || format!("{id} lost {done:?} and told of {told:?}"));
    }

    fn receiver_totals(&mut self, receiver: usize) {
        let id = receiver_id(receiver);
        let own = self.record.ledger.iter().filter(|entry| entry.receiver == receiver);
        let verdicts: Vec<Verdict> = own.filter_map(|entry| entry.ended.map(|(_, verdict)| verdict)).collect();
        let accepted = verdicts.iter().filter(|verdict| verdict.is_accepted()).count() as u64;
        let refused = verdicts.len() as u64 - accepted;
        let labels = [("component_id", id.as_str())];
        let counted = self.counted("tracecore_receiver_emissions_total", &labels);
        self.must(counted == accepted, || format!("{accepted} batches of {id} were accepted, it counted {counted}"));
        let labels = [("component_id", id.as_str()), ("kind", "downstream")];
        let counted = self.counted("tracecore_receiver_errors_total", &labels);
        self.must(counted == refused, || format!("{refused} batches of {id} were refused, it counted {counted}"));
        let tells = |wanted: bool| {
            let events = self.events_of(&id).filter(|(_, event)| match event.event {
                Event::Batch(BatchEvent::Accepted { .. }) => wanted,
                Event::Batch(BatchEvent::Refused { .. }) => !wanted,
                _ => false,
            });
            events.count() as u64
        };
        let told = (tells(true), tells(false));
        self.must(told == (accepted, refused), || {
            format!("{id}: {accepted} accepted, {refused} refused, told {told:?}")
        });
    }

    /// After everything was healed and had time, nothing is under way, and what works delivers.
    pub(super) fn rest(&mut self) {
        for exporter in 0..self.plan.exporters.len() {
            let id = exporter_id(exporter);
            let left = self.dropped_by(&id).get(SHUTDOWN).copied().unwrap_or_default();
            self.must(left == 0, || format!("{left} items were still on their way to {id} after the rest"));
        }
        let (given, came) = self.record.witnessed;
        self.must(given == came, || format!("of {given} items of the undisturbed pipeline {came} came through"));
        self.made_anew();
        for id in self.record.farewell.clone() {
            self.farewell(id);
        }
    }

    /// The last batch of a receiver finds its way, unless something on it has been given up.
    fn farewell(&mut self, id: BatchId) {
        let plan = self.plan;
        let entry = &self.record.ledger[usize::try_from(id.0 - 1).expect("it is an index")];
        let (mut on_the_way, mut ways) = (vec![receiver_id(entry.receiver)], BTreeMap::<usize, u64>::new());
        for pipeline in plan.pipelines.iter().filter(|pipeline| pipeline.receivers.contains(&entry.receiver)) {
            if self.is_dead(pipeline) {
                continue;
            }
            on_the_way.extend(pipeline.processors.iter().map(|processor| processor_id(*processor)));
            for exporter in pipeline.exporters.iter().filter(|exporter| !self.is_ignored(**exporter)) {
                on_the_way.push(exporter_id(*exporter));
                *ways.entry(*exporter).or_default() += 1;
            }
        }
        let given_up = on_the_way.iter().any(|id| self.state_before_stop(id) == State::PermanentError);
        let too_small = ways.iter().any(|(e, ways)| {
            let exporter = &plan.exporters[*e];
            exporter.sizer == "requests" && exporter.queue_size < *ways
        });
        let accepted = entry.ended.is_some_and(|(_, verdict)| verdict.is_accepted());
        self.must(given_up || too_small || ways.is_empty() || entry.left || accepted, || {
            format!("batch {} was the last of a healed collector: {:?}", id.0, entry.ended)
        });
    }
}
