//! The three states, and what moves a breaker from one to another.
//!
//! The truth is behind one lock. What a call in good times needs of it stands in one atomic word beside it, written only
//! while the lock is held: the generation, the state, and whether failures are counted. Each transition begins a
//! generation, and so does each failure that counts; a permit bears the one in which it was given. So the permit tells
//! which calls were under way when another one failed, and those of a state that has ended.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::seam::{AtomicU64, Mutex, MutexGuard, Notify, now, timeout_at};
use crate::queue::CircuitBreaker;
use crate::telemetry::BreakerState;
use crate::time::{Duration, Instant};

/// Decides which calls of one exporter go ahead.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: CircuitBreaker,
    word: AtomicU64,
    core: Mutex<Core>,
    /// The state changed, or a trial call may begin.
    changed: Notify,
}

/// What a caller is told.
#[derive(Debug)]
#[must_use = "a refused call must not go ahead"]
pub(crate) enum Admission<'a> {
    /// Go ahead.
    Allowed {
        /// To say afterwards how the call went.
        permit: Permit<'a>,
        /// Set if this call made an open breaker half-open.
        transition: Option<Transition>,
    },
    /// Do not call.
    Refused {
        /// When to ask again. While trial calls are under way this is when a next one is due should they fail now;
        /// [`Breaker::chance`] knows sooner.
        retry_at: Instant,
    },
}

/// The right to call, once. Dropped, it counts for nothing.
#[derive(Debug)]
#[must_use = "say how the call went"]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    trial: bool,
    settled: bool,
}

/// A breaker went from one state to another.
///
/// Two callers may report theirs in another order than they happened; a gauge is best read from [`Breaker::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// The state that has ended.
    pub(crate) from: BreakerState,
    /// The state that has begun.
    pub(crate) to: BreakerState,
    /// How long the state that has ended lasted.
    pub(crate) lasted: Duration,
}

/// A breaker at one moment, for a status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Its state.
    pub(crate) state: BreakerState,
    /// When that began.
    pub(crate) since: Instant,
    /// How many calls have failed since one succeeded, as far as they counted.
    pub(crate) consecutive_failures: u32,
    /// How many trial calls are under way.
    pub(crate) trial_calls: u32,
    /// While open: when trial calls begin.
    pub(crate) retry_at: Option<Instant>,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Succeeded,
    Failed,
    Ignored,
}

#[derive(Debug)]
struct Core {
    phase: Phase,
    generation: u64,
    /// The generation in which the present state began.
    entered: u64,
    since: Instant,
    consecutive_failures: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { under_way: u32, succeeded: u32 },
}

/// Where the generation begins in the word: below it are the state and whether failures are counted.
const GENERATION_SHIFT: u32 = 3;
/// The bit that is set while failures are counted.
const FAILURES: u64 = 0b100;
/// The bits of the state.
const STATE: u64 = 0b011;

impl Core {
    fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn word(&self) -> u64 {
        let failures = if self.consecutive_failures == 0 { 0 } else { FAILURES };
        self.generation << GENERATION_SHIFT | failures | self.state() as u64
    }

    fn enter(&mut self, phase: Phase) -> Transition {
        let (from, began) = (self.state(), self.since);
        self.phase = phase;
        self.generation += 1;
        self.entered = self.generation;
        self.since = now();
        Transition { from, to: self.state(), lasted: self.since.saturating_duration_since(began) }
    }
}

impl Breaker {
    /// A closed breaker. One that is not enabled stays closed.
    pub(crate) fn new(settings: &CircuitBreaker) -> Self {
        let core = Core { phase: Phase::Closed, generation: 0, entered: 0, since: now(), consecutive_failures: 0 };
        Breaker {
            settings: settings.clone(),
            word: AtomicU64::new(core.word()),
            core: Mutex::new(core),
            changed: Notify::new(),
        }
    }

    /// Asks whether to call now.
    pub(crate) fn admit(&self) -> Admission<'_> {
        let word = self.word.load(Ordering::Acquire);
        if word & STATE == BreakerState::Closed as u64 {
            return self.allow(word >> GENERATION_SHIFT, false, None);
        }
        let mut core = self.core();
        let transition = match core.phase {
            Phase::Closed => return self.allow(core.generation, false, None),
            Phase::Open { until } if now() < until => return Admission::Refused { retry_at: until },
            Phase::Open { .. } => Some(core.enter(Phase::HalfOpen { under_way: 1, succeeded: 0 })),
            Phase::HalfOpen { under_way, succeeded } => {
                if under_way >= self.settings.half_open_calls.get() {
                    return Admission::Refused { retry_at: now() + self.settings.open_duration.get() };
                }
                core.phase = Phase::HalfOpen { under_way: under_way + 1, succeeded };
                None
            }
        };
        let generation = core.generation;
        self.publish(core);
        // Nobody needs to be woken: who waits for an open breaker waits no longer than until now.
        self.allow(generation, true, transition)
    }

    fn allow(&self, generation: u64, trial: bool, transition: Option<Transition>) -> Admission<'_> {
        Admission::Allowed { permit: Permit { breaker: self, generation, trial, settled: false }, transition }
    }

    /// Waits until [`admit`](Self::admit) may allow a call: at once, when a trial call may begin, or when the breaker has
    /// closed, which wakes all who wait. May be dropped at any time.
    pub(crate) async fn chance(&self) {
        // First: what changes after the look at the state then ends the wait.
        let changed = self.changed.notified();
        let phase = self.core().phase;
        match phase {
            Phase::Closed => {}
            Phase::Open { until } => {
                // Either end of this wait is a reason to ask again.
                let _ = timeout_at(until, changed).await;
            }
            Phase::HalfOpen { under_way, .. } if under_way < self.settings.half_open_calls.get() => {}
            Phase::HalfOpen { .. } => changed.await,
        }
    }

    /// Ends the wait of an open breaker: the next call is a trial. For a shutdown, which cannot wait so long.
    pub(crate) fn try_now(&self) {
        let mut core = self.core();
        if let Phase::Open { until } = &mut core.phase {
            *until = now();
            drop(core);
            self.changed.notify_waiters();
        }
    }

    /// The state. A breaker stays open until somebody asks after the time is over.
    pub(crate) fn state(&self) -> BreakerState {
        let state = self.word.load(Ordering::Acquire) & STATE;
        BreakerState::ALL[usize::try_from(state).expect("two bits fit")]
    }

    /// All there is to say.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let core = self.core();
        let (trial_calls, retry_at) = match core.phase {
            Phase::Closed => (0, None),
            Phase::Open { until } => (0, Some(until)),
            Phase::HalfOpen { under_way, .. } => (under_way, None),
        };
        let (state, since, consecutive_failures) = (core.state(), core.since, core.consecutive_failures);
        Snapshot { state, since, consecutive_failures, trial_calls, retry_at }
    }

    fn settle(&self, permit: &Permit<'_>, call: Call) -> Option<Transition> {
        if self.changes_nothing(permit, call) {
            return None;
        }
        let mut core = self.core();
        if permit.generation < core.entered {
            return None;
        }
        match call {
            Call::Succeeded => core.consecutive_failures = 0,
            // It was under way when another one failed: that is one moment of the backend, and it is counted already.
            Call::Failed if permit.generation < core.generation => return None,
            Call::Failed => {
                core.consecutive_failures = core.consecutive_failures.saturating_add(1);
                core.generation += 1;
            }
            Call::Ignored => {}
        }
        let next = self.after(core.phase, call, core.consecutive_failures);
        let transition = next.map(|phase| core.enter(phase));
        if let (None, Phase::HalfOpen { under_way, succeeded }) = (transition, &mut core.phase) {
            *under_way -= 1;
            *succeeded += u32::from(call == Call::Succeeded);
        }
        self.publish(core);
        if permit.trial || transition.is_some() {
            self.changed.notify_waiters();
        }
        transition
    }

    /// The way of good times: no lock.
    fn changes_nothing(&self, permit: &Permit<'_>, call: Call) -> bool {
        match call {
            // No success changes a closed breaker that counts no failure, be it late or not.
            Call::Succeeded => {
                let word = self.word.load(Ordering::Acquire);
                word & STATE == BreakerState::Closed as u64 && word & FAILURES == 0
            }
            Call::Failed => false,
            Call::Ignored => !permit.trial,
        }
    }

    /// Where this call leads, if to another state.
    fn after(&self, phase: Phase, call: Call, consecutive_failures: u32) -> Option<Phase> {
        let open = || Phase::Open { until: now() + self.settings.open_duration.get() };
        match (phase, call) {
            (Phase::Closed, Call::Failed) => {
                let dead = self.settings.enabled && consecutive_failures >= self.settings.failure_threshold.get();
                dead.then(open)
            }
            (Phase::HalfOpen { .. }, Call::Failed) => Some(open()),
            (Phase::HalfOpen { succeeded, .. }, Call::Succeeded) => {
                (succeeded + 1 >= self.settings.success_threshold.get()).then_some(Phase::Closed)
            }
            _ => None,
        }
    }

    /// Lets the lock go, and everybody see what has changed.
    fn publish(&self, core: MutexGuard<'_, Core>) {
        self.word.store(core.word(), Ordering::Release);
        drop(core);
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic while the lock is held would be one of integer arithmetic, which cannot overflow here.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Whether this call decides over a half-open breaker.
    pub(crate) fn is_trial(&self) -> bool {
        self.trial
    }

    /// The backend answered.
    #[must_use = "a transition is to be reported"]
    pub(crate) fn succeeded(self) -> Option<Transition> {
        self.settle(Call::Succeeded)
    }

    /// The backend did not answer, or said that it cannot work now.
    #[must_use = "a transition is to be reported"]
    pub(crate) fn failed(self) -> Option<Transition> {
        self.settle(Call::Failed)
    }

    /// The call says nothing about the backend. A trial leaves its place to another.
    pub(crate) fn ignored(self) {
        drop(self);
    }

    fn settle(mut self, call: Call) -> Option<Transition> {
        self.settled = true;
        self.breaker.settle(&self, call)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.settle(self, Call::Ignored);
        }
    }
}
