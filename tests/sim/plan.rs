//! A run before it is run: what there is, and what happens to it when. A function of the seed.

use std::fmt::Write;
use std::time::Duration;

use tracecore::seam::Simulation;
use tracecore::testing::{Background, Start};

use crate::faults::{Exporting, Fault, Processing};

/// How long the load and its faults last.
const HORIZON: Duration = Duration::from_secs(20);
/// How many of a hundred runs are stopped before they have come to rest.
const STOPPED_EARLY: u64 = 40;
/// How many of a hundred exporters merge what waits for them.
const BATCHING: u64 = 40;
/// How many of a hundred stops are followed by a second signal.
const SECOND_SIGNALS: u64 = 15;

/// A run before it is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) drain_timeout: Duration,
    /// Restarts in a row; 0 for ever.
    pub(crate) restart_budget: u32,
    pub(crate) receivers: Vec<ReceiverPlan>,
    pub(crate) processors: Vec<ProcessorPlan>,
    pub(crate) exporters: Vec<ExporterPlan>,
    pub(crate) pipelines: Vec<PipelinePlan>,
    /// What happens when, since the begin of the run, in order.
    pub(crate) steps: Vec<(Duration, Fault)>,
    /// How often a signal lets others by before it comes, so that it also comes in the middle of a start.
    pub(crate) signal_yields: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct ReceiverPlan {
    /// It emits in tasks beside `run`.
    pub(crate) beside: bool,
    pub(crate) on_start_error: &'static str,
    pub(crate) start: Start,
}

#[derive(Clone, Debug)]
pub(crate) struct ProcessorPlan {
    pub(crate) on_start_error: &'static str,
    pub(crate) start: Start,
}

#[derive(Clone, Debug)]
pub(crate) struct ExporterPlan {
    pub(crate) on_start_error: &'static str,
    pub(crate) start: Start,
    /// `sending_queue.enabled`.
    pub(crate) queued: bool,
    pub(crate) consumers: u64,
    pub(crate) queue_size: u64,
    pub(crate) sizer: &'static str,
    pub(crate) on_overflow: &'static str,
    pub(crate) wait_for_result: bool,
    pub(crate) batch: Option<BatchPlan>,
    pub(crate) retries: bool,
    pub(crate) initial_interval: Duration,
    pub(crate) max_interval: Duration,
    /// Zero for ever.
    pub(crate) max_elapsed_time: Duration,
    pub(crate) breaker: bool,
    pub(crate) failure_threshold: u64,
    pub(crate) open_duration: Duration,
    pub(crate) half_open_calls: u64,
    pub(crate) success_threshold: u64,
    /// Of one attempt.
    pub(crate) timeout: Duration,
}

/// How what waits in a queue is merged and cut.
#[derive(Clone, Debug)]
pub(crate) struct BatchPlan {
    pub(crate) flush_timeout: Duration,
    pub(crate) sizer: &'static str,
    pub(crate) min_size: u64,
    /// 0 for no limit.
    pub(crate) max_size: u64,
}

/// A pipeline by the places of its components. A processor is in one pipeline only.
#[derive(Clone, Debug)]
pub(crate) struct PipelinePlan {
    pub(crate) receivers: Vec<usize>,
    pub(crate) processors: Vec<usize>,
    pub(crate) exporters: Vec<usize>,
}

impl ExporterPlan {
    /// One that nothing holds up.
    pub(crate) fn plain() -> Self {
        ExporterPlan {
            on_start_error: "fail",
            start: Start::Ready,
            queued: true,
            consumers: 2,
            queue_size: 1000,
            sizer: "requests",
            on_overflow: "refuse",
            wait_for_result: false,
            batch: None,
            retries: true,
            initial_interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(1),
            max_elapsed_time: Duration::from_secs(60),
            breaker: false,
            failure_threshold: 5,
            open_duration: Duration::from_secs(1),
            half_open_calls: 1,
            success_threshold: 1,
            timeout: Duration::from_secs(5),
        }
    }

    /// How long a delivery takes to which nothing happens.
    fn takes(&self) -> Duration {
        self.batch.as_ref().map_or(Duration::ZERO, |batch| batch.flush_timeout)
    }

    /// A sender hears how the delivery ended.
    pub(crate) fn waits(&self) -> bool {
        self.wait_for_result || !self.queued
    }

    /// A batch can leave in pieces.
    pub(crate) fn cuts(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.max_size > 0)
    }

    /// A sender waits for room.
    pub(crate) fn blocks(&self) -> bool {
        self.on_overflow == "block" || !self.queued
    }
}

impl Plan {
    /// The longest that receivers which emit one batch after the other take for all that they are told to emit: where an
    /// exporter has no queue, each waits for its delivery.
    pub(crate) fn backlog(&self) -> Duration {
        let batches =
            self.steps.iter().map(|(_, fault)| if let Fault::Burst(_, batches, _) = fault { *batches } else { 0 });
        let longest = self.exporters.iter().map(ExporterPlan::takes).max().unwrap_or_default();
        longest * batches.sum::<u32>()
    }

    pub(crate) fn from_seed(seed: u64) -> Plan {
        let dice = &Dice(Simulation::seeded(seed));
        let receivers = dice.some(1, 3, || ReceiverPlan {
            beside: dice.percent(60),
            on_start_error: dice.of(&["fail", "fail", "retry", "ignore", "probe"]),
            start: dice.start(),
        });
        let processors = dice
            .some(0, 2, || ProcessorPlan { on_start_error: dice.of(&["fail", "retry", "probe"]), start: dice.start() });
        let exporters = dice.some(1, 3, || dice.exporter());
        let pipelines = dice.pipelines(receivers.len(), processors.len(), exporters.len());
        let mut plan = Plan {
            seed,
            drain_timeout: dice.millis(500, 8_000),
            restart_budget: dice.of(&[0, 2, 5]),
            receivers,
            processors,
            exporters,
            pipelines,
            steps: Vec::new(),
            signal_yields: dice.below(40),
        };
        plan.steps = dice.steps(&plan);
        plan
    }

    /// The configuration, with the keys of the scripts.
    pub(crate) fn yaml(
        &self,
        witness: (&str, &str),
        receivers: &[String],
        processors: &[String],
        exporters: &[String],
    ) -> String {
        let mut yaml = format!("receivers:\n  test_source/witness: {{key: {}}}\n", witness.0);
        for (index, (plan, key)) in self.receivers.iter().zip(receivers).enumerate() {
            let policy = plan.on_start_error;
            let _ = writeln!(yaml, "  sim_source/r{index}: {{key: {key}, on_start_error: {policy}}}");
        }
        if !processors.is_empty() {
            yaml.push_str("processors:\n");
        }
        for (index, (plan, key)) in self.processors.iter().zip(processors).enumerate() {
            let policy = plan.on_start_error;
            let _ = writeln!(yaml, "  test_processor/p{index}: {{key: {key}, on_start_error: {policy}}}");
        }
        let _ = writeln!(yaml, "exporters:\n  test_sink/witness: {{key: {}}}", witness.1);
        for (index, (plan, key)) in self.exporters.iter().zip(exporters).enumerate() {
            let _ = write!(yaml, "  test_sink/e{index}:\n    key: {key}\n{}", plan.yaml());
        }
        let (drain, budget) = (self.drain_timeout.as_millis(), self.restart_budget);
        let _ = write!(yaml, "service:\n  drain_timeout: {drain}ms\n  restart_budget: {budget}\n  pipelines:\n");
        // First: nothing of the plan can keep it from starting.
        yaml.push_str("    logs:\n      receivers: [test_source/witness]\n      exporters: [test_sink/witness]\n");
        for (index, pipeline) in self.pipelines.iter().enumerate() {
            let ids =
                |of: &str, places: &[usize]| places.iter().map(|p| format!("{of}{p}")).collect::<Vec<_>>().join(", ");
            let _ = writeln!(yaml, "    metrics/{index}:");
            let _ = writeln!(yaml, "      receivers: [{}]", ids("sim_source/r", &pipeline.receivers));
            let _ = writeln!(yaml, "      processors: [{}]", ids("test_processor/p", &pipeline.processors));
            let _ = writeln!(yaml, "      exporters: [{}]", ids("test_sink/e", &pipeline.exporters));
        }
        yaml.push_str("telemetry:\n  enabled: false\n");
        yaml
    }
}

impl ExporterPlan {
    fn yaml(&self) -> String {
        let ms = Duration::as_millis;
        let batch = self.batch.as_ref().map(|BatchPlan { flush_timeout, sizer, min_size, max_size }| {
            let wait = ms(flush_timeout);
            format!(", batch: {{flush_timeout: {wait}ms, sizer: {sizer}, min_size: {min_size}, max_size: {max_size}}}")
        });
        format!(
            "    on_start_error: {}
    timeout: {}ms
    sending_queue: {{enabled: {}, num_consumers: {}, queue_size: {}, sizer: {}, on_overflow: {}, wait_for_result: {}{}}}
    retry_on_failure: {{enabled: {}, initial_interval: {}ms, max_interval: {}ms, max_elapsed_time: {}ms}}
    circuit_breaker: {{enabled: {}, failure_threshold: {}, open_duration: {}ms, half_open_calls: {}, success_threshold: {}}}
",
            self.on_start_error,
            ms(&self.timeout),
            self.queued,
            self.consumers,
            self.queue_size,
            self.sizer,
            self.on_overflow,
            self.wait_for_result,
            batch.unwrap_or_default(),
            self.retries,
            ms(&self.initial_interval),
            ms(&self.max_interval),
            ms(&self.max_elapsed_time),
            self.breaker,
            self.failure_threshold,
            ms(&self.open_duration),
            self.half_open_calls,
            self.success_threshold,
        )
    }
}

/// Chance, from the seed.
struct Dice(Simulation);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        self.0.random() % bound
    }

    fn percent(&self, share: u64) -> bool {
        self.below(100) < share
    }

    fn of<T: Copy>(&self, among: &[T]) -> T {
        among[self.place(among.len())]
    }

    fn place(&self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("it is below a usize")
    }

    fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    fn some<T>(&self, least: u64, most: u64, make: impl Fn() -> T) -> Vec<T> {
        (0..least + self.below(most - least + 1)).map(|_| make()).collect()
    }

    fn start(&self) -> Start {
        if self.percent(85) { Start::Ready } else { self.bad_start() }
    }

    fn bad_start(&self) -> Start {
        self.of(&[Start::Fail, Start::Fail, Start::Hang, Start::Panic])
    }

    fn exporter(&self) -> ExporterPlan {
        let sizer = self.of(&["requests", "items", "bytes"]);
        let queue_size = match sizer {
            "requests" => 1 + self.below(6),
            "items" => 4 + self.below(30),
            _ => 100 + self.below(1000),
        };
        let initial_interval = self.millis(50, 1_000);
        ExporterPlan {
            on_start_error: self.of(&["fail", "fail", "retry", "ignore", "probe"]),
            start: self.start(),
            queued: self.percent(85),
            consumers: 1 + self.below(3),
            queue_size,
            sizer,
            on_overflow: self.of(&["refuse", "drop", "block"]),
            wait_for_result: self.percent(25),
            batch: self.percent(BATCHING).then(|| self.batch(sizer, queue_size)),
            retries: self.percent(80),
            initial_interval,
            max_interval: initial_interval + self.millis(0, 4_000),
            max_elapsed_time: if self.percent(20) { Duration::ZERO } else { self.millis(500, 10_000) },
            breaker: self.percent(70),
            failure_threshold: 1 + self.below(5),
            open_duration: self.millis(200, 8_000),
            half_open_calls: 1 + self.below(2),
            success_threshold: 1 + self.below(3),
            timeout: self.millis(200, 4_000),
        }
    }

    /// No more may be waited for than the queue has room for.
    fn batch(&self, queue_sizer: &str, queue_size: u64) -> BatchPlan {
        let (sizer, most, more) = match queue_sizer {
            "bytes" if self.percent(70) => ("bytes", queue_size, 400),
            "items" => ("items", queue_size.min(15), 8),
            _ => ("items", 15, 8),
        };
        let min_size = self.below(most + 1);
        let max_size = if self.percent(50) { 0 } else { (min_size + self.below(more)).max(1) };
        BatchPlan { flush_timeout: self.millis(10, 2_000), sizer, min_size, max_size }
    }

    /// Every receiver and every exporter is in one; a processor is in exactly one.
    fn pipelines(&self, receivers: usize, processors: usize, exporters: usize) -> Vec<PipelinePlan> {
        let count = 1 + self.place(3);
        let share = |of: usize, pipeline: usize| -> Vec<usize> {
            let mut places: Vec<usize> =
                (0..of).filter(|place| place % count == pipeline || self.percent(35)).collect();
            if places.is_empty() {
                places.push(self.place(of));
            }
            places
        };
        let home: Vec<usize> = (0..processors).map(|_| self.place(count)).collect();
        (0..count)
            .map(|pipeline| PipelinePlan {
                receivers: share(receivers, pipeline),
                processors: (0..processors).filter(|place| home[*place] == pipeline).collect(),
                exporters: share(exporters, pipeline),
            })
            .collect()
    }

    fn steps(&self, plan: &Plan) -> Vec<(Duration, Fault)> {
        let horizon = u64::try_from(HORIZON.as_millis()).expect("it is short");
        let at = || self.millis(0, horizon);
        let mut steps = Vec::new();
        for receiver in 0..plan.receivers.len() {
            let period = 100 + self.below(900);
            let mut now = self.below(period);
            while now < horizon {
                let batches = if self.percent(10) { 2 + self.below(6) } else { 1 };
                let batches = u32::try_from(batches).expect("it is small");
                steps.push((Duration::from_millis(now), Fault::Burst(receiver, batches, 1 + self.below(9))));
                now += 1 + self.below(2 * period);
            }
        }
        for _ in 0..self.below(14) {
            steps.push((at(), self.fault(plan)));
        }
        if self.percent(STOPPED_EARLY) {
            // Some in the first instant, which is the start.
            let stop = if self.percent(25) { self.millis(0, 1) } else { at() };
            steps.push((stop, Fault::Stop));
            if self.percent(SECOND_SIGNALS) {
                steps.push((stop + self.millis(0, 3_000), Fault::SecondSignal));
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    fn fault(&self, plan: &Plan) -> Fault {
        let receiver = self.place(plan.receivers.len());
        let exporter = self.place(plan.exporters.len());
        let processors = plan.processors.len();
        match self.below(16) {
            0 => Fault::CallerLeaves(receiver),
            1 => Fault::PanicRun(receiver),
            2 => Fault::PanicTask(receiver),
            3 => self.of(&[Fault::FailRun(receiver), Fault::EndRun(receiver)]),
            4 => Fault::StartReceiver(receiver, if self.percent(50) { Start::Ready } else { self.bad_start() }),
            5 if processors > 0 => Fault::StartProcessor(
                self.place(processors),
                if self.percent(50) { Start::Ready } else { self.bad_start() },
            ),
            6 | 7 if processors > 0 => {
                let processing =
                    [Processing::Filter, Processing::FailForNow, Processing::FailForGood, Processing::Panic];
                Fault::Process(self.place(processors), self.of(&processing))
            }
            8 if processors > 0 => {
                Fault::Background(self.place(processors), self.of(&[Background::Panic, Background::Fail]))
            }
            9 => Fault::StartExporter(exporter, if self.percent(50) { Start::Ready } else { self.bad_start() }),
            10 | 11 => Fault::PanicExport(exporter, 1 + u32::try_from(self.below(3)).expect("it is small")),
            _ => {
                let (delay, after) = (self.millis(10, 5_000), self.millis(100, 6_000));
                let exporting = [
                    Exporting::Accept,
                    Exporting::Slow(delay),
                    Exporting::Away,
                    Exporting::Away,
                    Exporting::Busy(after),
                    Exporting::Refuse,
                    Exporting::Stall,
                ];
                Fault::Export(exporter, self.of(&exporting))
            }
        }
    }
}
