//! The program under test: started on its core, watched from `/proc`, stopped.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::time::{Duration, Instant, sleep};

use crate::failure::Failure;

/// Where the program under test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// On the first core; what measures is on the second.
    One,
    /// On the first two, beside what measures.
    Two,
}

/// The core of the program under test.
const SUBJECT: usize = 0;
/// The core of the load and the sink.
const MEASURING: usize = 1;

/// How long a program may take to end once it is asked to.
const END: Duration = Duration::from_secs(15);
/// How often the end is asked for.
const LOOK: Duration = Duration::from_millis(5);
/// How much of a log is shown.
const LOG: usize = 2000;
/// The kernel counts processor time in hundredths of a second where it does not count nanoseconds.
const TICK: Duration = Duration::from_millis(10);

/// Keeps this program on the second core.
pub(crate) fn stay_aside() -> io::Result<()> {
    Ok(sched_setaffinity(None, &cores(&[MEASURING]))?)
}

fn cores(wanted: &[usize]) -> CpuSet {
    let mut cores = CpuSet::new();
    wanted.iter().for_each(|core| cores.set(*core));
    cores
}

/// A running program. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process had used at some time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// By the scheduler, of the threads that live.
    scheduled: Duration,
    /// By the clock tick, of those that have ended too.
    ticked: Duration,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

impl Usage {
    /// Processor time since then.
    pub(crate) fn since(self, before: Usage) -> Duration {
        let scheduled = self.scheduled.saturating_sub(before.scheduled);
        let ticked = self.ticked.saturating_sub(before.ticked);
        // The finer clock is right unless threads have ended.
        if ticked > scheduled + 4 * TICK { ticked } else { scheduled }
    }
}

impl Process {
    /// Starts a program. What it prints goes to `log`.
    pub(crate) fn start(command: &mut Command, on: Cores, log: PathBuf) -> Result<Self, Failure> {
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A child starts on the cores of the thread that starts it.
        let wanted: &[usize] = match on {
            Cores::One => &[SUBJECT],
            Cores::Two => &[SUBJECT, MEASURING],
        };
        sched_setaffinity(None, &cores(wanted)).map_err(io::Error::from)?;
        let child = command.spawn();
        stay_aside()?;
        Ok(Process { child: child?, log })
    }

    /// Processor time up to now.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let mut scheduled = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while this is read.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            scheduled += number(text.split(' ').next());
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may contain spaces; user and system time are the 12th and 13th fields behind it.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap_or_default().1.split_whitespace().collect();
        let ticks = number(fields.get(11).copied()) + number(fields.get(12).copied());
        let ticked = TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        Ok(Usage { scheduled: Duration::from_nanos(scheduled), ticked })
    }

    /// Memory, now and at its peak.
    pub(crate) fn memory(&self) -> Result<Memory, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            number(line.and_then(|line| line.split_whitespace().next()))
        };
        Ok(Memory { now: kib("VmRSS:") << 10, peak: kib("VmHWM:") << 10 })
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(io::Error::from)?;
        }
        let asked = Instant::now();
        while self.ended()?.is_none() {
            if asked.elapsed() > END {
                return Err(self.failure("the program does not end"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// What it did, with the end of its log.
    pub(crate) fn failure(&self, what: &'static str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG));
        Failure::Subject { what, log: log[start..].to_owned() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when the process has ended, which is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
