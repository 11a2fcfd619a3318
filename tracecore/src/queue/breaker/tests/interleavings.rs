//! Threads in random orders: the machine, compiled once more over primitives whose scheduler decides who goes on at each
//! access. A schedule that fails is printed, and `shuttle::replay` runs it again.

use std::cell::Cell;
use std::collections::BTreeMap;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use self::machine::{Admission, Breaker, Permit, Transition};
use super::{count, settings};
use crate::queue::CircuitBreaker;
use crate::telemetry::BreakerState::{self, Closed, HalfOpen, Open};

#[path = "../machine.rs"]
#[expect(clippy::duplicate_mod, reason = "the same source over other primitives")]
#[expect(dead_code, reason = "what has nothing to do with threads is tested elsewhere")]
mod machine;

/// In the place of the real one: time passes only when somebody waits for it, and then at once.
mod seam {
    use std::future::Future;

    pub(super) use shuttle::sync::atomic::AtomicU64;
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
    use shuttle::thread::yield_now;

    use super::CLOCK;
    use crate::time::Instant;

    /// The real one, which others may come before.
    #[derive(Debug)]
    pub(super) struct Notify(tokio::sync::Notify);

    impl Notify {
        pub(super) fn new() -> Self {
            Notify(tokio::sync::Notify::new())
        }

        pub(super) fn notified(&self) -> impl Future<Output = ()> {
            yield_now();
            self.0.notified()
        }

        pub(super) fn notify_waiters(&self) {
            yield_now();
            self.0.notify_waiters();
        }
    }

    pub(super) fn now() -> Instant {
        CLOCK.get().expect("the test has set the clock")
    }

    pub(super) async fn timeout_at(deadline: Instant, _sooner: impl Future<Output = ()>) -> Result<(), ()> {
        shuttle::future::yield_now().await;
        CLOCK.set(Some(deadline.max(now())));
        Err(())
    }
}

thread_local! {
    /// The scheduler runs all threads of a test on the test's own.
    static CLOCK: Cell<Option<crate::time::Instant>> = const { Cell::new(None) };
}

/// How many orders are tried by each test: a second or so of them.
const ORDERS: usize = 1_000;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let start = crate::time::Instant::now();
    let scheduled = move || {
        CLOCK.set(Some(start));
        test();
    };
    shuttle::check_random(scheduled, ORDERS);
}

/// Asks until it is allowed, and keeps what it heard on the way.
fn admitted<'a>(breaker: &'a Breaker, heard: &Mutex<Vec<Transition>>) -> Permit<'a> {
    loop {
        match breaker.admit() {
            Admission::Allowed { permit, transition } => {
                heard.lock().expect("no panic").extend(transition);
                return permit;
            }
            Admission::Refused { .. } => block_on(breaker.chance()),
        }
    }
}

/// Each transition was heard exactly once: as many begin in a state as end in it, but for the first and the last.
fn assert_chain(heard: &[Transition], last: BreakerState) {
    let mut balance: BTreeMap<&str, i32> = BTreeMap::from([(Closed.as_str(), 1)]);
    for Transition { from, to, .. } in heard {
        assert!(matches!((from, to), (Closed, Open) | (Open, HalfOpen) | (HalfOpen, Open | Closed)), "{from:?} {to:?}");
        *balance.entry(from.as_str()).or_default() -= 1;
        *balance.entry(to.as_str()).or_default() += 1;
    }
    *balance.entry(last.as_str()).or_default() -= 1;
    assert!(balance.values().all(|count| *count == 0), "{heard:?}");
}

/// Four consumers with three batches each, of which one goes away in the middle of its calls, and a backend that is away at
/// first. That the test ends shows that nobody waits for ever: the scheduler finds a thread that nothing will wake.
fn outage(half_open_calls: u32) {
    let settings =
        CircuitBreaker { failure_threshold: count(2), half_open_calls: count(half_open_calls), ..settings() };
    let breaker = Arc::new(Breaker::new(&settings));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::new(AtomicU32::new(0));
    let trials = Arc::new(AtomicU32::new(0));
    let consume = |goes_away: bool| {
        let (breaker, heard) = (Arc::clone(&breaker), Arc::clone(&heard));
        let (calls, trials) = (Arc::clone(&calls), Arc::clone(&trials));
        move || {
            for _ in 0..3 {
                let permit = admitted(&breaker, &heard);
                let trial = u32::from(permit.is_trial());
                let others = trials.fetch_add(trial, Ordering::SeqCst);
                // With more than one at once, those of a round that has failed may still be under way in the next.
                assert!(half_open_calls > 1 || others + trial <= 1, "{others} other trials are under way");
                let call = calls.fetch_add(1, Ordering::SeqCst);
                trials.fetch_sub(trial, Ordering::SeqCst);
                let transition = match call {
                    _ if goes_away => {
                        drop(permit);
                        None
                    }
                    0..CALLS_THAT_FAIL => permit.failed(),
                    _ => permit.succeeded(),
                };
                heard.lock().expect("no panic").extend(transition);
            }
        }
    };
    let consumers = [true, false, false, false].map(|goes_away| thread::spawn(consume(goes_away)));
    consumers.into_iter().for_each(|consumer| consumer.join().expect("no panic"));
    assert_chain(&heard.lock().expect("no panic"), breaker.state());
}

/// Enough to open it, and for some trials.
const CALLS_THAT_FAIL: u32 = 5;

#[test]
fn in_any_order_one_trial_is_under_way_and_nobody_waits_for_ever() {
    explore(|| outage(1));
}

#[test]
fn in_any_order_trials_at_once_leave_nobody_waiting_for_ever() {
    explore(|| outage(2));
}
