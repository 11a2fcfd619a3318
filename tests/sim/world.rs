//! One run: the collector of a plan under a paused clock, on one thread, with chance from the plan's seed.
//!
//! Invariant: a run is a function of its plan. So it has no socket, no other thread and no clock but the paused one. A
//! run that hangs is told from one that waits: a paused clock jumps to its ceiling once nothing else is left to do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tracecore::events::Occurrence;
use tracecore::seam::Simulation;
use tracecore::testing::{RecordingExporter, ScriptedReceiver, Start, TelemetrySnapshot, build_with, event, logs};
use tracecore::time::Clock;

use crate::faults::{Calls, Fault, Filter, Processing, Sink};
use crate::ledger::{BatchId, Entry, Ledger};
use crate::plan::Plan;
use crate::source::{Order, Source};

/// How long a healed collector has to come to rest, beside what receivers have yet to emit: some of the longest back-offs (36 s), starts (10 s) and probes (10 s)
/// one after the other.
const REST: Duration = Duration::from_secs(300);
/// The time between the last batches, and after them.
const FAREWELL: Duration = Duration::from_secs(30);
/// No run takes that long: what has not ended then hangs.
const CEILING: Duration = Duration::from_secs(3600);
/// How often what was aborted may be polled before it is gone.
const LAST_POLLS: usize = 100;
/// Where the wall clock of a run begins, after the epoch.
pub(crate) const WALL_CLOCK: Duration = Duration::from_secs(1_000_000_000);

/// The exporter of the pipeline to which nothing happens.
const WITNESS: &str = "test_sink/witness";

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It was asked to stop, and did.
    Stopped,
    /// It could not start.
    NotStarted(String),
    /// A second signal cut it off.
    CutOff,
    /// It did not end.
    Hung,
}

/// What became of a run, by the test's own book and by what the collector said.
pub(crate) struct Record {
    pub(crate) outcome: Outcome,
    /// When it was asked to stop.
    pub(crate) asked: Option<Duration>,
    /// One batch for each receiver after everything was healed; none if it was stopped before.
    pub(crate) farewell: Vec<BatchId>,
    pub(crate) ledger: Vec<Entry>,
    /// What each exporter took, in order.
    pub(crate) taken: Vec<Calls>,
    /// What each was called for, in order.
    pub(crate) attempts: Vec<Calls>,
    /// What each processor did.
    pub(crate) processed: Vec<Vec<(BatchId, u64, Processing)>>,
    /// Since the begin of the run, by the wall clock.
    pub(crate) events: Vec<(Duration, Arc<Occurrence>)>,
    pub(crate) telemetry: TelemetrySnapshot,
    /// How many items the undisturbed pipeline was given before the stop was asked for, and how many came through.
    pub(crate) witnessed: (u64, u64),
    /// Tasks that are left.
    pub(crate) tasks: usize,
    /// Emissions, tasks and lives of receivers that are left.
    pub(crate) held: usize,
}

impl Record {
    /// All that a seed decides, a line each.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.lines(|at, occurrence| format!("{at:?} {occurrence}"))
    }

    /// The same without what the wall clock says.
    pub(crate) fn trace_without_wall_clock(&self) -> Vec<String> {
        self.lines(|_, occurrence| occurrence.to_string())
    }

    fn lines(&self, line: impl Fn(Duration, &Occurrence) -> String) -> Vec<String> {
        let events = self.events.iter().map(|(at, occurrence)| line(*at, occurrence));
        let ledger = self.ledger.iter().map(|entry| format!("{entry:?}"));
        let taken = self.taken.iter().map(|taken| format!("{taken:?}"));
        events.chain(ledger).chain(taken).chain([format!("{:?} {:?}", self.outcome, self.asked)]).collect()
    }
}

/// The components of a run.
struct World {
    ledger: Arc<Ledger>,
    sources: Vec<Source>,
    filters: Vec<Filter>,
    sinks: Vec<Sink>,
    /// A pipeline beside those of the plan: nothing happens to it, so it must lose nothing.
    witness: (ScriptedReceiver, RecordingExporter),
}

/// What the script of a run leaves behind.
#[derive(Default)]
struct Played {
    asked: Option<Duration>,
    farewell: Vec<BatchId>,
    /// How many items the witness was given.
    witnessed: u64,
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan) -> Record {
    run_with(plan, || Clock::starting_at(SystemTime::UNIX_EPOCH + WALL_CLOCK))
}

/// Runs a plan with a wall clock of its own, which is made at the begin of the run.
pub(crate) fn run_with(plan: &Plan, clock: impl FnOnce() -> Clock) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let _simulation = Simulation::seeded(plan.seed);
    runtime.expect("a runtime without sockets").block_on(async { World::drive(plan, clock()).await })
}

impl World {
    async fn drive(plan: &Plan, clock: Clock) -> Record {
        let ledger = Arc::new(Ledger::new());
        let world = World {
            sources: plan.receivers.iter().map(|r| Source::new(r.beside, r.start, &ledger)).collect(),
            filters: plan.processors.iter().map(|p| Filter::new(p.start)).collect(),
            sinks: plan.exporters.iter().map(|e| Sink::new(e.start)).collect(),
            witness: Default::default(),
            ledger,
        };
        world.witness.1.hold_stop();
        let (service, mut events) = build_with(&world.yaml(plan), clock);
        let telemetry = service.telemetry().clone();
        let mut stops =
            service.events().subscribe(event!("service.status_changed", component = WITNESS, to = "stopping"));
        let mut counted = None;
        let (signal, mut signals) = mpsc::unbounded_channel();
        let mut played = Played::default();
        let outcome = tokio::select! {
            biased;
            ended = timeout(CEILING, service.run(async { signals.recv().await.unwrap_or(()) })) => match ended {
                Ok(Ok(())) => Outcome::Stopped,
                Ok(Err(error)) => Outcome::NotStarted(error.to_string()),
                Err(_) => Outcome::Hung,
            },
            () = world.play(plan, &signal, &mut played) => Outcome::CutOff,
            never = async {
                // All queues have drained, and the counters can still be read.
                let _told = stops.next().await;
                counted = Some(TelemetrySnapshot::take(&telemetry));
                world.witness.1.let_stop();
                std::future::pending::<Infallible>().await
            } => match never {},
        };
        for _ in 0..LAST_POLLS {
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        while let Some(Ok(occurrence)) = events.try_next() {
            // A wall clock that a test brought may stand anywhere.
            let since = occurrence.meta.time.duration_since(SystemTime::UNIX_EPOCH + WALL_CLOCK).unwrap_or_default();
            told.push((since, occurrence));
        }
        world.record(outcome, played, told, counted.unwrap_or_else(|| TelemetrySnapshot::take(&telemetry)))
    }

    /// The configuration that the plan and these components make.
    fn yaml(&self, plan: &Plan) -> String {
        plan.yaml(
            (&self.witness.0.to_string(), &self.witness.1.to_string()),
            &self.sources.iter().map(Source::to_string).collect::<Vec<_>>(),
            &self.filters.iter().map(|filter| filter.script.to_string()).collect::<Vec<_>>(),
            &self.sinks.iter().map(|sink| sink.script.to_string()).collect::<Vec<_>>(),
        )
    }

    /// Lets the plan happen; returns only to cut the run off.
    async fn play(&self, plan: &Plan, signal: &mpsc::UnboundedSender<()>, played: &mut Played) {
        let begin = tokio::time::Instant::now();
        for (at, fault) in &plan.steps {
            sleep_until(begin + *at).await;
            if played.asked.is_none() {
                // Nobody waits for its verdict: it is counted at the far end.
                drop(self.witness.0.send(logs("witness", 1)));
                played.witnessed += 1;
            }
            match fault {
                Fault::SecondSignal => return,
                Fault::Stop => self.stop(plan, signal, played).await,
                fault => self.happen(*fault),
            }
        }
        if played.asked.is_none() {
            self.heal();
            let mut next = tokio::time::Instant::now() + REST + plan.backlog();
            for receiver in 0..self.sources.len() {
                sleep_until(next).await;
                played.farewell.push(self.emit(receiver, 1));
                next += FAREWELL;
            }
            sleep_until(next).await;
            self.stop(plan, signal, played).await;
        }
        std::future::pending::<()>().await;
    }

    async fn stop(&self, plan: &Plan, signal: &mpsc::UnboundedSender<()>, played: &mut Played) {
        for _ in 0..plan.signal_yields {
            tokio::task::yield_now().await;
        }
        played.asked = Some(self.ledger.now());
        // The run may have ended by itself: it could not start.
        let _ = signal.send(());
    }

    fn happen(&self, fault: Fault) {
        match fault {
            Fault::Burst(receiver, batches, items) => {
                for _ in 0..batches {
                    self.emit(receiver, items);
                }
            }
            Fault::CallerLeaves(receiver) => self.sources[receiver].caller_leaves(),
            Fault::PanicRun(receiver) => self.sources[receiver].order(Order::Panic),
            Fault::PanicTask(receiver) => self.sources[receiver].panic_task(),
            Fault::FailRun(receiver) => self.sources[receiver].order(Order::Fail),
            Fault::EndRun(receiver) => self.sources[receiver].order(Order::End),
            Fault::StartReceiver(receiver, start) => self.sources[receiver].on_start(start),
            Fault::Process(processor, processing) => self.filters[processor].order(processing),
            Fault::Background(processor, command) => self.filters[processor].script.tell(command),
            Fault::StartProcessor(processor, start) => self.filters[processor].script.on_start(start),
            Fault::Export(exporter, exporting) => self.sinks[exporter].order(exporting),
            Fault::PanicExport(exporter, times) => self.sinks[exporter].panic(times),
            Fault::StartExporter(exporter, start) => self.sinks[exporter].script.on_start(start),
            Fault::Stop | Fault::SecondSignal => unreachable!("signals are no fault of a component"),
        }
    }

    fn emit(&self, receiver: usize, items: u64) -> BatchId {
        let id = self.ledger.add(receiver, items);
        self.sources[receiver].order(Order::Emit(id));
        id
    }

    fn heal(&self) {
        for source in &self.sources {
            source.on_start(Start::Ready);
        }
        self.filters.iter().for_each(Filter::heal);
        self.sinks.iter().for_each(Sink::heal);
    }

    fn record(
        &self,
        outcome: Outcome,
        played: Played,
        events: Vec<(Duration, Arc<Occurrence>)>,
        telemetry: TelemetrySnapshot,
    ) -> Record {
        let taken = |sink: &Sink| sink.script.taken().iter().map(BatchId::all_of).collect();
        Record {
            outcome,
            asked: played.asked,
            farewell: played.farewell,
            ledger: self.ledger.entries(),
            taken: self.sinks.iter().map(taken).collect(),
            attempts: self.sinks.iter().map(Sink::attempts).collect(),
            processed: self.filters.iter().map(Filter::done).collect(),
            events,
            telemetry,
            witnessed: (played.witnessed, self.witness.1.items()),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            held: self.sources.iter().map(Source::held).sum(),
        }
    }
}
