//! One measurement: start a subject before a sink, send, count, stop, and see that what was acknowledged has come.

use std::path::Path;

use tokio::time::{Duration, Instant, timeout};

use crate::failure::Failure;
use crate::load::{Load, Pace, Sent, Shape, Transport};
use crate::process::{Memory, Usage};
use crate::sink::{Counts, Sink};
use crate::subject::{Running, Subject};

/// How long a program may take to accept its first connection.
const START: Duration = Duration::from_secs(10);
/// How long what was acknowledged may take to arrive once nothing more is sent.
const DRAIN: Duration = Duration::from_secs(20);

/// What is sent to what, for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) subject: Subject,
    pub(crate) shape: Shape,
    pub(crate) pace: Pace,
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// The backend refuses one of so many requests; 0 refuses none.
    pub(crate) refuse_one_of: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Items that were acknowledged while it counted.
    pub(crate) items: f64,
    /// Processor time of the subject for them.
    pub(crate) cpu: Duration,
    /// How long this took, until they had come.
    pub(crate) wall: Duration,
    pub(crate) memory: Memory,
    /// What it has more in memory at the end than after the warm-up.
    pub(crate) grown: u64,
    /// The time to half of the acknowledgements, and to 99 of 100.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Bytes of bodies that the subject sent, by the item that was sent to it.
    pub(crate) bytes_out: f64,
    /// Calls that failed.
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
    /// Requests that were acknowledged and have not come.
    pub(crate) lost: u64,
    /// Requests that came more often than they were sent.
    pub(crate) doubled: u64,
    /// Requests that the sink could not read.
    pub(crate) broken: u64,
    /// The share of the items of what came that came, 1 if nothing is dropped on purpose.
    pub(crate) kept: f64,
}

impl Outcome {
    /// Items that a second of processor time is enough for.
    pub(crate) fn items_per_cpu_second(&self) -> f64 {
        self.items / self.cpu.as_secs_f64()
    }

    /// Processor time by time, 1 for a whole core.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// What is wrong with the data, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        let Outcome { lost, doubled, broken, .. } = *self;
        (lost + doubled + broken > 0).then(|| format!("{lost} lost, {doubled} doubled, {broken} broken"))
    }
}

impl Trial {
    /// Runs it.
    pub(crate) async fn run(self, program: &Path) -> Result<Outcome, Failure> {
        let folder = tempfile::tempdir()?;
        let sink = Sink::start().await?;
        sink.refuse_one_of(self.refuse_one_of);
        let mut running = self.subject.start(program, &sink, folder.path())?;
        let mut load = connect(self.shape, &mut running).await?;
        load.send(self.pace, self.warm_up).await;
        drained(&sink, &load, &running).await?;
        load.forget_times();
        let before = Reading::now(&sink, &load, &running)?;
        let start = Instant::now();
        load.send(self.pace, self.time).await;
        drained(&sink, &load, &running).await?;
        let wall = start.elapsed();
        let after = Reading::now(&sink, &load, &running)?;
        let memory = after.memory;
        if matches!(self.subject, Subject::Tracecore(_)) {
            running.process.stop().await?;
        }
        let requests = (after.sent.requests - before.sent.requests) as f64;
        let items = requests * self.shape.items as f64;
        let counts = sink.counts();
        let Fate { lost, doubled } = fate(&after.sent, &counts);
        Ok(Outcome {
            items,
            cpu: after.usage.since(before.usage),
            wall,
            memory,
            grown: memory.now.saturating_sub(before.memory.now),
            p50: after.sent.times.quantile(0.5),
            p99: after.sent.times.quantile(0.99),
            bytes_out: (after.counts.bytes - before.counts.bytes) as f64 / items,
            failed: after.sent.failed,
            failure: after.sent.failure,
            lost,
            doubled,
            broken: counts.broken,
            kept: (after.counts.items - before.counts.items) as f64 / items,
        })
    }
}

/// Connects as soon as the subject listens. It asks without a pause: this program has a core of its own.
pub(crate) async fn connect(shape: Shape, running: &mut Running) -> Result<Load, Failure> {
    let address = match shape.transport {
        Transport::Grpc => running.grpc,
        Transport::Http => running.http,
    };
    let start = Instant::now();
    loop {
        match Load::prepare(shape, address).await {
            Ok(load) => return Ok(load),
            Err(_) if running.process.ended()?.is_some() => {
                return Err(running.process.failure("the program ended before it listened"));
            }
            Err(_) if start.elapsed() > START => return Err(running.process.failure("the program does not listen")),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Waits until what was acknowledged has come. What has not by then is lost.
async fn drained(sink: &Sink, load: &Load, running: &Running) -> Result<(), Failure> {
    let Sent { requests, failed, failure, .. } = load.sent();
    if requests == 0 {
        let what = "the program acknowledged nothing";
        return Err(match failure {
            Some(failure) => Failure::Refused(format!("{what}, {failed} calls failed, the last: {failure}")),
            None => running.process.failure(what),
        });
    }
    // The end of the trial tells what is missing.
    let _ = timeout(DRAIN, sink.marked(requests)).await;
    Ok(())
}

/// What had happened at some time.
struct Reading {
    usage: Usage,
    memory: Memory,
    counts: Counts,
    sent: Sent,
}

impl Reading {
    fn now(sink: &Sink, load: &Load, running: &Running) -> Result<Self, Failure> {
        let (usage, memory) = (running.process.usage()?, running.process.memory()?);
        Ok(Reading { usage, memory, counts: sink.counts(), sent: load.sent() })
    }
}

/// What became of requests.
struct Fate {
    lost: u64,
    doubled: u64,
}

fn fate(sent: &Sent, counts: &Counts) -> Fate {
    let mut fate = Fate { lost: 0, doubled: 0 };
    for (mark, tried) in sent.tried.iter().enumerate() {
        let acknowledged = sent.acknowledged.get(mark).copied().unwrap_or_default();
        let came = counts.marks.get(mark).copied().unwrap_or_default();
        fate.lost += u64::from(acknowledged.saturating_sub(came));
        fate.doubled += u64::from(came.saturating_sub(*tried));
    }
    fate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_has_not_come_is_lost() {
        let sent = Sent { tried: vec![1, 1, 1, 5], acknowledged: vec![1, 1, 0, 4], ..Sent::default() };
        let came = |marks: Vec<u32>| {
            let Fate { lost, doubled } = fate(&sent, &Counts { marks, ..Counts::default() });
            (lost, doubled)
        };
        assert_eq!(came(vec![1, 1, 0, 4]), (0, 0));
        assert_eq!(came(vec![1, 1, 1, 5]), (0, 0), "what was not acknowledged may come");
        assert_eq!(came(vec![1]), (5, 0));
        assert_eq!(came(vec![2, 1, 0, 4]), (0, 1));
    }
}
