//! A wall clock that is set all the time: it moves nothing.
//!
//! Every interval, back-off and deadline is a matter of the monotonic clock, so a run is the same in every event and at
//! every time, but for what the wall clock itself is asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tracecore::time::Clock;

use crate::plan::Plan;
use crate::world::{WALL_CLOCK, run, run_with};
use crate::{difference, keep_quiet};

/// How many runs there are: enough for every kind of timer in every kind of plan.
const SEEDS: u64 = 100;
const HOUR: Duration = Duration::from_secs(3600);

/// A clock that is set before each time that it is read: an hour on, an hour back, and to before the epoch.
fn erratic() -> Clock {
    let epoch = SystemTime::UNIX_EPOCH;
    let times = [epoch + WALL_CLOCK, epoch + WALL_CLOCK + HOUR, epoch + WALL_CLOCK - HOUR, epoch - HOUR];
    let reads = AtomicUsize::new(0);
    Clock::new(move || times[reads.fetch_add(1, Ordering::Relaxed) % times.len()])
}

#[test]
fn a_run_is_the_same_whatever_the_wall_clock_does() {
    keep_quiet();
    for seed in 0..SEEDS {
        let plan = Plan::from_seed(seed);
        let [steady, set] = [run(&plan), run_with(&plan, erratic)].map(|record| record.trace_without_wall_clock());
        assert_eq!(difference(&steady, &set), None, "SEED={seed}");
    }
}
