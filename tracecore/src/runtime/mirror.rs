//! The mirrors of `telemetry.events`: one tells events to the log, one sends them through a pipeline.
//!
//! Invariants: a mirror never holds up an emitter, nor a queue a mirror: it keeps so many events that it has not come to,
//! and what it misses or what its pipeline refuses is lost, counted, and told to the log once until it is over. What its
//! own batches cause is not sent: neither what is told of them, nor what the processors and exporters of that pipeline
//! tell of no batch in particular, but for their starts and their stop. So one event never is the reason for another.
//! A panic costs the events that were under way. Deliberately absent: trying again, which would need room for what waits.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ABORT_GRACE;
use super::failure::contain;
use crate::config::{ComponentId, EventMirrors, EventPipeline, PipelineId};
use crate::cx::Shared;
use crate::emit::{Branch, Passage, Route, try_emit};
use crate::events::{Event, Filter, Gap, Occurrence, Pattern, ServiceEvent, Subscription, encode};
use crate::memory::exact;
use crate::signal::{Batch, Signal};
use crate::telemetry::ServiceTelemetry;
use crate::time::Instant;

/// How many events a mirror is behind before it misses some: the start of a service of a hundred components, or a
/// second of deliveries, in some hundred kilobytes.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// How many events are sent together at most: about a hundred kilobytes.
const BATCH: usize = 512;

/// How long an event waits for others to be sent with: as long as whoever watches does not call it late.
const LATENCY: Duration = Duration::from_secs(1);

/// The mirrors of a service: none without `telemetry.events`.
#[derive(Default)]
pub(super) struct Mirrors {
    settings: EventMirrors,
    log: Option<Mirror>,
    pipeline: Option<Mirror>,
    /// What the mirror into the pipeline hears, until there is the pipeline.
    unsent: Option<Feed>,
}

/// A mirror that runs.
struct Mirror {
    end: CancellationToken,
    task: JoinSet<()>,
}

impl Mirrors {
    pub(super) fn new(settings: EventMirrors) -> Self {
        Mirrors { settings, ..Mirrors::default() }
    }

    /// The pipeline that sends events, if one does.
    pub(super) fn pipeline(&self) -> Option<&PipelineId> {
        self.settings.pipeline.as_ref().map(|pipeline| &pipeline.id)
    }

    /// Listens from now on.
    pub(super) fn listen(&mut self, shared: &Shared) {
        let EventMirrors { log, pipeline } = &self.settings;
        if !log.is_empty() {
            self.log = Some(Mirror::start(ToLog(Feed::new("log", log, shared))));
        }
        self.unsent = pipeline.as_ref().map(|EventPipeline { include, .. }| Feed::new("pipeline", include, shared));
    }

    /// Sends into this pipeline what was heard, and what is heard from now on.
    pub(super) fn connect(&mut self, branch: &Arc<Branch>, shared: &Shared) {
        if let Some(feed) = self.unsent.take() {
            self.pipeline = Some(Mirror::start(ToPipeline::new(feed, branch, shared.clone())));
        }
    }

    /// Sends what was heard until now, and nothing after it.
    pub(super) async fn end_pipeline(&mut self) {
        if let Some(mirror) = self.pipeline.take() {
            mirror.end().await;
        }
    }

    /// Tells the log what was heard until now, and nothing after it.
    pub(super) async fn end_log(&mut self) {
        if let Some(mirror) = self.log.take() {
            mirror.end().await;
        }
    }
}

/// What a mirror does with events.
trait Reflect: Send + 'static {
    /// What it hears.
    fn feed(&self) -> &Feed;

    /// Runs until the feed has ended.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

impl Mirror {
    fn start<R: Reflect>(mut reflect: R) -> Self {
        let (name, end) = (reflect.feed().mirror, reflect.feed().end.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Whatever panicked took an event with it, so this ends.
            while let Err(panic) = contain(reflect.run()).await {
                tracing::error!(mirror = name, error = %panic, "events are lost: their mirror panicked");
            }
        });
        Mirror { end, task }
    }

    /// Ends it once it has done its work, which needs no waiting.
    async fn end(mut self) {
        self.end.cancel();
        if timeout(ABORT_GRACE, self.task.join_next()).await.is_err() {
            tracing::warn!("a mirror of events did not end in time and was aborted");
        }
    }
}

/// The events that a mirror hears.
struct Feed {
    mirror: &'static str,
    subscription: Subscription,
    telemetry: ServiceTelemetry,
    end: CancellationToken,
    /// It has missed events since it had last read all.
    behind: bool,
}

impl Feed {
    fn new(mirror: &'static str, patterns: &[Pattern], shared: &Shared) -> Self {
        Feed {
            mirror,
            subscription: shared.events.subscribe_bounded(Filter::any_of(patterns.iter().cloned()), CAPACITY),
            telemetry: shared.telemetry.service(),
            end: CancellationToken::new(),
            behind: false,
        }
    }

    /// The next event; `None` once it was told to end and has told everything. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Arc<Occurrence>> {
        loop {
            let next = match self.subscription.try_next() {
                Some(next) => next,
                None => {
                    self.behind = false;
                    match self.end.run_until_cancelled(self.subscription.next()).await {
                        Some(next) => next,
                        // The last ones may have come just before.
                        None => self.subscription.try_next()?,
                    }
                }
            };
            match next {
                Ok(occurrence) => return Some(occurrence),
                Err(Gap::Missed(events)) => self.missed(events),
                Err(Gap::Closed) => return None,
            }
        }
    }

    fn missed(&mut self, events: u64) {
        self.telemetry.events_lagged(events);
        if !self.behind {
            tracing::warn!(mirror = self.mirror, events, "events are lost: they come faster than they are told");
        }
        self.behind = true;
    }
}

/// Tells the log.
struct ToLog(Feed);

impl Reflect for ToLog {
    fn feed(&self) -> &Feed {
        &self.0
    }

    async fn run(&mut self) {
        while let Some(Occurrence { meta, event }) = self.0.next().await.as_deref() {
            event.log(meta);
        }
    }
}

/// Sends through a pipeline.
struct ToPipeline {
    feed: Feed,
    route: Route,
    /// The processors and exporters of the pipeline.
    members: Vec<ComponentId>,
    shared: Shared,
    /// The last batch was refused.
    refused: bool,
}

impl ToPipeline {
    fn new(feed: Feed, branch: &Arc<Branch>, shared: Shared) -> Self {
        let processors = branch.processors.iter().map(|stage| stage.base().id.clone());
        let exporters = branch.exits.iter().map(|exit| exit.id.clone());
        let members = processors.chain(exporters).collect();
        let route = Route { branches: vec![Arc::clone(branch)] };
        ToPipeline { feed, route, members, shared, refused: false }
    }

    /// The next event that is to be sent.
    async fn next(&mut self) -> Option<Arc<Occurrence>> {
        loop {
            let occurrence = self.feed.next().await?;
            if self.sends(&occurrence) {
                return Some(occurrence);
            }
        }
    }

    /// Whether the event is not caused by batches of events.
    fn sends(&self, Occurrence { meta, event }: &Occurrence) -> bool {
        if let Some(correlation) = meta.correlation {
            return !self.shared.events.is_of_events(correlation);
        }
        let life = matches!(
            event,
            Event::Service(
                ServiceEvent::Started { .. } | ServiceEvent::StartFailed { .. } | ServiceEvent::Stopped { .. }
            )
        );
        life || meta.component.as_ref().is_none_or(|component| !self.members.contains(component))
    }

    fn send(&mut self, occurrences: &[Arc<Occurrence>]) {
        let Shared { resource, version, events, telemetry, memory, .. } = &self.shared;
        let batch = Batch::validate(Signal::Logs, exact(encode(occurrences, resource, version)))
            .expect("the encoder writes valid OTLP: its strings are UTF-8, its nesting is fixed");
        let passage = Passage::not_traced(events.next_id_of_events());
        let sent = try_emit(&self.route, batch, passage, events, memory);
        if let Err(refusal) = sent {
            telemetry.service().events_refused(occurrences.len() as u64);
            if !self.refused {
                tracing::warn!(events = occurrences.len(), %refusal, "events are lost: their pipeline refuses them");
            }
        }
        self.refused = sent.is_err();
    }
}

impl Reflect for ToPipeline {
    fn feed(&self) -> &Feed {
        &self.feed
    }

    async fn run(&mut self) {
        while let Some(first) = self.next().await {
            let mut batch = vec![first];
            let due = Instant::now() + LATENCY;
            while batch.len() < BATCH && Instant::now() < due {
                match timeout_at(due, self.next()).await {
                    Ok(Some(occurrence)) => batch.push(occurrence),
                    // Late enough, or the end, which is found again.
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(&batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::net::testing::Logs;
    use crate::testing::{RecordingExporter, ScriptedReceiver, TestService, metrics, needs_events, pipeline};

    #[tokio::test(start_paused = true)]
    async fn the_log_tells_the_events_that_it_is_to_tell_the_last_one_included() {
        needs_events!();
        let (logs, _guard) = Logs::capture();
        let (source, sink) = (ScriptedReceiver::new(), RecordingExporter::new());
        let events = "telemetry: {enabled: true, listen: 'localhost:0', events: {log: [service.stopped, batch.*]}}";
        let service = TestService::start(&(pipeline(&source, &sink, "") + events)).await;
        assert!(source.emit(metrics("three", 3)).await.is_accepted());
        service.stop().await;
        let text = logs.text();
        let told: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("tracecore::event: ")).map(|(_, told)| told).collect();
        let [accepted, source, sink, all] = &told[..] else { panic!("four events: {told:#?}") };
        assert!(
            accepted.starts_with("an event event=\"batch.accepted\" component=test_source correlation_id="),
            "{accepted}"
        );
        assert!(accepted.contains(" duration_us=0 ") && accepted.ends_with(" items=3"), "{accepted}");
        assert_eq!(*source, "an event event=\"service.stopped\" component=test_source reason=graceful");
        assert_eq!(*sink, "an event event=\"service.stopped\" component=test_sink reason=graceful");
        assert!(all.starts_with("an event event=\"service.stopped\" duration_us="), "{all}");
    }
}
